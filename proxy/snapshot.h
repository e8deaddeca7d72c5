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
#include "base/shared_list.h"
#include "config/config.h"
#include "proxy/shared_state.h"
#include "proxy/tls_contexts.h"

namespace remora::proxy {

// An endpoint that can be dialled: a configured one, or one address of a configured name.
struct ResolvedEndpoint {
  std::string name;  // as configured
  Address address;
  std::uint32_t weight = 1;
  std::string zone;
  std::uint32_t priority = 0;
  std::shared_ptr<EndpointState> state;
  // What the mesh thinks of its member; kept in the state, where it changes without a new snapshot: two that
  // differ in it only are equal.
  health::Sources::Member member = health::Sources::Member::kNone;
  bool operator==(const ResolvedEndpoint& other) const {
    return name == other.name && address == other.address && weight == other.weight && zone == other.zone &&
           priority == other.priority && state == other.state;
  }
};

// The endpoints of a cluster. Shared by every snapshot that has the same, and by whoever works with them.
using EndpointList = SharedList<ResolvedEndpoint>;

struct Snapshot {
  std::uint64_t generation = 0;
  std::shared_ptr<const config::Config> config;
  std::vector<EndpointList> endpoints;                    // one list per cluster of the config
  std::vector<std::shared_ptr<ClusterState>> clusters;    // one per cluster
  std::vector<std::shared_ptr<ListenerState>> listeners;  // one per listener
  std::vector<ListenerRates> rates;                       // one per listener
  std::vector<Address> listen_addresses;                  // one per listener, with the real port
  std::shared_ptr<const TlsContexts> tls{};               // null: nobody speaks TLS
};

}  // namespace remora::proxy
