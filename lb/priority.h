// Which of a cluster's endpoints are candidates at all: first by priority, then by zone. A pure function of
// where each endpoint stands; who is available has been decided before.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace remora::lb {

struct Standing {
  std::uint32_t priority = 0;  // 0 first
  bool local_zone = false;     // in this sidecar's own zone
  bool available = false;      // may be used now: healthy, breaker closed, within limits
};

// Writes to `out` the indices of the candidates, ascending: of all available endpoints those of the lowest
// priority number, and of these those in the own zone if there is one. A priority spills to the next only
// when none of it is available. Empty if nothing is available. `out` is emptied first and keeps its capacity.
// O(n).
void choose_candidates(std::span<const Standing> endpoints, std::vector<std::uint32_t>& out);

}  // namespace remora::lb
