// The ring of consistent hashing (Karger et al. 1997) in the ketama manner: every endpoint owns points on a
// circle of 64-bit hashes, and a key belongs to the first point at or after it.
//
// How many points, in this order:
//   - Weights above 16: all are divided by the smallest power of two that brings the heaviest to 16 or less.
//   - 640 points per unit of the result, rounded, at least 1.
//   - Were that more than 2^18 in total, all are scaled down together to that sum, still at least 1 each.
// 640 is four times ketama's 160. With two or three endpoints, 160 leave one with 5 % of all keys too many
// now and then (standard deviation 2.8 %), 640 hardly ever (1.4 %).
//
// The points' places depend on the name only. With weights up to 16 and not more than 409 units in total,
// their number depends on nothing else either: adding or removing an endpoint then moves its own keys and no
// others. Scaled down, it moves up to twice its share.
//
// 8 bytes per point, and 2 to 4 for finding it. Thread and owner: those of the balancer it is a member of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lb/balancer.h"

namespace remora::lb {

class HashRing final {
 public:
  static constexpr std::uint32_t kPointsPerUnit = 640;
  static constexpr std::uint32_t kMaxUnits = 16;  // of one endpoint
  static constexpr std::size_t kMaxPoints = std::size_t{1} << 18U;

  // O(p log p) for p points.
  void build(std::span<const Endpoint> endpoints);
  // The rules above: points per endpoint.
  static std::vector<std::uint32_t> point_counts(std::span<const Endpoint> endpoints);

  // Points in all, in the order of the circle.
  std::size_t size() const { return points_.size(); }
  // Index of the first point at or after `key`. O(1) expected; the ring must not be empty.
  std::size_t find(std::uint64_t key) const;
  // Where a key looks that found the owner of `point` unusable: at the next point. What it finds in the end
  // is thus its place on a ring without the unusable ones.
  std::size_t next(std::size_t point, std::uint64_t /*key*/, int /*attempt*/) const {
    return point + 1 < points_.size() ? point + 1 : 0;
  }
  // The endpoint that owns a point.
  std::uint32_t owner(std::size_t point) const { return points_[point].owner; }

 private:
  struct Point {
    std::uint32_t position;  // the upper half of its hash
    std::uint32_t owner;
  };
  std::vector<Point> points_;  // by their whole hashes, ascending
  // Per range of equal upper bits, its first point: a range holds one or two points on average.
  std::vector<std::uint32_t> ranges_;
  unsigned shift_ = 31;  // from a position to its range
};

}  // namespace remora::lb
