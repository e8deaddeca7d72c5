#include "proxy/shared_state.h"

namespace remora::proxy {

RateLimitState::RateLimitState(const config::RateLimit& settings, std::uint64_t secret)
    : secret_(secret | 1U), all_(settings.bucket) {
  if (settings.key != config::RateLimit::Key::kAll) {
    keyed_ = std::make_unique<breaker::KeyedRateLimiter>(settings.bucket, settings.keys);
  }
}

std::optional<Duration> RateLimitState::try_take(std::optional<std::uint64_t> key, TimePoint now) {
  if (!keyed_ || !key) return all_.try_take(now);
  const std::uint64_t mixed = (*key ^ (*key >> 32U)) * secret_;
  return keyed_->try_take(mixed ^ (mixed >> 32U), now);
}

void EndpointState::set_settings(const config::Cluster& settings, BreakerSettings breaker_settings,
                                 TimePoint now) {
  using Active = health::Sources::Active;
  breaker.set_settings(std::move(breaker_settings), now);
  connections.set_most(settings.limits.endpoint_connections);
  requests.set_most(settings.limits.endpoint_requests);
  retries.set_most(settings.limits.endpoint_retries);
  if (!settings.health_check) active.store(Active::kNone, std::memory_order_relaxed);
  if (!settings.outlier.enabled) ejected.store(false, std::memory_order_relaxed);
}

void ClusterState::set_settings(const config::Cluster& settings, const config::Cluster& before,
                                const BreakerSettings& breaker_settings, TimePoint now) {
  breaker.set_settings(breaker_settings, now);
  budget.set_settings(settings.retry_budget);
  connections.set_most(settings.limits.connections);
  requests.set_most(settings.limits.requests);
  pending.set_most(settings.limits.pending);
  retries.set_most(settings.limits.retries);
  if (settings.adaptive != before.adaptive) {
    adaptive.set_most(settings.adaptive.enabled ? settings.adaptive.initial : 0);
  }
  Destinations* const destinations = destinations_.peek();
  if (destinations == nullptr) return;
  const std::lock_guard lock(destinations->mutex);
  for (const auto& [address, known] : destinations->by_address) {
    if (const auto state = known.lock()) state->set_settings(settings, breaker_settings, now);
  }
}

std::shared_ptr<EndpointState> ClusterState::destination(const Address& address,
                                                         const config::Cluster& settings) {
  Destinations& destinations = destinations_.get();
  const std::lock_guard lock(destinations.mutex);
  std::erase_if(destinations.by_address, [](const auto& known) { return known.second.expired(); });
  std::weak_ptr<EndpointState>& known = destinations.by_address[address.to_string()];
  auto state = known.lock();
  if (state == nullptr) {
    known = state = std::make_shared<EndpointState>(
        settings, std::make_shared<const breaker::CircuitBreaker::Settings>(settings.breaker));
  }
  return state;
}

ListenerRates::ListenerRates(const config::Listener& settings, const ListenerRates& before,
                             const config::Listener& settings_before, Random& random) {
  const auto make = [&](const config::RateLimit& limit) {
    return std::make_shared<RateLimitState>(limit, random.next());
  };
  if (settings.rate_limit) {
    const bool same = before.all != nullptr && settings_before.rate_limit == settings.rate_limit;
    all = same ? before.all : make(*settings.rate_limit);
  }
  std::vector<bool> taken(before.by_route.size());
  for (const config::Route& route : settings.routes) {
    auto& state = by_route.emplace_back();
    if (!route.rate_limit) continue;
    for (std::size_t i = 0; i < before.by_route.size() && state == nullptr; ++i) {
      const config::Route& old = settings_before.routes[i];
      if (taken[i] || before.by_route[i] == nullptr || old.match != route.match) continue;
      if (old.rate_limit != route.rate_limit) continue;
      state = before.by_route[i];
      taken[i] = true;
    }
    if (state == nullptr) state = make(*route.rate_limit);
  }
}

}  // namespace remora::proxy
