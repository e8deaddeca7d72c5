#include "breaker/latency_quantile.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace remora::breaker {

// Below 2^4 a bucket for each value. Above, the position of the highest bit and the three bits after it.
std::size_t LatencyQuantile::bucket_of(Duration latency) {
  const auto us = static_cast<std::uint64_t>(std::clamp(latency, Duration::zero(), kLongest).count());
  if (us < (1U << kExactBits)) return us;
  const auto shift = static_cast<unsigned>(std::bit_width(us)) - kExactBits;
  return (std::size_t{shift} << kSubBits) + (us >> shift);
}

Duration LatencyQuantile::middle_of(std::size_t bucket) {
  if (bucket < (1U << kExactBits)) return Duration(bucket);
  const std::size_t shift = (bucket >> kSubBits) - 1;
  const std::uint64_t lowest = ((bucket & ((1U << kSubBits) - 1)) + (1U << kSubBits)) << shift;
  return Duration(lowest + ((std::uint64_t{1} << shift) - 1) / 2);
}

std::uint32_t LatencyQuantile::halvings_due(TimePoint now) const {
  if (!halved_at_ || now <= *halved_at_) return 0;
  return static_cast<std::uint32_t>(std::min<std::int64_t>((now - *halved_at_) / kHalfLife, 31));
}

void LatencyQuantile::observe(Duration latency, TimePoint now) {
  if (!halved_at_) halved_at_ = now;
  if (const std::uint32_t halvings = halvings_due(now); halvings != 0) {
    for (auto& weight : weights_) weight >>= halvings;
    *halved_at_ += (now - *halved_at_) / kHalfLife * kHalfLife;
  }
  std::uint32_t& weight = weights_[bucket_of(latency)];
  if (weight <= ~std::uint32_t{0} - kWeight) weight += kWeight;
}

std::optional<Duration> LatencyQuantile::value(double q, TimePoint now) const {
  const std::uint32_t halvings = halvings_due(now);
  std::uint64_t total = 0;
  for (const auto weight : weights_) total += weight >> halvings;
  if (total < std::uint64_t{kEnough} * kWeight) return std::nullopt;
  const double wanted = q * static_cast<double>(total);
  std::uint64_t sum = 0;
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    sum += weights_[bucket] >> halvings;
    if (static_cast<double>(sum) >= wanted) return middle_of(bucket);
  }
  return kLongest;
}

}  // namespace remora::breaker
