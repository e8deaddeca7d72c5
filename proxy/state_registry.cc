#include "proxy/state_registry.h"

#include <algorithm>
#include <utility>

namespace remora::proxy {

void StateRegistry::fill(Snapshot& snapshot, TimePoint now) {
  std::vector<Cluster> clusters;
  snapshot.clusters.clear();
  for (std::size_t i = 0; i < snapshot.config->clusters.size(); ++i) {
    const config::Cluster& settings = snapshot.config->clusters[i];
    Cluster cluster = adopt(settings);
    const std::vector<Endpoint> before = std::exchange(cluster.endpoints, {});
    for (ResolvedEndpoint& endpoint : snapshot.endpoints[i]) {
      const auto same = std::ranges::find(before, endpoint.address, &Endpoint::address);
      if (same != before.end()) {
        endpoint.state = same->state;
      } else {
        endpoint.state = std::make_shared<EndpointState>(settings);
        if (!before.empty()) endpoint.state->recovered(now);
      }
      cluster.endpoints.push_back({endpoint.name, endpoint.address, endpoint.state});
    }
    snapshot.clusters.push_back(cluster.state);
    clusters.push_back(std::move(cluster));
  }
  clusters_ = std::move(clusters);

  decltype(listeners_) listeners;
  snapshot.listeners.clear();
  for (const config::Listener& settings : snapshot.config->listeners) {
    const auto same = std::ranges::find(listeners_, settings.name, &decltype(listeners_)::value_type::first);
    listeners.emplace_back(settings.name, same != listeners_.end()
                                              ? same->second
                                              : std::make_shared<ListenerState>(settings, random_));
    snapshot.listeners.push_back(listeners.back().second);
  }
  listeners_ = std::move(listeners);
}

StateRegistry::Cluster StateRegistry::adopt(const config::Cluster& settings) {
  for (Cluster& known : clusters_) {
    if (known.state == nullptr || known.settings->name != settings.name) continue;
    Cluster adopted = std::exchange(known, Cluster());
    adopted.settings = &settings;
    return adopted;
  }
  return {.settings = &settings, .state = std::make_shared<ClusterState>(settings, events_), .endpoints = {}};
}

}  // namespace remora::proxy
