#include "lb/candidates.h"

#include "lb/uint128.h"

namespace remora::lb {

void Candidates::set_endpoints(std::span<const Endpoint> endpoints) {
  weights_.clear();
  weights_.reserve(endpoints.size());
  for (const Endpoint& endpoint : endpoints) weights_.push_back(std::max(endpoint.weight, 1U));
  set({});
}

void Candidates::set(std::span<const std::uint32_t> candidates) {
  list_.clear();
  present_.assign(weights_.size(), 0);
  total_weight_ = 0;
  for (const std::uint32_t candidate : candidates) {
    if (candidate >= weights_.size()) continue;
    list_.push_back(candidate);
    present_[candidate] = 1;
    total_weight_ += weights_[candidate];
  }
}

std::optional<std::uint32_t> Candidates::draw_untried(std::span<const std::uint32_t> tried,
                                                      Random& random) const {
  std::uint64_t left = 0;
  for (const std::uint32_t candidate : list_) {
    if (!was_tried(tried, candidate)) left += weights_[candidate];
  }
  if (left == 0) return std::nullopt;
  std::uint64_t skip = multiply_high(random.next(), left);  // uniform in [0, left)
  for (const std::uint32_t candidate : list_) {
    if (was_tried(tried, candidate)) continue;
    if (skip < weights_[candidate]) return candidate;
    skip -= weights_[candidate];
  }
  return std::nullopt;  // not reached: the weights seen add up to `left`
}

}  // namespace remora::lb
