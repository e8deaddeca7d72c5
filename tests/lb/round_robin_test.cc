#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tests/lb/lb_test_support.h"

using namespace remora;
using namespace remora::lb;
using namespace remora::lb::test;

namespace {

// nginx's smooth weighted round robin, literally: O(n) per pick.
class SmoothModel {
 public:
  explicit SmoothModel(const Weights& weights) : weights_(weights), current_(weights.size()) {}

  std::uint32_t pick() {
    std::size_t best = 0;
    std::int64_t total = 0;
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      current_[i] += weights_[i];
      total += weights_[i];
      if (current_[i] > current_[best]) best = i;
    }
    current_[best] -= total;
    return static_cast<std::uint32_t>(best);
  }

 private:
  Weights weights_;
  std::vector<std::int64_t> current_;
};

std::vector<std::uint32_t> sequence(Balancer& balancer, std::size_t length, std::uint64_t seed = 1) {
  Random random(seed);
  std::vector<std::uint32_t> picks;
  for (std::size_t i = 0; i < length; ++i) picks.push_back(balancer.pick({}, random).value());
  return picks;
}

std::vector<std::uint32_t> sequence(SmoothModel& model, std::size_t length) {
  std::vector<std::uint32_t> picks;
  for (std::size_t i = 0; i < length; ++i) picks.push_back(model.pick());
  return picks;
}

// The longest stretch of picks that all go to `endpoint`.
std::size_t longest_run(const std::vector<std::uint32_t>& picks, std::uint32_t endpoint) {
  std::size_t longest = 0;
  std::size_t run = 0;
  for (const std::uint32_t pick : picks) {
    run = pick == endpoint ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return longest;
}

// The most that any endpoint was ahead of or behind its exact share, after any number of picks.
double largest_deviation(const std::vector<std::uint32_t>& picks, const Weights& weights) {
  std::vector<double> counts(weights.size());
  double largest = 0.0;
  for (std::size_t t = 0; t < picks.size(); ++t) {
    ++counts[picks[t]];
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double due = static_cast<double>(t + 1) * weights[i] / total_of(weights);
      largest = std::max(largest, std::abs(counts[i] - due));
    }
  }
  return largest;
}

}  // namespace

TEST_CASE("round robin with weights 2 and 1 interleaves them") {
  const auto balancer = balancer_over(Algorithm::kRoundRobin, {2, 1});
  CHECK(sequence(*balancer, 9) == std::vector<std::uint32_t>{0, 1, 0, 0, 1, 0, 0, 1, 0});
}

TEST_CASE("round robin with weights 5, 1, 1 spreads the light ones among the heavy one's turns") {
  const auto balancer = balancer_over(Algorithm::kRoundRobin, {5, 1, 1});
  const auto picks = sequence(*balancer, 7'000);
  CHECK(longest_run(picks, 0) <= 4);
  for (std::size_t i = 0; i + 7 <= picks.size(); i += 7) {
    CHECK(std::count(picks.begin() + static_cast<std::ptrdiff_t>(i),
                     picks.begin() + static_cast<std::ptrdiff_t>(i) + 7, 0U) == 5);
  }
}

TEST_CASE("round robin with one heavy and many light endpoints alternates between them") {
  Weights weights(51, 1);
  weights[0] = 50;
  const auto balancer = balancer_over(Algorithm::kRoundRobin, weights);
  CHECK(longest_run(sequence(*balancer, 10'000), 0) <= 2);
}

TEST_CASE("equal endpoints take turns in order") {
  const auto balancer = balancer_over(Algorithm::kRoundRobin, {1, 1, 1, 1, 1});
  const auto picks = sequence(*balancer, 50);
  for (std::size_t i = 1; i < picks.size(); ++i) CHECK(picks[i] == (picks[i - 1] + 1) % 5);
}

TEST_CASE("instances with different random numbers start with different endpoints") {
  std::set<std::uint32_t> starts;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    starts.insert(sequence(*balancer_over(Algorithm::kRoundRobin, Weights(10, 1)), 1, seed)[0]);
  }
  CHECK(starts.size() == 10);
}

TEST_CASE("after any number of picks every endpoint has had its share to within one pick") {
  Random random(5);
  for (int round = 0; round < 60; ++round) {
    Weights weights = random_weights(random, 30);
    if (round == 0) weights = {50, 30, 15, 5};
    const auto balancer = balancer_over(Algorithm::kRoundRobin, weights);
    CAPTURE(round);
    CAPTURE(weights.size());
    // The theorem's bound, 1 - 1/(2n - 2), and what the rounding of doubles may add.
    const double n = static_cast<double>(weights.size());
    const double bound = n > 1 ? 1.0 - 1.0 / (2.0 * n - 2.0) : 0.0;
    CHECK(largest_deviation(sequence(*balancer, 5'000, random.next()), weights) <= bound + 1e-4);
  }
}

TEST_CASE("round robin is at least as smooth as nginx's") {
  Random random(6);
  for (int round = 0; round < 60; ++round) {
    Weights weights(random.below(15) + 2);
    for (std::uint32_t& weight : weights)
      weight = random.below(3) == 0 ? random.below(40) + 1 : random.below(4) + 1;
    CAPTURE(round);
    const auto balancer = balancer_over(Algorithm::kRoundRobin, weights);
    SmoothModel model(weights);
    const auto ours = sequence(*balancer, 5'000);
    const auto theirs = sequence(model, 5'000);
    CHECK(largest_deviation(ours, weights) <= std::max(largest_deviation(theirs, weights), 1.0));
    const auto heaviest = static_cast<std::uint32_t>(std::ranges::max_element(weights) - weights.begin());
    // A stretch of picks holds at most its share and twice the deviation of one.
    CHECK(longest_run(ours, heaviest) <= longest_run(theirs, heaviest) + 1);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const auto count = [&](const std::vector<std::uint32_t>& picks) {
        return static_cast<double>(std::ranges::count(picks, static_cast<std::uint32_t>(i)));
      };
      CHECK(std::abs(count(ours) - count(theirs)) <= 2.0);
    }
  }
}

TEST_CASE("1,000 different weights are met exactly after every full cycle") {
  Weights weights;
  for (std::uint32_t i = 1; i <= 1'000; ++i) weights.push_back(i);
  const auto balancer = balancer_over(Algorithm::kRoundRobin, weights);
  Random random(1);
  const auto counts = count_picks(*balancer, weights.size(), 500'500, random);
  for (std::size_t i = 0; i < weights.size(); ++i) CHECK(counts[i] == weights[i]);
}

TEST_CASE("round robin keeps its shares over millions of picks") {
  const Weights weights = {3, 2, 7, 1};
  const auto balancer = balancer_over(Algorithm::kRoundRobin, weights);
  Random random(1);
  std::vector<std::uint64_t> counts(4);
  for (int i = 0; i < 2'200'009; ++i)
    ++counts[balancer->pick({}, random).value()];  // beyond two restarts of the steps
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(std::abs(static_cast<double>(counts[i]) - 2'200'009.0 * weights[i] / 13.0) <= 2.0);
  }
}

TEST_CASE("while an endpoint comes and goes every few picks, everyone has the share that is due") {
  const Weights weights = {4, 2, 1, 1};
  for (std::uint32_t flapping = 0; flapping < 4; ++flapping) {
    CAPTURE(flapping);
    const auto balancer = balancer_over(Algorithm::kRoundRobin, weights);
    Random random(1);
    std::vector<double> counts(4);
    std::vector<double> due(4);
    bool present = true;
    for (int i = 0; i < 60'000; ++i) {
      if (random.below(10) == 0) {
        present = !present;
        balancer->set_candidates(present ? indices(4) : indices_without(4, flapping));
      }
      ++counts[balancer->pick({}, random).value()];
      for (std::uint32_t k = 0; k < 4; ++k) {
        if (present || k != flapping) due[k] += weights[k] / (present ? 8.0 : 8.0 - weights[flapping]);
      }
    }
    for (std::uint32_t i = 0; i < 4; ++i) CHECK(std::abs(counts[i] - due[i]) < 0.02 * 60'000);
  }
}

TEST_CASE("an endpoint that returns does not catch up on what it missed") {
  const auto balancer = balancer_over(Algorithm::kRoundRobin, {3, 2, 1});
  sequence(*balancer, 100);
  balancer->set_candidates(indices_without(3, 0));
  sequence(*balancer, 10'000);
  balancer->set_candidates(indices(3));
  const auto picks = sequence(*balancer, 600);
  CHECK(longest_run(picks, 0) <= 3);
  CHECK(std::abs(static_cast<double>(std::ranges::count(picks, 0U)) - 300.0) <= 2.0);
}

TEST_CASE("a turn that falls to a tried endpoint stays its own") {
  const auto balancer = balancer_over(Algorithm::kRoundRobin, {1, 1});
  Random random(1);
  const std::uint32_t first = balancer->pick({}, random).value();
  const std::vector<std::uint32_t> tried = {1 - first};
  CHECK(balancer->pick({.tried = tried}, random) == first);
  CHECK(balancer->pick({}, random) == 1 - first);
  CHECK(balancer->pick({}, random) == first);
}
