#include "lb/alias_table.h"

#include <cstddef>

namespace remora::lb {

// In units in which a column holds `total` and a candidate brings its weight times n (below 2^64, as n <
// 2^32), all is whole numbers: the columns are filled exactly, and only the threshold is rounded.
void AliasTable::build(const Candidates& candidates) {
  const std::size_t n = candidates.size();
  const std::uint64_t total = candidates.total_weight();
  columns_.assign(n, {});
  std::vector<std::uint64_t> share(n);
  std::vector<std::size_t> small;
  std::vector<std::size_t> large;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t endpoint = candidates.list()[i];
    columns_[i] = {.threshold = 0, .own = endpoint, .alias = endpoint};
    share[i] = static_cast<std::uint64_t>(candidates.weight(endpoint)) * n;
    (share[i] < total ? small : large).push_back(i);
  }
  // Each small one's column is filled up from a large one, which may become small by that. What is left over
  // at the end fills its column exactly and keeps itself as alias.
  while (!small.empty() && !large.empty()) {
    const std::size_t poor = small.back();
    const std::size_t rich = large.back();
    small.pop_back();
    columns_[poor].threshold = static_cast<std::uint64_t>((static_cast<Uint128>(share[poor]) << 64U) / total);
    columns_[poor].alias = columns_[rich].own;
    share[rich] -= total - share[poor];
    if (share[rich] < total) {
      large.pop_back();
      small.push_back(rich);
    }
  }
}

}  // namespace remora::lb
