#include "proxy/state_registry.h"

#include <string_view>
#include <utility>

namespace remora::proxy {

namespace {

using Active = health::Sources::Active;

}  // namespace

void StateRegistry::fill(Snapshot& snapshot, TimePoint now) {
  const bool changed = config_ != snapshot.config;
  std::unordered_map<std::string_view, Cluster*> known;
  for (Cluster& cluster : clusters_) known.emplace(cluster.settings->name, &cluster);
  std::vector<Cluster> clusters;
  snapshot.clusters.clear();
  for (std::size_t i = 0; i < snapshot.config->clusters.size(); ++i) {
    const config::Cluster& settings = snapshot.config->clusters[i];
    const auto same = known.find(settings.name);
    clusters.push_back(
        adopt(settings, same != known.end() ? same->second : nullptr, snapshot.endpoints[i], changed, now));
    snapshot.clusters.push_back(clusters.back().state);
  }
  fill_listeners(snapshot, changed);
  clusters_ = std::move(clusters);
  config_ = snapshot.config;
}

StateRegistry::Cluster StateRegistry::adopt(const config::Cluster& settings, Cluster* known,
                                            EndpointList& endpoints, bool changed, TimePoint now) {
  Cluster cluster{.settings = &settings, .state = {}, .endpoints = {}};
  const bool new_settings = changed && known != nullptr && *known->settings != settings;
  const BreakerSettings breaker = shared(settings.breaker);
  if (known == nullptr) {
    cluster.state = std::make_shared<ClusterState>(settings, breaker, events_);
  } else {
    cluster.state = known->state;
    if (new_settings) cluster.state->set_settings(settings, *known->settings, breaker, now);
  }
  if (known != nullptr && endpoints.is(known->endpoints)) {
    for (const Endpoint& endpoint : endpoints) {
      if (new_settings) endpoint.state->set_settings(settings, breaker, now);
    }
    if (new_settings) cluster.state->changed();
    cluster.endpoints = endpoints;
    return cluster;
  }
  std::unordered_map<std::string, const Endpoint*> before;
  bool any_checked = !changed || config_ == nullptr;
  if (known != nullptr) {
    for (const Endpoint& endpoint : known->endpoints) {
      before.emplace(endpoint.address.to_string(), &endpoint);
      const Active active = endpoint.state->active.load(std::memory_order_relaxed);
      any_checked = any_checked || active == Active::kPassing || active == Active::kFailing;
    }
  }
  bool ranks_moved = false;
  for (ResolvedEndpoint& endpoint : endpoints.edit()) {
    const auto same = before.find(endpoint.address.to_string());
    if (same != before.end()) {
      endpoint.state = same->second->state;
      if (new_settings) endpoint.state->set_settings(settings, breaker, now);
    } else {
      endpoint.state = std::make_shared<EndpointState>(settings, breaker);
      if (!before.empty()) endpoint.state->recovered(now);
      if (!any_checked) endpoint.state->active.store(Active::kNone, std::memory_order_relaxed);
    }
    const auto member = endpoint.state->member.exchange(endpoint.member, std::memory_order_relaxed);
    ranks_moved = ranks_moved || (same != before.end() && member != endpoint.member);
  }
  cluster.endpoints = endpoints;
  // After the endpoints: whoever waits for a place looks at all of it again.
  if (new_settings || ranks_moved) cluster.state->changed();
  return cluster;
}

BreakerSettings StateRegistry::shared(const breaker::CircuitBreaker::Settings& settings) {
  if (latest_settings_ == nullptr || *latest_settings_ != settings) {
    latest_settings_ = std::make_shared<const breaker::CircuitBreaker::Settings>(settings);
  }
  return latest_settings_;
}

void StateRegistry::fill_listeners(Snapshot& snapshot, bool changed) {
  std::unordered_map<std::string_view, const Listener*> known;
  for (const Listener& listener : listeners_) known.emplace(listener.settings->name, &listener);
  std::vector<Listener> listeners;
  snapshot.listeners.clear();
  snapshot.rates.clear();
  for (const config::Listener& settings : snapshot.config->listeners) {
    const auto same = known.find(settings.name);
    Listener listener{.settings = &settings, .state = {}, .rates = {}};
    if (same == known.end()) {
      listener.state = std::make_shared<ListenerState>(settings);
      listener.rates = ListenerRates(settings, {}, settings, random_);
    } else if (!changed) {
      listener = *same->second;
    } else {
      listener.state = same->second->state;
      listener.state->set_settings(settings);
      listener.rates = ListenerRates(settings, same->second->rates, *same->second->settings, random_);
    }
    snapshot.listeners.push_back(listener.state);
    snapshot.rates.push_back(listener.rates);
    listeners.push_back(std::move(listener));
  }
  listeners_ = std::move(listeners);
}

}  // namespace remora::proxy
