// The window against an exact list of what happened, and what threads do to it together.
#include "breaker/window.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <latch>
#include <thread>
#include <vector>

#include "base/random.h"
#include "tests/support/start.h"

using namespace remora;
using namespace remora::breaker;

namespace {

void add(SlidingWindow& window, int times, TimePoint now, bool failed = false, bool slow = false) {
  for (int i = 0; i < times; ++i) window.add(failed, slow, now);
}

// Everything that happened, with its instant.
struct Exact {
  struct Event {
    TimePoint at;
    bool failed, slow;
  };
  // Of those that are less than `age` old.
  SlidingWindow::Counts younger_than(Duration age, TimePoint now) const {
    SlidingWindow::Counts counts;
    for (const Event& event : events) {
      if (now - event.at >= age) continue;
      ++counts.total;
      if (event.failed) ++counts.failed;
      if (event.slow) ++counts.slow;
    }
    return counts;
  }
  std::deque<Event> events;
};

bool within(const SlidingWindow::Counts& counts, const SlidingWindow::Counts& least,
            const SlidingWindow::Counts& most) {
  return counts.total >= least.total && counts.total <= most.total && counts.failed >= least.failed &&
         counts.failed <= most.failed && counts.slow >= least.slow && counts.slow <= most.slow;
}

// A step in time: mostly within a tenth, now and then over the window's end, seldom for very long.
Duration step(Random& random, Duration length) {
  const auto up_to = [&random](Duration most) {
    return Duration(static_cast<std::int64_t>(random.unit() * static_cast<double>(most.count() + 1)));
  };
  switch (random.below(40)) {
    case 0: return length / 10;
    case 1: return length;
    case 2: return up_to(length * 2);
    case 3: return length / 10 * (std::int64_t{1} << random.below(33));  // where shorter epochs would repeat
    case 4: return length / 10 * (std::int64_t{10} << random.below(30));
    default: return up_to(length / 60);
  }
}

}  // namespace

TEST_SUITE("sliding window") {
  TEST_CASE("attempts, failures and slow ones are counted apart") {
    SlidingWindow window(10s);
    add(window, 5, kStart);
    add(window, 3, kStart + 1s, true, false);
    add(window, 2, kStart + 2s, false, true);
    add(window, 1, kStart + 3s, true, true);
    const auto counts = window.counts(kStart + 3s);
    CHECK(counts.total == 11);
    CHECK(counts.failed == 4);
    CHECK(counts.slow == 3);
  }

  TEST_CASE("what happened is in the window for nine tenths of its length, and after ten it is not") {
    for (const Duration offset : {0ms, 1ms, 500ms, 999ms}) {
      SlidingWindow window(10s);
      const TimePoint at = kStart + offset;
      window.add(true, true, at);
      CHECK(window.counts(at + 9s).total == 1);
      CHECK(window.counts(at + 9s).failed == 1);
      CHECK(window.counts(at + 9s).slow == 1);
      CHECK(window.counts(at + 10s).total == 0);
      CHECK(window.counts(at + 10s).failed == 0);
      CHECK(window.counts(at + 10s).slow == 0);
    }
  }

  TEST_CASE("a bucket that is used again has forgotten its failures and slow ones, though none came anew") {
    SlidingWindow window(10s);
    add(window, 7, kStart, true, true);
    window.add(false, false, kStart + 10s);
    const auto counts = window.counts(kStart + 10s);
    CHECK(counts.total == 1);
    CHECK(counts.failed == 0);
    CHECK(counts.slow == 0);
  }

  TEST_CASE("against an exact list it is never off by more than a tenth, across idle gaps of any length") {
    constexpr Duration kLengths[] = {10ms, 17ms, 1s, 10s, 10min};
    int looks = 0;
    int resurrections_possible = 0;
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
      CAPTURE(seed);
      Random random(seed);
      const Duration length = kLengths[seed % std::size(kLengths)];
      const Duration tenth = length / 10;
      SlidingWindow window(length);
      Exact exact;
      TimePoint now{Duration(static_cast<std::int64_t>(random.next() % 1'000'000'000'000)) - 500'000s};
      for (int i = 0; i < 2'000; ++i) {
        const Duration gap = step(random, length);
        if (gap > 2 * length) ++resurrections_possible;
        now += gap;
        while (!exact.events.empty() && now - exact.events.front().at >= 2 * length) exact.events.pop_front();
        for (std::uint32_t n = random.below(4); n > 0; --n) {
          const Exact::Event event{.at = now, .failed = random.below(3) == 0, .slow = random.below(4) == 0};
          window.add(event.failed, event.slow, now);
          exact.events.push_back(event);
        }
        REQUIRE(within(window.counts(now), exact.younger_than(9 * tenth, now),
                       exact.younger_than(10 * tenth, now)));
        ++looks;
      }
    }
    CHECK(looks == 100'000);
    CHECK(resurrections_possible > 1'000);
  }

  TEST_CASE("every instant has its bucket: zero, before zero, the first and the last there is") {
    for (const TimePoint at :
         {TimePoint{}, TimePoint{-1us}, TimePoint{-1h}, TimePoint::min(), TimePoint::max(), TimePoint{1us}}) {
      CAPTURE(at.time_since_epoch().count());
      SlidingWindow window(10s);
      CHECK(window.counts(at).total == 0);
      add(window, 3, at, true, true);
      CHECK(window.counts(at).total == 3);
      CHECK(window.counts(at).failed == 3);
      CHECK(window.counts(at).slow == 3);
    }
  }

  TEST_CASE("around the clock's zero a tenth is as long as elsewhere") {
    for (std::int64_t ms = -12'000; ms <= 12'000; ms += 250) {
      SlidingWindow window(10s);
      const TimePoint at{std::chrono::milliseconds(ms)};
      window.add(false, false, at);
      CAPTURE(ms);
      CHECK(window.counts(at + 9s).total == 1);
      CHECK(window.counts(at + 10s).total == 0);
    }
  }

  TEST_CASE("a length below the shortest is the shortest, and one without end does not overflow") {
    for (const Duration length : {Duration(0us), Duration(-1s), Duration::min(), Duration(10ms)}) {
      SlidingWindow window(length);
      window.add(true, false, kStart);
      CHECK(window.counts(kStart + 9ms).total == 1);
      CHECK(window.counts(kStart + 10ms).total == 0);
    }
    SlidingWindow window(Duration::max());
    window.add(true, false, kStart);
    window.add(true, false, kStart + 1'000h);
    CHECK(window.counts(kStart + 1'000'000h).total == 2);
  }

  TEST_CASE("a window that has slept for decades counts as a new one") {
    for (const std::int64_t years : {10, 17, 18, 20, 30, 34, 36, 50, 100}) {
      CAPTURE(years);
      SlidingWindow window(10ms);
      for (int ms = 0; ms < 10; ++ms) add(window, 3, kStart + ms * 1ms, true, true);
      const TimePoint later = kStart + std::chrono::hours(years * 365 * 24);
      CHECK(window.counts(later).total == 0);
      for (int ms = 0; ms < 10; ++ms) add(window, 2, later + ms * 1ms);
      CHECK(window.counts(later + 9ms).total == 20);
      CHECK(window.counts(later + 9ms).failed == 0);
    }
  }

  TEST_CASE("clear forgets everything, and counting goes on") {
    SlidingWindow window(10s);
    for (int i = 0; i < 10; ++i) add(window, 2, kStart + i * 1s, true, true);
    CHECK(window.counts(kStart + 9s).total == 20);
    window.clear();
    const auto counts = window.counts(kStart + 9s);
    CHECK(counts.total == 0);
    CHECK(counts.failed == 0);
    CHECK(counts.slow == 0);
    add(window, 1, kStart + 9s);
    CHECK(window.counts(kStart + 9s).total == 1);
    CHECK(window.counts(kStart + 9s).failed == 0);
    CHECK(window.counts(kStart + 9s).slow == 0);
  }

  TEST_CASE("threads whose clocks differ count together") {
    SlidingWindow window(10s);
    add(window, 4, kStart + 9s);   // ahead
    add(window, 1, kStart, true);  // behind, but not by a whole window
    CHECK(window.counts(kStart + 9s).total == 5);
    CHECK(window.counts(kStart).total == 5);  // and reading with the time of the one behind
    CHECK(window.counts(kStart).failed == 1);
  }

  TEST_CASE("what comes a whole window late counts nowhere, and takes nothing away") {
    SlidingWindow window(10s);
    add(window, 4, kStart + 10s, true);
    add(window, 3, kStart, true, true);  // the same bucket, ten tenths ago
    CHECK(window.counts(kStart + 10s).total == 4);
    CHECK(window.counts(kStart + 10s).failed == 4);
    CHECK(window.counts(kStart + 10s).slow == 0);
  }

  TEST_CASE("a bucket that is full stays as it is, and the next one counts") {
    SlidingWindow window(10s);
    for (std::uint64_t i = 0; i < SlidingWindow::kMostPerBucket; ++i) window.add(i % 2 == 0, false, kStart);
    const auto full = window.counts(kStart);
    CHECK(full.total == SlidingWindow::kMostPerBucket);
    add(window, 10, kStart, true, true);
    CHECK(window.counts(kStart).total == full.total);
    CHECK(window.counts(kStart).failed == full.failed);
    CHECK(window.counts(kStart).slow == 0);
    add(window, 10, kStart + 1s, true, true);
    CHECK(window.counts(kStart + 1s).total == full.total + 10);
    CHECK(window.counts(kStart + 1s).failed == full.failed + 10);
    CHECK(window.counts(kStart + 10s).total == 10);
  }

  TEST_CASE("threads together lose nothing, also where a bucket is renewed") {
    constexpr int kThreads = 4;
    constexpr int kRounds = 50;
    constexpr int kEach = 3'000;
    SlidingWindow window(10s);
    std::atomic<int> failures_above_total{0};
    for (int round = 0; round < kRounds; ++round) {
      const TimePoint now = kStart + round * 10s;  // the same bucket each time, and its past is over
      std::latch start(kThreads);
      const auto work = [&](int thread) {
        start.arrive_and_wait();
        for (int i = 0; i < kEach; ++i) {
          window.add(thread % 2 == 0, thread == 0, now);
          const auto counts = window.counts(now);
          if (counts.failed > counts.total || counts.slow > counts.total) ++failures_above_total;
        }
      };
      {
        std::vector<std::jthread> threads;
        threads.reserve(kThreads);
        for (int i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
      }
      const auto counts = window.counts(now);
      REQUIRE(counts.total == kThreads * kEach);
      REQUIRE(counts.failed == kThreads * kEach / 2);
      REQUIRE(counts.slow == kEach);
    }
    CHECK(failures_above_total.load() == 0);
  }

  TEST_CASE("a thread that moves time on never makes another see more failures than attempts") {
    SlidingWindow window(10ms);
    std::atomic<bool> done{false};
    std::atomic<std::int64_t> us{0};
    int looks = 0;
    int wrong = 0;
    {
      const std::jthread writer([&] {
        for (std::int64_t i = 0; i < 200'000; ++i) {
          us.store(i * 100);
          window.add(i % 3 == 0, i % 5 == 0, kStart + Duration(i * 100));
        }
        done = true;
      });
      do {
        const auto counts = window.counts(kStart + Duration(us.load()));
        if (counts.failed > counts.total || counts.slow > counts.total) ++wrong;
        ++looks;
      } while (!done);
    }
    CHECK(looks > 0);
    CHECK(wrong == 0);
  }

  TEST_CASE("a window that takes no memory before its first attempt counts as any other") {
    LazyWindow window(10s);
    CHECK(window.counts(TimePoint(1h)).total == 0);
    window.clear();
    window.set_length(1s);
    window.add(true, false, TimePoint(1h));
    CHECK(window.counts(TimePoint(1h)).failed == 1);
    CHECK(window.counts(TimePoint(1h) + 2s).total == 0);
    window.set_length(10s);
    CHECK(window.counts(TimePoint(1h)).total == 0);
    window.add(false, true, TimePoint(1h));
    CHECK(window.counts(TimePoint(1h) + 2s).slow == 1);
    window.clear();
    CHECK(window.counts(TimePoint(1h)).total == 0);
  }

  TEST_CASE("a first attempt and another length that come at once leave the length that was asked for") {
    for (int round = 0; round < 500; ++round) {
      LazyWindow window(10s);
      std::atomic<int> waiting{2};
      const auto meet = [&] {
        --waiting;
        while (waiting.load() > 0) {
        }
      };
      std::jthread adding([&] {
        meet();
        window.add(false, false, TimePoint(1h));
      });
      meet();
      window.set_length(1s);
      adding.join();
      window.add(false, false, TimePoint(1h));
      REQUIRE(window.counts(TimePoint(1h)).total >= 1);
      REQUIRE(window.counts(TimePoint(1h) + 2s).total == 0);
    }
  }
}
