// Consistent hashing of the request's key over a table of owners: a ring or Maglev's.
//
// The table knows all endpoints, the unavailable ones too; a key whose owner may not be used goes on to the
// next place of the table. So when an endpoint becomes unavailable only its own keys move, they spread over
// all others, and when it returns they return. When a walk of kWalk places meets nobody usable, nearly
// everyone is unavailable, and then the usable ones bid for the key (weighted rendezvous hashing, Thaler and
// Ravishankar 1998), which has the same property.
//
// Bounded load (Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads", SODA 2018): an
// endpoint that already has its share of the requests in flight times the factor, rounded up, counts as not
// usable too. As the candidates' bounds add up to more than all requests, somebody always has room; only when
// those with room have been tried does the bound give way.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "lb/algorithms.h"
#include "lb/alias_table.h"
#include "lb/candidates.h"
#include "lb/hash.h"
#include "lb/hash_ring.h"
#include "lb/maglev_table.h"

namespace remora::lb {
namespace {

constexpr int kWalk = 64;

// Tells whether an endpoint has room, for one pick. What is costly is computed when first needed.
class Bound final {
 public:
  Bound(double factor, const Candidates& candidates, const PickContext& context)
      : factor_(factor), candidates_(candidates), context_(context) {}

  bool active() const { return factor_ > 0.0; }

  bool has_room(std::uint32_t endpoint) {
    if (!active() || endpoint >= context_.loads.size()) return true;
    const std::uint32_t in_flight = context_.loads[endpoint].in_flight;
    if (in_flight == 0) return true;
    if (per_weight_ < 0.0) per_weight_ = compute_per_weight();
    return in_flight <
           per_weight_ * candidates_.weight(endpoint);  // then in_flight + 1 <= the bound rounded up
  }

 private:
  double compute_per_weight() const {
    std::uint64_t requests = 1;  // the one to be placed counts
    if (context_.total_in_flight) {
      requests += *context_.total_in_flight;
    } else {
      for (const Load& load : context_.loads) requests += load.in_flight;
    }
    return factor_ * static_cast<double>(requests) / static_cast<double>(candidates_.total_weight());
  }

  double factor_;
  const Candidates& candidates_;
  const PickContext& context_;
  double per_weight_ = -1.0;  // requests in flight allowed per unit of weight; negative: not computed
};

template <typename Table>
class ConsistentHash final : public Balancer {
 public:
  explicit ConsistentHash(double bounded_load) : bounded_load_(bounded_load) {}

  void set_endpoints(std::span<const Endpoint> endpoints) override {
    candidates_.set_endpoints(endpoints);
    table_.build(endpoints);
    names_.clear();
    for (const Endpoint& endpoint : endpoints) names_.push_back(hash_key(endpoint.name));
    keyless_.build(candidates_);
  }

  void set_candidates(std::span<const std::uint32_t> candidates) override {
    candidates_.set(candidates);
    keyless_.build(candidates_);
  }

  std::optional<std::uint32_t> pick(const PickContext& context, Random& random) override {
    if (candidates_.empty()) return std::nullopt;
    Bound bound(bounded_load_, candidates_, context);
    const auto usable = [&](std::uint32_t endpoint) { return !was_tried(context.tried, endpoint); };
    const auto has_room = [&](std::uint32_t endpoint) {
      return usable(endpoint) && bound.has_room(endpoint);
    };
    if (!context.key) {
      for (int i = 0; i < kDraws; ++i) {
        const std::uint32_t drawn = keyless_.draw(random);
        if (has_room(drawn)) return drawn;
      }
    }
    const std::uint64_t key = context.key ? *context.key : random.next();
    std::optional<std::uint32_t> found = walk(key, has_room);
    if (!found && bound.active()) found = walk(key, usable);
    return found;
  }

 private:
  // The first candidate from the key's place on that `accepts` says yes to; nullopt if it says so to none.
  template <typename Accepts>
  std::optional<std::uint32_t> walk(std::uint64_t key, Accepts accepts) const {
    std::size_t place = table_.find(key);
    for (int attempt = 1; attempt <= kWalk; ++attempt) {
      const std::uint32_t owner = table_.owner(place);
      if (candidates_.contains(owner) && accepts(owner)) return owner;
      place = table_.next(place, key, attempt);
    }
    return highest_bid(key, accepts);
  }

  // O(candidates). -ln(u) / weight is exponentially distributed, and the least of several belongs to each
  // with a probability in proportion to its weight.
  template <typename Accepts>
  std::optional<std::uint32_t> highest_bid(std::uint64_t key, Accepts accepts) const {
    std::optional<std::uint32_t> winner;
    double least = std::numeric_limits<double>::infinity();
    for (const std::uint32_t candidate : candidates_.list()) {
      if (!accepts(candidate)) continue;
      const double uniform =
          (static_cast<double>(hash_number(key ^ names_[candidate]) >> 11U) + 0.5) * 0x1p-53;
      const double bid = -std::log(uniform) / candidates_.weight(candidate);
      if (bid >= least) continue;
      least = bid;
      winner = candidate;
    }
    return winner;
  }

  double bounded_load_;
  Candidates candidates_;
  Table table_;
  std::vector<std::uint64_t> names_;  // hashes, per endpoint
  AliasTable keyless_;
};

}  // namespace

std::unique_ptr<Balancer> make_ring_hash(double bounded_load) {
  return std::make_unique<ConsistentHash<HashRing>>(bounded_load);
}

std::unique_ptr<Balancer> make_maglev(double bounded_load) {
  return std::make_unique<ConsistentHash<MaglevTable>>(bounded_load);
}

}  // namespace remora::lb
