// How many attempts, failures and slow ones there were in the recent past, counted by all threads together: a
// sliding window of ten buckets. Each count of a bucket is one word that carries its own epoch (the number of
// its tenth since the clock began), so that a bucket is renewed by whoever uses it first and nobody sweeps.
//
// Epochs repeat after 2^40 tenths, which is 34 years for the shortest window. A bucket holds 2^24 - 1
// attempts; what comes beyond that in the same tenth is not counted.
//
// Thread: any; add() is one compare-and-swap, and one more each for a failure and for a slow attempt. Owner:
// CircuitBreaker, RetryBudget.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/lazy.h"
#include "base/time.h"

namespace remora::breaker {

class alignas(64) SlidingWindow final {  // a cache line of its own: every attempt writes to it
 public:
  static constexpr std::uint64_t kMostPerBucket = (std::uint64_t{1} << 24U) - 1;
  static constexpr Duration kShortest = 10ms;

  struct Counts {
    std::uint64_t total = 0;
    std::uint64_t failed = 0;
    std::uint64_t slow = 0;
  };

  // `length`: what counts() looks back on; less than kShortest is taken as that.
  explicit SlidingWindow(Duration length);

  // Threads need not agree on `now`: an attempt that comes late belongs to its own tenth. One that is a whole
  // window late is not counted.
  void add(bool failed, bool slow, TimePoint now);
  // An attempt is in it for at least nine and at most ten tenths of the length. A caller sees what it has
  // added itself; of an attempt that another thread is just adding, perhaps only the `total`.
  Counts counts(TimePoint now) const;
  // Looks back on another length, and begins empty.
  void set_length(Duration length);
  // Forgets everything. What other threads add meanwhile may survive or not.
  void clear();

 private:
  static constexpr std::size_t kBuckets = 10;
  using Ring = std::array<std::atomic<std::uint64_t>, kBuckets>;

  static bool count(Ring& ring, std::int64_t epoch);
  std::int64_t epoch_at(TimePoint now) const;

  std::atomic<std::int64_t> bucket_us_;
  Ring total_{};
  Ring failed_{};
  Ring slow_{};
};

// The same, without memory until the first attempt is added: most endpoints of a large configuration never
// see one, in a breaker's window at least.
class LazyWindow final {
 public:
  explicit LazyWindow(Duration length) : length_(length.count()) {}

  void add(bool failed, bool slow, TimePoint now) {
    SlidingWindow* const window = window_.peek();
    (window != nullptr ? *window : make()).add(failed, slow, now);
  }
  SlidingWindow::Counts counts(TimePoint now) const {
    const SlidingWindow* const window = window_.peek();
    return window != nullptr ? window->counts(now) : SlidingWindow::Counts{};
  }
  void set_length(Duration length);
  void clear() {
    if (SlidingWindow* const window = window_.peek()) window->clear();
  }

 private:
  SlidingWindow& make();

  std::atomic<Duration::rep> length_;
  Lazy<SlidingWindow> window_;
};

}  // namespace remora::breaker
