// What every algorithm remembers of its endpoints: their weights, and who may be used now.
//
// Thread and owner: those of the balancer it is a member of.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/random.h"
#include "lb/balancer.h"

namespace remora::lb {

class Candidates final {
 public:
  void set_endpoints(std::span<const Endpoint> endpoints);
  // Indices that no endpoint has are left out.
  void set(std::span<const std::uint32_t> candidates);

  // The candidates, ascending.
  std::span<const std::uint32_t> list() const { return list_; }
  std::size_t size() const { return list_.size(); }
  bool empty() const { return list_.empty(); }
  bool contains(std::uint32_t endpoint) const { return present_[endpoint] != 0; }
  // At least 1. Of any endpoint, candidate or not.
  std::uint32_t weight(std::uint32_t endpoint) const { return weights_[endpoint]; }
  // Of the candidates; below 2^64, as there are fewer than 2^32 of them.
  std::uint64_t total_weight() const { return total_weight_; }

  // One of the candidates not in `tried`, with a probability in proportion to its weight; nullopt if there is
  // none. O(n): the last resort when drawing and rejecting has met only tried ones.
  std::optional<std::uint32_t> draw_untried(std::span<const std::uint32_t> tried, Random& random) const;

 private:
  std::vector<std::uint32_t> weights_;  // of all endpoints
  std::vector<std::uint32_t> list_;
  std::vector<std::uint8_t> present_;  // per endpoint: is in list_
  std::uint64_t total_weight_ = 0;
};

// `tried` holds a handful: a scan beats any set.
inline bool was_tried(std::span<const std::uint32_t> tried, std::uint32_t endpoint) {
  return std::find(tried.begin(), tried.end(), endpoint) != tried.end();
}

// How many weighted draws may hit a tried endpoint before the candidates are scanned instead. Each miss has a
// probability of the tried ones' share of the weight, so only a dominating endpoint gets that far.
inline constexpr int kDraws = 8;

}  // namespace remora::lb
