#include "lb/alias_table.h"

#include <doctest/doctest.h>

#include "tests/lb/lb_test_support.h"

using namespace remora;
using namespace remora::lb;
using namespace remora::lb::test;

namespace {

std::vector<double> draw_shares(const Candidates& candidates, std::size_t endpoints, int draws,
                                Random& random) {
  AliasTable table;
  table.build(candidates);
  std::vector<double> shares(endpoints);
  for (int i = 0; i < draws; ++i) shares[table.draw(random)] += 1.0 / draws;
  return shares;
}

}  // namespace

TEST_CASE("weighted draws meet any weights of any candidates") {
  Random random(31);
  for (int round = 0; round < 60; ++round) {
    const Weights weights = random_weights(random, 60);
    Candidates candidates;
    candidates.set_endpoints(endpoints_of(weights));
    std::vector<std::uint32_t> some;
    double total = 0.0;
    for (std::uint32_t i = 0; i < weights.size(); ++i) {
      if (i > 0 && random.below(4) == 0) continue;
      some.push_back(i);
      total += weights[i];
    }
    candidates.set(some);
    CHECK(candidates.total_weight() == static_cast<std::uint64_t>(total));
    constexpr int kDrawn = 50'000;
    const auto shares = draw_shares(candidates, weights.size(), kDrawn, random);
    for (std::uint32_t i = 0; i < weights.size(); ++i) {
      const double share = candidates.contains(i) ? weights[i] / total : 0.0;
      CHECK(std::abs(shares[i] - share) <= sampling_bound(share, kDrawn) + 1.0 / kDrawn);
    }
  }
}

TEST_CASE("the scan that draws among the untried meets their weights") {
  Random random(32);
  const Weights weights = {1'000'000, 5, 3, 2};
  Candidates candidates;
  candidates.set_endpoints(endpoints_of(weights));
  candidates.set(indices(4));
  const std::vector<std::uint32_t> tried = {0};
  std::vector<double> shares(4);
  for (int i = 0; i < 50'000; ++i) shares[candidates.draw_untried(tried, random).value()] += 1.0 / 50'000;
  CHECK(shares[0] == 0.0);
  CHECK(std::abs(shares[1] - 0.5) < 0.012);
  CHECK(std::abs(shares[2] - 0.3) < 0.012);
  CHECK(std::abs(shares[3] - 0.2) < 0.012);
  CHECK_FALSE(candidates.draw_untried(indices(4), random));
}
