// One endpoint's health check as it goes over the network: asks once, and says whether the answer was right.
// When to ask and what the answers mean is the business of proxy/prober.h.
//
//   state       enters by               leaves by
//   at rest     made; a result;         start()
//               cancel()
//   under way   start()                 Judge::on_probe, or cancel()
//
// Memory: at most one connection, and of an answer no more than what body_contains or receive is long.
//
// Thread: the control thread. Owner: Prober. Not to be destroyed inside on_probe: bury it in the Turn.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "config/config.h"
#include "proxy/dial.h"
#include "proxy/env.h"
#include "proxy/snapshot.h"

namespace remora::proxy {

// What is checked, and how.
struct ProbeTarget {
  std::size_t id = 0;  // the caller's own, for finding what it is about
  std::string cluster;
  std::shared_ptr<const config::HealthCheck> check;  // never null; keeps the configuration that it is part of
  ResolvedEndpoint endpoint;
  UpstreamTls tls{};
  std::string preamble{};  // sent before everything else, in the clear
};

class Probe {
 public:
  // kAbandoned: we had no descriptor left to ask with, which says nothing about the endpoint.
  enum class Outcome : std::uint8_t { kPassed, kFailed, kAbandoned };

  class Judge {
   public:
    // The check is over. `reason`: why it did not pass, one line for people; "" when it did.
    virtual void on_probe(Outcome outcome, std::string_view reason) = 0;

   protected:
    ~Judge() = default;
  };

  virtual ~Probe() = default;

  // Begins a check; only at rest. The result comes later, never inside this call.
  virtual void start() = 0;
  // Ends the check under way, if there is one, without a result, and closes the connection. No callback comes
  // before the next start().
  virtual void cancel() = 0;
  // Why the check under way has failed if `timeout` is over now: one line for people.
  virtual std::string overdue(Duration timeout) const = 0;
};

// The references outlive the probe. What `target` holds may be exchanged while the probe lives, for an
// address that is equal and settings that are: a reload does that.
std::unique_ptr<Probe> make_http_probe(Env& env, const ProbeTarget& target, Probe::Judge& judge);
std::unique_ptr<Probe> make_tcp_probe(Env& env, const ProbeTarget& target, Probe::Judge& judge);

}  // namespace remora::proxy
