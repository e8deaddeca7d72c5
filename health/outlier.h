// Outlier detection: which endpoint of a cluster is worse than its siblings, by the traffic it serves
// (Envoy's algorithms, made fit for few endpoints and few requests). Ejected endpoints get no requests for a
// while; the while grows with each ejection and shrinks while the endpoint is well. The last `keep_at_least`
// endpoints are never ejected, however bad.
//
//   state     event                                      becomes
//   in        consecutive failures (at once)             ejected, for base * (n-th time), at most max,
//   in        an interval ends: success rate too low     if keep_at_least others stay in use;
//   in        an interval ends: failure percentage       else suppressed: stays in, told and counted
//   in        a whole interval without such a reason     in, n one less, not below 0
//   ejected   its time is over                           in
//   ejected   fewer than keep_at_least are in use        in, the one that would return first
//
// Rates. Only endpoints with min_requests in the interval are judged, and none that was ejected during it.
// A success rate is too low when it is below both
//
//   mean - k * deviation                   of the judged endpoints' rates
//   mean - 3 * chance - 1 / requests       chance = sqrt(mean * (1 - mean) / requests)
//
// One out of n can never be further off than sqrt(n - 1) deviations, so k counts as at most 0.9 of that: else
// nobody of 3 or 4 endpoints would ever be found. The second line is what luck alone may do to so few
// requests: without it, one failed request among well endpoints would be enough. When several are to be
// ejected at once, the worst goes first.
//
// Pure. Thread: the control thread. Owner: the cluster's driver there. Endpoints are known by an index that
// the caller keeps stable for the detector's life; events of an index beyond the end come late and are
// ignored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"

namespace remora::health {

class OutlierDetector final {
 public:
  struct Settings {
    bool enabled = false;
    std::uint32_t consecutive_failures = 5;  // 0 = not a reason
    Duration interval = 10s;
    double success_rate_deviations = 1.9;  // k; 0 = success rates are not compared
    double failure_percentage = 85;        // 0 = not a reason; else up to 100
    std::uint32_t min_requests = 20;       // of an endpoint in an interval, to be judged by rates
    std::uint32_t min_endpoints = 3;       // with so many requests, for success rates to be compared
    Duration base_ejection = 30s;
    Duration max_ejection = 300s;
    std::uint32_t keep_at_least = 1;
    bool operator==(const Settings&) const = default;
  };
  enum class Reason : std::uint8_t { kNone, kConsecutiveFailures, kSuccessRate, kFailurePercentage };

  // One endpoint's traffic since the last interval.
  struct Traffic {
    std::uint64_t requests = 0;
    std::uint64_t failures = 0;
  };
  struct Change {
    std::size_t endpoint = 0;
    enum class Kind : std::uint8_t { kEjected, kReturned, kSuppressed } kind = Kind::kEjected;
    Reason reason = Reason::kNone;  // with kReturned: of the ejection that ends
    Duration ejected_for{};         // with kReturned: how long it really was; zero with kSuppressed
    std::string detail;             // one line: the numbers that decided
  };
  struct Standing {
    bool ejected = false;
    TimePoint until{};            // while ejected
    std::uint32_t ejections = 0;  // n, as the duration counts them
    TimePoint changed_at{};       // ejected or returned; TimePoint{} = never
    // Of the last ejection or suppression; kept when the endpoint returns.
    Reason last_reason = Reason::kNone;
    TimePoint reason_at{};
    std::string last_detail;
  };

  OutlierDetector(const Settings& settings, TimePoint now);

  // How many endpoints there are, by index; new ones start well, those beyond the end are forgotten.
  void resize(std::size_t endpoints);
  // The endpoint at `index` has been replaced by another one.
  void forget(std::size_t index);
  // Whether the endpoint could be used as far as others are concerned: what availability() says of it without
  // ejection and breaker. One that could not is none of those that keep_at_least keeps. True at first.
  void set_usable(std::size_t index, bool usable);

  // An endpoint has failed consecutive_failures times in a row. Of an ejected one this says nothing new.
  std::vector<Change> on_consecutive_failures(std::size_t endpoint, TimePoint now);
  // Time has passed: endpoints return, and when an interval has ended, rates are judged with `traffic` (one
  // per endpoint; read only when interval_due(now)). Of one endpoint at most one suppression is told and
  // counted in an interval.
  std::vector<Change> on_time(std::span<const Traffic> traffic, TimePoint now);
  bool interval_due(TimePoint now) const { return settings_.enabled && now >= interval_ends_; }
  // The earlier of the next interval's end and the next return; in the past when one is due already, also
  // because resize() or set_usable() left too few in use. TimePoint::max() when not enabled.
  TimePoint next_wakeup() const;

  const Standing& standing(std::size_t endpoint) const { return endpoints_[endpoint].standing; }
  std::size_t ejected() const;
  std::uint64_t suppressed() const { return suppressed_; }  // since the start

 private:
  struct Endpoint {
    Standing standing;
    bool usable = true;
    // In the present interval:
    bool was_out = false;        // ejected at some time
    bool ejected_in_it = false;  // has become so
    bool had_reason = false;     // to be ejected
    bool suppression_told = false;
  };
  struct Verdict {
    std::size_t endpoint = 0;
    double success_rate = 0;
    Reason reason = Reason::kNone;
    std::string detail;
  };
  struct Rate;

  static constexpr std::size_t kNobody = static_cast<std::size_t>(-1);

  std::size_t in_use(std::size_t except) const;
  // The ejected endpoint whose time is over first, of all or of the usable ones; kNobody if there is none.
  std::size_t first_to_return(bool usable_only) const;
  // Fewer than keep_at_least are in use, and there is one to return.
  bool too_few() const;
  void act(Verdict verdict, TimePoint now, std::vector<Change>& changes);
  void return_those_due(TimePoint now, std::vector<Change>& changes);
  Change take_back(std::size_t index, TimePoint now);
  std::vector<Rate> rates(std::span<const Traffic> traffic) const;
  std::vector<Verdict> judge(const std::vector<Rate>& all) const;
  void begin_interval(TimePoint now);

  Settings settings_;
  std::vector<Endpoint> endpoints_;
  TimePoint interval_began_;
  TimePoint interval_ends_;
  std::uint64_t suppressed_ = 0;
};

// One word, for logs, labels and pages.
const char* to_string(OutlierDetector::Reason reason);

}  // namespace remora::health
