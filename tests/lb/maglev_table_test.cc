#include "lb/maglev_table.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "lb/hash.h"
#include "tests/lb/lb_test_support.h"

using namespace remora;
using namespace remora::lb;
using namespace remora::lb::test;

namespace {

std::vector<double> slots_of(const MaglevTable& table, std::size_t endpoints) {
  std::vector<double> slots(endpoints);
  for (std::size_t slot = 0; slot < table.size(); ++slot) ++slots[table.owner(slot)];
  return slots;
}

}  // namespace

TEST_CASE("a Maglev table without endpoints is empty") {
  MaglevTable table;
  table.build({});
  CHECK(table.size() == 0);
}

TEST_CASE("equal endpoints have the same number of Maglev slots, give or take one") {
  for (const std::size_t n : {1U, 2U, 3U, 10U, 100U, 1'000U, 65'537U}) {
    CAPTURE(n);
    MaglevTable table;
    table.build(endpoints_of(Weights(n, 5)));
    REQUIRE(table.size() == MaglevTable::kSlots);
    const auto [least, most] = std::ranges::minmax(slots_of(table, n));
    CHECK(most - least <= 1.0);
    CHECK(least >= 1.0);
  }
}

// Everyone has a turn in the first round and then turns in proportion to weight, so k = round * w / heaviest,
// rounded up. Summed over all n that is the table's size, hence the bounds in the header.
TEST_CASE("Maglev slots follow the weights within the stated bounds") {
  Random random(23);
  for (int round = 0; round < 40; ++round) {
    const Weights weights = random_weights(random, 200);
    CAPTURE(round);
    MaglevTable table;
    table.build(endpoints_of(weights));
    const auto slots = slots_of(table, weights.size());
    const double n = static_cast<double>(weights.size());
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double share = weights[i] / total_of(weights);
      CHECK(slots[i] <= share * MaglevTable::kSlots + 2.0);
      CHECK(slots[i] >= share * MaglevTable::kSlots - share * n - 1.0);
    }
  }
}

TEST_CASE("with more endpoints than slots a Maglev table is still full") {
  MaglevTable table;
  table.build(endpoints_of(Weights(70'000, 1)));
  const auto slots = slots_of(table, 70'000);
  CHECK(std::ranges::count(slots, 1.0) == MaglevTable::kSlots);
}

TEST_CASE("who comes first by name has the slot that its name wants most") {
  for (int round = 0; round < 20; ++round) {
    const std::string first = "a" + std::to_string(round);
    const std::string second = "b" + std::to_string(round);
    MaglevTable table;
    table.build(std::vector<Endpoint>{{.name = second}, {.name = first}});
    CHECK(table.owner(hash_seeded(first, 0) % MaglevTable::kSlots) == 1);
  }
}

TEST_CASE("every slot can be reached by a key") {
  MaglevTable table;
  table.build(endpoints_of({1}));
  CHECK(table.find(0) == 0);
  CHECK(table.find(~std::uint64_t{0}) == MaglevTable::kSlots - 1);
}
