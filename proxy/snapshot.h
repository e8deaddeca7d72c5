// What the control thread wants the workers to do: an immutable value posted to each of them. A newer one
// replaces an older one.
//
// Thread: any, as shared_ptr<const Snapshot>.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "breaker/limiter.h"
#include "config/config.h"

namespace remora::proxy {

// An endpoint that can be dialled: a configured one, or one address of a configured name.
struct ResolvedEndpoint {
  std::string name;  // as configured
  Address address;
  std::uint32_t weight = 1;
  std::string zone;
  std::uint32_t priority = 0;
  bool operator==(const ResolvedEndpoint&) const = default;
};

// Of one listener, per process: how many connections are served, and how many more are only told that there
// are too many.
struct ConnectionLimits {
  explicit ConnectionLimits(std::uint32_t most) : served(most), refused(most) {}
  breaker::Limiter served;
  breaker::Limiter refused;
};

struct Snapshot {
  std::uint64_t generation = 0;
  std::shared_ptr<const config::Config> config;
  std::vector<std::vector<ResolvedEndpoint>> endpoints;  // one list per cluster of the config
  std::vector<ConnectionLimits*> connection_limits;      // one per listener; owned by the Server
  std::vector<Address> listen_addresses;                 // one per listener, with the real port
};

}  // namespace remora::proxy
