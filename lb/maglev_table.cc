#include "lb/maglev_table.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <queue>

#include "lb/hash.h"

namespace remora::lb {
namespace {

constexpr std::uint32_t kFree = std::numeric_limits<std::uint32_t>::max();

// The slots an endpoint claims, in order. As the number of slots is prime, any step visits all of them.
struct Permutation {
  explicit Permutation(std::string_view name)
      : slot(hash_seeded(name, 0) % MaglevTable::kSlots),
        step(hash_seeded(name, 1) % (MaglevTable::kSlots - 1) + 1) {}

  void claim(std::vector<std::uint32_t>& owners, std::uint32_t owner) {
    while (owners[slot] != kFree) {
      slot += step;
      if (slot >= MaglevTable::kSlots) slot -= MaglevTable::kSlots;
    }
    owners[slot] = owner;
  }

  std::size_t slot;
  std::size_t step;
};

// An endpoint's next turn. Ordered by round, and within a round by name.
struct Turn {
  std::uint64_t round;
  std::uint32_t place;  // in the order of the names
  std::uint64_t count;  // turns had
  bool operator>(const Turn& other) const {
    return round != other.round ? round > other.round : place > other.place;
  }
};

}  // namespace

void MaglevTable::build(std::span<const Endpoint> endpoints) {
  owners_.assign(endpoints.empty() ? 0 : kSlots, kFree);
  if (endpoints.empty()) return;

  std::vector<std::uint32_t> by_name(endpoints.size());
  std::iota(by_name.begin(), by_name.end(), 0U);
  std::ranges::sort(by_name, [&](std::uint32_t a, std::uint32_t b) {
    return endpoints[a].name != endpoints[b].name ? endpoints[a].name < endpoints[b].name : a < b;
  });

  std::vector<Permutation> permutations;
  std::priority_queue<Turn, std::vector<Turn>, std::greater<>> turns;
  std::uint64_t heaviest = 1;
  for (std::uint32_t place = 0; place < by_name.size(); ++place) {
    const Endpoint& endpoint = endpoints[by_name[place]];
    permutations.emplace_back(endpoint.name);
    heaviest = std::max<std::uint64_t>(heaviest, endpoint.weight);
    turns.push({.round = 0, .place = place, .count = 0});
  }
  for (std::uint32_t filled = 0; filled < kSlots; ++filled) {
    Turn turn = turns.top();
    turns.pop();
    const std::uint32_t owner = by_name[turn.place];
    permutations[turn.place].claim(owners_, owner);
    ++turn.count;
    turn.round = turn.count * heaviest / std::max(endpoints[owner].weight, 1U);  // below 2^17 * 2^32
    turns.push(turn);
  }
}

}  // namespace remora::lb
