// What holds for every algorithm alike.
#include "lb/balancer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "lb/hash_ring.h"
#include "tests/lb/lb_test_support.h"
#include "tests/support/alloc_count.h"

using namespace remora;
using namespace remora::lb;
using namespace remora::lb::test;
using remora::test::AllocCount;

namespace {

constexpr int kPicks = 100'000;
constexpr std::uint32_t kHuge = ~0U;

// 1 % of all picks; for the ring, whose shares are random by nature, five standard deviations of its points'
// shares on top of those of the keys (see HashRing: 640 points per unit of weight).
double allowed(Algorithm algorithm, const Weights& weights, double share) {
  if (algorithm != Algorithm::kRingHash) return 0.01;
  double points = 0.0;
  for (const std::uint32_t count : HashRing::point_counts(endpoints_of(weights))) points += count;
  const double bound = std::max(0.01, ring_bound(share, points) + sampling_bound(share, kPicks));
  REQUIRE(bound < 0.08);  // else it would show nothing
  return bound;
}

void check_weights(Algorithm algorithm, const Weights& weights, const std::vector<Load>& loads = {}) {
  Random random(42);
  const auto balancer = balancer_over(algorithm, weights);
  const auto counts = count_picks(*balancer, weights.size(), kPicks, random, loads);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    CAPTURE(i);
    const double share = weights[i] / total_of(weights);
    CHECK(std::abs(static_cast<double>(counts[i]) / kPicks - share) <= allowed(algorithm, weights, share));
  }
}

}  // namespace

TEST_CASE("every algorithm meets the weights within 1 % over 100,000 picks") {
  const std::vector<Weights> sets = {{1, 1, 1},
                                     {2, 1},
                                     {5, 1, 1},
                                     {1, 2, 3, 4},
                                     {100, 100, 100, 300},
                                     {10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
                                     {50, 30, 15, 5},
                                     {1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
                                     {1000, 1},
                                     {7, 7, 7, 13, 13, 29}};
  for (const Named& named : kAll) {
    for (const Weights& weights : sets) {
      CAPTURE(named.name);
      CAPTURE(weights.size());
      check_weights(named.algorithm, weights);
    }
  }
}

TEST_CASE("every algorithm meets the weights when all endpoints are equally loaded for their weight") {
  const Weights weights = {1, 2, 3, 4};
  std::vector<Load> loads;
  for (const std::uint32_t weight : weights)
    loads.push_back({.in_flight = 5 * weight, .latency_seconds = 0.02});
  for (const Named& named : kAll) {
    CAPTURE(named.name);
    check_weights(named.algorithm, weights, loads);
  }
}

TEST_CASE("weights up to 2^32 - 1 do not overflow") {
  for (const Named& named : kAll) {
    CAPTURE(named.name);
    check_weights(named.algorithm, {kHuge, kHuge, kHuge});
    check_weights(named.algorithm, {kHuge, kHuge / 2, 1});
    check_weights(named.algorithm, Weights(300, kHuge), std::vector<Load>(300, Load{.in_flight = kHuge - 1}));
  }
}

TEST_CASE("a weight of 0 counts as 1") {
  for (const Named& named : kAll) {
    CAPTURE(named.name);
    Random random(1);
    const auto balancer = balancer_over(named.algorithm, {0, 1});
    const auto counts = count_picks(*balancer, 2, 10'000, random);
    CHECK(counts[0] > 4'000);
    CHECK(counts[1] > 4'000);
  }
}

TEST_CASE("without endpoints or without candidates there is nothing to pick") {
  for (const Named& named : kAll) {
    CAPTURE(named.name);
    Random random(1);
    const auto balancer = make_balancer({.algorithm = named.algorithm});
    CHECK_FALSE(balancer->pick({.key = 1}, random));
    balancer->set_candidates({});
    CHECK_FALSE(balancer->pick({.key = 1}, random));
    balancer->set_endpoints({});
    CHECK_FALSE(balancer->pick({}, random));
    balancer->set_endpoints(endpoints_of({1, 1}));
    CHECK_FALSE(balancer->pick({.key = 1}, random));
    balancer->set_candidates(indices(2));
    CHECK(balancer->pick({.key = 1}, random));
    balancer->set_candidates({});
    CHECK_FALSE(balancer->pick({.key = 1}, random));
  }
}

TEST_CASE("new endpoints forget the old candidates") {
  for (const Named& named : kAll) {
    CAPTURE(named.name);
    Random random(1);
    const auto balancer = balancer_over(named.algorithm, {1, 1, 1});
    balancer->set_endpoints(endpoints_of({1}));
    CHECK_FALSE(balancer->pick({}, random));
  }
}

TEST_CASE("a single endpoint gets every request") {
  for (const Named& named : kAll) {
    CAPTURE(named.name);
    Random random(1);
    for (const std::uint32_t weight : {1U, 7U, kHuge}) {
      const auto balancer = balancer_over(named.algorithm, {weight});
      CHECK(count_picks(*balancer, 1, 1'000, random)[0] == 1'000);
    }
  }
}

TEST_CASE("only candidates are picked, and they share by their weights") {
  for (const Named& named : kAll) {
    CAPTURE(named.name);
    Random random(3);
    const auto balancer = balancer_over(named.algorithm, {5, 1, 2, 1, 5, 1});
    balancer->set_candidates(std::vector<std::uint32_t>{1, 2, 5});
    const auto counts = count_picks(*balancer, 6, kPicks, random);
    CHECK(counts[0] + counts[3] + counts[4] == 0);
    CHECK(counts[1] + counts[2] + counts[5] == kPicks);
    const double tolerance =
        named.algorithm == Algorithm::kRingHash ? 0.05 : 0.012;  // 2,560 points of the ring
    CHECK(std::abs(static_cast<double>(counts[2]) / kPicks - 0.5) < tolerance);
    CHECK(std::abs(static_cast<double>(counts[1]) / kPicks - 0.25) < tolerance);
  }
}

TEST_CASE("candidates that no endpoint has are left out") {
  for (const Named& named : kAll) {
    CAPTURE(named.name);
    Random random(3);
    const auto balancer = balancer_over(named.algorithm, {1, 1});
    balancer->set_candidates(std::vector<std::uint32_t>{1, 2, 77});
    for (int i = 0; i < 100; ++i) CHECK(balancer->pick({.key = random.next()}, random) == 1U);
  }
}

TEST_CASE("a tried endpoint is not picked again, and the others share by their weights") {
  const Weights weights = {4, 3, 2, 1};
  for (const Named& named : kAll) {
    CAPTURE(named.name);
    Random random(5);
    const auto balancer = balancer_over(named.algorithm, weights);
    for (std::uint32_t gone = 0; gone < 4; ++gone) {
      const std::vector<std::uint32_t> tried = {gone};
      std::vector<double> counts(4);
      for (int i = 0; i < 20'000; ++i) {
        counts[balancer->pick({.key = random.next(), .tried = tried}, random).value()] += 1.0 / 20'000;
      }
      CHECK(counts[gone] == 0.0);
      for (std::size_t i = 0; i < 4; ++i) {
        if (i == gone) continue;
        CHECK(std::abs(counts[i] - weights[i] / (10.0 - weights[gone])) < 0.05);
      }
    }
  }
}

TEST_CASE("retries reach every candidate once, and then there is none left") {
  for (const Named& named : kAll) {
    CAPTURE(named.name);
    Random random(7);
    for (const Weights& weights : {Weights{1, 1, 1}, Weights{kHuge, 1, 1}, Weights{1, kHuge, kHuge, 2, 3}}) {
      const auto balancer = balancer_over(named.algorithm, weights);
      for (int round = 0; round < 50; ++round) {
        const std::uint64_t key = random.next();
        std::vector<std::uint32_t> tried;
        for (std::size_t i = 0; i < weights.size(); ++i) {
          const auto picked = balancer->pick({.key = key, .tried = tried}, random);
          REQUIRE(picked.has_value());
          REQUIRE(std::ranges::find(tried, *picked) == tried.end());
          tried.push_back(*picked);
        }
        CHECK_FALSE(balancer->pick({.key = key, .tried = tried}, random));
        CHECK_FALSE(balancer->pick({.tried = tried}, random));
      }
    }
  }
}

TEST_CASE("tried may name an endpoint twice, or one that is no candidate or does not exist") {
  for (const Named& named : kAll) {
    CAPTURE(named.name);
    Random random(9);
    const auto balancer = balancer_over(named.algorithm, {1, 1, 1});
    balancer->set_candidates(std::vector<std::uint32_t>{0, 1});
    const std::vector<std::uint32_t> tried = {0, 0, 2, 99};
    for (int i = 0; i < 100; ++i) CHECK(balancer->pick({.key = random.next(), .tried = tried}, random) == 1U);
  }
}

TEST_CASE("a pick allocates nothing") {
  const AllocCount self_test;
  ::operator delete(::operator new(100));  // called directly, so that no compiler leaves it out
  const auto seen = self_test.news();
  REQUIRE(seen >= 1);  // else the count is not linked in, and the rest of this test shows nothing

  for (const Named& named : kAll) {
    for (const double bounded_load : {0.0, 1.25}) {
      CAPTURE(named.name);
      Random random(11);
      Weights weights;
      for (std::uint32_t i = 0; i < 200; ++i) weights.push_back(i % 50 + 1);
      const auto balancer =
          balancer_over({.algorithm = named.algorithm, .bounded_load = bounded_load}, endpoints_of(weights));
      std::vector<Load> loads(200);
      const std::vector<std::uint32_t> one = {17};
      const std::vector<std::uint32_t> all = indices(200);
      std::uint64_t picked = 0;
      const AllocCount count;
      for (int i = 0; i < 20'000; ++i) {
        const auto tried = i % 100 == 0 ? std::span(all)
                           : i % 3 == 0 ? std::span(one)
                                        : std::span<const std::uint32_t>();
        const auto key = i % 2 == 0 ? std::optional(random.next()) : std::nullopt;
        const auto index = balancer->pick({.loads = loads, .key = key, .tried = tried}, random);
        if (!index) continue;
        ++picked;
        ++loads[*index].in_flight;
      }
      const auto news = count.news();
      CHECK(news == 0);
      CHECK(picked == 19'800);
    }
  }
}

TEST_CASE("the same seed gives the same picks") {
  for (const Named& named : kAll) {
    CAPTURE(named.name);
    std::vector<std::uint32_t> first;
    for (int run = 0; run < 2; ++run) {
      Random random(13);
      const auto balancer = balancer_over(named.algorithm, {3, 1, 4, 1, 5});
      std::vector<std::uint32_t> picks;
      for (int i = 0; i < 500; ++i) picks.push_back(balancer->pick({.key = random.next()}, random).value());
      if (run == 0) first = picks;
      CHECK(picks == first);
    }
  }
}

// The reference model: the set of endpoints that may be picked, by definition.
TEST_CASE("with any endpoints, candidates, loads and tried ones, exactly the allowed are picked") {
  Random random(2026);
  for (int round = 0; round < 300; ++round) {
    const Named& named = kAll[random.below(kAll.size())];
    CAPTURE(round);
    CAPTURE(named.name);
    const Weights weights = random_weights(random, 40);
    const auto n = static_cast<std::uint32_t>(weights.size());
    const double bounded = random.below(2) == 0 ? 0.0 : 1.0 + random.unit();
    const auto balancer =
        balancer_over({.algorithm = named.algorithm, .bounded_load = bounded}, endpoints_of(weights));
    std::vector<Load> loads(n);
    for (int change = 0; change < 5; ++change) {
      std::set<std::uint32_t> model;
      for (std::uint32_t i = 0; i < n; ++i) {
        if (random.below(3) != 0) model.insert(i);
      }
      balancer->set_candidates(std::vector(model.begin(), model.end()));
      for (int i = 0; i < 30; ++i) {
        std::vector<std::uint32_t> tried;
        for (std::uint32_t k = random.below(4); k > 0; --k) tried.push_back(random.below(n));
        std::set<std::uint32_t> left = model;
        for (const std::uint32_t gone : tried) left.erase(gone);
        const auto key = random.below(2) == 0 ? std::nullopt : std::optional(random.next());
        const auto picked = balancer->pick({.loads = loads, .key = key, .tried = tried}, random);
        REQUIRE(picked.has_value() == !left.empty());
        if (!picked) continue;
        REQUIRE(left.contains(*picked));
        ++loads[*picked].in_flight;
        loads[*picked].latency_seconds = random.unit();
      }
    }
  }
}
