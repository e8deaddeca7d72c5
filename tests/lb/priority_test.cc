#include "lb/priority.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/random.h"

using namespace remora;
using namespace remora::lb;

namespace {

using Indices = std::vector<std::uint32_t>;

Indices choose(const std::vector<Standing>& endpoints) {
  Indices out = {77};
  choose_candidates(endpoints, out);
  return out;
}

constexpr bool kLocal = true;
constexpr bool kUp = true;

}  // namespace

TEST_CASE("without endpoints, or with none available, there are no candidates") {
  CHECK(choose({}).empty());
  CHECK(choose({{0, kLocal, !kUp}, {1, !kLocal, !kUp}}).empty());
}

TEST_CASE("only available endpoints of the lowest priority number are candidates") {
  CHECK(choose({{1, !kLocal, kUp}, {0, !kLocal, kUp}, {0, !kLocal, !kUp}, {0, !kLocal, kUp}}) ==
        Indices{1, 3});
  CHECK(choose({{7, !kLocal, kUp}, {9, !kLocal, kUp}}) == Indices{0});
}

TEST_CASE("a priority spills to the next when none of it is available") {
  CHECK(choose({{0, !kLocal, !kUp}, {1, !kLocal, kUp}, {2, !kLocal, kUp}}) == Indices{1});
  CHECK(choose({{0, !kLocal, !kUp}, {1, !kLocal, !kUp}, {2, !kLocal, kUp}}) == Indices{2});
}

TEST_CASE("the own zone goes first when it has an available endpoint") {
  CHECK(choose({{0, !kLocal, kUp}, {0, kLocal, kUp}, {0, !kLocal, kUp}, {0, kLocal, kUp}}) == Indices{1, 3});
  CHECK(choose({{0, !kLocal, kUp}, {0, kLocal, !kUp}, {0, !kLocal, kUp}}) == Indices{0, 2});
}

TEST_CASE("priority comes before zone") {
  CHECK(choose({{0, !kLocal, kUp}, {1, kLocal, kUp}}) == Indices{0});
  CHECK(choose({{0, kLocal, !kUp}, {0, !kLocal, kUp}, {1, kLocal, kUp}}) == Indices{1});
  CHECK(choose({{0, !kLocal, !kUp}, {1, kLocal, kUp}, {1, !kLocal, kUp}}) == Indices{1});
}

// The reference model is the rule itself, filter by filter.
TEST_CASE("candidates are those that the rule names, in ascending order, whatever stands where") {
  Random random(8);
  for (int round = 0; round < 2'000; ++round) {
    std::vector<Standing> endpoints(random.below(12));
    for (Standing& endpoint : endpoints) {
      endpoint = {
          .priority = random.below(3), .local_zone = random.below(3) == 0, .available = random.below(2) == 0};
    }
    Indices expected;
    for (std::uint32_t i = 0; i < endpoints.size(); ++i) {
      if (endpoints[i].available) expected.push_back(i);
    }
    std::uint32_t lowest = 3;
    for (const std::uint32_t i : expected) lowest = std::min(lowest, endpoints[i].priority);
    std::erase_if(expected, [&](std::uint32_t i) { return endpoints[i].priority != lowest; });
    if (std::ranges::any_of(expected, [&](std::uint32_t i) { return endpoints[i].local_zone; })) {
      std::erase_if(expected, [&](std::uint32_t i) { return !endpoints[i].local_zone; });
    }
    REQUIRE(choose(endpoints) == expected);
  }
}
