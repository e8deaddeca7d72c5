// Time at its edges, what people see, and settings out of their range.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <set>
#include <string_view>

#include "breaker/circuit_breaker.h"
#include "tests/breaker/circuit_breaker_rig.h"

using namespace remora;
using namespace remora::breaker;
using namespace remora::breaker::test;

TEST_SUITE("circuit breaker, time") {
  TEST_CASE("it is a candidate when it would let somebody in, and says when that will be") {
    Rig rig;
    CHECK(rig.breaker.may_enter(rig.now));
    CHECK_FALSE(rig.breaker.next_wakeup(rig.now).has_value());
    rig.fail();
    CHECK_FALSE(rig.breaker.may_enter(rig.now));
    CHECK(rig.breaker.next_wakeup(rig.now) == kStart + 5s);
    CHECK_FALSE(rig.breaker.may_enter(kStart + 5s - 1us));
    CHECK(rig.breaker.next_wakeup(kStart + 5s - 1us) == kStart + 5s);
    CHECK_FALSE(rig.breaker.try_enter(kStart + 5s - 1us).ticket.has_value());
    CHECK(rig.breaker.may_enter(kStart + 5s));
    CHECK_FALSE(rig.breaker.next_wakeup(kStart + 5s).has_value());
    rig.wait();
    rig.enter();
    CHECK(rig.breaker.may_enter(rig.now));  // half-open is a candidate, even with all places taken
    CHECK_FALSE(rig.breaker.next_wakeup(rig.now).has_value());
  }

  TEST_CASE("an opening is rounded up to the millisecond, never down") {
    for (const Duration offset : {0us, 1us, 999us}) {
      Settings settings = plain();
      settings.open_for = 1'001us;
      Rig rig(settings);
      rig.now = kStart + offset;
      CHECK(rig.fail() == 1'001us);
      const TimePoint until = rig.view().open_until.value();
      CHECK(until >= rig.now + 1'001us);
      CHECK(until < rig.now + 2'001us);
      CHECK_FALSE(rig.breaker.may_enter(until - 1us));
      CHECK(rig.breaker.may_enter(until));
    }
  }

  TEST_CASE("wherever the clock begins, openings and escalation are the same") {
    for (const TimePoint begin :
         {TimePoint{}, TimePoint{-2s}, TimePoint{-1h}, TimePoint{1us}, TimePoint::min(),
          TimePoint::max() - 24h, TimePoint(std::chrono::milliseconds(std::int64_t{1} << 38U)) - 2s,
          TimePoint(std::chrono::milliseconds(std::int64_t{1} << 37U)) - 2s,
          TimePoint(std::chrono::milliseconds(std::int64_t{1} << 42U)) - 2s}) {
      CAPTURE(begin.time_since_epoch().count());
      Rig rig;
      rig.now = begin;
      CHECK(rig.fail() == 5s);
      CHECK_FALSE(rig.admits());
      rig.wait();
      CHECK(rig.now - begin >= 5s);
      CHECK(rig.now - begin < 5s + 1ms);
      CHECK(rig.request(kBad)->open_for == 10s);
      rig.recover();
      const TimePoint closed = rig.now;
      CHECK(closed - rig.view().changed_at < 1ms);
      rig.now += 60s - 2ms;
      CHECK(rig.view().openings == 2);
      rig.now += 2ms;
      CHECK(rig.view().openings == 0);
      CHECK(rig.fail() == 5s);
    }
  }

  TEST_CASE("asked with the first or the last instant there is, it answers") {
    for (const TimePoint at : {TimePoint::min(), TimePoint::max()}) {
      Rig rig;
      rig.now = at;
      rig.fail();
      CHECK(rig.view().openings == 1);
      CHECK(rig.view().open_until.has_value());
      CHECK(rig.breaker.next_wakeup(at).has_value());
      CHECK_FALSE(rig.admits());
    }
  }

  TEST_CASE("a thread whose clock is behind is turned away a little longer, and harms nothing") {
    Rig rig;
    rig.fail();
    CHECK_FALSE(rig.breaker.may_enter(kStart - 1h));
    CHECK_FALSE(rig.breaker.try_enter(kStart - 1h).ticket.has_value());
    rig.wait();
    const Ticket probe = rig.enter();
    rig.now -= 5s;
    CHECK_FALSE(rig.finish(probe, kGood).has_value());
    CHECK(rig.request(kGood)->to == Phase::kClosed);
    CHECK(rig.fail() == 10s);
  }

  TEST_CASE("what people see: phase, reason, instants and counts, of each phase") {
    Settings settings = plain();
    settings.failure_ratio = 0.9;
    Rig rig(settings);
    auto view = rig.view();
    CHECK(view.last_reason == Reason::kNone);
    CHECK(view.changed_at == TimePoint{});
    rig.requests(1, kGood);
    rig.requests(2, kBad);
    view = rig.view();
    CHECK(view.consecutive_failures == 2);
    CHECK(view.window.total == 3);
    CHECK(view.window.failed == 2);
    rig.fail();
    rig.now += 2s;
    view = rig.view();
    CHECK(view.phase == Phase::kOpen);
    CHECK(view.changed_at == kStart);
    CHECK(view.open_until == kStart + 5s);
    CHECK(view.consecutive_failures == 0);
    rig.wait();
    rig.enter();
    rig.now += 1h;
    view = rig.view();
    CHECK(view.phase == Phase::kHalfOpen);
    CHECK(view.last_reason == Reason::kTimeToProbe);
    CHECK(view.changed_at == kStart + 5s);
    CHECK_FALSE(view.open_until.has_value());
    CHECK(view.probes_in_flight == 1);
    CHECK(view.transitions_to[0] == 0);
    CHECK(view.transitions_to[1] == 1);
    CHECK(view.transitions_to[2] == 1);
  }

  TEST_CASE("after more transitions than a generation can tell apart it works as on the first day") {
    Settings settings = plain();
    settings.consecutive_failures = 1;
    settings.success_threshold = 1;
    settings.quiet_period = 1ms;
    Rig rig(settings);
    const Ticket old = rig.enter();
    for (int i = 0; i < 100'000; ++i) {  // three transitions each, and 2^18 are told apart
      REQUIRE(rig.request(kBad)->open_for == 5s);
      CHECK_FALSE(rig.finish(old, kBad).has_value());
      rig.wait();
      REQUIRE(rig.request(kGood)->to == Phase::kClosed);
      REQUIRE(rig.view().changed_at == rig.now);
      rig.now += 1ms;
    }
    CHECK(rig.view().transitions_to[0] == 100'000);
  }

  TEST_CASE("numbers out of their range are taken as the nearest ones in it") {
    Settings settings = plain();
    settings.half_open_requests = 0;
    settings.success_threshold = 0;
    settings.jitter = -1;
    Rig rig(settings);
    CHECK(rig.fail() == 5s);
    rig.wait();
    const Ticket probe = rig.enter();
    CHECK_FALSE(rig.admits());
    CHECK(rig.finish(probe, kGood)->to == Phase::kClosed);
    settings.half_open_requests = 1'000'000;
    settings.success_threshold = 1'000'000;
    const CircuitBreaker most(settings);
    CHECK(most.settings().half_open_requests == 65'535);
    CHECK(most.settings().success_threshold == 65'535);
  }

  TEST_CASE("every phase and reason has a word of its own") {
    std::set<std::string_view> words;
    for (const Phase phase : {Phase::kClosed, Phase::kHalfOpen, Phase::kOpen}) words.insert(to_string(phase));
    CHECK(words.size() == 3);
    for (int reason = 0; reason <= static_cast<int>(Reason::kManual); ++reason) {
      words.insert(to_string(static_cast<Reason>(reason)));
    }
    CHECK(words.size() == 11);
    CHECK_FALSE(words.contains("?"));
  }
}
