// How many datagrams are read: of all senders together, and of each by itself, so that one that floods the
// port does not take what the others need.
//
// A sender is an address without its port. Of each at most half of the whole rate is read, with a burst of a
// tenth; a sender that is refused again and again before its bucket is full once more is loud: better not to
// be received at all for a while.
//
// Bounds: kSlots buckets. A sender may stand in any of the kWays that its salted hash says; only one whose
// bucket is not full is worth a place. So a flood takes one place from those who would have had it, and they
// stand in another; senders share a bucket, and its rate, only where as many as kWays others flood.
//
// Thread: the control thread. Owner: Membership.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/random.h"
#include "base/time.h"
#include "discovery/swim/message.h"

namespace remora::discovery::swim {

class SourceRates final {
 public:
  static constexpr std::size_t kSlots = 512;
  static constexpr std::size_t kWays = 4;
  enum class Verdict : std::uint8_t {
    kRead,
    kSkip,  // its sender has had its share
    kLoud,  // its sender is loud
    kRest,  // all senders together have had theirs
  };

  SourceRates(unsigned per_second, Random& random, TimePoint now)
      : salt_(random.next()),
        all_{.rate = static_cast<double>(per_second), .burst = static_cast<double>(per_second)},
        each_{.rate = all_.rate / 2, .burst = std::min(all_.burst, std::max(all_.burst / 10, kLeast))},
        patience_(static_cast<unsigned>(std::max(all_.burst / 25, kLeast))),
        together_{.tokens = all_.burst, .at = now} {
    slots_.fill({.bucket = {.tokens = each_.burst, .at = now}});
  }

  Verdict on_datagram(const Peer& from, TimePoint now) {
    const std::uint64_t sender = hash(from);
    Slot& slot = place(sender, now);
    if (slot.bucket.tokens >= each_.burst) slot.refused = 0;
    if (slot.bucket.tokens < 1) {
      // Who only shares the bucket is not the one that is loud.
      if (slot.sender != sender || ++slot.refused < patience_) return Verdict::kSkip;
      slot.refused = 0;
      return Verdict::kLoud;
    }
    refill(together_, all_, now);
    if (together_.tokens < 1) return Verdict::kRest;
    slot.bucket.tokens -= 1;
    together_.tokens -= 1;
    return Verdict::kRead;
  }

 private:
  static constexpr double kLeast = 50;
  struct Limit {
    double rate;  // a second
    double burst;
  };
  struct Bucket {
    double tokens;
    TimePoint at;
  };
  struct Slot {
    Bucket bucket;
    std::uint64_t sender = 0;  // its hash
    unsigned refused = 0;      // since the bucket was full
  };

  static void refill(Bucket& bucket, const Limit& limit, TimePoint now) {
    const double passed = std::chrono::duration<double>(now - bucket.at).count();
    bucket.tokens = std::min(limit.burst, bucket.tokens + passed * limit.rate);
    bucket.at = now;
  }

  std::uint64_t hash(const Peer& from) const {
    std::uint64_t hash = salt_;
    for (std::size_t i = 0; i < from.size; ++i) {
      hash = (hash ^ from.address[i]) * 0x9e3779b97f4a7c15U;
      hash ^= hash >> 32U;
    }
    return hash;
  }

  // The sender's own bucket, or one that is full and so says nothing of anybody; else the fullest. Refilled.
  Slot& place(std::uint64_t sender, TimePoint now) {
    const std::span<Slot> ways(&slots_[sender % (kSlots / kWays) * kWays], kWays);
    for (Slot& slot : ways) refill(slot.bucket, each_, now);
    Slot* best = &ways.front();
    for (Slot& slot : ways) {
      if (slot.sender == sender) return slot;
      if (slot.bucket.tokens > best->bucket.tokens) best = &slot;
    }
    if (best->bucket.tokens >= each_.burst) *best = {.bucket = best->bucket, .sender = sender};
    return *best;
  }

  std::uint64_t salt_;
  Limit all_;
  Limit each_;
  unsigned patience_;
  Bucket together_;
  std::array<Slot, kSlots> slots_;
};

}  // namespace remora::discovery::swim
