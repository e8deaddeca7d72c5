#include "breaker/latency_quantile.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/random.h"
#include "tests/support/alloc_count.h"
#include "tests/support/start.h"

using namespace remora;
using namespace remora::breaker;

namespace {

double normal(Random& random) {
  return std::sqrt(-2 * std::log(1 - random.unit())) * std::cos(2 * 3.14159265358979 * random.unit());
}

Duration from_ms(double ms) { return Duration(static_cast<std::int64_t>(ms * 1'000)); }

// The least observation that at least the share q did not exceed.
Duration exact(const std::vector<Duration>& sorted, double q) {
  const double rank = std::ceil(q * static_cast<double>(sorted.size()));
  return sorted[static_cast<std::size_t>(rank) - 1];
}

void observe_many(LatencyQuantile& quantile, Duration latency, int times, TimePoint now) {
  for (int i = 0; i < times; ++i) quantile.observe(latency, now);
}

}  // namespace

TEST_CASE("the error of a quantile is at most 7 % for any distribution") {
  struct Row {
    const char* name;
    std::function<Duration(Random&)> draw;
  };
  const std::array<Row, 9> rows{{
      {"constant", [](Random&) { return 12'345us; }},
      {"uniform", [](Random& random) { return Duration(random.below(1'000'000)); }},
      {"a few microseconds", [](Random& random) { return Duration(random.below(40)); }},
      {"exponential", [](Random& random) { return from_ms(-20 * std::log(1 - random.unit())); }},
      {"log-normal", [](Random& random) { return from_ms(8 * std::exp(1.5 * normal(random))); }},
      {"Pareto", [](Random& random) { return from_ms(std::pow(1 - random.unit(), -1 / 1.2)); }},
      {"two modes",
       [](Random& random) { return random.below(10) != 0 ? 2ms + Duration(random.below(500)) : 1s; }},
      {"powers of two", [](Random& random) { return Duration(std::int64_t{1} << random.below(32)); }},
      {"one below powers of two",
       [](Random& random) { return Duration((std::int64_t{1} << random.below(33)) - 1); }},
  }};
  for (const Row& row : rows) {
    for (const int count : {20, 333, 20'000}) {
      CAPTURE(row.name);
      CAPTURE(count);
      Random random(static_cast<std::uint64_t>(count));
      LatencyQuantile quantile;
      std::vector<Duration> all;
      for (int i = 0; i < count; ++i) {
        all.push_back(row.draw(random));
        quantile.observe(all.back(), kStart + i * 100us);
      }
      std::ranges::sort(all);
      for (const double q : {0.001, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0}) {
        CAPTURE(q);
        const auto value = quantile.value(q, kStart + 3s);
        REQUIRE(value.has_value());
        const double due = static_cast<double>(exact(all, q).count());
        CHECK(std::abs(static_cast<double>(value->count()) - due) <= 0.07 * due);
      }
    }
  }
}

TEST_CASE("every single latency is told with an error of at most 6.25 %, up to 16 us exactly") {
  const auto told = [](Duration latency) {
    LatencyQuantile quantile;
    observe_many(quantile, latency, 20, kStart);
    return quantile.value(0.5, kStart).value_or(Duration{-1});
  };
  for (std::int64_t us = 0; us < 16; ++us) CHECK(told(Duration(us)) == Duration(us));
  for (double us = 16; us < 4.2e9; us *= 1.013) {
    const Duration latency{static_cast<std::int64_t>(us)};
    CAPTURE(latency.count());
    REQUIRE(std::abs((told(latency) - latency).count()) * 16 <= latency.count());
  }
}

TEST_CASE("what is out of range counts as the nearest in range") {
  LatencyQuantile quantile;
  observe_many(quantile, -5s, 30, kStart);
  CHECK(quantile.value(0.5, kStart) == 0us);
  observe_many(quantile, Duration::max(), 70, kStart);
  CHECK(quantile.value(0.5, kStart) > LatencyQuantile::kLongest * 0.93);
  CHECK(quantile.value(0.5, kStart) <= LatencyQuantile::kLongest);
}

TEST_CASE("with fewer than 20 observations nothing is known") {
  LatencyQuantile quantile;
  CHECK(quantile.value(0.5, kStart) == std::nullopt);
  observe_many(quantile, 5us, 19, kStart);
  CHECK(quantile.value(0.5, kStart) == std::nullopt);
  quantile.observe(5us, kStart);
  CHECK(quantile.value(0.5, kStart) == 5us);
}

TEST_CASE("after a long silence nothing is known, however long it was") {
  for (const int half_lives : {31, 32, 33, 40, 63, 64, 1'000}) {
    CAPTURE(half_lives);
    LatencyQuantile quantile;
    observe_many(quantile, 5us, 1'000, kStart);
    const TimePoint late = kStart + half_lives * LatencyQuantile::kHalfLife;
    CHECK(quantile.value(0.5, late) == std::nullopt);
    quantile.observe(7us, late);
    CHECK(quantile.value(0.5, late) == std::nullopt);
  }
}

TEST_CASE("half of it is forgotten every ten seconds") {
  LatencyQuantile quantile;
  observe_many(quantile, 5us, 80, kStart);
  CHECK(quantile.value(0.5, kStart + 29'999ms) == 5us);  // 80, 40, 20 ...
  CHECK(quantile.value(0.5, kStart + 30s) == std::nullopt);
  CHECK(quantile.value(0.5, kStart + 10 * 365 * 24h) == std::nullopt);
  observe_many(quantile, 10us, 10, kStart + 30s);  // 10 and 10
  CHECK(quantile.value(0.5, kStart + 30s) == 5us);
  CHECK(quantile.value(0.51, kStart + 30s) == 10us);
  observe_many(quantile, 10us, 20, kStart + 45s);  // 5 of the old, 5 + 20 of the new
  CHECK(quantile.value(0.16, kStart + 45s) == 5us);
  CHECK(quantile.value(0.17, kStart + 45s) == 10us);
  CHECK(quantile.value(0.5, kStart + 49'999ms) == 10us);
  CHECK(quantile.value(0.5, kStart + 50s) == std::nullopt);
  observe_many(quantile, 7us, 20, kStart + 1h);
  CHECK(quantile.value(0.001, kStart + 1h) == 7us);
  CHECK(quantile.value(1, kStart + 1h) == 7us);
}

TEST_CASE("a change of the latency is known after a few tens of seconds") {
  LatencyQuantile quantile;
  TimePoint now = kStart;
  for (; now < kStart + 5min; now += 10ms) quantile.observe(10us, now);
  CHECK(quantile.value(0.95, now) == 10us);
  for (; now < kStart + 5min + 5s; now += 10ms) quantile.observe(15us, now);
  CHECK(quantile.value(0.95, now) == 15us);  // worse is known at once ...
  CHECK(quantile.value(0.5, now) == 10us);
  for (; now < kStart + 10min; now += 10ms) quantile.observe(15us, now);
  for (; now < kStart + 10min + 40s; now += 10ms) quantile.observe(10us, now);
  CHECK(quantile.value(0.95, now) == 15us);
  for (; now < kStart + 10min + 60s; now += 10ms) quantile.observe(10us, now);
  CHECK(quantile.value(0.95, now) == 10us);  // ... better after a minute
}

TEST_CASE("however many observations there are, none of them wraps to nothing") {
  LatencyQuantile quantile;
  observe_many(quantile, 3us, 17'000'000, kStart);
  observe_many(quantile, 9us, 100'000, kStart);
  CHECK(quantile.value(0.95, kStart) == 3us);
  CHECK(quantile.value(1, kStart) == 9us);
}

TEST_CASE("an instant before the last one forgets nothing") {
  LatencyQuantile quantile;
  observe_many(quantile, 5us, 10, kStart);
  observe_many(quantile, 5us, 10, kStart - 1h);
  CHECK(quantile.value(0.5, kStart - 2h) == 5us);
  CHECK(quantile.value(0.5, kStart) == 5us);
}

TEST_CASE("observing and asking allocate nothing, and it takes 1 KiB") {
  LatencyQuantile quantile;
  const remora::test::AllocCount count;
  for (int i = 0; i < 1'000; ++i) quantile.observe(i * 1ms, kStart + i * 100ms);
  const auto value = quantile.value(0.95, kStart + 100s);
  const auto news = count.news();
  CHECK(news == 0);
  CHECK(value.has_value());
  CHECK(sizeof(LatencyQuantile) <= 1'024);
}
