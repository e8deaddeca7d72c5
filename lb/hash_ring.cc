#include "lb/hash_ring.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "lb/hash.h"

namespace remora::lb {

std::vector<std::uint32_t> HashRing::point_counts(std::span<const Endpoint> endpoints) {
  std::uint32_t heaviest = 1;
  for (const Endpoint& endpoint : endpoints) heaviest = std::max(heaviest, endpoint.weight);
  double divisor = 1.0;
  while (heaviest / divisor > kMaxUnits) divisor *= 2.0;

  std::vector<double> wanted;
  wanted.reserve(endpoints.size());
  double total = 0.0;
  for (const Endpoint& endpoint : endpoints) {
    wanted.push_back(static_cast<double>(std::max(endpoint.weight, 1U)) / divisor * kPointsPerUnit);
    total += wanted.back();
  }
  const double scale = std::min(1.0, static_cast<double>(kMaxPoints) / std::max(total, 1.0));
  std::vector<std::uint32_t> counts;
  counts.reserve(wanted.size());
  for (const double points : wanted) {
    counts.push_back(static_cast<std::uint32_t>(std::max(1.0, std::round(points * scale))));
  }
  return counts;
}

void HashRing::build(std::span<const Endpoint> endpoints) {
  struct Hashed {
    std::uint64_t hash;
    std::uint32_t owner;
  };
  const std::vector<std::uint32_t> counts = point_counts(endpoints);
  std::vector<Hashed> hashed;
  for (std::uint32_t i = 0; i < endpoints.size(); ++i) {
    for (std::uint32_t k = 0; k < counts[i]; ++k) hashed.push_back({hash_seeded(endpoints[i].name, k), i});
  }
  std::ranges::sort(hashed, [](const Hashed& a, const Hashed& b) {
    return a.hash != b.hash ? a.hash < b.hash : a.owner < b.owner;
  });

  points_.clear();
  points_.reserve(hashed.size());
  for (const Hashed& point : hashed) {
    points_.push_back({.position = static_cast<std::uint32_t>(point.hash >> 32U), .owner = point.owner});
  }
  const int bits = std::max(static_cast<int>(std::bit_width(points_.size())) - 1, 1);
  shift_ = static_cast<unsigned>(32 - bits);
  ranges_.clear();
  std::uint32_t next = 0;
  for (std::uint32_t range = 0; range < (1U << static_cast<unsigned>(bits)); ++range) {
    while (next < points_.size() && points_[next].position >> shift_ < range) ++next;
    ranges_.push_back(next);
  }
}

std::size_t HashRing::find(std::uint64_t key) const {
  const auto position = static_cast<std::uint32_t>(key >> 32U);
  std::size_t point = ranges_[position >> shift_];
  while (point < points_.size() && points_[point].position < position) ++point;
  return point < points_.size() ? point : 0;
}

}  // namespace remora::lb
