// The hashes that consistent hashing is made of, besides hash_key() in balancer.h. All are stable across
// processes and releases: they decide where keys live, and two sidecars must agree.
#pragma once

#include <cstdint>
#include <string_view>

namespace remora::lb {

// XXH3 of `text`, a different function for every `seed`.
std::uint64_t hash_seeded(std::string_view text, std::uint64_t seed);

// Spreads a number over all 64 bits; a bijection (the finaliser of splitmix64, Steele, Lea and Flood 2014).
constexpr std::uint64_t hash_number(std::uint64_t z) {
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31U);
}

}  // namespace remora::lb
