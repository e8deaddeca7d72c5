#include "health/slow_start.h"

#include <doctest/doctest.h>

#include "base/random.h"
#include "tests/support/start.h"

using namespace remora;
using remora::health::SlowStart;

TEST_CASE("a share grows in a straight line from a tenth to the whole") {
  struct Row {
    Duration after;
    double share;
  };
  for (const Row& row : {Row{0s, 0.1}, Row{1s, 0.19}, Row{5s, 0.55}, Row{9s, 0.91}, Row{10s, 1.0},
                         Row{10s + 1us, 1.0}, Row{1000h, 1.0}}) {
    CAPTURE(row.after.count());
    CHECK(SlowStart::share(kStart, 10s, kStart + row.after) == doctest::Approx(row.share));
  }
}

TEST_CASE("without a window, or well from the start, the share is whole at once") {
  CHECK(SlowStart::share(kStart, 0s, kStart) == 1.0);
  CHECK(SlowStart::share(kStart, -1s, kStart) == 1.0);
  CHECK(SlowStart::share(TimePoint{}, 10s, TimePoint{} + 1s) == 1.0);
  CHECK(SlowStart::share(TimePoint{}, 10s, TimePoint{}) == 1.0);
}

TEST_CASE("a recovery that lies ahead, as another thread's clock may have it, counts as now") {
  CHECK(SlowStart::share(kStart + 50ms, 10s, kStart) == SlowStart::kFirstShare);
}

TEST_CASE("a share never shrinks, and stays between a tenth and one") {
  Random random(1);
  for (int round = 0; round < 50; ++round) {
    const Duration window{1 + random.below(60'000'000)};
    double last = 0;
    for (Duration after = -window / 4; after <= window * 2; after += window / 97 + Duration{1}) {
      const double share = SlowStart::share(kStart, window, kStart + after);
      REQUIRE(share >= SlowStart::kFirstShare);
      REQUIRE(share <= 1.0);
      REQUIRE(share >= last);
      last = share;
    }
    CHECK(last == 1.0);
  }
}

TEST_CASE("picks that are taken with the share as probability ramp the traffic of a recovered endpoint") {
  Random random(7);
  // Three endpoints, picked at random; the first has just recovered. 10,000 picks in each second.
  double before = 0;
  for (int second = 0; second < 10; ++second) {
    int first = 0;
    for (int i = 0; i < 10'000; ++i) {
      const TimePoint now = kStart + second * 1s + i * 100us;
      std::uint32_t pick = random.below(3);
      while (pick == 0 && random.unit() >= SlowStart::share(kStart, 10s, now)) pick = random.below(3);
      first += pick == 0 ? 1 : 0;
    }
    const double weight = SlowStart::share(kStart, 10s, kStart + second * 1s + 500ms);
    const double part = first / 10'000.0;
    CAPTURE(second);
    CHECK(part == doctest::Approx(weight / (2.0 + weight)).epsilon(0.15));
    CHECK(part > before);
    before = part;
  }
}
