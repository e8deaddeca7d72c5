#include "health/availability.h"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

using namespace remora::health;
using Active = Sources::Active;
using Member = Sources::Member;

namespace {

constexpr std::array kActives = {Active::kNone, Active::kUnknown, Active::kPassing, Active::kFailing};
constexpr std::array kMembers = {Member::kNone, Member::kAlive, Member::kSuspect, Member::kGone};

std::vector<Sources> with_checks(std::initializer_list<Active> actives) {
  std::vector<Sources> all;
  for (const Active active : actives) all.push_back({.active = active});
  return all;
}

constexpr auto kP = Active::kPassing;
constexpr auto kF = Active::kFailing;
constexpr auto kU = Active::kUnknown;
constexpr auto kN = Active::kNone;

}  // namespace

TEST_CASE("each source alone makes an endpoint unavailable, and says that it was this one") {
  struct Row {
    Sources sources;
    bool panic;
    Why why;
  };
  const std::array<Row, 17> rows{{
      {{}, false, Why::kAvailable},
      {{.draining = true}, false, Why::kDraining},
      {{.removed = true}, false, Why::kRemoved},
      {{.member = Member::kAlive}, false, Why::kAvailable},
      {{.member = Member::kSuspect}, false, Why::kAvailable},
      {{.member = Member::kGone}, false, Why::kMember},
      {{.active = kP}, false, Why::kAvailable},
      {{.active = kF}, false, Why::kActiveCheck},
      {{.active = kU}, false, Why::kActiveCheck},
      {{.ejected = true}, false, Why::kEjected},
      {{.breaker_open = true}, false, Why::kBreaker},
      {{.active = kF}, true, Why::kAvailable},
      {{.active = kU}, true, Why::kAvailable},
      {{.member = Member::kGone}, true, Why::kMember},
      {{.active = kF, .ejected = true}, true, Why::kEjected},
      {{.active = kF, .breaker_open = true}, true, Why::kBreaker},
      {{.draining = true}, true, Why::kDraining},
  }};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(i);
    CHECK(availability(rows[i].sources, rows[i].panic) == rows[i].why);
  }
}

TEST_CASE("the whole truth table: the first source that objects is named, and nobody else matters") {
  constexpr std::array kOrder = {Why::kDraining,    Why::kRemoved, Why::kMember,
                                 Why::kActiveCheck, Why::kEjected, Why::kBreaker};
  int available = 0;
  for (const Active active : kActives) {
    for (const Member member : kMembers) {
      for (unsigned bits = 0; bits < 32; ++bits) {
        const Sources sources{.active = active,
                              .member = member,
                              .ejected = (bits & 1U) != 0,
                              .breaker_open = (bits & 2U) != 0,
                              .draining = (bits & 4U) != 0,
                              .removed = (bits & 8U) != 0};
        const bool panic = (bits & 16U) != 0;
        // Who objects, in the order of `kOrder`.
        const std::array<bool, 6> objects = {
            sources.draining,        sources.removed,
            member == Member::kGone, (active == kU || active == kF) && !panic,
            sources.ejected,         sources.breaker_open};
        Why expected = Why::kAvailable;
        for (std::size_t i = objects.size(); i-- > 0;) {
          if (objects[i]) expected = kOrder[i];
        }
        REQUIRE(availability(sources, panic) == expected);
        available += expected == Why::kAvailable ? 1 : 0;
      }
    }
  }
  CHECK(available == 3 * 2 + 3 * 4);  // three memberships with two checks, and in panic with all four
}

TEST_CASE("panic begins when fewer than its share of the checked endpoints pass") {
  struct Row {
    std::vector<Sources> endpoints;
    double below;
    bool panic;
  };
  const std::vector<Row> rows = {
      {with_checks({}), 0.5, false},
      {with_checks({kN, kN, kN}), 1.0, false},  // nobody is checked
      {with_checks({kP}), 0.5, false},
      {with_checks({kF}), 0.5, true},
      {with_checks({kF, kP}), 0.5, false},  // exactly half is enough
      {with_checks({kF, kF, kP}), 0.5, true},
      {with_checks({kF, kP, kP}), 0.5, false},
      {with_checks({kF, kP, kP}), 1.0, true},
      {with_checks({kP, kP, kP}), 1.0, false},
      {with_checks({kF, kF, kF}), 0.0, false},     // never
      {with_checks({kF, kF, kP, kN}), 0.5, true},  // who is not checked does not count
      {with_checks({kF, kP, kN, kN}), 0.5, false},
      {with_checks({kF, kF, kF}), 0.01, true},
  };
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(i);
    CHECK(in_panic(rows[i].endpoints, rows[i].below) == rows[i].panic);
  }
}

TEST_CASE("there is no panic while an endpoint has had no result, unless that one does not count") {
  CHECK_FALSE(in_panic(with_checks({kF, kF, kF, kU}), 0.5));
  CHECK_FALSE(in_panic(with_checks({kU}), 1.0));
  auto endpoints = with_checks({kF, kF, kF, kU});
  SUBCASE("draining") { endpoints[3].draining = true; }
  SUBCASE("removed") { endpoints[3].removed = true; }
  SUBCASE("gone") { endpoints[3].member = Member::kGone; }
  CHECK(in_panic(endpoints, 0.5));
}

TEST_CASE(
    "endpoints that are draining, removed or gone do not count for panic, others do whatever else holds") {
  // Two of four pass: no panic below a half. Without one of the passing it is one of three.
  auto endpoints = with_checks({kP, kP, kF, kF});
  REQUIRE_FALSE(in_panic(endpoints, 0.5));
  bool panic = true;
  SUBCASE("draining") { endpoints[0].draining = true; }
  SUBCASE("removed") { endpoints[0].removed = true; }
  SUBCASE("gone") { endpoints[0].member = Member::kGone; }
  SUBCASE("suspect counts") {
    endpoints[0].member = Member::kSuspect;
    panic = false;
  }
  SUBCASE("ejected counts") {
    endpoints[0].ejected = true;
    panic = false;
  }
  SUBCASE("behind an open breaker counts") {
    endpoints[0].breaker_open = true;
    panic = false;
  }
  CHECK(in_panic(endpoints, 0.5) == panic);
}

TEST_CASE("a share that is met exactly is no panic, for every number of endpoints") {
  for (std::size_t total = 1; total <= 100; ++total) {
    for (std::size_t passing = 0; passing <= total; ++passing) {
      std::vector<Sources> endpoints(total, Sources{.active = kF});
      for (std::size_t i = 0; i < passing; ++i) endpoints[i].active = kP;
      const double share = static_cast<double>(passing) / static_cast<double>(total);
      REQUIRE_FALSE(in_panic(endpoints, share));
      REQUIRE(in_panic(endpoints, share + 0.001));
    }
  }
  std::vector<Sources> endpoints(100, Sources{.active = kF});
  for (std::size_t i = 0; i < 7; ++i) endpoints[i].active = kP;
  CHECK_FALSE(in_panic(endpoints, 0.07));
}

TEST_CASE("in panic all that are checked are candidates again") {
  const auto endpoints = with_checks({kF, kF, kP});
  const bool panic = in_panic(endpoints, 0.5);
  for (const Sources& endpoint : endpoints) CHECK(availability(endpoint, panic) == Why::kAvailable);
}

TEST_CASE("every reason has a name of its own") {
  std::vector<std::string> names;
  for (const Why why : {Why::kAvailable, Why::kDraining, Why::kRemoved, Why::kMember, Why::kActiveCheck,
                        Why::kEjected, Why::kBreaker}) {
    names.emplace_back(to_string(why));
  }
  CHECK(names == std::vector<std::string>{"available", "draining", "removed", "member", "active_check",
                                          "ejected", "breaker"});
}
