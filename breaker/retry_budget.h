// How many retries the requests of the last ten seconds have earned: a share of them, and a few per second
// that even a quiet cluster has. Whatever fails, the upstream never sees more than (1 + ratio) times the
// requests of the clients plus that minimum (Finagle's RetryBudget; Linkerd).
//
// The rule: a retry at an instant t is granted if, itself included, no more retries were granted in the ten
// seconds up to t than ratio * requests + 10 * min_per_second, the requests being those of the same ten
// seconds. Seconds are counted whole and to the safe side: of requests those of nine to ten seconds count, of
// retries those of ten to eleven. Hence, over any time T: retries <= ratio * requests + min_per_second *
// (T + 10 s). What a request has earned is lost after ten seconds.
//
// Thread: any; on_request is one compare-and-swap, and so is a retry that is granted. Owner: the process-wide
// state of the cluster.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/lazy.h"
#include "base/time.h"
#include "breaker/window.h"

namespace remora::breaker {

class RetryBudget final {
 public:
  struct Settings {
    double ratio = 0.2;                // retries per request, 0 to 10; counted in millionths
    std::uint32_t min_per_second = 3;  // in addition
    bool operator==(const Settings&) const = default;
  };
  static constexpr Duration kWindow = 10s;

  explicit RetryBudget(const Settings& settings);
  // From now on; what was counted stays. While other threads use it.
  void set_settings(const Settings& settings);

  // A client's request has come (not a retry).
  void on_request(TimePoint now);
  // Takes the right to one retry or hedge, or says that there is none left. Never grants more than the
  // settings allow over any window, whatever the number of threads that ask at once.
  bool try_retry(TimePoint now);
  // Retries that would be granted now; for metrics.
  std::uint64_t left(TimePoint now) const;

 private:
  static constexpr std::size_t kSeconds = 11;  // of retries: ten whole ones before, and the present one

  std::uint64_t allowed(TimePoint now) const;
  std::uint64_t granted(std::uint64_t gate, std::int64_t second) const;
  void close_second(std::uint64_t gate);

  std::atomic<std::uint64_t> ratio_millionths_;
  std::atomic<std::uint32_t> min_per_second_;
  // The present second and the retries granted in it. A retry is granted by a compare-and-swap of this word:
  // if it succeeds, nobody has granted another one since the sum was made.
  std::atomic<std::uint64_t> gate_{0};
  // The words with which past seconds ended, each in the place of its second.
  using Past = std::array<std::atomic<std::uint64_t>, kSeconds>;
  Lazy<Past> past_;
  LazyWindow requests_{kWindow};
};

}  // namespace remora::breaker
