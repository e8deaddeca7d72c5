// What came of one attempt, and whether it speaks against the endpoint: the one vocabulary of circuit
// breakers, outlier detection and retries.
//
// Values; any thread.
#pragma once

#include <cstdint>

#include "base/status_set.h"

namespace remora::breaker {

enum class Result : std::uint8_t {
  kResponse,        // a response came; `status` is set. It may still have been cut short: see kReset
  kConnectFailure,  // refused, unreachable, timed out: no byte of the request was sent
  kRefused,         // the upstream says that it has not processed it (a pooled connection found closed)
  kReset,           // reset, closed or nonsense before the response was complete
  kTimeout,         // no response head within the per-try or the request's timeout
  kIgnored,         // ended by ourselves or by the client: says nothing about the endpoint
};

struct Outcome {
  Result result = Result::kIgnored;
  unsigned status = 0;  // with kResponse
};

// Which outcomes are failures of the endpoint.
struct FailureClasses {
  bool connect = true;
  bool reset = true;
  bool timeout = true;
  StatusSet statuses = StatusSet::range(500, 599);
  bool operator==(const FailureClasses&) const = default;

  // An outcome without a response whose class is switched off says nothing about the endpoint, as kIgnored
  // does: it is neither a failure nor a success. Every response is one or the other.
  bool is_ignored(const Outcome& outcome) const {
    return outcome.result != Result::kResponse && !is_failure(outcome);
  }

  bool is_failure(const Outcome& outcome) const {
    switch (outcome.result) {
      case Result::kResponse: return statuses.contains(outcome.status);
      case Result::kConnectFailure: return connect;
      case Result::kRefused:
      case Result::kReset: return reset;
      case Result::kTimeout: return timeout;
      case Result::kIgnored: return false;
    }
    return false;
  }
};

}  // namespace remora::breaker
