// Google's Maglev hashing (Eisenbud et al., NSDI 2016, section 3.4): a table of a prime number of slots in
// which every endpoint has its share to within one slot or so, and a key belongs to the owner of the slot it
// hashes to.
//
// The endpoints take turns; at its turn each claims the next free slot of a permutation of its own, made from
// its name. Weights as in Envoy: the heaviest has a turn in every round, one of half its weight in every
// other. All have one in the first round, in the order of their names, so with up to 65,537 endpoints nobody
// is left without a slot.
//
// Balance: with n endpoints an endpoint of share s has between 65537 s - n s - 1 and 65537 s + 2 slots.
//
// 262 KB. Thread and owner: those of the balancer it is a member of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lb/balancer.h"
#include "lb/hash.h"
#include "lb/uint128.h"

namespace remora::lb {

class MaglevTable final {
 public:
  static constexpr std::uint32_t kSlots = 65537;

  // O(kSlots log kSlots) expected, plus the sorting of the names.
  void build(std::span<const Endpoint> endpoints);

  // kSlots, or 0 when there are no endpoints.
  std::size_t size() const { return owners_.size(); }
  // The key's slot, by its upper bits: a key must be a hash.
  std::size_t find(std::uint64_t key) const { return multiply_high(key, owners_.size()); }
  // Where a key looks that found the owner of `slot` unusable for the attempt-th time: at a slot of its own
  // choice. Not at the neighbouring one: permutations are regular, so the same endpoints are neighbours again
  // and again, and one of them would inherit most of what another leaves.
  std::size_t next(std::size_t /*slot*/, std::uint64_t key, int attempt) const {
    return find(hash_number(key + static_cast<std::uint64_t>(attempt) * 0x9e3779b97f4a7c15U));
  }
  // The endpoint that owns a slot.
  std::uint32_t owner(std::size_t slot) const { return owners_[slot]; }

 private:
  std::vector<std::uint32_t> owners_;
};

}  // namespace remora::lb
