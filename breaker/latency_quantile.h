// A latency percentile of the recent past, for hedging: "send a second attempt when this one is slower than
// 95 % of the others". A log-linear histogram: exact up to 16 us, then eight buckets to each doubling, so
// that what it says is off by at most 6.25 %. Half of it is forgotten every ten seconds.
//
// Pure. Thread: the worker's. Owner: the Cluster of one worker. Memory: 1 KiB, no allocation.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/time.h"

namespace remora::breaker {

class LatencyQuantile final {
 public:
  static constexpr Duration kHalfLife = 10s;
  static constexpr std::uint32_t kEnough = 20;
  // What takes longer counts as that long: 71 min.
  static constexpr Duration kLongest{(std::int64_t{1} << 32U) - 1};

  // O(1), but for O(buckets) once in ten seconds.
  void observe(Duration latency, TimePoint now);
  // The least latency that at least the share `q` of the observations did not exceed, 0 < q <= 1. nullopt
  // with fewer than kEnough observations not yet forgotten. O(buckets).
  std::optional<Duration> value(double q, TimePoint now) const;

 private:
  static constexpr unsigned kSubBits = 3;               // 2^3 buckets to each doubling ...
  static constexpr unsigned kExactBits = kSubBits + 1;  // ... from 2^4 us
  static constexpr std::size_t kBuckets = (32 - kExactBits + 2) << kSubBits;
  // An observation counts as so many, so that halves of it are whole numbers for a while.
  static constexpr std::uint32_t kWeight = 256;

  static std::size_t bucket_of(Duration latency);
  static Duration middle_of(std::size_t bucket);
  // How many halvings are due at `now`.
  std::uint32_t halvings_due(TimePoint now) const;

  std::array<std::uint32_t, kBuckets> weights_{};
  std::optional<TimePoint> halved_at_;  // or first observed
};

}  // namespace remora::breaker
