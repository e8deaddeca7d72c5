// How long one suspect has left to speak up: long with one accuser, shorter with each that confirms
// (Lifeguard's local health aware suspicion). A member that is slow itself accuses alone, and its victims
// have time.
//
// Thread: the control thread. Owner: Membership, one per suspect.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace remora::discovery::swim {

class Suspicion final {
 public:
  // `wanted` confirmations bring the time down from `most` to `least`; 0 of them: it is `least` at once.
  Suspicion(unsigned wanted, Duration least, Duration most, std::string_view accuser, TimePoint now)
      : wanted_(wanted), least_(least), most_(most), start_(now), accusers_{std::string(accuser)} {}

  // True if this accuser is new and one more was wanted: then the others should hear of it.
  bool confirm(std::string_view accuser) {
    if (confirmations() == wanted_ || std::ranges::find(accusers_, accuser) != accusers_.end()) return false;
    accusers_.emplace_back(accuser);
    return true;
  }

  unsigned confirmations() const { return static_cast<unsigned>(accusers_.size()) - 1; }

  Duration timeout() const {
    if (wanted_ == 0) return least_;
    const double spread = static_cast<double>((most_ - least_).count());
    const double share = std::log(confirmations() + 1.0) / std::log(wanted_ + 1.0);
    const Duration left = most_ - Duration{static_cast<Duration::rep>(spread * share)};
    return std::max<Duration>(least_, std::chrono::floor<std::chrono::milliseconds>(left));
  }

  TimePoint deadline() const { return start_ + timeout(); }

  // We have been asleep for so long, and could not hear a refutation.
  void extend(Duration asleep) { start_ += asleep; }

 private:
  unsigned wanted_;
  Duration least_;
  Duration most_;
  TimePoint start_;
  std::vector<std::string> accusers_;  // at most wanted_ + 1
};

}  // namespace remora::discovery::swim
