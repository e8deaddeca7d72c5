// One endpoint's active health check: when to check, and what the results mean. The driver
// (proxy/prober) sends the checks.
//
//   state       enters by                    leaves by
//   kUnknown    made                         first result -> kPassing or kFailing: it decides alone
//   kPassing    rise passes in a row         fall failures in a row -> kFailing
//   kFailing    fall failures in a row       rise passes in a row -> kPassing
//
// Pure. Thread: the control thread. Owner: Prober.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/time.h"

namespace remora::health {

class Checker final {
 public:
  struct Settings {
    Duration interval = 5s;  // from the beginning of one check to the beginning of the next
    // While failing, or on the way there (a failure since the last pass); zero = interval.
    Duration failing_interval{};
    Duration timeout = 1s;   // of one check, connecting included
    double jitter = 0.1;     // each interval is longer or shorter by up to this share, [0, 1)
    std::uint32_t rise = 2;  // 0 counts as 1
    std::uint32_t fall = 3;  // 0 counts as 1
    bool operator==(const Settings&) const = default;
  };
  enum class State : std::uint8_t { kUnknown, kPassing, kFailing };

  // A reason may quote what the peer sent: more of it is cut off, between two characters of UTF-8.
  static constexpr std::size_t kLongestReason = 256;

  // The first check is due at once, spread over the tenth of an interval (at most 1 s), so that a thousand
  // endpoints are not checked in the same instant.
  Checker(const Settings& settings, TimePoint now, Random& random);

  // When the next check should begin; nothing while one is under way (TimePoint::max()).
  TimePoint next_wakeup() const { return next_; }
  // Each check begins with on_started and ends with one of the other two. A check that takes longer than the
  // interval delays the next one: there is never more than one.
  void on_started(TimePoint now);
  // `reason`: one line for people, not empty with a failure; ignored with a pass. True: the state changed.
  bool on_result(bool passed, std::string_view reason, TimePoint now, Random& random);
  // The check came to nothing for a reason of our own (no descriptor was left): it says nothing about the
  // endpoint, and the next one comes an interval later.
  void on_abandoned(TimePoint now, Random& random);

  State state() const { return state_; }
  // Of the last failure, and kept when the endpoint recovers; "" = none yet.
  const std::string& last_reason() const { return last_reason_; }
  TimePoint last_failure() const { return last_failure_; }  // TimePoint{} = none yet
  TimePoint changed_at() const { return changed_at_; }  // when the state last changed; TimePoint{} = never
  std::uint64_t passes() const { return passes_; }      // all results since the start
  std::uint64_t failures() const { return failures_; }

 private:
  void schedule(TimePoint now, Random& random);
  bool enter(State state, TimePoint now);

  Settings settings_;
  State state_ = State::kUnknown;
  TimePoint next_;
  TimePoint started_{};         // of the check under way or the last one
  bool last_passed_ = true;     // the last result; true before the first
  std::uint32_t in_a_row_ = 0;  // results equal to the last one, up to it
  std::uint64_t passes_ = 0;
  std::uint64_t failures_ = 0;
  TimePoint changed_at_{};
  TimePoint last_failure_{};
  std::string last_reason_;
};

// One word, for logs and pages.
const char* to_string(Checker::State state);

}  // namespace remora::health
