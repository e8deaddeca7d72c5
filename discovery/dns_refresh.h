// When a DNS name is to be looked up again. Pure: told of answers and failures, says when it wants to be
// asked.
//
// Thread: the control thread. Owner: proxy::DnsSource, one per name.
#pragma once

#include <algorithm>

#include "base/random.h"
#include "base/time.h"

namespace remora::discovery {

class DnsRefresh final {
 public:
  // A TTL is taken within these bounds: 0 would be a query per turn, a day would outlive a deployment.
  static constexpr Duration kShortest = 1s;
  static constexpr Duration kLongest = 5min;
  // After failures: doubling from the first to the last.
  static constexpr Duration kFirstRetry = 1s;
  static constexpr Duration kLastRetry = 30s;

  explicit DnsRefresh(TimePoint now) : next_(now) {}

  // An answer with something in it.
  void on_answer(Duration ttl, TimePoint now, Random& random) {
    failures_ = 0;
    next_ = now + jitter(std::clamp(ttl, kShortest, kLongest), random);
  }

  // No answer, or an empty one.
  void on_failure(TimePoint now, Random& random) {
    const Duration wait = kFirstRetry * (1U << std::min(failures_, 5U));
    ++failures_;
    next_ = now + jitter(std::min(wait, kLastRetry), random);
  }

  // When to ask again.
  TimePoint next_wakeup() const { return next_; }
  // In a row.
  unsigned failures() const { return failures_; }

 private:
  // Up to a tenth earlier, so that a thousand sidecars started together do not ask together for ever.
  static Duration jitter(Duration wait, Random& random) {
    return wait -
           Duration{static_cast<Duration::rep>(random.unit() * 0.1 * static_cast<double>(wait.count()))};
  }

  TimePoint next_;
  unsigned failures_ = 0;
};

}  // namespace remora::discovery
