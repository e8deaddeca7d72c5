// Requests per second: a token bucket (GCRA, one word: the theoretical arrival time), per process, for a
// listener or a route as a whole, or one per client key in a table of bounded size.
//
// In any span of time t a bucket grants at most burst + t * requests / per, however many threads ask and
// however far apart their clocks are. The rate is exact when `requests` is a whole number that, reduced
// against `per` in microseconds, is at most 262'144 (1'024 in the table): 10'000'000 a second is 10 in a
// microsecond. Any other rate is rounded down, by less than 4 ps between two requests (1 ns in the table).
//
// `now` is the loop's and stands still during a turn: who wants the whole rate gives a burst of at least what
// the rate grants in a turn.
//
// Thread: any; a granted request costs one compare-and-swap, a refused one a load. Owner: the process-wide
// state of the listener.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>

#include "base/time.h"

namespace remora::breaker {

struct RateSettings {
  double requests = 0;      // how many, > 0 ...
  Duration per = 1s;        // ... in how long, > 0
  std::uint32_t burst = 0;  // that may come at once; 0 = `requests` rounded up, at least 1
  bool operator==(const RateSettings&) const = default;
};

// The generic cell rate algorithm: pure arithmetic on the word that is a bucket's whole state. A word is the
// instant at which the bucket will be full again, in ticks of a unit that suits the rate, modulo 2^64. They
// come round after 2.2 years at the earliest: a bucket that is left alone for just so long, to the hour, may
// be found empty. Words are multiples of `granule`; 0 is a bucket that was never used, and the word `granule`
// is never made, so that the user may give it a meaning.
class Gcra final {
 public:
  struct Step {
    std::uint64_t word = 0;  // the new state, if granted
    Duration wait{};         // zero: granted; else how long to the next token, at least 1 us
  };

  // `granule`: a power of two, at most 256.
  Gcra(const RateSettings& settings, std::uint64_t granule);

  Step take(std::uint64_t word, TimePoint now) const;
  // How long until the bucket is full, in ticks; below zero: it has been full for so long.
  std::int64_t debt(std::uint64_t word, TimePoint now) const;

 private:
  std::uint64_t ticks_at(TimePoint now) const;

  std::uint64_t granule_;
  std::uint64_t ticks_per_us_ = 0;
  std::int64_t interval_ = 0;  // ticks that one request costs
  std::int64_t most_ = 0;      // debt of an empty bucket
};

class TokenBucket final {
 public:
  using Settings = RateSettings;

  explicit TokenBucket(const Settings& settings) : gcra_(settings, 1) {}

  // nullopt: go ahead. Else how long to wait for the next token.
  std::optional<Duration> try_take(TimePoint now);

 private:
  Gcra gcra_;
  std::atomic<std::uint64_t> word_{0};
};

// A few buckets that share their places: one set of a table that is associative like a processor's cache.
// A new key takes a place that was never used, else that of the bucket which has been full the longest
// (forgetting it loses nothing), else that of the bucket which is nearest to full.
//
// Lock-free. A place is two words, {key, version} and {bucket, version}, and every change is one
// compare-and-swap on one of them. The versions say what the place is:
//
//   versions                bucket        the place
//   the same                not kDead     holds the key
//   the same                kDead         is empty
//   the key's is one ahead  the old one   is claimed for the key: nobody may take from it
//
//   change         word    needs
//   claim          key     not claimed; the old key is forgotten from here on
//   settle: enter  bucket  claimed, and no other place holds the key or claims it with a lower index
//   settle: drop   bucket  claimed, and another place holds the key, or claims it with a lower index
//   take           bucket  holds the key
//
// Anybody may settle any claim, so nobody waits for a thread that has been put to sleep. A key never has two
// buckets: of two claims the later one is settled by somebody who sees the earlier one, and a claim can only
// be entered or dropped, not both, since both change the same word. (That needs accesses that are
// sequentially consistent. And a version comes round after 256 claims of its place: a thread that slept
// through exactly so many in the middle of an access could mistake one for another, were the rest of the word
// the same too.)
//
// `Atomic` is std::atomic; the tests' one steps through the interleavings.
template <template <typename> typename Atomic, unsigned Ways>
class alignas(64) BucketSet final {
 public:
  static constexpr std::uint64_t kGranule = 256;  // the lowest byte of either word is its version

  BucketSet() {
    for (auto& bucket : buckets_) bucket.store(kDead);
  }

  // As TokenBucket::try_take. The lowest byte of `key` is not looked at.
  std::optional<Duration> try_take(const Gcra& gcra, std::uint64_t key, TimePoint now) {
    key &= ~kVersion;
    for (;;) {
      const Found found = find(key, gcra, now);
      if (found.claim != kNone) {
        settle(found.claim, found.claimed);
      } else if (found.holder != kNone) {
        const Gcra::Step step = gcra.take(found.bucket & ~kVersion, now);
        if (step.wait > Duration::zero()) return step.wait;
        std::uint64_t expected = found.bucket;
        const std::uint64_t next = step.word | (found.bucket & kVersion);
        if (buckets_[found.holder].compare_exchange_strong(expected, next)) return std::nullopt;
      } else if (found.victim != kNone) {
        std::uint64_t expected = found.old_key;
        keys_[found.victim].compare_exchange_strong(expected, key | next_version(expected));
      } else {
        help();
      }
    }
  }

  // Keys that are held now.
  std::uint32_t size() const {
    std::uint32_t count = 0;
    for (unsigned i = 0; i < Ways; ++i) {
      const std::uint64_t bucket = buckets_[i].load();
      if (is_same_version(keys_[i].load(), bucket) && !is_dead(bucket)) ++count;
    }
    return count;
  }

 private:
  static constexpr std::uint64_t kVersion = kGranule - 1;
  static constexpr std::uint64_t kDead = kGranule;
  static constexpr unsigned kNone = Ways;

  struct Found {
    unsigned holder = kNone;
    std::uint64_t bucket = 0;  // of the holder
    unsigned claim = kNone;    // the claim of the lowest index
    std::uint64_t claimed = 0;
    unsigned victim = kNone;
    std::uint64_t old_key = 0;  // of the victim
  };

  static std::uint64_t next_version(std::uint64_t key) { return (key + 1) & kVersion; }
  static bool is_same_version(std::uint64_t key, std::uint64_t bucket) {
    return ((key ^ bucket) & kVersion) == 0;
  }
  static bool is_claim(std::uint64_t key, std::uint64_t bucket) {
    return next_version(bucket) == (key & kVersion);
  }
  static bool is_dead(std::uint64_t bucket) { return (bucket & ~kVersion) == kDead; }

  // A place whose two words do not belong together is changing under our eyes; whatever was there is gone.
  Found find(std::uint64_t key, const Gcra& gcra, TimePoint now) const {
    Found found;
    for (unsigned i = 0; i < Ways; ++i) {
      const std::uint64_t k = keys_[i].load();
      if ((k & ~kVersion) != key) continue;
      const std::uint64_t b = buckets_[i].load();
      if (is_claim(k, b) && found.claim == kNone) {
        found.claim = i;
        found.claimed = k;
      } else if (is_same_version(k, b) && !is_dead(b)) {
        found.holder = i;
        found.bucket = b;
      }
    }
    if (found.holder == kNone && found.claim == kNone) choose_victim(found, gcra, now);
    return found;
  }

  void choose_victim(Found& found, const Gcra& gcra, TimePoint now) const {
    std::int64_t least = 0;
    for (unsigned i = 0; i < Ways; ++i) {
      const std::uint64_t k = keys_[i].load();
      const std::uint64_t b = buckets_[i].load();
      if (!is_same_version(k, b)) continue;
      const std::int64_t debt = rank(b, gcra, now);
      if (found.victim != kNone && debt >= least) continue;
      found.victim = i;
      found.old_key = k;
      least = debt;
    }
  }

  // The lower, the sooner to be forgotten. A key that was entered just now is about to take its first token;
  // were it chosen, two new keys could forget each other for ever.
  static std::int64_t rank(std::uint64_t bucket, const Gcra& gcra, TimePoint now) {
    if (is_dead(bucket)) return std::numeric_limits<std::int64_t>::min();
    const std::uint64_t word = bucket & ~kVersion;
    return word == 0 ? std::numeric_limits<std::int64_t>::max() : gcra.debt(word, now);
  }

  // Enters or drops the claim that `key` (with its version) has on place `claim`. The other places are
  // looked at after the claim was seen: that is what the proof above rests on. What others change meanwhile
  // makes it return without a result; the caller looks again.
  void settle(unsigned claim, std::uint64_t key) {
    for (unsigned i = 0; i < Ways; ++i) {
      if (i == claim) continue;
      const std::uint64_t k = keys_[i].load();
      if (((k ^ key) & ~kVersion) != 0) continue;
      const std::uint64_t b = buckets_[i].load();
      if (is_same_version(k, b) && !is_dead(b)) {
        decide(claim, key, kDead);
        return;
      }
      if (!is_claim(k, b)) continue;
      if (i < claim || !decide(i, k, kDead)) return;
    }
    decide(claim, key, 0);
  }

  // `bucket`: kDead to drop the claim, 0 (never used) to enter it. True: it was decided here.
  bool decide(unsigned place, std::uint64_t key, std::uint64_t bucket) {
    std::uint64_t old = buckets_[place].load();
    while (is_claim(key, old)) {
      if (buckets_[place].compare_exchange_strong(old, bucket | (key & kVersion))) return true;
    }
    return false;
  }

  // All places are claimed: settles one, so that there is a victim.
  void help() {
    const std::uint64_t key = keys_[0].load();
    if (is_claim(key, buckets_[0].load())) settle(0, key);
  }

  Atomic<std::uint64_t> keys_[Ways] = {};
  Atomic<std::uint64_t> buckets_[Ways] = {};
};

class KeyedRateLimiter final {
 public:
  // `keys`: how many are remembered at most, 16 to 1'048'576, rounded down to a multiple of 8; the table is
  // allocated at once (16 bytes a key) and never grows.
  KeyedRateLimiter(const RateSettings& settings, std::uint32_t keys);

  // `key`: a 64-bit hash of the client's key, keyed per process by the caller: whoever knows the hash can
  // crowd others out. Keys that agree in their upper 56 bits share a bucket. As TokenBucket::try_take.
  std::optional<Duration> try_take(std::uint64_t key, TimePoint now);
  // Keys in the table now. O(keys).
  std::uint32_t size() const;

 private:
  using Set = BucketSet<std::atomic, 8>;

  Gcra gcra_;
  std::uint32_t sets_;
  std::unique_ptr<Set[]> table_;
};

}  // namespace remora::breaker
