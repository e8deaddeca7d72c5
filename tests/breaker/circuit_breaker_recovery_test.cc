// For how long a breaker is open, and what the operator forces.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <set>

#include "breaker/circuit_breaker.h"
#include "tests/breaker/circuit_breaker_rig.h"

using namespace remora;
using namespace remora::breaker;
using namespace remora::breaker::test;

TEST_SUITE("circuit breaker, escalation") {
  TEST_CASE("each reopening lasts twice as long as the one before, up to the longest") {
    Rig rig;
    CHECK(rig.fail() == 5s);
    for (const Duration expected : {10s, 20s, 40s, 60s, 60s, 60s}) {
      rig.wait();
      const TimePoint opened = rig.now;
      const auto transition = rig.request(kBad);
      REQUIRE(transition.has_value());
      CHECK(transition->open_for == expected);
      CHECK(rig.view().open_until == opened + expected);
    }
    CHECK(rig.view().openings == 7);
  }

  TEST_CASE("it goes on where it was when the breaker opens soon after it has closed") {
    Rig rig;
    CHECK(rig.fail() == 5s);
    rig.recover();
    CHECK(rig.view().openings == 1);
    rig.now += 59'999ms;
    CHECK(rig.fail() == 10s);
    rig.recover();
    CHECK(rig.fail() == 20s);
  }

  TEST_CASE("after the quiet period the next opening is a first one again") {
    Rig rig;
    rig.fail();
    rig.recover();
    CHECK(rig.fail() == 10s);
    rig.recover();
    rig.now += 60s;
    CHECK(rig.view().openings == 0);
    CHECK(rig.fail() == 5s);
    CHECK(rig.view().openings == 1);
  }

  TEST_CASE("only time spent closed is quiet") {
    Rig rig;
    rig.fail();
    rig.now += 1h;  // open, and nobody came
    CHECK_FALSE(rig.request(kNothing).has_value());
    rig.now += 1h;  // half-open
    CHECK(rig.request(kBad)->open_for == 10s);
  }

  TEST_CASE("a quiet period of zero forgets at once, one without end never") {
    Settings settings = plain();
    settings.quiet_period = 0s;
    Rig forgets(settings);
    settings.quiet_period = Duration::max();
    Rig remembers(settings);
    for (int i = 0; i < 4; ++i) {
      CHECK(forgets.fail() == 5s);
      forgets.recover();
      CHECK(remembers.fail() == 5s * (1 << i));
      remembers.recover();
      remembers.now += 10'000h;
    }
  }

  TEST_CASE("jitter makes each opening longer or shorter, by up to its share and over the whole of it") {
    for (const double jitter : {0.1, 0.5, 0.99}) {
      CAPTURE(jitter);
      Settings settings = plain();
      settings.jitter = jitter;
      Rig rig(settings);
      double least = 9;
      double most = 0;
      double sum = 0;
      for (int i = 0; i < 10'000; ++i) {
        const double factor = std::chrono::duration<double>(rig.fail()).count() / 5.0;
        least = std::min(least, factor);
        most = std::max(most, factor);
        sum += factor;
        rig.breaker.force_close(rig.now);
      }
      CHECK(least >= 1.0 - jitter - 1e-6);
      CHECK(least < 1.0 - jitter * 0.99);
      CHECK(most <= 1.0 + jitter);
      CHECK(most > 1.0 + jitter * 0.99);
      CHECK(sum / 10'000 == doctest::Approx(1.0).epsilon(0.02));
    }
  }

  TEST_CASE("the longest opening stays the longest under jitter, and is no past one") {
    constexpr Duration kTwoYears = std::chrono::milliseconds(std::int64_t{1} << 36U);
    Settings settings = plain();
    settings.open_for = settings.max_open_for = Duration::max();
    settings.jitter = 0.99;
    Rig rig(settings);
    for (int i = 0; i < 1'000; ++i) {
      REQUIRE(rig.fail() <= kTwoYears);
      REQUIRE_FALSE(rig.admits());
      rig.breaker.force_close(rig.now);
    }
  }

  TEST_CASE("breakers that open together do not probe together") {
    std::set<Duration> lengths;
    Settings settings = plain();
    settings.jitter = 0.1;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
      Rig rig(settings);
      rig.random = Random(seed);
      lengths.insert(rig.fail());
    }
    CHECK(lengths.size() > 95);
  }

  TEST_CASE("however often it opens and whatever the lengths, the length neither overflows nor shrinks") {
    struct Row {
      Duration first, most, last;
    };
    constexpr Duration kTwoYears = std::chrono::milliseconds(std::int64_t{1} << 36U);
    for (const Row row :
         {Row{5s, Duration::max(), kTwoYears}, Row{Duration::max(), Duration::max(), kTwoYears},
          Row{1us, 1h, 1h}, Row{0us, 1h, 1h}, Row{-5s, -1s, 1ms}, Row{10s, 5s, 10s}}) {
      Settings settings = plain();
      settings.open_for = row.first;
      settings.max_open_for = row.most;
      Rig rig(settings);
      Duration before = rig.fail();
      for (int i = 0; i < 200; ++i) {
        rig.wait();
        const Duration next = rig.request(kBad)->open_for;
        REQUIRE(next >= before);
        before = next;
      }
      CHECK(before == row.last);
      CHECK(rig.view().openings == 63);
    }
  }
}

TEST_SUITE("circuit breaker, the operator") {
  TEST_CASE("forced open it stays so, whatever time passes, until it is told") {
    Rig rig;
    const auto transition = rig.breaker.force_open(rig.now);
    REQUIRE(transition.has_value());
    CHECK(transition->open_for == Duration::zero());
    for (const Duration later : {Duration(0s), Duration(1h), Duration(100'000h)}) {
      rig.now = kStart + later;
      CHECK_FALSE(rig.admits());
      CHECK_FALSE(rig.breaker.may_enter(rig.now));
      CHECK_FALSE(rig.breaker.next_wakeup(rig.now).has_value());
      CHECK_FALSE(rig.view().open_until.has_value());
      CHECK(rig.view().forced);
    }
    CHECK(rig.breaker.force_close(rig.now).has_value());
    CHECK_FALSE(rig.view().forced);
    CHECK(rig.admits());
  }

  TEST_CASE("one that was open by itself and is forced open no longer waits for its time") {
    Rig rig;
    rig.fail();
    const auto transition = rig.breaker.force_open(rig.now);
    REQUIRE(transition.has_value());
    CHECK(transition->from == Phase::kOpen);
    CHECK(transition->to == Phase::kOpen);
    rig.now += 1h;
    CHECK_FALSE(rig.admits());
  }

  TEST_CASE("forced closed it knows nothing of the failures before, nor of how often it opened") {
    Settings settings = plain();
    settings.failure_ratio = 0.5;
    Rig rig(settings);
    rig.fail();
    rig.recover();
    CHECK(rig.fail() == 10s);
    rig.breaker.force_close(rig.now);
    CHECK(rig.view().window.total == 0);
    rig.requests(2, kBad);
    CHECK(rig.request(kBad)->open_for == 5s);
  }

  TEST_CASE("force_close of a closed one is no transition, but its counts are forgotten") {
    Settings settings = plain();
    settings.failure_ratio = 0.5;
    Rig rig(settings);
    rig.fail();
    rig.recover();
    rig.requests(2, kBad);
    CHECK_FALSE(rig.breaker.force_close(rig.now).has_value());
    CHECK(rig.view().consecutive_failures == 0);
    CHECK(rig.view().openings == 0);
    CHECK(rig.view().window.total == 0);
    CHECK(rig.fail() == 5s);
  }

  TEST_CASE("probes in flight when it is forced count no more") {
    for (const bool open : {false, true}) {
      Rig rig;
      rig.fail();
      rig.wait();
      const Ticket probe = rig.enter();
      if (open) {
        rig.breaker.force_open(rig.now);
      } else {
        rig.breaker.force_close(rig.now);
      }
      const Phase phase = rig.phase();
      CHECK_FALSE(rig.finish(probe, kBad).has_value());
      CHECK_FALSE(rig.finish(probe, kGood).has_value());
      CHECK(rig.phase() == phase);
    }
  }

  TEST_CASE("one that is not enabled admits everything, counts nothing and cannot be forced") {
    Settings settings = plain();
    settings.enabled = false;
    settings.consecutive_failures = 1;
    settings.failure_ratio = 0.1;
    settings.min_requests = 1;
    Rig rig(settings);
    rig.requests(100, kBad);
    CHECK_FALSE(rig.breaker.force_open(rig.now).has_value());
    CHECK_FALSE(rig.breaker.force_close(rig.now).has_value());
    CHECK(rig.breaker.may_enter(rig.now));
    CHECK_FALSE(rig.enter().probe);
    CHECK(rig.view().window.total == 0);
    CHECK(rig.view().consecutive_failures == 0);
    CHECK(rig.view().last_reason == Reason::kNone);
  }
}
