// Where keys live, and when they move.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "lb/hash_ring.h"
#include "lb/maglev_table.h"
#include "tests/lb/lb_test_support.h"

using namespace remora;
using namespace remora::lb;
using namespace remora::lb::test;

namespace {

constexpr std::array kHashes = {Named{"ring_hash", Algorithm::kRingHash},
                                Named{"maglev", Algorithm::kMaglev}};
constexpr std::size_t kKeys = 20'000;

// The part of the keys that live elsewhere after `gone` has left the set, and the part that `gone` had.
struct Moved {
  double all = 0.0;
  double own = 0.0;
};

Moved moved_by_removal(Algorithm algorithm, const std::vector<Endpoint>& endpoints, std::uint32_t gone,
                       const std::vector<std::uint64_t>& keys) {
  auto rest = endpoints;
  rest.erase(rest.begin() + gone);
  const auto before = homes(*balancer_over({.algorithm = algorithm}, endpoints), keys);
  const auto after = homes(*balancer_over({.algorithm = algorithm}, rest), keys);
  Moved moved;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (endpoints[before[i]].name != rest[after[i]].name) moved.all += 1.0 / static_cast<double>(keys.size());
    if (before[i] == gone) moved.own += 1.0 / static_cast<double>(keys.size());
  }
  return moved;
}

}  // namespace

TEST_CASE("a key always lives in the same place") {
  for (const Named& named : kHashes) {
    CAPTURE(named.name);
    const auto keys = random_keys(1'000, 1);
    const auto balancer = balancer_over(named.algorithm, {1, 2, 3});
    const auto first = homes(*balancer, keys);
    CHECK(homes(*balancer, keys) == first);
    CHECK(homes(*balancer_over(named.algorithm, {1, 2, 3}), keys) == first);
  }
}

TEST_CASE("the order in which endpoints are named does not matter") {
  for (const Named& named : kHashes) {
    CAPTURE(named.name);
    const auto keys = random_keys(kKeys, 2);
    auto endpoints = endpoints_of({1, 2, 3, 4, 5, 6, 7});
    const auto first = homes(*balancer_over({.algorithm = named.algorithm}, endpoints), keys);
    auto shuffled = endpoints;
    std::ranges::reverse(shuffled);
    std::ranges::rotate(shuffled, shuffled.begin() + 3);
    const auto second = homes(*balancer_over({.algorithm = named.algorithm}, shuffled), keys);
    std::size_t different = 0;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      different += endpoints[first[i]].name != shuffled[second[i]].name ? 1U : 0U;
    }
    CHECK(different == 0);
  }
}

TEST_CASE("removing one of N endpoints from a ring moves its own keys only, at most 1/N + 5 %") {
  const auto keys = random_keys(kKeys, 3);
  for (const std::size_t n : {2U, 3U, 5U, 10U, 30U, 100U}) {
    const auto endpoints = endpoints_of(Weights(n, 1));
    for (std::uint32_t gone = 0; gone < std::min<std::size_t>(n, 10); ++gone) {
      CAPTURE(n);
      CAPTURE(gone);
      const Moved moved = moved_by_removal(Algorithm::kRingHash, endpoints, gone, keys);
      CHECK(moved.all <= 1.0 / static_cast<double>(n) + 0.05);
      CHECK(moved.all == doctest::Approx(moved.own));
    }
  }
}

TEST_CASE("removing one of many from a ring that is scaled down moves at most 1/N + 5 %") {
  const auto keys = random_keys(kKeys, 3);
  for (const std::size_t n : {26U, 40U, 150U}) {
    for (const std::uint32_t gone : {0U, 7U, 25U}) {
      const Moved moved = moved_by_removal(Algorithm::kRingHash, endpoints_of(Weights(n, 16)), gone, keys);
      CHECK(moved.all <= 1.0 / static_cast<double>(n) + 0.05);
    }
  }
}

TEST_CASE("adding an endpoint to a ring moves keys to it and nowhere else") {
  const auto keys = random_keys(kKeys, 4);
  const auto endpoints = endpoints_of({3, 1, 4, 1, 5});
  auto fewer = endpoints;
  fewer.pop_back();
  const auto before = homes(*balancer_over({.algorithm = Algorithm::kRingHash}, fewer), keys);
  const auto after = homes(*balancer_over({.algorithm = Algorithm::kRingHash}, endpoints), keys);
  for (std::uint32_t i = 0; i < 4; ++i) CHECK(std::ranges::count(after, i) < std::ranges::count(before, i));
  // Seen from the larger set it is a removal: whatever did not live at the new endpoint is where it was.
  CHECK(count_moved(after, before, 4) == 0);
}

// Envoy's documentation (load balancers, Maglev) says that on removal approximately twice as many keys move
// as must.
TEST_CASE("removing one of N endpoints from a Maglev table moves at most twice the keys that must move") {
  const auto keys = random_keys(kKeys, 5);
  for (const std::size_t n : {2U, 3U, 5U, 10U, 30U, 100U}) {
    const auto endpoints = endpoints_of(Weights(n, 1));
    for (std::uint32_t gone = 0; gone < std::min<std::size_t>(n, 10); ++gone) {
      CAPTURE(n);
      CAPTURE(gone);
      const Moved moved = moved_by_removal(Algorithm::kMaglev, endpoints, gone, keys);
      CHECK(moved.all >= moved.own);
      CHECK(moved.all <= 2.0 / static_cast<double>(n));
    }
  }
}

TEST_CASE("when an endpoint becomes unavailable only its own keys move, and all return with it") {
  const auto keys = random_keys(kKeys, 6);
  for (const Named& named : kHashes) {
    CAPTURE(named.name);
    const Weights weights = {3, 1, 2, 2, 5, 1, 1, 9};
    const auto balancer = balancer_over(named.algorithm, weights);
    const auto before = homes(*balancer, keys);
    for (std::uint32_t gone = 0; gone < weights.size(); ++gone) {
      balancer->set_candidates(indices_without(weights.size(), gone));
      const auto without = homes(*balancer, keys);
      CHECK(count_moved(before, without, gone) == 0);
      std::set<std::uint32_t> heirs;
      for (std::size_t i = 0; i < keys.size(); ++i) {
        if (before[i] == gone) heirs.insert(without[i]);
      }
      CHECK(heirs.size() == weights.size() - 1);  // they do not all fall upon one neighbour
      CHECK_FALSE(heirs.contains(gone));
    }
    balancer->set_candidates(indices(weights.size()));
    CHECK(homes(*balancer, keys) == before);
  }
}

TEST_CASE("with nearly all endpoints unavailable still only the keys of those that go or come move") {
  const auto keys = random_keys(2'000, 7);
  constexpr std::size_t kEndpoints = 1'000;
  for (const Named& named : kHashes) {
    CAPTURE(named.name);
    const auto balancer = balancer_over(named.algorithm, Weights(kEndpoints, 1));
    std::vector<std::uint32_t> candidates = {5, 100, 300, 301, 700, 901};
    balancer->set_candidates(candidates);
    auto before = homes(*balancer, keys);
    for (const std::uint32_t candidate : candidates) {
      const auto count = static_cast<double>(std::ranges::count(before, candidate));
      CHECK(std::abs(count / 2'000 - 1.0 / 6.0) < 0.06);
    }
    while (candidates.size() > 1) {
      const std::uint32_t gone = candidates[candidates.size() / 2];
      std::erase(candidates, gone);
      balancer->set_candidates(candidates);
      const auto after = homes(*balancer, keys);
      CHECK(std::ranges::count(after, gone) == 0);
      CHECK(count_moved(before, after, gone) == 0);
      before = after;
    }
  }
}

TEST_CASE("a retry of a key goes to the same next endpoint every time") {
  for (const Named& named : kHashes) {
    CAPTURE(named.name);
    Random random(8);
    const auto balancer = balancer_over(named.algorithm, {1, 1, 1, 1});
    for (int i = 0; i < 100; ++i) {
      const std::uint64_t key = random.next();
      const std::vector<std::uint32_t> tried = {balancer->pick({.key = key}, random).value()};
      const auto next = balancer->pick({.key = key, .tried = tried}, random);
      balancer->set_candidates(indices_without(4, tried[0]));
      CHECK(balancer->pick({.key = key}, random) == next);
      balancer->set_candidates(indices(4));
    }
  }
}

TEST_CASE("requests without a key are spread at random, exactly by weight") {
  const Weights weights = {1, 2, 3, 4};
  for (const Named& named : kHashes) {
    CAPTURE(named.name);
    Random random(9);
    const auto balancer = balancer_over(named.algorithm, weights);
    std::vector<double> shares(4);
    for (int i = 0; i < 100'000; ++i) shares[balancer->pick({}, random).value()] += 1e-5;
    for (std::size_t i = 0; i < 4; ++i) CHECK(std::abs(shares[i] - weights[i] / 10.0) < 0.01);
  }
}

// At every moment of a simulation in which keys are anything but uniform, no endpoint that has just got a
// request has more than the factor times its share of all, rounded up.
TEST_CASE("bounded load is never exceeded") {
  Random random(10);
  for (const Named& named : kHashes) {
    for (const double factor : {1.01, 1.25, 2.0}) {
      for (const bool told : {false, true}) {
        CAPTURE(named.name);
        CAPTURE(factor);
        const Weights weights = {1, 2, 1, 4, 1, 1, 3, 1};
        const auto balancer =
            balancer_over({.algorithm = named.algorithm, .bounded_load = factor}, endpoints_of(weights));
        std::vector<Load> loads(weights.size());
        std::vector<std::uint32_t> in_flight;
        const auto keys = random_keys(5, 11);
        for (int i = 0; i < 5'000; ++i) {
          if (!in_flight.empty() && random.below(100) < (i < 2'500 ? 60U : 98U)) {
            const auto done = random.below(static_cast<std::uint32_t>(in_flight.size()));
            --loads[in_flight[done]].in_flight;
            in_flight[done] = in_flight.back();
            in_flight.pop_back();
          }
          const auto total = told ? std::optional<std::uint64_t>(in_flight.size()) : std::nullopt;
          const auto key = random.below(10) == 0 ? std::nullopt : std::optional(keys[random.below(5)]);
          const auto picked = balancer->pick({.loads = loads, .key = key, .total_in_flight = total}, random);
          if (!picked) FAIL("nothing picked");
          in_flight.push_back(*picked);
          ++loads[*picked].in_flight;
          const double share = weights[*picked] / total_of(weights);
          const double bound = std::ceil(factor * static_cast<double>(in_flight.size()) * share - 1e-9);
          if (loads[*picked].in_flight > bound) FAIL("over the bound in step ", i);
        }
      }
    }
  }
}

TEST_CASE("bounded load moves a hot key only when its endpoint is full, and always to the same next one") {
  for (const Named& named : kHashes) {
    CAPTURE(named.name);
    Random random(12);
    const auto balancer =
        balancer_over({.algorithm = named.algorithm, .bounded_load = 1.5}, endpoints_of({1, 1, 1, 1}));
    const auto plain = balancer_over(named.algorithm, {1, 1, 1, 1});
    std::vector<Load> loads(4, Load{.in_flight = 4});
    const std::uint64_t key = random.next();
    const std::uint32_t home = plain->pick({.key = key}, random).value();
    const std::vector<std::uint32_t> tried = {home};
    const std::uint32_t next = plain->pick({.key = key, .tried = tried}, random).value();
    CHECK(balancer->pick({.loads = loads, .key = key}, random) == home);
    loads[home].in_flight = 6;  // 19 with the new one, times 1.5 over 4 is 7.1
    CHECK(balancer->pick({.loads = loads, .key = key}, random) == home);
    loads[home].in_flight = 12;  // 25 with the new one: 9.4
    CHECK(balancer->pick({.loads = loads, .key = key}, random) == next);
    loads.assign(4, Load{.in_flight = 1});
    loads[home].in_flight = 2;  // 6 with the new one: 2.25; without it there would be no room
    CHECK(balancer->pick({.loads = loads, .key = key}, random) == home);
  }
}

TEST_CASE("two candidates among thousands share the keys by their weights") {
  constexpr std::size_t kEndpoints = 3'000;
  constexpr std::size_t kSample = 4'000;
  const auto keys = random_keys(kSample, 14);
  Weights weights(kEndpoints, 1);
  weights[1] = 3;
  for (const Named& named : kHashes) {
    CAPTURE(named.name);
    const auto balancer = balancer_over(named.algorithm, weights);
    balancer->set_candidates(indices(2));
    const auto all = homes(*balancer, keys);
    const double share = static_cast<double>(std::ranges::count(all, 1U)) / kSample;
    CHECK(std::abs(share - 0.75) <= sampling_bound(0.75, kSample));
  }
}

TEST_CASE("when those with room have been tried the bound gives way") {
  for (const Named& named : kHashes) {
    CAPTURE(named.name);
    Random random(13);
    const auto balancer =
        balancer_over({.algorithm = named.algorithm, .bounded_load = 1.1}, endpoints_of({1, 1}));
    const std::vector<Load> loads = {{.in_flight = 10}, {.in_flight = 0}};
    const std::vector<std::uint32_t> tried = {1};
    for (int i = 0; i < 20; ++i) {
      CHECK(balancer->pick({.loads = loads, .key = random.next()}, random) == 1U);
      CHECK(balancer->pick({.loads = loads, .key = random.next(), .tried = tried}, random) == 0U);
      CHECK(balancer->pick({.loads = loads, .tried = tried}, random) == 0U);
    }
  }
}
