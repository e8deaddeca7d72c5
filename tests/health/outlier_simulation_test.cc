// Outlier detection under traffic: clusters in virtual time, and random events held against what must always
// be true.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "base/random.h"
#include "health/outlier.h"
#include "tests/support/start.h"

using namespace remora;
using remora::health::OutlierDetector;
using Kind = OutlierDetector::Change::Kind;

namespace {

// A cluster whose requests go to the endpoints in use, each at random, and fail with a probability of their
// own.
class Simulation {
 public:
  Simulation(const OutlierDetector::Settings& settings, std::vector<double> failing, std::uint64_t seed)
      : settings_(settings),
        failing_(std::move(failing)),
        detector_(settings, kStart),
        random_(seed),
        traffic_(failing_.size()),
        in_a_row_(failing_.size()),
        ejections_(failing_.size()) {
    detector_.resize(failing_.size());
  }

  // One request after the other, `per_second` of them.
  void run(Duration time, int per_second) {
    const TimePoint end = now_ + time;
    for (; now_ < end; now_ += Duration(1s) / per_second) {
      if (now_ >= detector_.next_wakeup()) {
        const bool due = detector_.interval_due(now_);
        note(detector_.on_time(traffic_, now_));
        if (due) std::ranges::fill(traffic_, OutlierDetector::Traffic{});
      }
      request();
    }
  }

  const OutlierDetector& detector() const { return detector_; }
  int ejections(std::size_t endpoint) const { return ejections_[endpoint]; }
  int requests = 0;
  int failures = 0;

 private:
  void request() {
    std::size_t endpoint = 0;
    do endpoint = random_.below(static_cast<std::uint32_t>(failing_.size()));
    while (detector_.standing(endpoint).ejected);
    const bool failed = random_.unit() < failing_[endpoint];
    ++requests;
    ++traffic_[endpoint].requests;
    in_a_row_[endpoint] = failed ? in_a_row_[endpoint] + 1 : 0;
    if (!failed) return;
    ++failures;
    ++traffic_[endpoint].failures;
    if (in_a_row_[endpoint] < settings_.consecutive_failures) return;
    in_a_row_[endpoint] = 0;
    note(detector_.on_consecutive_failures(endpoint, now_));
  }

  void note(const std::vector<OutlierDetector::Change>& changes) {
    for (const auto& change : changes) ejections_[change.endpoint] += change.kind == Kind::kEjected ? 1 : 0;
  }

  OutlierDetector::Settings settings_;
  std::vector<double> failing_;
  OutlierDetector detector_;
  Random random_;
  TimePoint now_ = kStart;
  std::vector<OutlierDetector::Traffic> traffic_;
  std::vector<std::uint32_t> in_a_row_;
  std::vector<int> ejections_;
};

// A detector under random events, and what must be true of it after each.
class Torture {
 public:
  explicit Torture(std::uint64_t seed)
      : random_(seed),
        settings_{.enabled = true,
                  .min_requests = random_.below(30),
                  .base_ejection = Duration(1s) * (1 + random_.below(40)),
                  .max_ejection = Duration(1s) * (40 + random_.below(100)),
                  .keep_at_least = random_.below(4)},
        detector_(settings_, kStart) {}

  void step() {
    now_ += Duration{random_.below(3'000'000)};
    const std::size_t some = random_.below(6);
    switch (random_.below(8)) {
      case 0:
        usable_.resize(some, true);
        detector_.resize(some);
        break;
      case 1:
        if (some < usable_.size()) usable_[some] = true;
        detector_.forget(some);
        break;
      case 2:
      case 3: {
        const bool usable = random_.below(2) == 0;
        if (some < usable_.size()) usable_[some] = usable;
        detector_.set_usable(some, usable);
        break;
      }
      case 4: check(detector_.on_consecutive_failures(some, now_)); break;
      default: time_passes();
    }
  }

  int ejections = 0;
  int early_returns = 0;

 private:
  void time_passes() {
    std::vector<OutlierDetector::Traffic> traffic(usable_.size());
    for (auto& one : traffic) {
      one.requests = random_.below(100);
      one.failures = random_.below(3) == 0 ? one.requests : random_.below(5);
    }
    check(detector_.on_time(traffic, now_));
    const auto all = static_cast<std::size_t>(std::ranges::count(usable_, true));
    REQUIRE(in_use() >= std::min<std::size_t>(settings_.keep_at_least, all));
    REQUIRE(detector_.next_wakeup() > now_);
    for (std::size_t i = 0; i < usable_.size(); ++i) {
      if (detector_.standing(i).ejected) REQUIRE(detector_.standing(i).until > now_);
    }
  }

  void check(const std::vector<OutlierDetector::Change>& changes) {
    std::size_t out = 0;
    for (std::size_t i = 0; i < usable_.size(); ++i) {
      const auto& standing = detector_.standing(i);
      if (!standing.ejected) continue;
      ++out;
      REQUIRE(standing.until - standing.changed_at ==
              std::min(settings_.base_ejection * standing.ejections, settings_.max_ejection));
      REQUIRE(standing.last_reason != OutlierDetector::Reason::kNone);
    }
    REQUIRE(detector_.ejected() == out);
    for (const auto& change : changes) {
      if (change.kind == Kind::kEjected) {
        ++ejections;
        REQUIRE(in_use() >= settings_.keep_at_least);
      }
      if (change.detail.starts_with("early")) ++early_returns;
    }
  }

  std::size_t in_use() const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < usable_.size(); ++i) {
      count += usable_[i] && !detector_.standing(i).ejected ? 1 : 0;
    }
    return count;
  }

  Random random_;
  OutlierDetector::Settings settings_;
  OutlierDetector detector_;
  TimePoint now_ = kStart;
  std::vector<bool> usable_;  // one per endpoint
};

}  // namespace

TEST_CASE(
    "of five endpoints the one that fails half of its requests is out nearly all the time, and no other") {
  Simulation simulation({.enabled = true}, {0.01, 0.01, 0.5, 0.01, 0.01}, 1);
  simulation.run(30min, 50);
  for (const std::size_t endpoint : {0U, 1U, 3U, 4U}) CHECK(simulation.ejections(endpoint) == 0);
  CHECK(simulation.ejections(2) >= 6);  // 30, 60 and so on to 300 s
  CHECK(simulation.detector().standing(2).ejections == 10);
  // Without detection it would be 10.8 %.
  CHECK(simulation.failures < simulation.requests * 2 / 100);
  CHECK(simulation.detector().suppressed() == 0);
}

TEST_CASE("so it is among three, by the success rate alone") {
  Simulation simulation({.enabled = true, .consecutive_failures = 0, .failure_percentage = 0},
                        {0.01, 0.5, 0.01}, 2);
  simulation.run(10min, 50);
  CHECK(simulation.ejections(0) == 0);
  CHECK(simulation.ejections(1) >= 3);
  CHECK(simulation.ejections(2) == 0);
}

TEST_CASE("a cluster whose endpoints fail alike loses none of them to chance") {
  for (const double failing : {0.0, 0.02, 0.1, 0.3}) {
    CAPTURE(failing);
    OutlierDetector::Settings settings{.enabled = true, .consecutive_failures = 0};
    int ejections = 0;
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      Simulation simulation(settings, std::vector<double>(5, failing), seed);
      simulation.run(30min, 20);
      for (std::size_t i = 0; i < 5; ++i) ejections += simulation.ejections(i);
    }
    CHECK(ejections <= 5);  // of 5 * 5 * 180 verdicts: a thousandth, as three deviations have it
  }
}

TEST_CASE("when everything is down, keep_at_least endpoints go on being asked") {
  OutlierDetector::Settings settings{.enabled = true, .keep_at_least = 2};
  Simulation simulation(settings, std::vector<double>(4, 1.0), 3);
  simulation.run(2min, 50);
  CHECK(simulation.detector().ejected() == 2);
  CHECK(simulation.detector().suppressed() > 0);
  // Two endpoints, told of once in each of twelve intervals at most.
  CHECK(simulation.detector().suppressed() <= 4 * 12);
}

TEST_CASE("whatever happens, enough stay in use, and everyone returns in time") {
  int ejections = 0;
  int early_returns = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Torture torture(seed);
    for (int i = 0; i < 300; ++i) torture.step();
    ejections += torture.ejections;
    early_returns += torture.early_returns;
  }
  CHECK(ejections > 1000);
  CHECK(early_returns > 100);
}
