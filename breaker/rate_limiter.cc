#include "breaker/rate_limiter.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>

namespace remora::breaker {
namespace {

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// Ticks run modulo 2^64: at the finest unit (3.8 ps) they come round in 2.2 years. A debt is below 2^60.
constexpr std::uint64_t kFinest = std::uint64_t{1} << 18U;  // ticks in a microsecond
constexpr std::uint64_t kMostDebt = std::uint64_t{1} << 60U;
// How far threads' clocks may be apart. A word further ahead than that is of the last time round.
constexpr Duration kClockSkew = 1h;

std::uint32_t burst_of(const RateSettings& settings) {
  if (settings.burst != 0) return settings.burst;
  return static_cast<std::uint32_t>(std::clamp(std::ceil(settings.requests), 1.0, 4294967295.0));
}

// One request costs `interval` of the ticks of which there are `per_us` in a microsecond.
struct Unit {
  std::uint64_t per_us = 1;
  std::uint64_t interval = 1;
};

// The unit in which both numbers are whole; if there is none that is not too fine, or the bucket's debt would
// not fit, the finest that fits, with the interval rounded up.
Unit unit_of(const RateSettings& settings, std::uint64_t finest, std::uint64_t most_debt,
             std::uint32_t burst) {
  const auto per = static_cast<std::uint64_t>(settings.per.count());
  const std::uint64_t most_interval = most_debt / burst;
  if (settings.requests <= 0x1p53 && settings.requests == std::floor(settings.requests)) {
    const auto requests = static_cast<std::uint64_t>(settings.requests);
    const std::uint64_t common = std::gcd(requests, per);
    const Unit exact{.per_us = requests / common, .interval = per / common};
    if (exact.per_us <= finest && exact.interval <= most_interval) return exact;
  }
  const double us = static_cast<double>(per) / settings.requests;
  Unit unit{.per_us = finest};
  while (unit.per_us > 1 && us * static_cast<double>(unit.per_us) > static_cast<double>(most_interval)) {
    unit.per_us /= 2;
  }
  const double interval = std::ceil(us * static_cast<double>(unit.per_us));
  unit.interval = static_cast<std::uint64_t>(std::clamp(interval, 1.0, static_cast<double>(most_debt)));
  return unit;
}

}  // namespace

Gcra::Gcra(const RateSettings& settings, std::uint64_t granule) : granule_(granule) {
  assert(settings.requests > 0 && settings.per > Duration::zero());
  const std::uint32_t burst = burst_of(settings);
  const std::uint64_t most_debt = kMostDebt / granule;
  const Unit unit = unit_of(settings, kFinest / granule, most_debt, burst);
  ticks_per_us_ = unit.per_us * granule;
  interval_ = static_cast<std::int64_t>(unit.interval * granule);
  most_ = interval_ * static_cast<std::int64_t>(std::min<std::uint64_t>(burst, most_debt / unit.interval));
}

std::uint64_t Gcra::ticks_at(TimePoint now) const {
  return static_cast<std::uint64_t>(now.time_since_epoch().count()) * ticks_per_us_;
}

std::int64_t Gcra::debt(std::uint64_t word, TimePoint now) const {
  if (word == 0) return 0;
  const auto ahead = static_cast<std::int64_t>(word - ticks_at(now));
  const auto skew = static_cast<std::int64_t>(static_cast<std::uint64_t>(kClockSkew.count()) * ticks_per_us_);
  return ahead > most_ + skew ? std::numeric_limits<std::int64_t>::min() : ahead;
}

Gcra::Step Gcra::take(std::uint64_t word, TimePoint now) const {
  const std::int64_t wanted = std::max<std::int64_t>(debt(word, now), 0) + interval_;
  if (wanted > most_) {
    const auto ticks = static_cast<std::int64_t>(ticks_per_us_);
    return {.wait = Duration((wanted - most_ + ticks - 1) / ticks)};
  }
  std::uint64_t next = ticks_at(now) + static_cast<std::uint64_t>(wanted);
  if (next <= granule_) next = 2 * granule_;  // the two words that are no instants
  return {.word = next};
}

std::optional<Duration> TokenBucket::try_take(TimePoint now) {
  std::uint64_t word = word_.load(std::memory_order_relaxed);
  for (;;) {
    const Gcra::Step step = gcra_.take(word, now);
    if (step.wait > Duration::zero()) return step.wait;
    if (word_.compare_exchange_weak(word, step.word, std::memory_order_relaxed)) return std::nullopt;
  }
}

KeyedRateLimiter::KeyedRateLimiter(const RateSettings& settings, std::uint32_t keys)
    : gcra_(settings, Set::kGranule),
      sets_(std::max(keys / 8, std::uint32_t{1})),
      table_(std::make_unique<Set[]>(sets_)) {}

std::optional<Duration> KeyedRateLimiter::try_take(std::uint64_t key, TimePoint now) {
  return table_[((key >> 32U) * sets_) >> 32U].try_take(gcra_, key, now);
}

std::uint32_t KeyedRateLimiter::size() const {
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < sets_; ++i) count += table_[i].size();
  return count;
}

}  // namespace remora::breaker
