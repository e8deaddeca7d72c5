// Long because every row of the table in the header, and every event that must change nothing, stands here.
#include "breaker/circuit_breaker.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "tests/breaker/circuit_breaker_rig.h"

using namespace remora;
using namespace remora::breaker;
using namespace remora::breaker::test;
using breaker::Result;

namespace {

Settings by_ratio(double ratio, std::uint32_t min_requests) {
  Settings settings = plain();
  settings.consecutive_failures = 0;
  settings.failure_ratio = ratio;
  settings.min_requests = min_requests;
  return settings;
}

Settings slow_calls() {
  Settings settings = plain();
  settings.consecutive_failures = 0;
  settings.slow_call = 100ms;
  settings.slow_ratio = 0.5;
  settings.min_requests = 10;
  return settings;
}

// --- the table ---

enum Start { kFresh, kOneShort, kOpenEarly, kOpenDue, kProbing, kProbeShort, kForced, kStarts };
enum Event {
  kEnter,
  kSuccess,  // of the attempt that entered last, in whatever phase
  kFailure,
  kIgnored,
  kOldSuccess,  // of an attempt that entered two phases before at least
  kOldFailure,
  kOldProbe,
  kTime,
  kForceOpen,
  kForceClose,
  kEvents
};
constexpr const char* kStartNames[] = {"fresh",   "one failure short", "open",  "open, time over",
                                       "probing", "one success short", "forced"};
constexpr const char* kEventNames[] = {"enter",       "success",   "failure", "ignored",    "old success",
                                       "old failure", "old probe", "time",    "force open", "force close"};

// A rig in that state, with an attempt in flight where there can be one, and old ones.
struct Scene : Rig {
  explicit Scene(Start start) {
    old = enter();
    fail();
    wait();
    old_probe = enter();
    finish(enter_again(), kBad);
    breaker.force_close(now);
    last = enter();
    if (start == kFresh) return;
    requests(2, kBad);
    if (start == kOneShort) return;
    if (start == kForced) {
      breaker.force_open(now);
      return;
    }
    finish(enter(), kBad);
    if (start == kOpenEarly) return;
    wait();
    if (start == kOpenDue) return;
    last = enter();
    if (start == kProbing) return;
    finish(last, kGood);
    last = enter();
  }
  Ticket enter_again() {  // the probe that makes the breaker open again, so that old_probe is old
    finish(old_probe, kNothing);
    return enter();
  }
  std::optional<Transition> apply(Event event) {
    switch (event) {
      case kEnter: {
        const auto entry = breaker.try_enter(now);
        admitted = entry.ticket.has_value();
        return entry.transition;
      }
      case kSuccess: return finish(last, kGood);
      case kFailure: return finish(last, kBad);
      case kIgnored: return finish(last, kNothing);
      case kOldSuccess: return finish(old, kGood);
      case kOldFailure: return finish(old, kBad);
      case kOldProbe: return finish(old_probe, kBad);
      case kTime: now += 1h; return std::nullopt;
      case kForceOpen: return breaker.force_open(now);
      case kForceClose: return breaker.force_close(now);
      default: FAIL("no such event");
    }
    return std::nullopt;
  }
  Ticket old, old_probe, last;
  bool admitted = false;
};

struct Cell {
  bool admitted = false;  // by kEnter
  bool moves = false;
  Phase to = Phase::kClosed;
  Reason reason = Reason::kNone;
};
constexpr Cell kStays{};
constexpr Cell kAdmits{.admitted = true};
constexpr Cell kProbes{
    .admitted = true, .moves = true, .to = Phase::kHalfOpen, .reason = Reason::kTimeToProbe};
constexpr Cell kOpens{.moves = true, .to = Phase::kOpen, .reason = Reason::kConsecutiveFailures};
constexpr Cell kReopens{.moves = true, .to = Phase::kOpen, .reason = Reason::kProbeFailed};
constexpr Cell kCloses{.moves = true, .to = Phase::kClosed, .reason = Reason::kProbesSucceeded};
constexpr Cell kToldOpen{.moves = true, .to = Phase::kOpen, .reason = Reason::kManual};
constexpr Cell kToldClosed{.moves = true, .to = Phase::kClosed, .reason = Reason::kManual};

// clang-format off
constexpr Cell kTable[kStarts][kEvents] = {
//               enter    success  failure   ignored old:success failure probe   time    force open  force close
/* fresh      */ {kAdmits, kStays,  kStays,   kStays, kStays,     kStays, kStays, kStays, kToldOpen,  kStays},
/* one short  */ {kAdmits, kStays,  kOpens,   kStays, kStays,     kStays, kStays, kStays, kToldOpen,  kStays},
/* open       */ {kStays,  kStays,  kStays,   kStays, kStays,     kStays, kStays, kStays, kToldOpen,  kToldClosed},
/* time over  */ {kProbes, kStays,  kStays,   kStays, kStays,     kStays, kStays, kStays, kToldOpen,  kToldClosed},
/* probing    */ {kStays,  kStays,  kReopens, kStays, kStays,     kStays, kStays, kStays, kToldOpen,  kToldClosed},
/* one short  */ {kStays,  kCloses, kReopens, kStays, kStays,     kStays, kStays, kStays, kToldOpen,  kToldClosed},
/* forced     */ {kStays,  kStays,  kStays,   kStays, kStays,     kStays, kStays, kStays, kStays,     kToldClosed},
};
// clang-format on

}  // namespace

TEST_SUITE("circuit breaker") {
  TEST_CASE("every event in every state does what the table says, and nothing else") {
    for (int start = 0; start < kStarts; ++start) {
      for (int event = 0; event < kEvents; ++event) {
        CAPTURE(std::string(kStartNames[start]));
        CAPTURE(std::string(kEventNames[event]));
        Scene scene(static_cast<Start>(start));
        const auto before = scene.view();
        const Cell& cell = kTable[start][event];
        const auto transition = scene.apply(static_cast<Event>(event));
        const auto after = scene.view();
        CHECK(scene.admitted == cell.admitted);
        REQUIRE(transition.has_value() == cell.moves);
        CHECK(after.phase == (cell.moves ? cell.to : before.phase));
        for (const Phase phase : {Phase::kClosed, Phase::kHalfOpen, Phase::kOpen}) {
          const auto i = static_cast<std::size_t>(phase);
          CHECK(after.transitions_to[i] - before.transitions_to[i] ==
                (cell.moves && phase == cell.to ? 1 : 0));
        }
        if (!cell.moves) {
          CHECK(after.last_reason == before.last_reason);
          CHECK(after.changed_at == before.changed_at);
          continue;
        }
        CHECK(transition->from == before.phase);
        CHECK(transition->to == cell.to);
        CHECK(transition->reason == cell.reason);
        CHECK(after.last_reason == cell.reason);
        CHECK(after.changed_at == scene.now);
        CHECK(after.forced == (event == kForceOpen));
        CHECK((transition->open_for > 0s) == (cell.to == Phase::kOpen && event != kForceOpen));
      }
    }
  }

  TEST_CASE(
      "it opens at exactly the configured number of failures in a row, and a success begins the row anew") {
    Rig rig;
    rig.requests(2, kBad);
    CHECK(rig.view().consecutive_failures == 2);
    rig.requests(1, kGood);
    CHECK(rig.view().consecutive_failures == 0);
    rig.requests(2, kBad);
    CHECK(rig.request(kBad)->reason == Reason::kConsecutiveFailures);
    CHECK_FALSE(rig.admits());
  }

  TEST_CASE("zero failures in a row are no reason to open") {
    Settings settings = plain();
    settings.consecutive_failures = 0;
    Rig rig(settings);
    rig.requests(10'000, kBad);
    CHECK(rig.view().consecutive_failures == 10'000);
  }

  TEST_CASE("a row is counted over all attempts, in the order in which they report") {
    Rig rig;
    std::vector<Ticket> tickets;
    tickets.reserve(10);
    for (int i = 0; i < 10; ++i) tickets.push_back(rig.enter());
    CHECK_FALSE(rig.finish(tickets[7], kBad).has_value());
    CHECK_FALSE(rig.finish(tickets[3], kBad).has_value());
    CHECK(rig.finish(tickets[5], kBad).has_value());
    for (const int late : {0, 1, 2}) CHECK_FALSE(rig.finish(tickets[static_cast<std::size_t>(late)], kBad));
    CHECK(rig.view().openings == 1);
  }

  TEST_CASE("what is ignored neither lengthens a row nor ends it, and is in no window") {
    Settings settings = plain();
    settings.failure_ratio = 0.5;
    Rig rig(settings);
    rig.requests(2, kBad);
    rig.requests(100, kNothing);
    CHECK(rig.view().consecutive_failures == 2);
    CHECK(rig.view().window.total == 2);
    CHECK(rig.request(kBad).has_value());
  }

  TEST_CASE("what counts as a failure is the operator's choice") {
    Settings settings = plain();
    settings.consecutive_failures = 1;
    settings.failures = {
        .connect = false, .reset = true, .timeout = false, .statuses = StatusSet::range(502, 504)};
    Rig rig(settings);
    for (const Outcome outcome : {Outcome{Result::kResponse, 500}, Outcome{Result::kResponse, 404},
                                  Outcome{Result::kConnectFailure}, Outcome{Result::kTimeout}, kNothing}) {
      CHECK_FALSE(rig.request(outcome).has_value());
    }
    for (const Outcome outcome : {Outcome{Result::kResponse, 502}, Outcome{Result::kResponse, 504},
                                  Outcome{Result::kReset}, Outcome{Result::kRefused}}) {
      CHECK(rig.request(outcome).has_value());
      rig.breaker.force_close(rig.now);
    }
  }

  TEST_CASE("a probe whose outcome is not judged neither closes nor opens, and gives its place back") {
    Settings settings = plain();
    settings.failures.connect = false;
    Rig rig(settings);
    rig.fail();
    rig.wait();
    for (int i = 0; i < 100; ++i) rig.requests(1, {Result::kConnectFailure});
    CHECK(rig.phase() == Phase::kHalfOpen);
    CHECK(rig.view().probes_in_flight == 0);
  }
}

TEST_SUITE("circuit breaker, ratios") {
  TEST_CASE("a share opens from the very number on that the operator's decimal means") {
    struct Row {
      double ratio;
      int good, bad;
    };
    for (const Row row : {Row{0.5, 10, 10}, Row{0.07, 93, 7}, Row{0.29, 71, 29}, Row{0.1, 27, 3},
                          Row{1.0, 0, 20}, Row{0.01, 99, 1}}) {
      CAPTURE(row.ratio);
      Rig rig(by_ratio(row.ratio, 20));
      rig.requests(row.good, kGood);
      rig.requests(row.bad - 1, kBad);
      const auto transition = rig.request(kBad);
      REQUIRE(transition.has_value());
      CHECK(transition->reason == Reason::kFailureRatio);
    }
  }

  TEST_CASE("below min_requests a share is not looked at") {
    Rig rig(by_ratio(0.5, 20));
    rig.requests(19, kBad);
    CHECK(rig.request(kBad)->reason == Reason::kFailureRatio);
    Rig at_once(by_ratio(0.5, 0));
    CHECK(at_once.request(kBad)->reason == Reason::kFailureRatio);
  }

  TEST_CASE("a success opens nothing, even when it completes min_requests") {
    Rig rig(by_ratio(0.5, 20));
    rig.requests(19, kBad);
    rig.requests(1, kGood);
    CHECK(rig.request(kBad)->reason == Reason::kFailureRatio);
  }

  TEST_CASE("failures that have left the window do not count") {
    Rig rig(by_ratio(0.5, 20));
    rig.requests(19, kBad);
    rig.now += 10s;
    rig.requests(19, kBad);
    rig.now += 9s;
    CHECK(rig.request(kBad).has_value());
  }

  TEST_CASE("when both are reasons, failures in a row are named") {
    Settings settings = by_ratio(0.5, 3);
    settings.consecutive_failures = 3;
    Rig rig(settings);
    rig.requests(2, kBad);
    CHECK(rig.request(kBad)->reason == Reason::kConsecutiveFailures);
  }

  TEST_CASE("without a share to watch no window is kept") {
    Rig rig;
    rig.requests(100, kGood);
    rig.requests(2, kBad);
    CHECK(rig.view().window.total == 0);
  }

  TEST_CASE("a breaker that has closed again begins with an empty window") {
    Settings settings = by_ratio(0.5, 20);
    settings.open_for = 1s;
    Rig rig(settings);
    rig.requests(10, kGood);
    rig.requests(9, kBad);
    CHECK(rig.request(kBad).has_value());
    CHECK(rig.view().window.total == 20);  // while it is open, one can see why
    rig.recover();
    CHECK(rig.view().window.total == 0);
    rig.requests(19, kBad);
  }
}

TEST_SUITE("circuit breaker, slow calls") {
  TEST_CASE("a share of slow responses opens") {
    Rig rig(slow_calls());
    for (int i = 0; i < 5; ++i) CHECK_FALSE(rig.request(kGood, 99'999us).has_value());
    for (int i = 0; i < 4; ++i) CHECK_FALSE(rig.request(kGood, 100ms).has_value());
    CHECK(rig.request(kGood, 100ms)->reason == Reason::kSlowRatio);
    CHECK(rig.view().window.slow == 5);
    CHECK(rig.view().window.failed == 0);
  }

  TEST_CASE("a fast one opens nothing, and one without a response head is not slow") {
    Rig rig(slow_calls());
    for (int i = 0; i < 9; ++i) CHECK_FALSE(rig.request(kGood, 1s).has_value());
    CHECK_FALSE(rig.request(kGood, 1ms).has_value());
    CHECK_FALSE(rig.request(kBad).has_value());
    CHECK_FALSE(rig.request(kNothing, 1s).has_value());
    CHECK(rig.view().window.slow == 9);
    CHECK(rig.request(kGood, 1s).has_value());
  }

  TEST_CASE("a slow failure is slow and a failure") {
    Settings settings = slow_calls();
    settings.failure_ratio = 0.9;
    Rig rig(settings);
    for (int i = 0; i < 5; ++i) CHECK_FALSE(rig.request(kGood, 1ms).has_value());
    for (int i = 0; i < 4; ++i) CHECK_FALSE(rig.request(kBad, 1s).has_value());
    CHECK(rig.view().window.failed == 4);
    CHECK(rig.request(kBad, 1s)->reason == Reason::kSlowRatio);
  }

  TEST_CASE("a slow success ends a row of failures") {
    Settings settings = slow_calls();
    settings.consecutive_failures = 2;
    Rig rig(settings);
    rig.requests(1, kBad);
    CHECK_FALSE(rig.request(kGood, 1s).has_value());
    CHECK(rig.view().consecutive_failures == 0);
  }

  TEST_CASE("zero: speed is not judged, neither while closed nor of a probe") {
    Settings settings = plain();
    settings.failure_ratio = 0.5;
    Rig rig(settings);
    for (int i = 0; i < 1'000; ++i) CHECK_FALSE(rig.request(kGood, 1h).has_value());
    rig.fail();
    rig.wait();
    CHECK_FALSE(rig.request(kGood, 1h).has_value());
    CHECK(rig.request(kGood, 1h)->to == Phase::kClosed);
  }

  TEST_CASE("a slow probe opens again") {
    Settings settings = slow_calls();
    settings.consecutive_failures = 1;
    Rig rig(settings);
    rig.fail();
    rig.wait();
    CHECK_FALSE(rig.request(kGood, 99ms).has_value());
    const auto transition = rig.request(kGood, 100ms);
    REQUIRE(transition.has_value());
    CHECK(transition->reason == Reason::kProbeFailed);
    CHECK(transition->open_for == 10s);
  }
}
