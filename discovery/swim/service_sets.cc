#include "discovery/swim/service_sets.h"

#include <algorithm>
#include <unordered_set>

namespace remora::discovery::swim {

void ServiceSets::update(const std::vector<Announced>& members, TimePoint now) {
  std::unordered_set<std::string_view> there;
  for (const Announced& member : members) {
    there.insert(member.member);
    const auto [at, fresh] = sets_.try_emplace(member.member);
    Set& set = at->second;
    if (!fresh && set.announced == member.digest) continue;
    set.announced = member.digest;
    set.failures = 0;
    set.again = now;
  }
  for (auto at = sets_.begin(); at != sets_.end();) {
    if (there.contains(at->first)) {
      ++at;
      continue;
    }
    if (at->second.asking) --asking_;
    total_ -= at->second.bytes;
    at = sets_.erase(at);
  }
}

std::optional<std::string> ServiceSets::next(TimePoint now) {
  if (asking_ == kAtOnce) return std::nullopt;
  for (auto& [member, set] : sets_) {
    if (set.asking || set.known == set.announced || set.again > now) continue;
    set.asking = true;
    set.asked = set.announced;
    ++asking_;
    return member;
  }
  return std::nullopt;
}

TimePoint ServiceSets::next_wakeup() const {
  TimePoint at = TimePoint::max();
  if (asking_ == kAtOnce) return at;
  for (const auto& [member, set] : sets_) {
    if (!set.asking && set.known != set.announced) at = std::min(at, set.again);
  }
  return at;
}

bool ServiceSets::on_answer(std::string_view member, std::optional<std::string_view> answer, TimePoint now) {
  const auto at = sets_.find(member);
  if (at == sets_.end() || !at->second.asking) return false;
  Set& set = at->second;
  set.asking = false;
  --asking_;
  const bool good =
      answer && digest_of(*answer) == set.announced && total_ - set.bytes + answer->size() <= kTotal;
  if (!good) {
    if (set.asked != set.announced) return false;  // it has changed since: next() has it again
    set.again = now + std::min<Duration>(kAgain * (1U << std::min(set.failures, 10U)), kLongest);
    ++set.failures;
    return false;
  }
  total_ += answer->size() - set.bytes;
  set.bytes = answer->size();
  set.tags = decode_tags(*answer);
  set.known = set.announced;
  set.failures = 0;
  return true;
}

const Tags* ServiceSets::find(std::string_view member) const {
  const auto at = sets_.find(member);
  return at != sets_.end() && at->second.known ? &at->second.tags : nullptr;
}

}  // namespace remora::discovery::swim
