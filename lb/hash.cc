#include "lb/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "lb/balancer.h"

namespace remora::lb {

std::uint64_t hash_key(std::string_view key) { return XXH3_64bits(key.data(), key.size()); }

std::uint64_t hash_seeded(std::string_view text, std::uint64_t seed) {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

}  // namespace remora::lb
