// 128-bit products, for exact proportions of 64-bit numbers. A compiler extension, hence in one place.
#pragma once

#include <cstdint>

namespace remora::lb {

__extension__ typedef unsigned __int128 Uint128;

// floor(a * b / 2^64): with a uniform 64-bit `a`, a uniform number in [0, b).
constexpr std::uint64_t multiply_high(std::uint64_t a, std::uint64_t b) {
  return static_cast<std::uint64_t>((static_cast<Uint128>(a) * b) >> 64U);
}

}  // namespace remora::lb
