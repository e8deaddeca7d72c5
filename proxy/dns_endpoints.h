// Keeps the configured endpoint names resolved: drives a discovery::DnsRefresh per name with the resolver,
// and says when the set of addresses has changed.
//
// Thread: the control thread. Owner: Server.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/timer_wheel.h"
#include "config/config.h"
#include "discovery/dns_refresh.h"
#include "proxy/event_ring.h"
#include "proxy/net/resolver.h"
#include "proxy/snapshot.h"

namespace remora::proxy {

class DnsEndpoints final {
 public:
  // `changed` is called when resolved() would return something else than before, and when settled() becomes
  // true. `tell`: something has changed that people want to see.
  DnsEndpoints(TimerWheel& wheel, Random& random, net::Resolver& resolver, std::function<void()> changed,
               std::function<void(Event)> tell);
  ~DnsEndpoints();

  // Starts looking up every name of the configuration that is not looked up yet.
  void watch(const config::Config& config);

  // Forgets the names that the configuration does not have. Not from `changed`.
  void keep(const config::Config& config);

  // Every name has had an answer or a failure.
  bool settled() const;

  // One list of endpoints per cluster: literals as configured, names as every address they have now.
  std::vector<std::vector<ResolvedEndpoint>> resolved(const config::Config& config) const;

 private:
  class Name;

  TimerWheel& wheel_;
  Random& random_;
  net::Resolver& resolver_;
  std::function<void()> changed_;
  std::function<void(Event)> tell_;
  std::vector<std::unique_ptr<Name>> names_;
};

}  // namespace remora::proxy
