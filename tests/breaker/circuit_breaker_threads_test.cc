// The breaker's numbers with several threads at once: what is promised per process is exact. Time is virtual
// and shared; every loop is bounded.
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <latch>
#include <optional>
#include <thread>
#include <vector>

#include "breaker/circuit_breaker.h"
#include "tests/breaker/circuit_breaker_rig.h"

using namespace remora;
using namespace remora::breaker;
using namespace remora::breaker::test;

namespace {

constexpr unsigned kThreads = 4;

// All at once, each thread with its own generator, as each worker has.
void in_threads(const std::function<void(unsigned thread, Random& random)>& work) {
  std::latch start(kThreads);
  std::vector<std::jthread> threads;
  threads.reserve(kThreads);
  for (unsigned i = 0; i < kThreads; ++i) {
    threads.emplace_back([&work, &start, i] {
      Random random(i + 1);
      start.arrive_and_wait();
      work(i, random);
    });
  }
}

// Raises `peak` to `value` if that is more.
void note_peak(std::atomic<unsigned>& peak, unsigned value) {
  for (unsigned seen = peak.load(); value > seen && !peak.compare_exchange_weak(seen, value);) {
  }
}

}  // namespace

TEST_SUITE("circuit breaker, threads") {
  TEST_CASE("it opens at exactly the configured number of failures, not one earlier, and once") {
    for (unsigned round = 0; round < 50; ++round) {
      constexpr unsigned kEach = 250;
      Settings settings = plain();
      settings.consecutive_failures = kThreads * kEach + 1;
      Rig rig(settings);
      std::atomic<unsigned> opened{0};
      in_threads([&](unsigned, Random& random) {
        for (unsigned i = 0; i < kEach; ++i) {
          const auto entry = rig.breaker.try_enter(kStart);
          if (!entry.ticket) continue;
          if (rig.breaker.report(*entry.ticket, kBad, {}, kStart, random)) ++opened;
        }
      });
      REQUIRE(opened == 0);
      REQUIRE(rig.view().consecutive_failures == kThreads * kEach);
      CHECK(rig.request(kBad)->reason == Reason::kConsecutiveFailures);
    }
  }

  TEST_CASE("beyond the configured number only those already in flight fail, and they count no more") {
    for (unsigned round = 0; round < 300; ++round) {
      Settings settings = plain();
      settings.consecutive_failures = 100;
      Rig rig(settings);
      std::atomic<unsigned> opened{0};
      std::atomic<unsigned> reported{0};
      in_threads([&](unsigned, Random& random) {
        for (unsigned i = 0; i < 1'000; ++i) {
          const auto entry = rig.breaker.try_enter(kStart);
          if (!entry.ticket) return;
          if (rig.breaker.report(*entry.ticket, kBad, {}, kStart, random)) ++opened;
          ++reported;
        }
      });
      REQUIRE(opened == 1);
      REQUIRE(reported >= 100);
      REQUIRE(reported < 100 + kThreads);
      REQUIRE(rig.view().transitions_to[2] == 1);
      REQUIRE(rig.view().openings == 1);
    }
  }

  TEST_CASE("when its time is over, exactly one thread begins the half-open phase") {
    Rig rig;
    for (unsigned round = 0; round < 300; ++round) {
      rig.fail();
      rig.wait();
      std::atomic<unsigned> began{0};
      std::atomic<unsigned> admitted{0};
      in_threads([&](unsigned, Random&) {
        const auto entry = rig.breaker.try_enter(rig.now);
        if (entry.transition) ++began;
        if (entry.ticket) ++admitted;
      });
      REQUIRE(began == 1);
      REQUIRE(admitted == 1);
      rig.breaker.force_close(rig.now);
    }
  }

  TEST_CASE("never more than half_open_requests probes are in flight, and no place is lost or doubled") {
    for (const unsigned most : {1U, 2U, 3U}) {
      CAPTURE(most);
      Settings settings = plain();
      settings.half_open_requests = most;
      settings.success_threshold = 65'535;
      Rig rig(settings);
      rig.fail();
      rig.wait();
      std::atomic<unsigned> in_flight{0};
      std::atomic<unsigned> peak{0};
      std::atomic<unsigned> probes{0};
      in_threads([&](unsigned, Random& random) {
        for (unsigned i = 0; i < 10'000; ++i) {
          const auto entry = rig.breaker.try_enter(rig.now);
          // Seldom, as on a busy machine each may take milliseconds.
          if (i % 32 == 0) std::this_thread::yield();
          if (!entry.ticket) continue;
          ++probes;
          note_peak(peak, ++in_flight);
          if (i % 32 == 1) std::this_thread::yield();
          --in_flight;  // before it is given back: somebody may have the place at once
          rig.breaker.report(*entry.ticket, i % 4 == 0 ? kGood : kNothing, {}, rig.now, random);
        }
      });
      CHECK(peak <= most);
      CHECK(probes > 0);
      CHECK(rig.phase() == Phase::kHalfOpen);
      CHECK(rig.view().probes_in_flight == 0);
      for (unsigned i = 0; i < most; ++i) CHECK(rig.admits());
      CHECK_FALSE(rig.admits());
    }
  }

  TEST_CASE("exactly success_threshold probes close it, whoever reports them") {
    for (unsigned round = 0; round < 100; ++round) {
      constexpr unsigned kThreshold = 50;
      Settings settings = plain();
      settings.half_open_requests = kThreads;
      settings.success_threshold = kThreshold;
      Rig rig(settings);
      rig.fail();
      rig.wait();
      std::atomic<unsigned> succeeded{0};
      std::atomic<unsigned> closed{0};
      in_threads([&](unsigned, Random& random) {
        for (unsigned i = 0; i < 10'000; ++i) {
          const auto entry = rig.breaker.try_enter(rig.now);
          if (!entry.ticket) continue;
          if (!entry.ticket->probe) return;
          if (rig.breaker.report(*entry.ticket, kGood, {}, rig.now, random)) ++closed;
          ++succeeded;
        }
      });
      REQUIRE(closed == 1);
      REQUIRE(rig.phase() == Phase::kClosed);
      REQUIRE(succeeded >= kThreshold);
      REQUIRE(succeeded < kThreshold + kThreads);  // the rest was in flight when it closed
    }
  }

  TEST_CASE("a share opens once, though all threads see it reached") {
    for (unsigned round = 0; round < 100; ++round) {
      Settings settings = plain();
      settings.consecutive_failures = 0;
      settings.failure_ratio = 0.5;
      settings.min_requests = 100;
      Rig rig(settings);
      std::atomic<unsigned> opened{0};
      std::atomic<unsigned> reported{0};
      in_threads([&](unsigned, Random& random) {
        for (unsigned i = 0; i < 1'000; ++i) {
          const auto entry = rig.breaker.try_enter(kStart);
          if (!entry.ticket) return;
          if (rig.breaker.report(*entry.ticket, kBad, {}, kStart, random)) ++opened;
          ++reported;
        }
      });
      REQUIRE(opened == 1);
      REQUIRE(reported >= 100);
      REQUIRE(reported < 100 + kThreads);
    }
  }

  TEST_CASE("in any turmoil each transition is told to one thread, and they add up to what is seen") {
    Settings settings = plain();
    settings.consecutive_failures = 2;
    settings.failure_ratio = 0.5;
    settings.open_for = 10ms;
    settings.max_open_for = 40ms;
    settings.jitter = 0.2;
    settings.half_open_requests = 2;
    settings.quiet_period = 50ms;
    CircuitBreaker breaker(settings);
    std::atomic<std::int64_t> ms{0};
    std::atomic<unsigned> probing{0};
    std::array<std::array<std::atomic<std::uint64_t>, 3>, 3> told{};
    in_threads([&](unsigned thread, Random& random) {
      const auto tell = [&](const std::optional<Transition>& transition) {
        if (!transition) return;
        ++told[static_cast<std::size_t>(transition->from)][static_cast<std::size_t>(transition->to)];
      };
      std::vector<Ticket> tickets;
      for (unsigned i = 0; i < 30'000; ++i) {
        if (random.below(4) == 0) ++ms;
        const TimePoint now = kStart + ms.load() * 1ms;
        const auto entry = breaker.try_enter(now);
        tell(entry.transition);
        if (entry.ticket) tickets.push_back(*entry.ticket);
        if (!tickets.empty() && (tickets.size() > 3 || random.below(2) == 0)) {
          const std::uint32_t what = random.below(8);
          const Outcome outcome = what == 0 ? kNothing : what < 4 ? kBad : kGood;
          tell(breaker.report(tickets.back(), outcome, {}, now, random));
          tickets.pop_back();
        }
        if (thread == 0 && random.below(500) == 0) tell(breaker.force_open(now));
        if (thread == 1 && random.below(200) == 0) tell(breaker.force_close(now));
        note_peak(probing, breaker.view(now).probes_in_flight);
      }
      for (const Ticket ticket : tickets) {
        tell(breaker.report(ticket, kNothing, {}, kStart + ms.load() * 1ms, random));
      }
    });
    const auto view = breaker.view(kStart + ms.load() * 1ms);
    const auto end = static_cast<std::size_t>(view.phase);
    for (std::size_t phase = 0; phase < 3; ++phase) {
      CAPTURE(phase);
      std::uint64_t into = 0;
      std::uint64_t out = 0;
      for (std::size_t other = 0; other < 3; ++other) {
        into += told[other][phase];
        out += told[phase][other];
      }
      CHECK(into == view.transitions_to[phase]);
      // It began closed, and has left each phase as often as it has come, but for the one it is in.
      CHECK(into + (phase == 0 ? 1 : 0) == out + (phase == end ? 1 : 0));
      CHECK(into > 50);
    }
    CHECK(told[0][0] == 0);
    CHECK(told[0][1] == 0);
    CHECK(told[1][1] == 0);
    CHECK(probing <= 2);
    CHECK(view.probes_in_flight == 0);  // all tickets are back
  }
}
