// What the balancers' tests share: sets of endpoints, many picks in one go, and bounds with their reasons.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lb/balancer.h"

namespace remora::lb::test {

struct Named {
  std::string_view name;
  Algorithm algorithm;
};

inline constexpr std::array kAll = {
    Named{"round_robin", Algorithm::kRoundRobin}, Named{"least_request", Algorithm::kLeastRequest},
    Named{"random", Algorithm::kRandom},          Named{"peak_ewma", Algorithm::kPeakEwma},
    Named{"ring_hash", Algorithm::kRingHash},     Named{"maglev", Algorithm::kMaglev},
};

inline bool is_hash(Algorithm algorithm) {
  return algorithm == Algorithm::kRingHash || algorithm == Algorithm::kMaglev;
}

using Weights = std::vector<std::uint32_t>;

inline std::vector<Endpoint> endpoints_of(const Weights& weights) {
  std::vector<Endpoint> endpoints;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    endpoints.push_back({.name = "10.1.2." + std::to_string(i) + ":8080", .weight = weights[i]});
  }
  return endpoints;
}

inline std::vector<std::uint32_t> indices(std::size_t n) {
  std::vector<std::uint32_t> all(n);
  std::iota(all.begin(), all.end(), 0U);
  return all;
}

// All but one.
inline std::vector<std::uint32_t> indices_without(std::size_t n, std::uint32_t left_out) {
  std::vector<std::uint32_t> some = indices(n);
  some.erase(some.begin() + left_out);
  return some;
}

inline std::unique_ptr<Balancer> balancer_over(const Settings& settings,
                                               const std::vector<Endpoint>& endpoints) {
  auto balancer = make_balancer(settings);
  balancer->set_endpoints(endpoints);
  balancer->set_candidates(indices(endpoints.size()));
  return balancer;
}

inline std::unique_ptr<Balancer> balancer_over(Algorithm algorithm, const Weights& weights) {
  return balancer_over({.algorithm = algorithm}, endpoints_of(weights));
}

// Picks per endpoint. Every pick has a key of its own, drawn at random, which only the two hashes look at.
inline std::vector<std::uint64_t> count_picks(Balancer& balancer, std::size_t endpoints, int picks,
                                              Random& random, const std::vector<Load>& loads = {}) {
  std::vector<std::uint64_t> counts(endpoints);
  for (int i = 0; i < picks; ++i) {
    const auto picked = balancer.pick({.loads = loads, .key = random.next()}, random);
    if (picked) ++counts[*picked];
  }
  return counts;
}

// Where each of `keys` lives.
inline std::vector<std::uint32_t> homes(Balancer& balancer, const std::vector<std::uint64_t>& keys,
                                        const std::vector<Load>& loads = {}) {
  Random random(0);
  std::vector<std::uint32_t> result;
  for (const std::uint64_t key : keys) {
    result.push_back(balancer.pick({.loads = loads, .key = key}, random).value_or(~0U));
  }
  return result;
}

// How many entries differ, of those that were not `except` before.
inline std::size_t count_moved(const std::vector<std::uint32_t>& before,
                               const std::vector<std::uint32_t>& after, std::uint32_t except = ~0U) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < before.size(); ++i)
    count += before[i] != except && before[i] != after[i] ? 1U : 0U;
  return count;
}

inline std::vector<std::uint64_t> random_keys(std::size_t n, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::uint64_t> keys(n);
  for (std::uint64_t& key : keys) key = random.next();
  return keys;
}

inline double total_of(const Weights& weights) {
  return std::accumulate(weights.begin(), weights.end(), 0.0);
}

// Five standard deviations of a share that is the sum of `points` random parts of a circle (a beta
// distribution).
inline double ring_bound(double share, double points) {
  return 5.0 * std::sqrt(share * (1.0 - share) / points);
}

// The same of a share seen in `n` independent draws (a binomial distribution).
inline double sampling_bound(double share, double n) { return 5.0 * std::sqrt(share * (1.0 - share) / n); }

// A random set of endpoints: 1 to `most`, with small weights mostly and now and then a huge one.
inline Weights random_weights(Random& random, std::uint32_t most) {
  Weights weights(random.below(most) + 1);
  const std::uint32_t kind = random.below(4);
  for (std::uint32_t& weight : weights) {
    weight = kind == 0 ? 1 : kind == 1 ? random.below(5) + 1 : random.below(100) + 1;
    if (kind == 3 && random.below(8) == 0) weight = ~0U - random.below(3);
  }
  return weights;
}

}  // namespace remora::lb::test
