// Nanoseconds per pick of every balancing algorithm with 10, 1,000 and 10,000 endpoints.
//
//   bench_micro_lb [--check]     --check: exit status 1 if any pick with 1,000 endpoints takes 100 ns or more
//
// Three sets of weights: all 1; 1 to 10 in turn; and all different, which is the worst for round robin. Each
// number is the best of several rounds: what the code costs, not what the machine's other work adds. Picks
// run over loads that change (every pick is in flight until 64 more have been made) and over keys without a
// pattern.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "lb/balancer.h"

namespace {

using namespace remora;
using namespace remora::lb;

constexpr int kRounds = 7;
constexpr std::uint32_t kPicks = 200'000;
constexpr std::size_t kInFlight = 64;
constexpr double kLimit = 100.0;  // ns per pick with 1,000 endpoints

struct Subject {
  const char* name;
  Settings settings;
};

const std::array kSubjects = {
    Subject{.name = "round_robin", .settings = {.algorithm = Algorithm::kRoundRobin}},
    Subject{.name = "least_request", .settings = {.algorithm = Algorithm::kLeastRequest}},
    Subject{.name = "random", .settings = {.algorithm = Algorithm::kRandom}},
    Subject{.name = "peak_ewma", .settings = {.algorithm = Algorithm::kPeakEwma}},
    Subject{.name = "ring_hash", .settings = {.algorithm = Algorithm::kRingHash}},
    Subject{.name = "ring_hash, bounded",
            .settings = {.algorithm = Algorithm::kRingHash, .bounded_load = 1.25}},
    Subject{.name = "maglev", .settings = {.algorithm = Algorithm::kMaglev}},
    Subject{.name = "maglev, bounded", .settings = {.algorithm = Algorithm::kMaglev, .bounded_load = 1.25}},
};

enum class Weights : std::uint8_t { kEqual, kOneToTen, kDifferent };
constexpr std::array kWeights = {Weights::kEqual, Weights::kOneToTen, Weights::kDifferent};
constexpr std::array kWeightNames = {"1", "1..10", "1..n"};
constexpr std::array kSizes = {10U, 1'000U, 10'000U};

std::vector<Endpoint> make_endpoints(std::uint32_t n, Weights weights) {
  std::vector<Endpoint> endpoints;
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::uint32_t weight = weights == Weights::kEqual      ? 1
                                 : weights == Weights::kOneToTen ? i % 10 + 1
                                                                 : i + 1;
    endpoints.push_back({.name = "10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ":8080",
                         .weight = weight});
  }
  return endpoints;
}

// CPU time of this process, in nanoseconds: what other processes take of the machine does not count.
double cpu_nanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// One round: keys are prepared, so that only picking and the keeping of loads is measured.
double round_of_picks(Balancer& balancer, std::vector<Load>& loads, Random& random,
                      const std::vector<std::uint64_t>& keys) {
  std::array<std::uint32_t, kInFlight> in_flight{};
  const TimePoint now{1h};
  std::uint64_t total = 0;
  for (Load& load : loads) load.in_flight = 0;
  const double start = cpu_nanoseconds();
  for (std::uint32_t i = 0; i < kPicks; ++i) {
    std::uint32_t& slot = in_flight[i % kInFlight];
    if (i >= kInFlight) {
      --loads[slot].in_flight;
      --total;
    }
    const auto picked =
        balancer.pick({.loads = loads, .key = keys[i], .now = now, .total_in_flight = total}, random);
    slot = *picked;
    ++loads[slot].in_flight;
    ++total;
  }
  return (cpu_nanoseconds() - start) / kPicks;
}

struct Measured {
  double pick_ns;
  double build_ms;  // set_endpoints and set_candidates
};

Measured measure(const Subject& subject, std::uint32_t n, Weights weights) {
  const std::vector<Endpoint> endpoints = make_endpoints(n, weights);
  std::vector<std::uint32_t> candidates(n);
  for (std::uint32_t i = 0; i < n; ++i) candidates[i] = i;
  Random random(1);
  std::vector<Load> loads(n);
  for (Load& load : loads)
    load = {.latency_seconds = 0.001 + random.unit() * 0.01, .latency_at = TimePoint{1h - 1s}};
  std::vector<std::uint64_t> keys(kPicks);
  for (std::uint64_t& key : keys) key = random.next();

  const auto balancer = make_balancer(subject.settings);
  const double start = cpu_nanoseconds();
  balancer->set_endpoints(endpoints);
  balancer->set_candidates(candidates);
  Measured result{.pick_ns = 1e9, .build_ms = (cpu_nanoseconds() - start) / 1e6};
  for (int i = 0; i < kRounds; ++i) {
    result.pick_ns = std::min(result.pick_ns, round_of_picks(*balancer, loads, random, keys));
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  const bool check = argc == 2 && std::strcmp(argv[1], "--check") == 0;
  if (argc > 2 || (argc == 2 && !check)) {
    std::fprintf(stderr, "usage: %s [--check]\n", argv[0]);
    return 2;
  }
  bool within = true;
  std::printf("%-20s %-7s %12s %12s %12s   %s\n", "ns per pick", "weights", "10", "1000", "10000",
              "ms to build, 10 / 1000 / 10000");
  for (const Subject& subject : kSubjects) {
    for (std::size_t w = 0; w < kWeights.size(); ++w) {
      std::array<Measured, kSizes.size()> results{};
      for (std::size_t s = 0; s < kSizes.size(); ++s) results[s] = measure(subject, kSizes[s], kWeights[w]);
      std::printf("%-20s %-7s %12.1f %12.1f %12.1f   %.2f / %.2f / %.2f\n", subject.name, kWeightNames[w],
                  results[0].pick_ns, results[1].pick_ns, results[2].pick_ns, results[0].build_ms,
                  results[1].build_ms, results[2].build_ms);
      within = within && results[1].pick_ns < kLimit;
    }
  }
  if (check && !within) {
    std::fprintf(stderr, "a pick with 1,000 endpoints takes %.0f ns or more\n", kLimit);
    return 1;
  }
  return 0;
}
