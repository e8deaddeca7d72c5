// Whether an attempt that went wrong is worth another one, and when: the conditions the operator has chosen,
// on top of the safety rule (breaker/replay.h). Budget, limits and the choice of another endpoint are the
// caller's.
//
// Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/random.h"
#include "base/status_set.h"
#include "base/time.h"
#include "breaker/outcome.h"
#include "breaker/replay.h"

namespace remora::breaker {

struct RetryConditions {
  bool connect_failure = true;
  bool refused = true;
  bool reset = true;
  bool timeout = false;
  StatusSet statuses{};  // 5xx, gateway-error (502 503 504), single ones
  bool operator==(const RetryConditions&) const = default;
};

struct RetrySettings {
  std::uint32_t attempts = 2;  // all tries, the first included; 1 = no retries
  RetryConditions on{};
  Duration per_try_timeout{};  // from sending (or dialling) to the response's head; zero = none
  Duration backoff_base = 25ms;
  Duration backoff_max = 250ms;
  Duration retry_after_max = 1s;     // a Retry-After up to this is honoured; a longer one is not waited for
  std::uint64_t body_bytes = 65536;  // a request body up to this is kept for another try
  Duration hedge_after{};            // a second attempt if no response head came by then; zero = none
  double hedge_percentile = 0;       // instead of hedge_after: of the cluster's latency, (0, 1); 0 = none
  bool operator==(const RetrySettings&) const = default;
};

// What is known when an attempt has ended without a response that went downstream.
struct FailedAttempt {
  // kRefused only when it is certain that nothing was processed, since then even a POST is sent again: a
  // connection found closed before the first byte was written, or a peer that says so. A pooled connection
  // that closes after the request was written to it is kReset: nobody knows what the peer has done.
  Outcome outcome{};
  Attempt attempt{};       // for the safety rule; the string it points to is not kept
  std::uint32_t made = 1;  // attempts so far, this one included
  bool marked = false;     // the request came with a hop mark: somebody before us retries it
  bool shed = false;       // the response says that it was shed or rejected by a proxy (x-remora-flag)
  std::optional<Duration> retry_after{};  // of the response, whatever its status; without one it is ignored
};

// In the order in which they are looked for; the first that applies is the answer. What the operator has not
// asked for comes first, so that the others count only requests that a retry was meant for; then what
// forbids a retry for good, the strictest first; last what more attempts or more patience would have changed.
enum class RetryVerdict : std::uint8_t {
  kRetry,
  kNotAsked,   // retries are off (attempts = 1), or the outcome is not among the conditions
  kShed,       // who sheds load is not helped by more of it
  kMarked,     // another hop retries
  kUnsafe,     // a byte was sent and the request may not be repeated, or its body is not at hand
  kExhausted,  // all attempts made
  kTooLate,    // Retry-After is beyond the cap
};

RetryVerdict may_retry(const RetrySettings& settings, const FailedAttempt& failed);

// The pause before attempt number `made` + 1: full jitter in [0, min(max, base * 2^(made-1))], but a
// Retry-After is waited for in full (plus up to a tenth, so that not all come back at once). One of zero says
// no more than that a retry is welcome.
Duration backoff(const RetrySettings& settings, const FailedAttempt& failed, Random& random);

// What a longer Retry-After is taken for (RFC 9111 section 1.2.2 has the same bound for seconds).
inline constexpr Duration kLongestRetryAfter = std::chrono::seconds{1LL << 31};

// Retry-After as delay-seconds or HTTP-date in any of its three forms (RFC 9110 sections 10.2.3 and 5.6.7),
// without blanks around it. `unix_now`: seconds since 1970, for the date forms. nullopt: not a valid value. A
// date in the past is zero. A day's name must be one, but need not be the right one.
std::optional<Duration> parse_retry_after(std::string_view value, std::int64_t unix_now);

inline constexpr Duration kLongestTimeout = 24h;

// x-request-timeout-ms: 1 to 10 digits, nothing else; more than 24 h counts as 24 h. nullopt: not valid, to
// be ignored. Zero: the time is over.
std::optional<Duration> parse_timeout_ms(std::string_view value);

// One word, for logs and labels.
const char* to_string(RetryVerdict verdict);

}  // namespace remora::breaker
