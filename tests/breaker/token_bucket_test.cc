#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <thread>
#include <vector>

#include "base/random.h"
#include "breaker/rate_limiter.h"
#include "tests/support/alloc_count.h"
#include "tests/support/start.h"

using namespace remora;
using namespace remora::breaker;

namespace {

int take_all(TokenBucket& bucket, TimePoint now, int most = 1'000'000) {
  int granted = 0;
  while (granted < most && !bucket.try_take(now)) ++granted;
  return granted;
}

// The largest number of grants beyond t * requests / per in any span of time t, in units of 1 / per: at most
// burst * per if the promise is kept. Whole numbers, so that one grant too many in a million is seen.
std::int64_t worst_excess(std::vector<TimePoint> grants, std::int64_t requests, Duration per) {
  std::ranges::sort(grants);
  std::int64_t worst = 0;
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  std::int64_t count = 0;
  for (const TimePoint at : grants) {
    const std::int64_t earned = (at - grants.front()).count() * requests;
    least = std::min(least, count * per.count() - earned);
    ++count;
    worst = std::max(worst, count * per.count() - earned - least);
  }
  return worst;
}

}  // namespace

TEST_CASE("a bucket gives its burst at once, and then says how long to the next token") {
  TokenBucket bucket({.requests = 10, .per = 1s, .burst = 3});
  CHECK(take_all(bucket, kStart) == 3);
  CHECK(bucket.try_take(kStart) == 100ms);
  CHECK(bucket.try_take(kStart + 40ms) == 60ms);
  CHECK(bucket.try_take(kStart + 99'999us) == 1us);
  CHECK_FALSE(bucket.try_take(kStart + 100ms));
  CHECK(bucket.try_take(kStart + 100ms) == 100ms);
}

TEST_CASE("who comes back after the wait that it was told is let in") {
  for (const double requests : {0.3, 1.0, 3.0, 7.0, 999.5, 77'777.0, 1'000'000.0, 9'999'991.0}) {
    CAPTURE(requests);
    TokenBucket bucket({.requests = requests, .per = 1s, .burst = 2});
    TimePoint now = kStart;
    int refused = 0;
    for (int i = 0; i < 1'000; ++i) {
      const auto wait = bucket.try_take(now);
      if (!wait) continue;
      ++refused;
      REQUIRE(*wait >= 1us);
      now += *wait;
      REQUIRE_FALSE(bucket.try_take(now));
    }
    CHECK(refused > 100);
  }
}

TEST_CASE("being refused costs nothing") {
  TokenBucket bucket({.requests = 1, .per = 1s, .burst = 1});
  CHECK(take_all(bucket, kStart) == 1);
  for (int i = 1; i < 1'000; ++i) REQUIRE(bucket.try_take(kStart + i * 1ms).has_value());
  CHECK_FALSE(bucket.try_take(kStart + 1s));
}

TEST_CASE("what is not used is kept up to the burst and no further") {
  TokenBucket bucket({.requests = 10, .per = 1s, .burst = 5});
  CHECK(take_all(bucket, kStart) == 5);
  CHECK(take_all(bucket, kStart + 200ms) == 2);
  CHECK(take_all(bucket, kStart + 24h) == 5);
}

TEST_CASE("a burst of 0 is the number of requests, rounded up, and at least one") {
  struct Row {
    double requests;
    std::uint32_t burst;
    int granted;
  };
  for (const Row& row : {Row{10, 0, 10}, Row{2.1, 0, 3}, Row{0.1, 0, 1}, Row{1, 0, 1}, Row{10, 1, 1}}) {
    CAPTURE(row.requests);
    TokenBucket bucket({.requests = row.requests, .per = 1s, .burst = row.burst});
    CHECK(take_all(bucket, kStart) == row.granted);
  }
}

TEST_CASE("the rate is exact to the request, also below a microsecond between two") {
  struct Row {
    std::int64_t requests;
    Duration per;
    Duration during;
  };
  const std::array<Row, 8> rows{{
      {10'000'000, 1s, 100ms},
      {2'500'000, 1s, 100ms},
      {1'500'000, 1s, 100ms},
      {131'071, 1s, 1s},
      {3, 1s, 10min},
      {7, 1min, 24h},
      {1'000, 1h, 24h},
      {10, 1us, 10ms},
  }};
  for (const Row& row : rows) {
    CAPTURE(row.requests);
    constexpr std::uint32_t kBurst = 100;
    TokenBucket bucket({.requests = static_cast<double>(row.requests), .per = row.per, .burst = kBurst});
    std::int64_t granted = take_all(bucket, kStart);
    const Duration step = std::max(Duration{1}, row.per * 20 / row.requests);
    for (TimePoint now = kStart; now < kStart + row.during;) {
      now = std::min(now + step, kStart + row.during);
      granted += take_all(bucket, now);
    }
    CHECK(granted == kBurst + row.during.count() * row.requests / row.per.count());
  }
}

TEST_CASE("a rate that no unit fits is rounded down, by less than one in ten thousand") {
  for (const double requests : {9'999'991.0, 3'333'333.3, 999'983.0, 0.7, 1.0 / 3.0}) {
    CAPTURE(requests);
    constexpr std::uint32_t kBurst = 100;
    TokenBucket bucket({.requests = requests, .per = 1s, .burst = kBurst});
    double granted = take_all(bucket, kStart);
    const auto step = Duration{std::max<std::int64_t>(1, static_cast<std::int64_t>(2e7 / requests))};
    const int steps = 20'000;
    for (int i = 1; i <= steps; ++i) granted += take_all(bucket, kStart + i * step);
    const double due = kBurst + requests * std::chrono::duration<double>(steps * step).count();
    CHECK(granted <= due);
    CHECK(granted >= due * 0.9999 - 1);
  }
}

TEST_CASE("no clock is too far from its epoch, on either side") {
  for (const auto start : {TimePoint{-1h}, TimePoint{}, TimePoint{1us}, TimePoint{100 * 365 * 24h},
                           TimePoint{-100 * 365 * 24h}, TimePoint::max() - 24h, TimePoint::min()}) {
    CAPTURE(start.time_since_epoch().count());
    TokenBucket bucket({.requests = 9'999'991, .per = 1s, .burst = 10});
    CHECK(take_all(bucket, start) == 10);
    CHECK(bucket.try_take(start) == 1us);
    CHECK(take_all(bucket, start + 1us) == 9);
    CHECK(take_all(bucket, start + 12h) == 10);
  }
}

TEST_CASE("a bucket that will be full at the clock's epoch is none that was never used") {
  for (const auto now : {TimePoint{-1s - 1us}, TimePoint{-1s}, TimePoint{-1s + 1us}}) {
    CAPTURE(now.time_since_epoch().count());
    TokenBucket bucket({.requests = 1, .per = 1s, .burst = 1});
    CHECK_FALSE(bucket.try_take(now));
    CHECK(bucket.try_take(now) >= 1s);
    KeyedRateLimiter limiter({.requests = 1, .per = 1s, .burst = 1}, 16);
    CHECK_FALSE(limiter.try_take(0, now));
    CHECK(limiter.try_take(0, now) >= 1s);
  }
}

TEST_CASE("a bucket that nobody has used for up to two years is full when they come back") {
  Random random(1);
  for (int i = 0; i < 10'000; ++i) {
    TokenBucket bucket({.requests = 9'999'991, .per = 1s, .burst = 10});
    REQUIRE(take_all(bucket, kStart) == 10);
    const Duration idle = 1s + Duration{static_cast<std::int64_t>(random.unit() * 2 * 365 * 24 * 3.6e9)};
    CAPTURE(idle.count());
    REQUIRE(take_all(bucket, kStart + idle) == 10);
  }
}

TEST_CASE("absurd settings neither overflow nor grant too much") {
  struct Row {
    RateSettings settings;
    int at_once;
    int after_an_hour;
  };
  const std::uint32_t huge = std::numeric_limits<std::uint32_t>::max();
  const std::array<Row, 7> rows{{
      {{.requests = 1, .per = 1h, .burst = huge}, 1'000, 1'000},
      {{.requests = 1e-12, .per = 1s, .burst = 1}, 1, 0},
      {{.requests = 1, .per = 24h, .burst = huge}, 1'000, 1'000},
      {{.requests = 1e18, .per = 1us, .burst = 5}, 5, 5},
      {{.requests = 1e300, .per = 1s, .burst = 5}, 5, 5},
      {{.requests = 1e12, .per = 1s, .burst = 0}, 1'000, 1'000},
      {{.requests = 1, .per = Duration::max(), .burst = 2}, 1, 0},
  }};
  for (const Row& row : rows) {
    CAPTURE(row.settings.requests);
    TokenBucket bucket(row.settings);
    CHECK(take_all(bucket, kStart, 1'000) >= row.at_once);
    CHECK(take_all(bucket, kStart + 1h, 1'000) >= row.after_an_hour);
    if (row.after_an_hour == 0) CHECK(bucket.try_take(kStart + 2h) > 1h);
  }
}

TEST_CASE("clocks that disagree do not get more out of a bucket") {
  Random random(7);
  for (const std::int64_t requests : {3, 1'000, 10'000'000}) {
    CAPTURE(requests);
    constexpr std::int64_t kBurst = 20;
    TokenBucket bucket({.requests = static_cast<double>(requests), .per = 1s, .burst = kBurst});
    std::vector<TimePoint> grants;
    const std::int64_t span = 2'000'000 / requests + 1;
    for (std::int64_t i = 0; i < 200'000; ++i) {
      const TimePoint now =
          kStart + Duration{i * span / 20 + random.below(static_cast<std::uint32_t>(10 * span))};
      if (!bucket.try_take(now)) grants.push_back(now);
    }
    CHECK(grants.size() > 1'000);
    CHECK(worst_excess(grants, requests, 1s) <= kBurst * Duration(1s).count());
  }
}

TEST_CASE("threads together get the burst and the rate, no more and no less") {
  constexpr unsigned kThreads = 4;
  constexpr int kTurns = 20'000;
  constexpr std::int64_t kBurst = 50;
  for (const std::int64_t requests : {10'000'000, 150'000, 40}) {
    CAPTURE(requests);
    TokenBucket bucket({.requests = static_cast<double>(requests), .per = 1s, .burst = kBurst});
    std::array<std::vector<TimePoint>, kThreads> grants;
    const auto work = [&](unsigned thread) {
      for (int turn = 0; turn <= kTurns; ++turn) {
        const TimePoint now = kStart + turn * 1us;
        for (int i = 0; i < 8; ++i) {
          if (!bucket.try_take(now)) grants[thread].push_back(now);
        }
      }
    };
    {
      std::vector<std::jthread> threads;
      for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
    }
    std::vector<TimePoint> all;
    for (const auto& own : grants) all.insert(all.end(), own.begin(), own.end());
    CHECK(worst_excess(all, requests, 1s) <= kBurst * Duration(1s).count());
    CHECK(all.size() >= kBurst);
    if (requests == 40) CHECK(all.size() == kBurst);
  }
}

TEST_CASE("threads that ask in the same instant get the burst exactly") {
  for (int round = 0; round < 50; ++round) {
    TokenBucket bucket({.requests = 1, .per = 1s, .burst = 1'000});
    std::atomic<int> granted{0};
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
          for (int k = 0; k < 400; ++k) {
            if (!bucket.try_take(kStart)) granted.fetch_add(1, std::memory_order_relaxed);
          }
        });
      }
    }
    REQUIRE(granted.load() == 1'000);
  }
}

TEST_CASE("a token costs no allocation") {
  TokenBucket bucket({.requests = 100, .per = 1s, .burst = 10});
  const test::AllocCount count;
  for (int i = 0; i < 1'000; ++i) (void)bucket.try_take(kStart + i * 1ms);
  const auto news = count.news();
  CHECK(news == 0);
}
