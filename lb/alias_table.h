// Weighted random draws in constant time: Walker's alias method with Vose's way to build it (IEEE Trans.
// Software Eng. 17, 1991). Exact to 2^-64 per column for any 32-bit weights.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "lb/candidates.h"
#include "lb/uint128.h"

namespace remora::lb {

class AliasTable final {
 public:
  // For drawing among `candidates`, each with a probability of its weight over the total. O(n).
  void build(const Candidates& candidates);

  // A candidate's endpoint index. O(1); the table must not be empty.
  std::uint32_t draw(Random& random) const {
    const Uint128 product = static_cast<Uint128>(random.next()) * columns_.size();
    const Column& column = columns_[static_cast<std::uint64_t>(product >> 64U)];
    return static_cast<std::uint64_t>(product) < column.threshold ? column.own : column.alias;
  }

 private:
  // Every column is drawn with the same probability; a part `threshold` / 2^64 of it belongs to `own`, the
  // rest to `alias`. A column all its own has itself as alias.
  struct Column {
    std::uint64_t threshold;
    std::uint32_t own;
    std::uint32_t alias;
  };
  std::vector<Column> columns_;
};

}  // namespace remora::lb
