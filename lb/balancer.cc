#include "lb/balancer.h"

#include "lb/algorithms.h"

namespace remora::lb {

std::unique_ptr<Balancer> make_balancer(const Settings& settings) {
  switch (settings.algorithm) {
    case Algorithm::kRoundRobin: break;
    case Algorithm::kLeastRequest: return make_two_choices(/*use_latency=*/false);
    case Algorithm::kRandom: return make_weighted_random();
    case Algorithm::kPeakEwma: return make_two_choices(/*use_latency=*/true);
    case Algorithm::kRingHash: return make_ring_hash(settings.bounded_load);
    case Algorithm::kMaglev: return make_maglev(settings.bounded_load);
  }
  return make_round_robin();
}

}  // namespace remora::lb
