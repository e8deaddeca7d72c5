#include "health/checker.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "tests/support/start.h"

using namespace remora;
using remora::health::Checker;
using State = Checker::State;

namespace {

// A checker that is driven as the prober drives it: each check begins when it is due and takes `lasting`.
struct Driven {
  explicit Driven(const Checker::Settings& settings, std::uint64_t seed = 1)
      : random(seed), checker(settings, kStart, random) {}

  bool result(bool passed, std::string_view reason = "no", Duration lasting = 1ms) {
    began = std::max(checker.next_wakeup(), now);
    checker.on_started(began);
    now = began + lasting;
    return checker.on_result(passed, passed ? "" : reason, now, random);
  }
  // From the beginning of the last check to when the next one is due.
  Duration pause() const { return checker.next_wakeup() - began; }

  Random random;
  Checker checker;
  TimePoint now = kStart;
  TimePoint began = kStart;
};

// What the header says, literally: look at all results so far.
State model_state(const std::vector<bool>& results, std::size_t rise, std::size_t fall) {
  State state = State::kUnknown;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const auto all = [&](std::size_t count, bool value) {
      if (i + 1 < count) return false;
      for (std::size_t k = i + 1 - count; k <= i; ++k) {
        if (results[k] != value) return false;
      }
      return true;
    };
    if (i == 0) {
      state = results[0] ? State::kPassing : State::kFailing;
    } else if (all(rise, true)) {
      state = State::kPassing;
    } else if (all(fall, false)) {
      state = State::kFailing;
    }
  }
  return state;
}

constexpr Checker::Settings kNoJitter{.interval = 10s, .failing_interval = 2s, .jitter = 0};

}  // namespace

TEST_CASE("every transition of a checker with rise 2 and fall 3") {
  struct Row {
    const char* before;  // results, + and -
    State from;
    bool passed;
    State to;
  };
  const std::array<Row, 14> rows{{
      {"", State::kUnknown, true, State::kPassing},
      {"", State::kUnknown, false, State::kFailing},
      {"+", State::kPassing, true, State::kPassing},
      {"+", State::kPassing, false, State::kPassing},
      {"+-", State::kPassing, true, State::kPassing},
      {"+-", State::kPassing, false, State::kPassing},
      {"+--", State::kPassing, true, State::kPassing},
      {"+--", State::kPassing, false, State::kFailing},
      {"+--+", State::kPassing, false, State::kPassing},
      {"-", State::kFailing, true, State::kFailing},
      {"-", State::kFailing, false, State::kFailing},
      {"-+", State::kFailing, true, State::kPassing},
      {"-+", State::kFailing, false, State::kFailing},
      {"-+-", State::kFailing, true, State::kFailing},
  }};
  for (const Row& row : rows) {
    CAPTURE(row.before);
    CAPTURE(row.passed);
    Driven driven({.rise = 2, .fall = 3});
    for (const char result : std::string_view(row.before)) driven.result(result == '+');
    CHECK(driven.checker.state() == row.from);
    CHECK(driven.result(row.passed) == (row.from != row.to));
    CHECK(driven.checker.state() == row.to);
  }
}

TEST_CASE("all sequences of eight results lead where the rule says, whatever rise and fall") {
  for (std::uint32_t rise = 1; rise <= 4; ++rise) {
    for (std::uint32_t fall = 1; fall <= 4; ++fall) {
      for (unsigned bits = 0; bits < 256; ++bits) {
        Driven driven({.rise = rise, .fall = fall});
        std::vector<bool> results;
        for (unsigned i = 0; i < 8; ++i) {
          const State before = driven.checker.state();
          results.push_back(((bits >> i) & 1U) != 0);
          const bool changed = driven.result(results.back());
          CAPTURE(rise);
          CAPTURE(fall);
          CAPTURE(bits);
          CAPTURE(i);
          REQUIRE(driven.checker.state() == model_state(results, rise, fall));
          REQUIRE(changed == (driven.checker.state() != before));
          REQUIRE((driven.checker.changed_at() == driven.now) == changed);
        }
      }
    }
  }
}

TEST_CASE("long random runs of results agree with the rule") {
  Random random(11);
  for (int round = 0; round < 40; ++round) {
    const std::uint32_t rise = 1 + random.below(6);
    const std::uint32_t fall = 1 + random.below(6);
    Driven driven({.rise = rise, .fall = fall}, random.next());
    std::vector<bool> results;
    bool passed = true;
    std::uint64_t passes = 0;
    for (int i = 0; i < 200; ++i) {
      if (random.below(4) == 0) passed = !passed;
      results.push_back(passed);
      passes += passed ? 1 : 0;
      driven.result(passed);
      REQUIRE(driven.checker.state() == model_state(results, rise, fall));
    }
    CHECK(driven.checker.passes() == passes);
    CHECK(driven.checker.failures() == 200 - passes);
  }
}

TEST_CASE("a rise or fall of zero counts as one") {
  Driven driven({.rise = 0, .fall = 0});
  CHECK(driven.result(true));
  CHECK(driven.result(false));
  CHECK(driven.result(true));
}

TEST_CASE("the first checks of many endpoints are spread over a tenth of the interval, at most a second") {
  for (const auto& [interval, spread] :
       {std::pair<Duration, Duration>{5s, 500ms}, {10s, 1s}, {1h, 1s}, {10ms, 1ms}, {0s, 0s}}) {
    CAPTURE(interval.count());
    Random random(3);
    TimePoint first = TimePoint::max();
    TimePoint last = TimePoint::min();
    for (int i = 0; i < 1000; ++i) {
      const Checker checker({.interval = interval}, kStart, random);
      first = std::min(first, checker.next_wakeup());
      last = std::max(last, checker.next_wakeup());
      REQUIRE(checker.state() == State::kUnknown);
    }
    CHECK(first >= kStart);
    CHECK(first <= kStart + spread / 10);
    CHECK(last <= kStart + spread);
    CHECK(last >= kStart + spread - spread / 10);
  }
}

TEST_CASE("nothing is due while a check is under way, and the next one counts from its beginning") {
  Random random(1);
  Checker checker(kNoJitter, kStart, random);
  checker.on_started(kStart + 1s);
  CHECK(checker.next_wakeup() == TimePoint::max());
  checker.on_result(true, "", kStart + 4s, random);
  CHECK(checker.next_wakeup() == kStart + 11s);
}

TEST_CASE("a check that takes longer than the interval is followed at once") {
  Driven driven(kNoJitter);
  driven.result(true, "", 25s);
  CHECK(driven.checker.next_wakeup() == driven.now);
}

TEST_CASE("the failing interval is used while failing and after a failure since the last pass") {
  Driven driven({.interval = 10s, .failing_interval = 2s, .jitter = 0, .rise = 2, .fall = 3});
  struct Row {
    bool passed;
    Duration pause;
  };
  const std::array<Row, 10> rows{{
      {true, 10s},
      {false, 2s},  // still passing, but on the way down
      {true, 10s},
      {false, 2s},
      {false, 2s},
      {false, 2s},  // failing
      {false, 2s},
      {true, 2s},  // still failing, but on the way up
      {true, 10s},
      {true, 10s},
  }};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(i);
    driven.result(rows[i].passed);
    CHECK(driven.pause() == rows[i].pause);
  }
}

TEST_CASE("without a failing interval the interval is always the same") {
  Driven driven({.interval = 10s, .jitter = 0});
  for (const bool passed : {false, false, true, true, false}) {
    driven.result(passed);
    CHECK(driven.pause() == 10s);
  }
}

TEST_CASE("jitter makes every interval longer or shorter by up to its share, evenly") {
  for (const double jitter : {0.1, 0.5, 0.99}) {
    CAPTURE(jitter);
    Driven driven({.interval = 10s, .jitter = jitter});
    double sum = 0;
    double least = 2;
    double most = 0;
    for (int i = 0; i < 5000; ++i) {
      driven.result(true);
      const double pause = std::chrono::duration<double>(driven.pause()).count() / 10.0;
      REQUIRE(pause >= 1.0 - jitter - 1e-6);
      REQUIRE(pause <= 1.0 + jitter + 1e-6);
      least = std::min(least, pause);
      most = std::max(most, pause);
      sum += pause;
    }
    CHECK(least < 1.0 - 0.95 * jitter);
    CHECK(most > 1.0 + 0.95 * jitter);
    CHECK(sum / 5000 == doctest::Approx(1.0).epsilon(0.03));
  }
}

TEST_CASE("the reason of the last failure is kept, through passes too") {
  Driven driven({.rise = 1, .fall = 1});
  CHECK(driven.checker.last_reason().empty());
  CHECK(driven.checker.last_failure() == TimePoint{});
  CHECK(driven.checker.changed_at() == TimePoint{});
  driven.result(true);
  CHECK(driven.checker.last_reason().empty());
  driven.result(false, "status 503, expected 200-399");
  const TimePoint failed = driven.now;
  CHECK(driven.checker.last_reason() == "status 503, expected 200-399");
  CHECK(driven.checker.last_failure() == failed);
  driven.result(true);
  CHECK(driven.checker.last_reason() == "status 503, expected 200-399");
  CHECK(driven.checker.last_failure() == failed);
  CHECK(driven.checker.changed_at() == driven.now);
  driven.result(false, "connection refused");
  CHECK(driven.checker.last_reason() == "connection refused");
  CHECK(driven.checker.last_failure() == driven.now);
}

TEST_CASE("a reason is cut to its bound, between two characters") {
  constexpr std::size_t kMost = Checker::kLongestReason;
  Driven driven({});
  driven.result(false, std::string(kMost, 'a'));
  CHECK(driven.checker.last_reason() == std::string(kMost, 'a'));
  driven.result(false, std::string(kMost + 1, 'a'));
  CHECK(driven.checker.last_reason() == std::string(kMost, 'a'));
  driven.result(false, std::string(kMost - 1, 'a') + "\xc3\xa4");  // a two-byte character over the bound
  CHECK(driven.checker.last_reason() == std::string(kMost - 1, 'a'));
  driven.result(false, std::string(kMost - 3, 'a') + "\xf0\x9f\xa6\x88");  // one of four
  CHECK(driven.checker.last_reason() == std::string(kMost - 3, 'a'));
  driven.result(false, std::string(10'000, '\x80'));  // no UTF-8 at all
  CHECK(driven.checker.last_reason().size() <= kMost);
  CHECK(driven.checker.last_reason().size() >= kMost - 3);
}

TEST_CASE("a check that was abandoned says nothing and is made again an interval later") {
  Driven driven({.interval = 10s, .failing_interval = 2s, .jitter = 0, .rise = 2, .fall = 2});
  const auto abandon = [&] {
    driven.began = driven.checker.next_wakeup();
    driven.checker.on_started(driven.began);
    driven.now = driven.began + 1ms;
    driven.checker.on_abandoned(driven.now, driven.random);
  };
  abandon();
  CHECK(driven.checker.state() == State::kUnknown);
  CHECK(driven.pause() == 10s);
  CHECK(driven.result(false));  // still the first result
  abandon();
  CHECK(driven.pause() == 2s);
  CHECK_FALSE(driven.result(true));
  abandon();
  CHECK(driven.result(true));  // the second in a row all the same
  CHECK(driven.checker.passes() == 2);
  CHECK(driven.checker.failures() == 1);
}

TEST_CASE("the states of a checker have names") {
  CHECK(std::string(to_string(State::kUnknown)) == "unknown");
  CHECK(std::string(to_string(State::kPassing)) == "passing");
  CHECK(std::string(to_string(State::kFailing)) == "failing");
}
