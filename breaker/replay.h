// Whether a request may be sent a second time at all: the safety rule under every retry (RFC 9110
// section 9.2.2, RFC 9112 section 9.3.1). Pure.
#pragma once

#include <string_view>

#include "base/error.h"

namespace remora::breaker {

struct Attempt {
  std::string_view method;
  bool has_idempotency_key = false;  // an Idempotency-Key field makes any method repeatable
  bool sent = false;                 // a byte of it may have reached the peer
  bool reused_connection = false;    // the connection had served a request before
  bool body_kept = true;             // every byte of the body received so far is still at hand
  bool response_begun = false;       // a response byte has gone downstream
};

// RFC 9110 section 9.2.2.
inline bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE" || method == "PUT" ||
         method == "DELETE";
}

// Sending it again cannot do harm: nothing was sent, or repeating it means the same as sending it once.
inline bool may_replay(const Attempt& attempt) {
  if (attempt.response_begun || !attempt.body_kept) return false;
  return !attempt.sent || attempt.has_idempotency_key || is_idempotent(attempt.method);
}

// A pooled connection that the peer had closed before it saw the request: worth one silent try on a fresh
// connection.
inline bool is_stale_connection(const Error& error, const Attempt& attempt) {
  return attempt.reused_connection && error.retry == Retry::kIfReused && may_replay(attempt);
}

}  // namespace remora::breaker
