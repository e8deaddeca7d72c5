// May this endpoint be used now? The three sources of health (active checks, live traffic, membership) are
// kept apart and meet only here, together with what the operator has said.
//
// Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace remora::health {

struct Sources {
  enum class Active : std::uint8_t { kNone, kUnknown, kPassing, kFailing };
  enum class Member : std::uint8_t { kNone, kAlive, kSuspect, kGone };

  Active active = Active::kNone;  // kNone: nobody checks; kUnknown: no result yet
  Member member = Member::kNone;  // kNone: not from a mesh; kSuspect: used (the caller ranks it last)
  bool ejected = false;           // outlier detection
  bool breaker_open = false;      // and not yet ready for a probe
  bool draining = false;          // by the operator: finishes what it has
  bool removed = false;           // by discovery
};

// Why an endpoint is not a candidate; the first that applies.
enum class Why : std::uint8_t { kAvailable, kDraining, kRemoved, kMember, kActiveCheck, kEjected, kBreaker };

// When fewer than `panic_below` (0 to 1; 0 = never) of the checked endpoints pass, active checks are ignored:
// they are more likely wrong than all hosts dead. Not while any endpoint has had no result yet: the first
// round decides. Endpoints that are draining, removed or gone do not count. O(n).
bool in_panic(std::span<const Sources> endpoints, double panic_below);

// `panic`: active checks are ignored. kUnknown (before the first result) is unavailable, unless panic: no
// traffic before the first check, unless none can pass.
Why availability(const Sources& sources, bool panic);

// One word each, for logs and pages; "" for kNone.
const char* to_string(Sources::Member member);
const char* to_string(Why why);

}  // namespace remora::health
