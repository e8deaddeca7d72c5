// Two ways of testing: a simulated upstream, in virtual time, for what the limit is there for; and intervals
// made by hand for each rule of the header.
#include "breaker/adaptive_limit.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "tests/support/simulated_upstream.h"
#include "tests/support/start.h"

using namespace remora;
using namespace remora::breaker;

namespace {

using Sample = AdaptiveLimit::Sample;

// Where the header says that the limit settles: N = tolerance * C + sqrt(N).
double settled(double capacity, double tolerance) {
  const double root = (1 + std::sqrt(1 + 4 * tolerance * capacity)) / 2;
  return root * root;
}

// The limit while it is not lowered for measuring, over a span of time.
struct Range {
  std::uint32_t least = ~0U;
  std::uint32_t most = 0;
  double measuring = 0;  // share of the intervals
  double goodput = 0;    // share of what the upstream could have served
};

Range watch(SimulatedUpstream& upstream, Duration span) {
  Range range;
  int intervals = 0;
  int measuring = 0;
  const auto before = upstream.served();
  upstream.run(span, [&] {
    ++intervals;
    if (upstream.limit().is_measuring()) {
      ++measuring;
      return;
    }
    range.least = std::min(range.least, upstream.limit().limit());
    range.most = std::max(range.most, upstream.limit().limit());
  });
  range.measuring = static_cast<double>(measuring) / intervals;
  range.goodput = static_cast<double>(upstream.served() - before) / upstream.could_serve(span);
  return range;
}

// Feeds one interval after the other; the limit is in use unless said otherwise.
struct Feed {
  AdaptiveLimit limit;
  TimePoint now = kStart;

  std::uint32_t operator()(Duration latency, int intervals = 1, std::uint64_t responses = 100) {
    for (int i = 0; i < intervals; ++i) {
      now += 100ms;
      limit.on_interval({.responses = responses, .mean_latency = latency, .most_in_flight = limit.limit()},
                        now);
    }
    return limit.limit();
  }
  std::uint32_t operator()(const Sample& sample) { return limit.on_interval(sample, now += 100ms); }
  // Until the baseline is measured again, at most a minute; what comes meanwhile takes `latency`.
  bool measure(Duration latency) {
    int i = 0;
    for (; i < 600 && !limit.is_measuring(); ++i) (*this)(latency);
    for (; i < 600 && limit.is_measuring(); ++i) (*this)(latency);
    return i < 600;
  }
};

}  // namespace

TEST_CASE("the limit settles where the upstream is busy and its queue short") {
  for (const std::uint32_t capacity : {5U, 10U, 100U, 400U}) {
    for (const double tolerance : {1.1, 1.5, 2.0}) {
      CAPTURE(capacity);
      CAPTURE(tolerance);
      const Duration service = capacity == 400 ? 200ms : 40ms;
      SimulatedUpstream upstream({.capacity = capacity, .service = service}, {.tolerance = tolerance});
      upstream.run(80s);
      const Range range = watch(upstream, 60s);
      CHECK(range.least >= capacity);
      CHECK(range.least >= settled(capacity, tolerance) * 0.9 - 1);
      CHECK(range.most <= settled(capacity, tolerance) * 1.1 + 2);
      CHECK(range.measuring > 0);
      CHECK(range.measuring < 0.07);
      CHECK(range.goodput > 0.95);
      CHECK(upstream.limit().baseline() >= service);
      CHECK(upstream.limit().baseline() <= service * 1.05);
    }
  }
}

TEST_CASE("it settles too when service times vary, and when a response takes ten intervals") {
  for (const auto& [capacity, service] :
       {std::pair{10U, 50ms}, {100U, 50ms}, {10U, 1'000ms}, {100U, 1'000ms}}) {
    CAPTURE(capacity);
    CAPTURE(service.count());
    SimulatedUpstream upstream({.capacity = capacity, .service = service, .random_service = true}, {});
    upstream.run(300s);
    const Range range = watch(upstream, 200s);
    CHECK(range.least >= capacity);
    CHECK(range.most <= settled(capacity, 1.5) * 1.5);
    CHECK(range.goodput > 0.92);
  }
}

TEST_CASE("an overload that lasts for hours does not pass for the normal state") {
  SimulatedUpstream upstream({.capacity = 10, .service = 100ms, .load = 10}, {});
  upstream.run(4h);
  const Range range = watch(upstream, 60s);
  CHECK(range.most <= settled(10, 1.5) * 1.1 + 2);
  CHECK(range.goodput > 0.95);
  CHECK(upstream.limit().baseline() < 105ms);
}

TEST_CASE("the limit grows when the capacity doubles and shrinks when it halves") {
  SimulatedUpstream upstream({.capacity = 40, .service = 40ms, .load = 4}, {});
  upstream.run(60s);
  for (const std::uint32_t capacity : {80U, 40U, 20U, 40U}) {
    CAPTURE(capacity);
    upstream.change({.capacity = capacity, .service = 40ms, .load = 4});
    upstream.run(20s);
    const Range range = watch(upstream, 30s);
    CHECK(range.least >= capacity);
    CHECK(range.least >= settled(capacity, 1.5) * 0.9 - 1);
    CHECK(range.most <= settled(capacity, 1.5) * 1.1 + 2);
    CHECK(range.goodput > 0.95);
  }
}

TEST_CASE("when every response takes longer from now on, the old baseline is forgotten") {
  SimulatedUpstream upstream({.capacity = 50, .service = 20ms, .load = 4}, {});
  upstream.run(60s);
  upstream.change({.capacity = 50, .service = 60ms, .load = 4});
  upstream.run(1s);
  CHECK(upstream.limit().baseline() < 25ms);
  upstream.run(40s);
  CHECK(upstream.limit().baseline() > 55ms);
  CHECK(upstream.limit().baseline() < 63ms);
  const Range range = watch(upstream, 30s);
  CHECK(range.least >= 50);
  CHECK(range.goodput > 0.95);
}

TEST_CASE("a limit that begins far too high finds the baseline behind the queue") {
  SimulatedUpstream upstream({.capacity = 10, .service = 20ms, .load = 30}, {.initial = 300});
  upstream.run(1s);
  CHECK(upstream.limit().baseline() > 40ms);
  upstream.run(60s);
  CHECK(upstream.limit().baseline() < 22ms);
  CHECK(upstream.limit().limit() <= settled(10, 1.5) * 1.1 + 2);
}

TEST_CASE("nothing is learnt while less than half of the limit is in use") {
  Feed feed{AdaptiveLimit({.initial = 100})};
  for (const Duration latency : {Duration{1ms}, Duration{10s}, Duration{5ms}}) {
    for (int i = 0; i < 300; ++i) {
      CHECK(feed(Sample{.responses = 1'000, .mean_latency = latency, .most_in_flight = 49}) == 100);
    }
  }
  CHECK(feed.limit.baseline() == 0ms);
  CHECK_FALSE(feed.limit.is_measuring());
  CHECK(feed(Sample{.responses = 1'000, .mean_latency = 7ms, .most_in_flight = 50}) == 102);
  CHECK(feed.limit.baseline() == 7ms);
}

TEST_CASE("the limit stays within twice of what is used") {
  SimulatedUpstream upstream({.capacity = 200, .service = 20ms, .load = 0.2}, {.initial = 10});
  upstream.run(120s);
  CHECK(upstream.limit().limit() >= 50);
  CHECK(upstream.limit().limit() <= 140);  // 40 in flight on average, at times 70
}

TEST_CASE("what was dropped shrinks the limit at once, by its share and at most by half") {
  struct Row {
    std::uint64_t dropped;
    std::uint64_t responses;
    std::uint32_t limit;
  };
  for (const Row& row : {Row{1, 3, 75}, Row{1, 99, 99}, Row{1, 1, 50}, Row{5, 0, 50}, Row{0, 5, 100}}) {
    CAPTURE(row.dropped);
    Feed feed{AdaptiveLimit({.initial = 100})};
    CHECK(feed(Sample{.responses = row.responses, .mean_latency = 1ms, .dropped = row.dropped}) == row.limit);
  }
  Feed feed{AdaptiveLimit({.initial = 1'000})};
  for (int i = 0; i < 8; ++i) feed(Sample{.dropped = 100});
  CHECK(feed.limit.limit() == 4);
  CHECK(feed.limit.baseline() == 0ms);
}

TEST_CASE("what is dropped while the baseline is measured counts as well") {
  Feed feed{AdaptiveLimit({.initial = 100})};
  while (!feed.limit.is_measuring()) feed(10ms);
  const std::uint32_t lowered = feed.limit.limit();
  for (int i = 0; i < 3; ++i) feed(Sample{.dropped = 100});
  CHECK(feed.limit.limit() < lowered / 2);
  while (feed.limit.is_measuring()) feed(10ms);
  CHECK(feed.limit.limit() < lowered / 2);
}

TEST_CASE("an upstream that turns away what is too much is not asked for much more than it takes") {
  Feed feed{AdaptiveLimit({.initial = 200})};
  constexpr std::uint32_t kTakes = 50;
  std::uint32_t most = 0;
  for (int i = 0; i < 600; ++i) {
    const std::uint32_t limit = feed.limit.limit();
    if (i >= 100) most = std::max(most, limit);
    feed(Sample{.responses = 100,
                .mean_latency = 10ms,
                .most_in_flight = limit,
                .dropped = limit > kTakes ? 100 * (limit - kTakes) / kTakes : 0});
  }
  CHECK(most >= kTakes);
  CHECK(most <= kTakes * 1.1);
}

TEST_CASE("the limit stays within its bounds whatever is fed") {
  const AdaptiveLimit::Settings settings{.initial = 30, .min = 10, .max = 60};
  Feed good{AdaptiveLimit(settings)};
  for (int i = 0; i < 105; ++i) CHECK(good(10ms) <= 60);
  CHECK(good.limit.limit() == 60);
  Feed bad{AdaptiveLimit({.initial = 30, .min = 10, .max = 60, .smoothing = 1})};
  bad(10ms);
  CHECK(bad(99ms, 6) == 10);
  CHECK(AdaptiveLimit({.initial = 5, .min = 10, .max = 60}).limit() == 10);
  CHECK(AdaptiveLimit({.initial = 90, .min = 10, .max = 60}).limit() == 60);
  Random random(23);
  Feed any{AdaptiveLimit(settings)};
  for (int i = 0; i < 50'000; ++i) {
    const auto limit = any(Sample{.responses = random.next() >> random.below(64),
                                  .mean_latency = Duration(random.next() >> (1 + random.below(63))),
                                  .most_in_flight = random.below(100),
                                  .dropped = random.below(4) == 0 ? random.next() >> random.below(64) : 0});
    REQUIRE(limit >= 10);
    REQUIRE(limit <= 60);
    REQUIRE(any.limit.baseline() >= 0ms);
  }
}

TEST_CASE("one fast interval moves the baseline by a fifth of the step, a measured one by half") {
  Feed feed{AdaptiveLimit({.initial = 100})};
  feed(10ms);
  CHECK(feed.limit.baseline() == 10ms);
  feed(5ms);
  CHECK(feed.limit.baseline() == 9ms);
  feed(1s);
  CHECK(feed.limit.baseline() == 9ms);
  REQUIRE(feed.measure(13ms));
  CHECK(feed.limit.baseline() == 11ms);
  REQUIRE(feed.measure(13ms));
  CHECK(feed.limit.baseline() == 12ms);
}

TEST_CASE("the baseline is measured after ten intervals and then every hundred, with half of what fits") {
  Feed feed{AdaptiveLimit({.initial = 100, .smoothing = 0.01})};
  std::vector<int> began;
  bool was_measuring = false;
  for (int i = 1; i <= 320; ++i) {
    const std::uint32_t before = feed.limit.limit();
    feed(10ms);
    if (feed.limit.is_measuring() && !was_measuring) {
      began.push_back(i);
      CHECK(feed.limit.limit() >= before * 0.49);
      CHECK(feed.limit.limit() <= before * 0.51 + 1);
    }
    was_measuring = feed.limit.is_measuring();
  }
  REQUIRE(began.size() == 4);
  CHECK(began[0] == 11);
  for (std::size_t i = 1; i < began.size(); ++i) {
    CHECK(began[i] - began[i - 1] >= 100);
    CHECK(began[i] - began[i - 1] <= 105);
  }
}

TEST_CASE("when the limit has halved, the baseline is measured without delay") {
  Feed feed{AdaptiveLimit({.initial = 200})};
  for (int i = 0; i < 4; ++i) REQUIRE(feed.measure(10ms));
  const std::uint32_t before = feed.limit.limit();
  int intervals = 0;
  for (; !feed.limit.is_measuring() && intervals < 80; ++intervals) feed(40ms);
  CHECK(intervals < 20);
  while (feed.limit.is_measuring()) feed(40ms);
  CHECK(feed.limit.limit() <= before / 2);
  CHECK(feed.limit.baseline() == 25ms);
}

TEST_CASE("a measuring during which hardly anything is answered teaches nothing and ends") {
  Feed feed{AdaptiveLimit({.initial = 100})};
  while (!feed.limit.is_measuring()) feed(10ms);
  const Duration baseline = feed.limit.baseline();
  int intervals = 0;
  for (; feed.limit.is_measuring() && intervals < 100; ++intervals) {
    feed(Sample{.responses = intervals % 10 == 0 ? 1U : 0U, .mean_latency = 9s});
  }
  CHECK(intervals < 20);
  CHECK(feed.limit.baseline() == baseline);
  CHECK(feed.limit.limit() >= 100);
}

TEST_CASE("intervals are joined until there are ten responses, and until a response time has passed") {
  Feed few{AdaptiveLimit({.initial = 20})};
  CHECK(few(10ms, 9, 1) == 20);
  CHECK(few.limit.baseline() == 0ms);
  CHECK(few(110ms, 1, 1) == 22);  // ten intervals' worth: half of the step to 20 + sqrt(20)
  CHECK(few.limit.baseline() == 20ms);

  Feed slow{AdaptiveLimit({.initial = 20})};
  CHECK(slow(1s, 9) == 20);
  CHECK(slow(1s, 1) == 22);
  CHECK(slow.limit.baseline() == 1s);
}

TEST_CASE("responses that take no time at all are no reason to stop") {
  Feed feed{AdaptiveLimit({})};
  CHECK(feed(0us, 9) > 20);
  CHECK(feed.limit.baseline() == 1us);
}
