// Long because it holds the detector's rules one by one, each with the case beside it that must not eject.
#include "health/outlier.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/support/start.h"

using namespace remora;
using remora::health::OutlierDetector;
using Change = OutlierDetector::Change;
using Kind = Change::Kind;
using Reason = OutlierDetector::Reason;
using Traffic = OutlierDetector::Traffic;
using Settings = OutlierDetector::Settings;

namespace {

// Enabled, by one reason at a time.
constexpr Settings kByRow{.enabled = true, .success_rate_deviations = 0, .failure_percentage = 0};
constexpr Settings kByRate{.enabled = true, .consecutive_failures = 0, .failure_percentage = 0};
constexpr Settings kByPercentage{.enabled = true, .consecutive_failures = 0, .success_rate_deviations = 0};

OutlierDetector detector_of(std::size_t endpoints, const Settings& settings) {
  OutlierDetector detector(settings, kStart);
  detector.resize(endpoints);
  return detector;
}

std::vector<std::size_t> those(const std::vector<Change>& changes, Kind kind) {
  std::vector<std::size_t> found;
  for (const Change& change : changes) {
    if (change.kind == kind) found.push_back(change.endpoint);
  }
  return found;
}

using Indices = std::vector<std::size_t>;

// Failures of so many requests each.
std::vector<Traffic> failing(std::uint64_t requests, std::initializer_list<std::uint64_t> failures) {
  std::vector<Traffic> traffic;
  for (const std::uint64_t failed : failures) traffic.push_back({.requests = requests, .failures = failed});
  return traffic;
}

// Who is ejected when the first interval ends with this traffic.
Indices ejected_by(const Settings& settings, const std::vector<Traffic>& traffic) {
  OutlierDetector detector = detector_of(traffic.size(), settings);
  return those(detector.on_time(traffic, kStart + settings.interval), Kind::kEjected);
}

}  // namespace

TEST_CASE("a detector that is not enabled does nothing") {
  OutlierDetector detector = detector_of(3, {.enabled = false});
  CHECK(detector.on_consecutive_failures(0, kStart).empty());
  CHECK_FALSE(detector.interval_due(kStart + 1h));
  CHECK(detector.on_time(failing(100, {100, 0, 0}), kStart + 1h).empty());
  CHECK(detector.ejected() == 0);
  CHECK(detector.next_wakeup() == TimePoint::max());
}

TEST_CASE("consecutive failures eject at once, and the endpoint returns when its time is over") {
  OutlierDetector detector = detector_of(3, kByRow);
  const auto changes = detector.on_consecutive_failures(1, kStart + 3s);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].endpoint == 1);
  CHECK(changes[0].kind == Kind::kEjected);
  CHECK(changes[0].reason == Reason::kConsecutiveFailures);
  CHECK(changes[0].ejected_for == 30s);
  CHECK(changes[0].detail == "5 failures in a row");
  CHECK(detector.ejected() == 1);
  CHECK(detector.standing(1).ejected);
  CHECK(detector.standing(1).until == kStart + 33s);
  CHECK(detector.standing(1).changed_at == kStart + 3s);
  CHECK(detector.standing(1).reason_at == kStart + 3s);
  CHECK_FALSE(detector.standing(0).ejected);

  CHECK(detector.on_time({}, kStart + 33s - 1us).empty());
  const auto back = detector.on_time({}, kStart + 33s);
  REQUIRE(back.size() == 1);
  CHECK(back[0].endpoint == 1);
  CHECK(back[0].kind == Kind::kReturned);
  CHECK(back[0].reason == Reason::kConsecutiveFailures);
  CHECK(back[0].ejected_for == 30s);
  CHECK(back[0].detail == "after 30.0 s");
  CHECK(detector.ejected() == 0);
  CHECK(detector.standing(1).changed_at == kStart + 33s);
  // What it was out for stays to be seen.
  CHECK(detector.standing(1).last_reason == Reason::kConsecutiveFailures);
  CHECK(detector.standing(1).reason_at == kStart + 3s);
  CHECK(detector.standing(1).last_detail == "5 failures in a row");
}

TEST_CASE("consecutive failures are no reason when they are switched off, late or of nobody") {
  Settings off = kByRow;
  off.consecutive_failures = 0;
  OutlierDetector without = detector_of(3, off);
  CHECK(without.on_consecutive_failures(1, kStart).empty());

  OutlierDetector detector = detector_of(3, kByRow);
  REQUIRE(detector.on_consecutive_failures(1, kStart).size() == 1);
  CHECK(detector.on_consecutive_failures(1, kStart + 1s).empty());  // what was still under way
  CHECK(detector.standing(1).until == kStart + 30s);
  CHECK(detector.on_consecutive_failures(3, kStart + 1s).empty());
  CHECK(detector.suppressed() == 0);
}

TEST_CASE("each ejection lasts longer, up to the maximum, and well intervals shorten the next one") {
  const Settings settings{.enabled = true, .base_ejection = 30s, .max_ejection = 100s};
  OutlierDetector detector = detector_of(3, settings);
  TimePoint now = kStart;
  const auto eject = [&] {
    const auto changes = detector.on_consecutive_failures(0, now);
    REQUIRE(changes.size() == 1);
    now = detector.standing(0).until;
    detector.on_time({}, now);
    REQUIRE_FALSE(detector.standing(0).ejected);
    return changes[0].ejected_for;
  };
  // As often as it is ejected anew before a whole interval has passed.
  for (const Duration expected : {30s, 60s, 90s, 100s, 100s, 100s}) CHECK(eject() == expected);
  CHECK(detector.standing(0).ejections == 4);  // no more than what reaches the maximum

  const auto pass = [&](int intervals) {
    for (int i = 0; i < intervals; ++i) {
      now += settings.interval;
      detector.on_time({}, now);
    }
  };
  pass(1);  // it returned at the end of an interval, so this one is whole
  CHECK(detector.standing(0).ejections == 3);
  pass(2);
  CHECK(detector.standing(0).ejections == 1);
  CHECK(eject() == 60s);
  pass(5);
  CHECK(detector.standing(0).ejections == 0);  // not below
  CHECK(eject() == 30s);
}

TEST_CASE("an ejection is never longer than the maximum, be the first one longer") {
  OutlierDetector detector = detector_of(2, {.enabled = true, .base_ejection = 30s, .max_ejection = 7s});
  CHECK(detector.on_consecutive_failures(0, kStart)[0].ejected_for == 7s);
}

TEST_CASE("an interval in which the endpoint was out, or had to go but was kept, is not a well one") {
  Settings settings = kByRow;
  settings.base_ejection = 12s;
  settings.keep_at_least = 2;
  OutlierDetector detector = detector_of(3, settings);
  detector.on_consecutive_failures(0, kStart + 1s);
  detector.on_time({}, kStart + 10s);  // out
  detector.on_time({}, kStart + 13s);  // returns
  detector.on_time({}, kStart + 20s);  // was out for three seconds of it
  CHECK(detector.standing(0).ejections == 1);
  detector.on_consecutive_failures(1, kStart + 21s);
  REQUIRE(those(detector.on_consecutive_failures(0, kStart + 22s), Kind::kSuppressed) == Indices{0});
  detector.on_time({}, kStart + 30s);
  CHECK(detector.standing(0).ejections == 1);
  detector.on_time({}, kStart + 40s);
  CHECK(detector.standing(0).ejections == 0);
}

TEST_CASE("the last keep_at_least endpoints are never ejected, whatever their number") {
  for (std::uint32_t endpoints = 1; endpoints <= 5; ++endpoints) {
    for (std::uint32_t keep = 0; keep <= 6; ++keep) {
      CAPTURE(endpoints);
      CAPTURE(keep);
      Settings settings = kByRow;
      settings.keep_at_least = keep;
      OutlierDetector detector = detector_of(endpoints, settings);
      const std::size_t may_go = endpoints > keep ? endpoints - keep : 0;
      for (std::size_t i = 0; i < endpoints; ++i) {
        const auto changes = detector.on_consecutive_failures(i, kStart);
        REQUIRE(changes.size() == 1);
        CHECK(changes[0].kind == (i < may_go ? Kind::kEjected : Kind::kSuppressed));
        CHECK(detector.standing(i).ejected == (i < may_go));
      }
      CHECK(detector.ejected() == may_go);
      CHECK(detector.suppressed() == endpoints - may_go);
    }
  }
}

TEST_CASE("a suppressed ejection is told with its reason and shown, and changes nothing else") {
  OutlierDetector detector = detector_of(1, kByRow);
  const auto changes = detector.on_consecutive_failures(0, kStart + 1s);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].kind == Kind::kSuppressed);
  CHECK(changes[0].reason == Reason::kConsecutiveFailures);
  CHECK(changes[0].ejected_for == Duration::zero());
  CHECK(changes[0].detail == "5 failures in a row, but keep_at_least = 1");
  const auto& standing = detector.standing(0);
  CHECK_FALSE(standing.ejected);
  CHECK(standing.ejections == 0);
  CHECK(standing.changed_at == TimePoint{});
  CHECK(standing.last_reason == Reason::kConsecutiveFailures);
  CHECK(standing.reason_at == kStart + 1s);
  CHECK(standing.last_detail == changes[0].detail);
}

TEST_CASE("of one endpoint a suppression is told and counted once in an interval, whatever the reason") {
  Settings settings{.enabled = true, .keep_at_least = 2};
  OutlierDetector detector = detector_of(2, settings);
  const auto suppressed = [&](std::size_t endpoint, Duration after) {
    return those(detector.on_consecutive_failures(endpoint, kStart + after), Kind::kSuppressed);
  };
  CHECK(suppressed(0, 1s) == Indices{0});
  CHECK(suppressed(0, 2s).empty());
  CHECK(suppressed(1, 2s) == Indices{1});
  CHECK(detector.on_time(failing(100, {100, 0}), kStart + 10s).empty());  // the percentage, the same interval
  CHECK(detector.standing(0).last_reason == Reason::kFailurePercentage);  // but it is shown
  CHECK(detector.suppressed() == 2);
  CHECK(suppressed(0, 11s) == Indices{0});
  CHECK(those(detector.on_time(failing(100, {0, 100}), kStart + 20s), Kind::kSuppressed) == Indices{1});
  CHECK(detector.suppressed() == 4);
}

TEST_CASE("success rates are compared among endpoints with enough requests") {
  struct Row {
    const char* what;
    std::vector<Traffic> traffic;
    Indices ejected;
  };
  const std::vector<Row> rows = {
      {"one of five fails half", failing(100, {0, 0, 50, 0, 0}), {2}},
      {"one of five fails all", failing(100, {0, 0, 0, 100, 0}), {3}},
      {"one of four fails half", failing(100, {0, 0, 50, 0}), {2}},
      {"one of three fails half", failing(100, {50, 0, 0}), {0}},
      {"one of ten is worse than the noise of the others",
       failing(100, {1, 2, 0, 3, 1, 40, 2, 1, 0, 2}),
       {5}},
      {"all are equally bad", failing(100, {70, 70, 70, 70, 70}), {}},
      {"all fail all", failing(100, {100, 100, 100, 100, 100}), {}},
      {"all are well", failing(100, {0, 0, 0, 0, 0}), {}},
      {"all a third, which no double holds", failing(99, {33, 33, 33, 33, 33, 33, 33}), {}},
      {"one failure in twenty is chance", failing(20, {1, 0, 0, 0, 0}), {}},
      {"so are two in a hundred", failing(100, {2, 0, 0}), {}},
      {"the same share of many requests is not", failing(10'000, {200, 0, 0}), {0}},
      {"spread over all evenly", failing(100, {10, 12, 8, 11, 9}), {}},
      {"two of six fail half: not further off than the others", failing(100, {50, 50, 0, 0, 0, 0}), {}},
      {"two of ten fail half", failing(100, {50, 50, 0, 0, 0, 0, 0, 0, 0, 0}), {0, 1}},
      {"too few requests to be judged", failing(19, {19, 0, 0, 0, 0}), {}},
      {"just enough", failing(20, {20, 0, 0, 0, 0}), {0}},
      {"too few endpoints", failing(100, {100, 0}), {}},
      {"too few endpoints with enough requests", {{100, 100}, {100, 0}, {19, 0}}, {}},
      {"who has too few requests is not judged, the others are",
       {{100, 50}, {100, 0}, {100, 0}, {19, 19}},
       {0}},
      {"more failures than requests is all of them", {{100, 5000}, {100, 0}, {100, 0}}, {0}},
      {"no traffic at all", failing(0, {0, 0, 0, 0}), {}},
      {"numbers of fewer endpoints than there are", {}, {}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    CHECK(ejected_by(kByRate, row.traffic) == row.ejected);
  }
}

TEST_CASE("the success rate that decided is told") {
  OutlierDetector detector = detector_of(5, kByRate);
  const auto changes = detector.on_time(failing(100, {50, 0, 0, 0, 0}), kStart + 10s);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].reason == Reason::kSuccessRate);
  CHECK(changes[0].detail == "50.0 % of 100 requests succeeded, below 54.0 %, mean 90.0 %");
}

TEST_CASE("how many deviations are too many is the operator's choice, and none is none") {
  // Rates of 1, 1, 1, 0.9 and so on down: the last is 1.5 deviations below the mean.
  const auto traffic = failing(1000, {0, 100, 200, 300, 400, 500, 600});
  Settings settings = kByRate;
  settings.success_rate_deviations = 1.4;
  CHECK(ejected_by(settings, traffic) == Indices{6});
  settings.success_rate_deviations = 1.6;
  CHECK(ejected_by(settings, traffic).empty());
  settings.success_rate_deviations = 0.9;
  CHECK(ejected_by(settings, traffic) == Indices{6, 5});
  settings.success_rate_deviations = 0;
  CHECK(ejected_by(settings, traffic).empty());
  CHECK(ejected_by(settings, failing(1000, {1000, 0, 0, 0, 0, 0, 0})).empty());
}

TEST_CASE("the failure percentage is judged for each endpoint alone, from its threshold on") {
  Settings settings = kByPercentage;
  settings.failure_percentage = 7;
  CHECK(ejected_by(settings, failing(100, {7, 6, 0})) == Indices{0});
  settings.failure_percentage = 85;
  CHECK(ejected_by(settings, failing(100, {84, 85, 0})) == Indices{1});
  CHECK(ejected_by(settings, failing(20, {17, 16})) == Indices{0});  // two endpoints are enough
  CHECK(ejected_by(settings, failing(19, {19, 0})).empty());
  settings.min_requests = 0;  // nobody is judged by nothing
  CHECK(ejected_by(settings, failing(0, {0, 0})).empty());
  CHECK(ejected_by(settings, failing(1, {1, 0})) == Indices{0});
  settings.failure_percentage = 0;
  CHECK(ejected_by(settings, failing(100, {100, 0})).empty());
  settings.failure_percentage = 100;
  CHECK(ejected_by(settings, failing(100, {100, 99})) == Indices{0});

  OutlierDetector detector = detector_of(2, kByPercentage);
  const auto changes = detector.on_time(failing(40, {36, 0}), kStart + 10s);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].reason == Reason::kFailurePercentage);
  CHECK(changes[0].detail == "90.0 % of 40 requests failed, threshold 85.0 %");
}

TEST_CASE("when all are equally bad the percentage ejects all but keep_at_least, and tells of the others") {
  for (std::uint32_t keep = 0; keep <= 4; ++keep) {
    CAPTURE(keep);
    Settings settings{.enabled = true, .keep_at_least = keep};
    OutlierDetector detector = detector_of(4, settings);
    const auto changes = detector.on_time(failing(100, {95, 95, 95, 95}), kStart + 10s);
    CHECK(those(changes, Kind::kEjected).size() == 4 - keep);
    CHECK(those(changes, Kind::kSuppressed).size() == keep);
    for (const Change& change : changes) CHECK(change.reason == Reason::kFailurePercentage);
    CHECK(detector.suppressed() == keep);
  }
}

TEST_CASE("when not all may go, the worst go first") {
  Settings settings = kByPercentage;
  settings.failure_percentage = 10;
  settings.keep_at_least = 2;
  OutlierDetector detector = detector_of(4, settings);
  const auto changes = detector.on_time(failing(100, {20, 90, 30, 60}), kStart + 10s);
  CHECK(those(changes, Kind::kEjected) == Indices{1, 3});
  CHECK(those(changes, Kind::kSuppressed) == Indices{2, 0});
}

TEST_CASE("rates are judged when the interval ends, and not before") {
  OutlierDetector detector = detector_of(3, kByRate);
  const auto traffic = failing(100, {100, 0, 0});
  CHECK(detector.next_wakeup() == kStart + 10s);
  CHECK_FALSE(detector.interval_due(kStart + 10s - 1us));
  CHECK(detector.on_time(traffic, kStart + 10s - 1us).empty());
  CHECK(detector.interval_due(kStart + 12s));
  CHECK(those(detector.on_time(traffic, kStart + 12s), Kind::kEjected) == Indices{0});
  CHECK_FALSE(detector.interval_due(kStart + 12s));
  CHECK(detector.next_wakeup() == kStart + 22s);  // from when it was judged
}

TEST_CASE("the next wake-up is the earlier of the interval's end and the first return") {
  Settings settings = kByRow;
  settings.base_ejection = 4s;
  OutlierDetector detector = detector_of(4, settings);
  detector.on_consecutive_failures(2, kStart + 1s);
  detector.on_consecutive_failures(0, kStart + 3s);
  CHECK(detector.next_wakeup() == kStart + 5s);
  CHECK(those(detector.on_time({}, kStart + 5s), Kind::kReturned) == Indices{2});
  CHECK(detector.next_wakeup() == kStart + 7s);
  CHECK(those(detector.on_time({}, kStart + 7s), Kind::kReturned) == Indices{0});
  CHECK(detector.next_wakeup() == kStart + 10s);
}

TEST_CASE("nobody is judged a second time by the requests that an ejection has already answered") {
  Settings settings{.enabled = true, .base_ejection = 2s};
  OutlierDetector detector = detector_of(3, settings);
  const auto traffic = failing(100, {95, 0, 0});
  REQUIRE(detector.on_consecutive_failures(0, kStart + 1s).size() == 1);
  CHECK(those(detector.on_time(traffic, kStart + 3s), Kind::kReturned) == Indices{0});
  CHECK(detector.on_time(traffic, kStart + 10s).empty());
  CHECK(those(detector.on_time(traffic, kStart + 20s), Kind::kEjected) == Indices{0});
}

TEST_CASE("who returns as the interval ends is not judged by what was still under way when it went") {
  Settings settings{.enabled = true, .base_ejection = 15s};
  OutlierDetector detector = detector_of(3, settings);
  REQUIRE(detector.on_consecutive_failures(0, kStart + 5s).size() == 1);
  detector.on_time({}, kStart + 10s);
  const auto changes = detector.on_time(failing(100, {100, 0, 0}), kStart + 20s);
  CHECK(those(changes, Kind::kReturned) == Indices{0});
  CHECK(those(changes, Kind::kEjected).empty());
}

TEST_CASE("an endpoint that returns makes room for another one to go in the same instant") {
  Settings settings = kByRate;
  settings.base_ejection = 10s;
  settings.keep_at_least = 2;
  settings.min_endpoints = 2;
  OutlierDetector detector = detector_of(3, settings);
  REQUIRE(those(detector.on_time(failing(100, {50, 0, 0}), kStart + 10s), Kind::kEjected) == Indices{0});
  const auto changes = detector.on_time(failing(100, {0, 50, 0}), kStart + 20s);
  REQUIRE(changes.size() == 2);
  CHECK(changes[0].kind == Kind::kReturned);
  CHECK(changes[1].kind == Kind::kEjected);
  CHECK(changes[1].endpoint == 1);
}

TEST_CASE("of two endpoints one may go, of which the worse, and the other stays whatever it does") {
  OutlierDetector detector = detector_of(2, {.enabled = true});
  auto changes = detector.on_time(failing(100, {90, 100}), kStart + 10s);
  CHECK(those(changes, Kind::kEjected) == Indices{1});
  CHECK(those(changes, Kind::kSuppressed) == Indices{0});
  CHECK(those(detector.on_consecutive_failures(0, kStart + 11s), Kind::kSuppressed) == Indices{0});
  CHECK(detector.ejected() == 1);
}

TEST_CASE("resizing keeps those that stay, starts new ones well and forgets the others") {
  OutlierDetector detector = detector_of(4, kByRow);
  detector.on_consecutive_failures(0, kStart);
  detector.on_consecutive_failures(3, kStart);
  detector.resize(3);
  CHECK(detector.ejected() == 1);
  detector.resize(5);
  CHECK(detector.standing(0).ejected);
  CHECK_FALSE(detector.standing(3).ejected);
  CHECK(detector.standing(3).ejections == 0);
  CHECK(detector.on_consecutive_failures(4, kStart)[0].ejected_for == 30s);
}

TEST_CASE("an endpoint that is replaced by another one starts anew") {
  OutlierDetector detector = detector_of(3, kByRow);
  detector.on_consecutive_failures(1, kStart);
  detector.forget(1);
  detector.forget(99);
  CHECK(detector.ejected() == 0);
  CHECK(detector.standing(1).last_detail.empty());
  CHECK(detector.next_wakeup() == kStart + 10s);
  CHECK(detector.on_consecutive_failures(1, kStart)[0].ejected_for == 30s);
}

TEST_CASE("endpoints that others have put out of use are none of those that are kept") {
  OutlierDetector detector = detector_of(3, kByRow);
  detector.set_usable(0, false);
  detector.set_usable(99, false);
  CHECK(those(detector.on_consecutive_failures(1, kStart), Kind::kEjected) == Indices{1});
  CHECK(those(detector.on_consecutive_failures(2, kStart), Kind::kSuppressed) == Indices{2});
  detector.set_usable(0, true);
  CHECK(those(detector.on_consecutive_failures(2, kStart), Kind::kEjected) == Indices{2});
}

TEST_CASE("when too few are left in use, the one that would return first returns at once") {
  Settings settings = kByRow;
  settings.keep_at_least = 2;
  OutlierDetector detector = detector_of(5, settings);
  detector.on_consecutive_failures(1, kStart + 1s);
  detector.on_consecutive_failures(0, kStart + 2s);
  detector.on_consecutive_failures(2, kStart + 3s);
  REQUIRE(detector.ejected() == 3);
  Indices expected;
  SUBCASE("because others have become unusable") {
    detector.set_usable(3, false);
    expected = {1};
  }
  SUBCASE("because others are gone") {
    detector.resize(3);
    expected = {1, 0};
  }
  SUBCASE("and one that could not be used is of no help") {
    detector.set_usable(1, false);
    detector.set_usable(4, false);
    expected = {0};
  }
  CHECK(detector.next_wakeup() <= kStart + 4s);
  const auto changes = detector.on_time({}, kStart + 4s);
  CHECK(those(changes, Kind::kReturned) == expected);
  CHECK(changes[0].detail == "early, since keep_at_least = 2");
  CHECK(detector.next_wakeup() > kStart + 4s);
}

TEST_CASE("when nobody usable is out, nobody returns early and nobody is woken for it") {
  OutlierDetector detector = detector_of(2, kByRow);
  detector.on_consecutive_failures(0, kStart);
  detector.set_usable(0, false);
  detector.set_usable(1, false);
  CHECK(detector.next_wakeup() == kStart + 10s);
  CHECK(detector.on_time({}, kStart + 1s).empty());
}

TEST_CASE("the reasons have names") {
  CHECK(std::string(to_string(Reason::kNone)) == "none");
  CHECK(std::string(to_string(Reason::kConsecutiveFailures)) == "consecutive_failures");
  CHECK(std::string(to_string(Reason::kSuccessRate)) == "success_rate");
  CHECK(std::string(to_string(Reason::kFailurePercentage)) == "failure_percentage");
}
