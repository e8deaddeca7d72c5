#include "lb/priority.h"

#include <cstddef>

namespace remora::lb {

void choose_candidates(std::span<const Standing> endpoints, std::vector<std::uint32_t>& out) {
  out.clear();
  const Standing* best = nullptr;  // the standing that every candidate shares
  for (const Standing& endpoint : endpoints) {
    if (!endpoint.available) continue;
    if (best == nullptr || endpoint.priority < best->priority ||
        (endpoint.priority == best->priority && endpoint.local_zone && !best->local_zone)) {
      best = &endpoint;
    }
  }
  if (best == nullptr) return;
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    const Standing& endpoint = endpoints[i];
    if (endpoint.available && endpoint.priority == best->priority &&
        endpoint.local_zone == best->local_zone) {
      out.push_back(static_cast<std::uint32_t>(i));
    }
  }
}

}  // namespace remora::lb
