// The breaker against a model that is as plain as can be: one thread, a list of everything that happened, and
// the rules of the header word by word. Both are driven with the same random events in virtual time.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "breaker/circuit_breaker.h"
#include "tests/breaker/circuit_breaker_rig.h"

using namespace remora;
using namespace remora::breaker;
using namespace remora::breaker::test;
using breaker::Result;

namespace {

// How an attempt ended, as the breaker sees it.
struct Ending {
  bool ignored = false, failed = false, slow = false;
};

class Model {
 public:
  struct Attempt {
    int phase_number = 0;  // of the phase in which it entered
    bool probe = false;
  };

  explicit Model(const Settings& settings) : settings_(settings), tenth_(settings.window / 10) {}

  std::optional<Attempt> enter(TimePoint now, std::optional<Transition>& transition) {
    if (phase_ == Phase::kOpen && !forced_ && now >= until_) {
      transition = go(Phase::kHalfOpen, Reason::kTimeToProbe, now);
      in_flight_ = 0;
      succeeded_ = 0;
      events_.clear();
    }
    if (phase_ == Phase::kOpen) return std::nullopt;
    if (phase_ == Phase::kClosed) return Attempt{phase_number_, false};
    if (in_flight_ == settings_.half_open_requests) return std::nullopt;
    ++in_flight_;
    return Attempt{phase_number_, true};
  }

  // `open_for`: how long the breaker has opened, if it did; jitter is its own.
  std::optional<Transition> finish(const Attempt& attempt, const Ending& ending, TimePoint now,
                                   Duration open_for) {
    if (attempt.phase_number != phase_number_) return std::nullopt;
    if (attempt.probe) {
      --in_flight_;
      if (ending.ignored) return std::nullopt;
      if (ending.failed || ending.slow) return open(Reason::kProbeFailed, now, open_for);
      if (++succeeded_ < settings_.success_threshold) return std::nullopt;
      row_ = 0;
      return go(Phase::kClosed, Reason::kProbesSucceeded, now);
    }
    if (ending.ignored) return std::nullopt;
    row_ = ending.failed ? row_ + 1 : 0;
    if (keeps_window()) events_.push_back({now, ending});
    while (!events_.empty() && now - events_.front().at > 2 * settings_.window) events_.pop_front();
    if (ending.failed && settings_.consecutive_failures > 0 && row_ >= settings_.consecutive_failures) {
      return open(Reason::kConsecutiveFailures, now, open_for);
    }
    const auto counts = window(now);
    if (counts.total < settings_.min_requests) return std::nullopt;
    const auto total = static_cast<double>(counts.total);
    if (ending.failed && settings_.failure_ratio > 0 &&
        static_cast<double>(counts.failed) / total >= settings_.failure_ratio) {
      return open(Reason::kFailureRatio, now, open_for);
    }
    if (ending.slow && static_cast<double>(counts.slow) / total >= settings_.slow_ratio) {
      return open(Reason::kSlowRatio, now, open_for);
    }
    return std::nullopt;
  }

  std::optional<Transition> force_open(TimePoint now) {
    if (forced_) return std::nullopt;
    const auto transition = go(Phase::kOpen, Reason::kManual, now);
    forced_ = true;
    return transition;
  }

  std::optional<Transition> force_close(TimePoint now) {
    row_ = 0;
    openings_ = 0;
    events_.clear();
    if (phase_ == Phase::kClosed) return std::nullopt;
    return go(Phase::kClosed, Reason::kManual, now);
  }

  // Whether the breaker may open for so long now; the bounds of jitter.
  bool plausible(Duration open_for, TimePoint now) const {
    double length = static_cast<double>(settings_.open_for.count());
    for (int n = row_of_openings(now); n > 0; --n) length *= 2;
    length = std::min(length, static_cast<double>(settings_.max_open_for.count()));
    const auto actual = static_cast<double>(open_for.count());
    return std::abs(actual - length) <= length * settings_.jitter + 1;
  }

  bool may_enter(TimePoint now) const { return phase_ != Phase::kOpen || (!forced_ && now >= until_); }
  std::optional<TimePoint> next_wakeup(TimePoint now) const {
    return may_enter(now) || forced_ ? std::nullopt : std::optional(until_);
  }

  // The fields that differ from what the breaker shows; 0 = none.
  int differences(const CircuitBreaker::View& view, TimePoint now) const {
    const auto counts = window(now);
    const bool times_open = phase_ == Phase::kOpen && !forced_;
    const bool same[] = {
        view.phase == phase_,
        view.forced == forced_,
        view.last_reason == reason_,
        view.changed_at == changed_at_,
        view.open_until == (times_open ? std::optional(until_) : std::nullopt),
        static_cast<int>(view.openings) == row_of_openings(now),
        view.consecutive_failures == (phase_ == Phase::kClosed ? row_ : 0),
        view.probes_in_flight == (phase_ == Phase::kHalfOpen ? in_flight_ : 0),
        view.window.total == counts.total,
        view.window.failed == counts.failed,
        view.window.slow == counts.slow,
        std::equal(transitions_to_, transitions_to_ + 3, view.transitions_to),
    };
    return static_cast<int>(std::count(std::begin(same), std::end(same), false));
  }

 private:
  struct Event {
    TimePoint at;
    Ending ending;
  };

  bool keeps_window() const { return settings_.failure_ratio > 0 || settings_.slow_call > 0s; }

  std::int64_t tenth_at(TimePoint now) const {
    return static_cast<std::int64_t>(std::floor(static_cast<double>(now.time_since_epoch().count()) /
                                                static_cast<double>(tenth_.count())));
  }

  SlidingWindow::Counts window(TimePoint now) const {
    SlidingWindow::Counts counts;
    for (const Event& event : events_) {
      if (tenth_at(now) - tenth_at(event.at) >= 10) continue;
      ++counts.total;
      if (event.ending.failed) ++counts.failed;
      if (event.ending.slow) ++counts.slow;
    }
    return counts;
  }

  int row_of_openings(TimePoint now) const {
    const bool quiet = phase_ == Phase::kClosed && now - changed_at_ >= settings_.quiet_period;
    return quiet ? 0 : openings_;
  }

  Transition open(Reason reason, TimePoint now, Duration open_for) {
    openings_ = row_of_openings(now) + 1;
    Transition transition = go(Phase::kOpen, reason, now);
    transition.open_for = open_for;
    until_ = TimePoint(
        std::chrono::ceil<std::chrono::milliseconds>((now + transition.open_for).time_since_epoch()));
    return transition;
  }

  Transition go(Phase to, Reason reason, TimePoint now) {
    const Transition transition{.from = phase_, .to = to, .reason = reason};
    ++phase_number_;
    ++transitions_to_[static_cast<std::size_t>(to)];
    phase_ = to;
    forced_ = false;
    reason_ = reason;
    changed_at_ = TimePoint(std::chrono::floor<std::chrono::milliseconds>(now.time_since_epoch()));
    if (to == Phase::kClosed) row_ = 0;
    return transition;
  }

  Settings settings_;
  Duration tenth_;
  Phase phase_ = Phase::kClosed;
  bool forced_ = false;
  int phase_number_ = 0;
  int openings_ = 0;
  std::uint32_t row_ = 0, in_flight_ = 0, succeeded_ = 0;
  TimePoint until_{}, changed_at_{};
  Reason reason_ = Reason::kNone;
  std::uint64_t transitions_to_[3] = {0, 0, 0};
  std::deque<Event> events_;
};

bool same(const std::optional<Transition>& a, const std::optional<Transition>& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  return a->from == b->from && a->to == b->to && a->reason == b->reason && a->open_for == b->open_for;
}

Settings random_settings(Random& random) {
  Settings settings;
  settings.consecutive_failures = random.below(2) == 0 ? 0 : 1 + random.below(8);
  settings.failure_ratio = random.below(3) == 0 ? 0 : 0.1 * (1 + random.below(10));
  settings.window = 10ms * (1 + random.below(2'000));
  settings.min_requests = random.below(20);
  settings.slow_call = random.below(2) == 0 ? Duration(0) : 100ms;
  settings.slow_ratio = 0.1 * (1 + random.below(10));
  settings.open_for = 1ms * (1 + random.below(5'000));
  settings.max_open_for = settings.open_for * (1 + random.below(40));
  settings.jitter = random.below(2) == 0 ? 0 : 0.9 * random.unit();
  settings.quiet_period = 1ms * random.below(30'000);
  settings.half_open_requests = 1 + random.below(4);
  settings.success_threshold = 1 + random.below(4);
  settings.failures.timeout = random.below(2) == 0;
  return settings;
}

// Drives both, and counts in what they differ.
struct Driver {
  explicit Driver(std::uint64_t seed)
      : random(seed),
        settings(random_settings(random)),
        breaker(settings),
        model(settings),
        now(Duration(static_cast<std::int64_t>(random.next() % 100'000'000'000)) - 50'000s),
        badness(random.unit()) {}

  void pass_time() {
    const auto up_to = [this](Duration most) {
      return Duration(static_cast<std::int64_t>(random.unit() * static_cast<double>(most.count())));
    };
    const auto until = model.next_wakeup(now);
    switch (random.below(8)) {
      case 0: now = until ? *until - Duration(random.below(2)) : now + up_to(settings.open_for); break;
      case 1: now += up_to(settings.window / 5); break;
      case 2:
        if (random.below(20) == 0) now += up_to(2 * settings.quiet_period);
        break;
      case 3:
        if (random.below(20) == 0) now += up_to(2 * settings.window);
        break;
      default: now += Duration(random.below(3'000)); break;
    }
  }

  void enter() {
    std::optional<Transition> expected;
    const auto attempt = model.enter(now, expected);
    const auto entry = breaker.try_enter(now);
    if (!same(entry.transition, expected) || entry.ticket.has_value() != attempt.has_value()) ++mistakes;
    if (!entry.ticket || !attempt) return;
    if (entry.ticket->probe != attempt->probe) ++mistakes;
    flying.push_back({*entry.ticket, *attempt});
  }

  void finish() {
    if (flying.empty()) return;
    const std::size_t i = random.below(static_cast<std::uint32_t>(flying.size()));
    const Flying flight = flying[i];
    flying[i] = flying.back();
    flying.pop_back();
    const Finish f = some_finish();
    const auto transition = breaker.report(flight.ticket, f.outcome, f.latency, now, random);
    const bool opened = transition && transition->to == Phase::kOpen;
    const Duration open_for = opened ? transition->open_for : Duration::zero();
    if (opened && !model.plausible(open_for, now)) ++mistakes;
    if (!same(transition, model.finish(flight.attempt, f.ending, now, open_for))) ++mistakes;
    if (transition) ++reasons[static_cast<std::size_t>(transition->reason)];
  }

  struct Finish {
    Outcome outcome;
    std::optional<Duration> latency;
    Ending ending;
  };
  Finish some_finish() {
    if (random.below(10) == 0) return {kNothing, 1s, {.ignored = true}};
    if (random.below(20) == 0) {
      const bool counts = settings.failures.timeout;
      return {{Result::kTimeout}, std::nullopt, {.ignored = !counts, .failed = counts}};
    }
    const bool failed = random.unit() < badness;
    const bool late = random.unit() < badness;
    return {failed ? kBad : kGood,
            late ? 100ms : 99ms,
            {.failed = failed, .slow = late && settings.slow_call > Duration::zero()}};
  }

  void force() {
    const bool open = random.below(2) == 0;
    const auto transition = open ? breaker.force_open(now) : breaker.force_close(now);
    if (!same(transition, open ? model.force_open(now) : model.force_close(now))) ++mistakes;
    if (transition) ++reasons[static_cast<std::size_t>(transition->reason)];
  }

  void step() {
    pass_time();
    if (random.below(200) == 0) badness = random.unit();
    const std::uint32_t what = random.below(200);
    if (what < 2) {
      force();
    } else if (what < 100 || flying.size() > 30) {
      finish();
    } else {
      enter();
    }
    mistakes += model.differences(breaker.view(now), now);
    if (breaker.may_enter(now) != model.may_enter(now)) ++mistakes;
    if (breaker.next_wakeup(now) != model.next_wakeup(now)) ++mistakes;
  }

  struct Flying {
    Ticket ticket;
    Model::Attempt attempt;
  };
  Random random;
  Settings settings;
  CircuitBreaker breaker;
  Model model;
  TimePoint now;
  double badness;
  std::vector<Flying> flying;
  int mistakes = 0;
  int reasons[8] = {};
};

}  // namespace

TEST_SUITE("circuit breaker, model") {
  TEST_CASE("random attempts, endings, pauses and orders do to the breaker what they do to the model") {
    constexpr int kSteps = 5'000;
    int reasons[8] = {};
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
      CAPTURE(seed);
      Driver driver(seed);
      for (int i = 0; i < kSteps && driver.mistakes == 0; ++i) driver.step();
      REQUIRE(driver.mistakes == 0);
      for (int reason = 0; reason < 8; ++reason) reasons[reason] += driver.reasons[reason];
    }
    // And it was worth it: every way to open and to close was gone often.
    for (const Reason reason : {Reason::kConsecutiveFailures, Reason::kFailureRatio, Reason::kSlowRatio,
                                Reason::kProbeFailed, Reason::kProbesSucceeded, Reason::kManual}) {
      CAPTURE(std::string(to_string(reason)));
      CHECK(reasons[static_cast<std::size_t>(reason)] > 500);
    }
  }
}
