// How a source of endpoints has fared: whether its last answer was good, how old the last good one is, and
// what was wrong with the last bad one. The last good answer stays in force through failures: a resolver that
// is down must not take the backends with it.
//
//   waiting -> good <-> stale       failing: there has been no good answer yet
//   waiting -> failing -> good
//
// Thread: the control thread. Owner: the source.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "base/time.h"

namespace remora::discovery {

class SourceRecord final {
 public:
  enum class State : std::uint8_t { kWaiting, kGood, kStale, kFailing };

  void on_answer(TimePoint now) {
    state_ = State::kGood;
    answered_at_ = now;
  }
  // `reason`: a line for people.
  void on_failure(std::string reason, TimePoint now) {
    state_ = answered_at_ ? State::kStale : State::kFailing;
    last_error_ = std::move(reason);
    failed_at_ = now;
    ++failures_;
  }

  State state() const { return state_; }
  // A first answer or failure has come.
  bool settled() const { return state_ != State::kWaiting; }
  bool failing() const { return state_ == State::kStale || state_ == State::kFailing; }
  std::optional<TimePoint> answered_at() const { return answered_at_; }
  std::optional<TimePoint> failed_at() const { return failed_at_; }
  // Of the last failure, however long ago; "" = there was none.
  const std::string& last_error() const { return last_error_; }
  // So far.
  std::uint64_t failures() const { return failures_; }

 private:
  State state_ = State::kWaiting;
  std::optional<TimePoint> answered_at_;
  std::optional<TimePoint> failed_at_;
  std::string last_error_;
  std::uint64_t failures_ = 0;
};

constexpr const char* to_string(SourceRecord::State state) {
  switch (state) {
    case SourceRecord::State::kWaiting: return "waiting";
    case SourceRecord::State::kGood: return "good";
    case SourceRecord::State::kStale: return "stale";
    case SourceRecord::State::kFailing: break;
  }
  return "failing";
}

}  // namespace remora::discovery
