// Routes that no request reaches, because an earlier one of the same listener matches all that they do.
//
// Thread: any; pure.
#pragma once

#include <cstddef>
#include <vector>

#include "config/config.h"

namespace remora::config {

// Whether every request that matches `later` matches `earlier` as well. False also when that cannot be told
// (two regular expressions).
bool covers(const Match& earlier, const Match& later);

struct Unreachable {
  std::size_t route = 0;
  std::size_t covered_by = 0;  // the first that does
  bool operator==(const Unreachable&) const = default;
};

// Of the first `count` routes, in their order. About O(n) as long as few have both host and path in common.
std::vector<Unreachable> find_unreachable(const std::vector<Route>& routes, std::size_t count);

}  // namespace remora::config
