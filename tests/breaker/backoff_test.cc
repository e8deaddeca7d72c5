#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

#include "breaker/retry_policy.h"

using namespace remora::breaker;  // not of remora too: its Result is another one
using namespace std::chrono_literals;
using remora::Duration;
using remora::Random;

namespace {

FailedAttempt after(std::uint32_t made) { return {.outcome = {.result = Result::kReset}, .made = made}; }

FailedAttempt after_response(Duration retry_after) {
  return {.outcome = {.result = Result::kResponse, .status = 503}, .retry_after = retry_after};
}

struct Spread {
  Duration least = Duration::max();
  Duration most = Duration::min();
  double mean = 0;  // in microseconds
};

Spread spread_of(const RetrySettings& settings, const FailedAttempt& failed, int draws = 20'000) {
  Random random(17);
  Spread spread;
  for (int i = 0; i < draws; ++i) {
    const Duration pause = backoff(settings, failed, random);
    spread.least = std::min(spread.least, pause);
    spread.most = std::max(spread.most, pause);
    spread.mean += static_cast<double>(pause.count()) / draws;
  }
  return spread;
}

}  // namespace

TEST_CASE("the backoff is drawn evenly from nothing to its bound, which doubles up to the maximum") {
  const RetrySettings settings{.backoff_base = 25ms, .backoff_max = 250ms};
  constexpr std::array<Duration, 7> kBounds = {25ms, 50ms, 100ms, 200ms, 250ms, 250ms, 250ms};
  for (std::uint32_t made = 1; made <= kBounds.size(); ++made) {
    CAPTURE(made);
    const Duration bound = kBounds[made - 1];
    const Spread spread = spread_of(settings, after(made));
    CHECK(spread.least >= 0us);
    CHECK(spread.least < bound / 100);
    CHECK(spread.most <= bound);
    CHECK(spread.most > bound - bound / 100);
    CHECK(spread.mean == doctest::Approx(static_cast<double>(bound.count()) / 2).epsilon(0.02));
  }
}

TEST_CASE("every tenth of the backoff's range is drawn equally often") {
  const RetrySettings settings{.backoff_base = 100ms, .backoff_max = 100ms};
  Random random(3);
  std::array<int, 10> counts{};
  for (int i = 0; i < 100'000; ++i) {
    const auto tenth = static_cast<std::size_t>(backoff(settings, after(1), random) / 10ms);
    ++counts[std::min<std::size_t>(tenth, 9)];
  }
  for (const int count : counts) CHECK(count == doctest::Approx(10'000).epsilon(0.05));
}

TEST_CASE("both ends of the backoff's range are drawn") {
  const RetrySettings settings{.backoff_base = 3us, .backoff_max = 3us};
  const Spread spread = spread_of(settings, after(1), 1000);
  CHECK(spread.least == 0us);
  CHECK(spread.most == 3us);
}

TEST_CASE("a backoff of nothing, or a maximum below the base, is obeyed") {
  CHECK(spread_of({.backoff_base = 0us, .backoff_max = 250ms}, after(1)).most == 0us);
  CHECK(spread_of({.backoff_base = 0us, .backoff_max = 250ms}, after(0xffffffffU), 10).most == 0us);
  CHECK(spread_of({.backoff_base = 25ms, .backoff_max = 0us}, after(3)).most == 0us);
  CHECK(spread_of({.backoff_base = 25ms, .backoff_max = 10ms}, after(3)).most <= 10ms);
}

TEST_CASE("however many attempts there were and however long the maximum, nothing overflows") {
  for (const std::uint32_t made : {2U, 62U, 63U, 64U, 65U, 1'000'000U, 0xffffffffU}) {
    CAPTURE(made);
    CHECK(spread_of({.backoff_base = 1us, .backoff_max = 24h}, after(made), 100).most <= 24h);
    const Spread huge = spread_of({.backoff_base = 1us, .backoff_max = Duration::max()}, after(made), 100);
    CHECK(huge.least >= 0us);
  }
}

TEST_CASE("an attempt number of zero counts as the first") {
  CHECK(spread_of({.backoff_base = 25ms, .backoff_max = 250ms}, after(0)).most <= 25ms);
}

TEST_CASE("a Retry-After is waited for in full, and up to a tenth more, evenly") {
  const RetrySettings settings;
  for (const Duration asked : {Duration{1s}, Duration{100ms}, Duration{30s}, kLongestRetryAfter}) {
    CAPTURE(asked.count());
    const Spread spread = spread_of(settings, after_response(asked));
    CHECK(spread.least >= asked);
    CHECK(spread.least < asked + asked / 1000);
    CHECK(spread.most <= asked + asked / 10);
    CHECK(spread.most > asked + asked / 10 - asked / 1000);
    CHECK(spread.mean == doctest::Approx(static_cast<double>(asked.count()) * 1.05).epsilon(0.002));
  }
}

TEST_CASE("a Retry-After of zero leaves the usual pause, so that not all come back in the same instant") {
  const Spread spread = spread_of({.backoff_base = 25ms}, after_response(0s));
  CHECK(spread.least >= 0us);
  CHECK(spread.most <= 25ms);
  CHECK(spread.mean == doctest::Approx(12'500).epsilon(0.02));
}

TEST_CASE("a Retry-After without a response does not set the pause") {
  FailedAttempt failed = after(1);
  failed.retry_after = 30s;
  CHECK(spread_of({.backoff_base = 25ms}, failed).most <= 25ms);
}
