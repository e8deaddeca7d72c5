#include "lb/hash_ring.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "lb/hash.h"
#include "tests/lb/lb_test_support.h"

using namespace remora;
using namespace remora::lb;
using namespace remora::lb::test;

namespace {

using Counts = std::vector<std::uint32_t>;

Counts points_of(const Weights& weights) { return HashRing::point_counts(endpoints_of(weights)); }

}  // namespace

TEST_CASE("an endpoint has 640 points on the ring per unit of weight, up to a weight of 16") {
  CHECK(points_of({1}) == Counts{640});
  CHECK(points_of({1, 2, 16}) == Counts{640, 1'280, 10'240});
  CHECK(points_of({}).empty());
}

TEST_CASE("weights above 16 are divided by a power of two") {
  CHECK(points_of({17, 1}) == Counts{5'440, 320});
  CHECK(points_of({100, 100, 50}) == Counts{8'000, 8'000, 4'000});
  CHECK(points_of({~0U, 1}) == Counts{10'240, 1});
}

TEST_CASE("a ring has about 2^18 points at most, and every endpoint at least one") {
  const Counts many = points_of(Weights(10'000, 1));
  CHECK(std::ranges::all_of(many, [](std::uint32_t count) { return count == 26; }));
  Weights uneven(200, 16);
  uneven.push_back(1);
  const Counts counts = points_of(uneven);
  CHECK(counts.front() == 1'310);
  CHECK(counts.back() == 82);
  Weights extreme(200, ~0U);
  extreme.push_back(1);
  CHECK(points_of(extreme).back() == 1);
}

// The reference model: all points in a plain list, searched from its beginning.
TEST_CASE("a key belongs to the first point at or after it, and the circle closes") {
  Random random(17);
  for (int round = 0; round < 10; ++round) {
    const auto endpoints = endpoints_of(Weights(random.below(5) + 1, 1));
    HashRing ring;
    ring.build(endpoints);
    std::vector<std::pair<std::uint64_t, std::uint32_t>> model;
    for (std::uint32_t i = 0; i < endpoints.size(); ++i) {
      for (std::uint64_t k = 0; k < 640; ++k) model.emplace_back(hash_seeded(endpoints[i].name, k), i);
    }
    std::ranges::sort(model);
    REQUIRE(ring.size() == model.size());
    const auto check = [&](std::uint64_t key) {
      auto found =
          std::ranges::find_if(model, [&](const auto& point) { return point.first >> 32U >= key >> 32U; });
      if (found == model.end()) found = model.begin();
      const std::size_t place = ring.find(key);
      CHECK(place == static_cast<std::size_t>(found - model.begin()));
      CHECK(ring.owner(place) == found->second);
    };
    for (int i = 0; i < 500; ++i) check(random.next());
    check(0);
    check(~std::uint64_t{0});
    check(model.back().first);
    check(model.front().first);
  }
}

// Shares on a ring are random by nature: the sum of an endpoint's arcs has a beta distribution with a
// standard deviation of sqrt(s (1 - s) / points). Five of them are exceeded by one endpoint in two million.
TEST_CASE("shares on the ring are within five standard deviations of the weights") {
  std::vector<Weights> sets = {Weights(2, 1),   Weights(3, 1),   Weights(10, 1),
                               Weights(100, 1), {1, 2, 3, 4, 5}, {100, 1, 30}};
  sets.emplace_back(500, 7);
  for (const Weights& weights : sets) {
    CAPTURE(weights.size());
    HashRing ring;
    ring.build(endpoints_of(weights));
    std::vector<double> shares(weights.size());
    constexpr int kKeys = 1'000'000;
    const auto step =
        ~std::uint64_t{0} / kKeys;  // evenly spaced keys measure the arcs without sampling noise
    for (std::uint64_t i = 0; i < kKeys; ++i) shares[ring.owner(ring.find(i * step))] += 1.0 / kKeys;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double share = weights[i] / total_of(weights);
      CHECK(std::abs(shares[i] - share) <= ring_bound(share, static_cast<double>(ring.size())) + 1e-4);
    }
  }
}
