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

ListenerState::ListenerState(const config::Listener& settings, Random& random)
    : connections(settings.limits.connections), refused(settings.limits.connections) {
  if (settings.rate_limit) rate_limit = std::make_unique<RateLimitState>(*settings.rate_limit, random.next());
  for (const auto& route : settings.routes) {
    route_rate_limits.push_back(
        route.rate_limit ? std::make_unique<RateLimitState>(*route.rate_limit, random.next()) : nullptr);
  }
}

}  // namespace remora::proxy
