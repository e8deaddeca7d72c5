#include "breaker/window.h"

#include <algorithm>

namespace remora::breaker {
namespace {

// A word: 40 bits of epoch, 24 bits of count.
constexpr unsigned kCountBits = 24;
constexpr std::uint64_t kCountMask = (std::uint64_t{1} << kCountBits) - 1;
static_assert(kCountMask == SlidingWindow::kMostPerBucket);

std::uint64_t make_word(std::int64_t epoch, std::uint64_t count) {
  return static_cast<std::uint64_t>(epoch) << kCountBits | count;
}

std::uint64_t count_of(std::uint64_t word) { return word & kCountMask; }

// How many tenths `epoch` is after the word's; the top bit of the 40 is the sign.
std::int64_t age_of(std::uint64_t word, std::int64_t epoch) {
  const std::uint64_t difference = make_word(epoch, 0) - (word & ~kCountMask);
  return static_cast<std::int64_t>(difference) >> kCountBits;
}

// A word so many tenths ahead is no other thread's that knows the time better: it has slept for decades.
constexpr std::int64_t kFarAhead = 1'000'000;

std::size_t slot_of(std::int64_t epoch, std::size_t slots) {
  const auto n = static_cast<std::int64_t>(slots);
  return static_cast<std::size_t>((epoch % n + n) % n);
}

}  // namespace

SlidingWindow::SlidingWindow(Duration length)
    : bucket_us_(std::max(length, kShortest).count() / static_cast<std::int64_t>(kBuckets)) {}

void SlidingWindow::add(bool failed, bool slow, TimePoint now) {
  const std::int64_t epoch = epoch_at(now);
  // The total first, so that nobody sees more failures than attempts. What a full bucket does not count as an
  // attempt is not counted as a failure either.
  if (!count(total_, epoch)) return;
  if (failed) count(failed_, epoch);
  if (slow) count(slow_, epoch);
}

SlidingWindow::Counts SlidingWindow::counts(TimePoint now) const {
  constexpr auto kTenths = static_cast<std::int64_t>(kBuckets);
  const std::int64_t epoch = epoch_at(now);
  Counts counts;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    // The total last: it was counted first, and so is never below the parts. When somebody has just renewed
    // it, the parts are still those of the tenth that was here before.
    const std::uint64_t slow = slow_[i].load(std::memory_order_acquire);
    const std::uint64_t failed = failed_[i].load(std::memory_order_acquire);
    const std::uint64_t total = total_[i].load(std::memory_order_acquire);
    const std::int64_t age = age_of(total, epoch);
    // A negative age: another thread's clock is ahead of this one's.
    if (age <= -kTenths || age >= kTenths) continue;
    counts.total += count_of(total);
    if (age_of(failed, epoch) == age) counts.failed += count_of(failed);
    if (age_of(slow, epoch) == age) counts.slow += count_of(slow);
  }
  return counts;
}

void SlidingWindow::set_length(Duration length) {
  bucket_us_.store(std::max(length, kShortest).count() / static_cast<std::int64_t>(kBuckets),
                   std::memory_order_relaxed);
  clear();
}

void SlidingWindow::clear() {
  for (Ring* ring : {&slow_, &failed_, &total_}) {
    for (auto& bucket : *ring) bucket.store(0, std::memory_order_release);
  }
}

// False: not counted, because it is late or the bucket is full.
bool SlidingWindow::count(Ring& ring, std::int64_t epoch) {
  auto& bucket = ring[slot_of(epoch, kBuckets)];
  std::uint64_t word = bucket.load(std::memory_order_relaxed);
  for (;;) {
    const std::int64_t age = age_of(word, epoch);
    if (age < 0 && age > -kFarAhead && count_of(word) != 0) return false;
    if (age == 0 && count_of(word) == kMostPerBucket) return false;
    const std::uint64_t next = age == 0 ? word + 1 : make_word(epoch, 1);
    if (bucket.compare_exchange_weak(word, next, std::memory_order_acq_rel, std::memory_order_relaxed)) {
      return true;
    }
  }
}

// Rounded down, also before the clock's zero: a division that truncates would make one bucket twice as long.
std::int64_t SlidingWindow::epoch_at(TimePoint now) const {
  const std::int64_t us = now.time_since_epoch().count();
  const std::int64_t bucket = bucket_us_.load(std::memory_order_relaxed);
  return us / bucket - (us % bucket < 0 ? 1 : 0);
}

// Whoever of the two comes later sees what the other has done.
void LazyWindow::set_length(Duration length) {
  length_.store(length.count());
  if (SlidingWindow* const window = window_.peek()) window->set_length(length);
}

SlidingWindow& LazyWindow::make() {
  const Duration::rep length = length_.load();
  SlidingWindow& window = window_.get(Duration(length));
  if (const Duration::rep now = length_.load(); now != length) window.set_length(Duration(now));
  return window;
}

}  // namespace remora::breaker
