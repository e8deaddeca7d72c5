// How long one suspect has left to speak up: long with one accuser, shorter with each that confirms
// (Lifeguard's local health aware suspicion). A member that is slow itself accuses alone, and its victims
// have time.
//
// Suspects are all of them: who they are, and whose time is over first. Each step takes O(log n) with n of
// them: half of ten thousand may be suspected in one message, and contradict in the next.
//
// Thread: the control thread. Owner: Membership.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
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

// By name; a name stays where it is as long as it is in here.
class Suspects final {
 public:
  void add(std::string_view name, Suspicion suspicion) {
    deadlines_.emplace(suspicion.deadline(), name);
    suspicions_.emplace(name, std::move(suspicion));
  }
  // As Suspicion::confirm(); the name must be in here.
  bool confirm(std::string_view name, std::string_view accuser) {
    const auto found = suspicions_.find(name);
    const Deadline before{found->second.deadline(), found->first};
    if (!found->second.confirm(accuser)) return false;
    deadlines_.erase(before);
    deadlines_.emplace(found->second.deadline(), found->first);
    return true;
  }
  void erase(std::string_view name) {
    const auto found = suspicions_.find(name);
    if (found == suspicions_.end()) return;
    deadlines_.erase({found->second.deadline(), found->first});
    suspicions_.erase(found);
  }
  void extend(Duration asleep) {
    deadlines_.clear();
    for (auto& [name, suspicion] : suspicions_) {
      suspicion.extend(asleep);
      deadlines_.emplace(suspicion.deadline(), name);
    }
  }

  std::size_t size() const { return suspicions_.size(); }
  // TimePoint::max(): there is nobody.
  TimePoint first_deadline() const {
    return deadlines_.empty() ? TimePoint::max() : deadlines_.begin()->first;
  }
  // Whose it is.
  std::string_view first() const { return deadlines_.begin()->second; }

 private:
  using Deadline = std::pair<TimePoint, std::string_view>;

  std::map<std::string_view, Suspicion> suspicions_;
  std::set<Deadline> deadlines_;
};

}  // namespace remora::discovery::swim
