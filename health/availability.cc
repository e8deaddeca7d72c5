#include "health/availability.h"

namespace remora::health {
namespace {

// Whether its active check says something about how the cluster is.
bool counts(const Sources& sources) {
  return sources.active != Sources::Active::kNone && !sources.draining && !sources.removed &&
         sources.member != Sources::Member::kGone;
}

}  // namespace

bool in_panic(std::span<const Sources> endpoints, double panic_below) {
  std::size_t checked = 0;
  std::size_t passing = 0;
  for (const Sources& endpoint : endpoints) {
    if (!counts(endpoint)) continue;
    if (endpoint.active == Sources::Active::kUnknown) return false;
    ++checked;
    if (endpoint.active == Sources::Active::kPassing) ++passing;
  }
  // Divided, not multiplied: 0.07 * 100 is more than 7.
  return checked > 0 && static_cast<double>(passing) / static_cast<double>(checked) < panic_below;
}

Why availability(const Sources& sources, bool panic) {
  if (sources.draining) return Why::kDraining;
  if (sources.removed) return Why::kRemoved;
  if (sources.member == Sources::Member::kGone) return Why::kMember;
  const bool passes = sources.active == Sources::Active::kNone || sources.active == Sources::Active::kPassing;
  if (!passes && !panic) return Why::kActiveCheck;
  if (sources.ejected) return Why::kEjected;
  if (sources.breaker_open) return Why::kBreaker;
  return Why::kAvailable;
}

const char* to_string(Sources::Member member) {
  switch (member) {
    case Sources::Member::kNone: return "";
    case Sources::Member::kAlive: return "alive";
    case Sources::Member::kSuspect: return "suspect";
    case Sources::Member::kGone: return "gone";
  }
  return "";
}

const char* to_string(Why why) {
  switch (why) {
    case Why::kAvailable: return "available";
    case Why::kDraining: return "draining";
    case Why::kRemoved: return "removed";
    case Why::kMember: return "member";
    case Why::kActiveCheck: return "active_check";
    case Why::kEjected: return "ejected";
    case Why::kBreaker: return "breaker";
  }
  return "available";
}

}  // namespace remora::health
