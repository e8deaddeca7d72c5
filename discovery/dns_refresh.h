// When a DNS name is to be looked up again. Pure: told of answers and failures, says when it wants to be
// asked.
//
// The last good answer stays in force through failures: a resolver that is down must not take the backends
// with it.
//
// Thread: the control thread. Owner: proxy::Discovery, one per name.
#pragma once

#include <algorithm>
#include <vector>

#include "base/address.h"
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

  // An answer with at least one address. Returns true if the set of addresses has changed (order does not
  // count).
  bool on_answer(std::vector<Address> addresses, Duration ttl, TimePoint now, Random& random) {
    failures_ = 0;
    settled_ = true;
    next_ = now + jitter(std::clamp(ttl, kShortest, kLongest), random);
    std::ranges::sort(addresses, {}, &Address::to_string);
    addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
    if (addresses == addresses_) return false;
    addresses_ = std::move(addresses);
    return true;
  }

  // No answer, or an empty one.
  void on_failure(TimePoint now, Random& random) {
    settled_ = true;
    const Duration wait = kFirstRetry * (1U << std::min(failures_, 5U));
    ++failures_;
    next_ = now + jitter(std::min(wait, kLastRetry), random);
  }

  // When to ask again.
  TimePoint next_wakeup() const { return next_; }
  // A first answer or failure has come.
  bool settled() const { return settled_; }
  unsigned failures() const { return failures_; }
  const std::vector<Address>& addresses() const { return addresses_; }

 private:
  // Up to a tenth earlier, so that a thousand sidecars started together do not ask together for ever.
  static Duration jitter(Duration wait, Random& random) {
    return wait -
           Duration{static_cast<Duration::rep>(random.unit() * 0.1 * static_cast<double>(wait.count()))};
  }

  TimePoint next_;
  std::vector<Address> addresses_;
  unsigned failures_ = 0;
  bool settled_ = false;
};

}  // namespace remora::discovery
