#include "breaker/retry_policy.h"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

using namespace remora::breaker;  // not of remora too: its Result is another one
using namespace std::chrono_literals;
using remora::StatusSet;

namespace {

constexpr std::array kResults = {Result::kResponse, Result::kConnectFailure, Result::kRefused,
                                 Result::kReset,    Result::kTimeout,        Result::kIgnored};

// Everything is asked for, and there are attempts left.
RetrySettings everything() {
  return {.attempts = 3,
          .on = {.connect_failure = true,
                 .refused = true,
                 .reset = true,
                 .timeout = true,
                 .statuses = StatusSet::range(500, 599)}};
}

FailedAttempt failed_get(Outcome outcome) {
  return {.outcome = outcome, .attempt = {.method = "GET", .sent = true}};
}

FailedAttempt failed_post(Outcome outcome, bool sent) {
  return {.outcome = outcome, .attempt = {.method = "POST", .sent = sent}};
}

}  // namespace

TEST_CASE("each outcome is retried on its own condition and no other") {
  for (const Result result : kResults) {
    for (int condition = 0; condition < 6; ++condition) {
      RetrySettings settings{.attempts = 2,
                             .on = {.connect_failure = condition == 1,
                                    .refused = condition == 2,
                                    .reset = condition == 3,
                                    .timeout = condition == 4,
                                    .statuses = {}}};
      if (condition == 0) settings.on.statuses.add(503);
      CAPTURE(static_cast<int>(result));
      CAPTURE(condition);
      const bool asked = static_cast<int>(result) == condition && result != Result::kIgnored;
      CHECK(may_retry(settings, failed_get({.result = result, .status = 503})) ==
            (asked ? RetryVerdict::kRetry : RetryVerdict::kNotAsked));
    }
  }
}

TEST_CASE(
    "by default connect failures, refusals and resets are retried once, timeouts and statuses are not") {
  const RetrySettings settings;
  for (const Result result : kResults) {
    CAPTURE(static_cast<int>(result));
    const bool retried =
        result == Result::kConnectFailure || result == Result::kRefused || result == Result::kReset;
    FailedAttempt failed = failed_get({.result = result, .status = 503});
    CHECK(may_retry(settings, failed) == (retried ? RetryVerdict::kRetry : RetryVerdict::kNotAsked));
    failed.made = 2;
    CHECK(may_retry(settings, failed) == (retried ? RetryVerdict::kExhausted : RetryVerdict::kNotAsked));
  }
}

TEST_CASE("only the statuses in the list are retried") {
  RetrySettings settings;
  settings.on.statuses = StatusSet::range(502, 504);
  settings.on.statuses.add(429);
  for (const unsigned status :
       {200U, 204U, 301U, 404U, 428U, 429U, 430U, 500U, 501U, 502U, 503U, 504U, 505U, 0U, 99U, 600U}) {
    CAPTURE(status);
    const bool listed = status == 429 || (status >= 502 && status <= 504);
    CHECK(may_retry(settings, failed_get({.result = Result::kResponse, .status = status})) ==
          (listed ? RetryVerdict::kRetry : RetryVerdict::kNotAsked));
  }
}

TEST_CASE("whether it is safe, for every outcome") {
  struct Row {
    const char* what;
    FailedAttempt failed;
    bool safe;
  };
  const Outcome reset{.result = Result::kReset};
  const Outcome refused{.result = Result::kRefused};
  const Outcome connect{.result = Result::kConnectFailure};
  const Outcome timeout{.result = Result::kTimeout};
  const Outcome status{.result = Result::kResponse, .status = 503};
  std::vector<Row> rows = {
      {"a GET that was reset", failed_get(reset), true},
      {"a GET that timed out", failed_get(timeout), true},
      {"a GET that got a 503", failed_get(status), true},
      {"a POST that could not connect", failed_post(connect, false), true},
      {"a POST that was reset before a byte of it left", failed_post(reset, false), true},
      {"a POST that was reset", failed_post(reset, true), false},
      {"a POST that timed out", failed_post(timeout, true), false},
      {"a POST that timed out before a byte of it left", failed_post(timeout, false), true},
      {"a POST that got a 503", failed_post(status, true), false},
      {"a POST that was refused, sent or not", failed_post(refused, false), true},
      {"a POST that was refused after it was sent: it was not processed", failed_post(refused, true), true},
      {"a PATCH that was reset", {.outcome = reset, .attempt = {.method = "PATCH", .sent = true}}, false},
      {"an unknown method", {.outcome = reset, .attempt = {.method = "FROBNICATE", .sent = true}}, false},
      {"a POST with Idempotency-Key that was reset",
       {.outcome = reset, .attempt = {.method = "POST", .has_idempotency_key = true, .sent = true}},
       true},
      {"a POST with Idempotency-Key that got a 503",
       {.outcome = status, .attempt = {.method = "POST", .has_idempotency_key = true, .sent = true}},
       true},
  };
  // Nothing helps when the body is gone or a byte of the response is on its way.
  for (const Outcome& outcome : {reset, refused, connect, timeout, status}) {
    for (const bool sent : {false, true}) {
      FailedAttempt failed = failed_get(outcome);
      failed.attempt.sent = sent;
      failed.attempt.has_idempotency_key = true;
      failed.attempt.body_kept = false;
      rows.push_back({"a body that is gone", failed, false});
      failed.attempt.body_kept = true;
      failed.attempt.response_begun = true;
      rows.push_back({"a response that has begun", failed, false});
    }
  }
  for (const Row& row : rows) {
    CAPTURE(row.what);
    CHECK(may_retry(everything(), row.failed) == (row.safe ? RetryVerdict::kRetry : RetryVerdict::kUnsafe));
  }
}

TEST_CASE("a request is tried so many times and no more") {
  RetrySettings settings = everything();
  for (std::uint32_t attempts = 2; attempts <= 5; ++attempts) {
    for (std::uint32_t made = 1; made <= 7; ++made) {
      settings.attempts = attempts;
      FailedAttempt failed = failed_get({.result = Result::kReset});
      failed.made = made;
      CAPTURE(attempts);
      CAPTURE(made);
      CHECK(may_retry(settings, failed) ==
            (made < attempts ? RetryVerdict::kRetry : RetryVerdict::kExhausted));
    }
  }
}

TEST_CASE("with a single attempt retries are off, which is not being exhausted") {
  RetrySettings settings = everything();
  for (const std::uint32_t attempts : {0U, 1U}) {
    settings.attempts = attempts;
    for (const Result result : kResults) {
      CHECK(may_retry(settings, failed_get({.result = result, .status = 503})) == RetryVerdict::kNotAsked);
    }
  }
}

TEST_CASE("who is retried by a hop before, or was shed, is not retried") {
  for (const Result result :
       {Result::kResponse, Result::kConnectFailure, Result::kRefused, Result::kReset, Result::kTimeout}) {
    CAPTURE(static_cast<int>(result));
    FailedAttempt failed = failed_get({.result = result, .status = 503});
    failed.attempt.sent = false;
    REQUIRE(may_retry(everything(), failed) == RetryVerdict::kRetry);
    failed.marked = true;
    CHECK(may_retry(everything(), failed) == RetryVerdict::kMarked);
    failed.marked = false;
    failed.shed = true;
    CHECK(may_retry(everything(), failed) == RetryVerdict::kShed);
  }
}

TEST_CASE("a Retry-After up to its cap is waited for, a longer one is not") {
  RetrySettings settings = everything();
  settings.on.statuses.add(429);
  settings.retry_after_max = 2s;
  for (const unsigned status : {429U, 503U, 500U}) {
    CAPTURE(status);
    FailedAttempt failed = failed_get({.result = Result::kResponse, .status = status});
    failed.retry_after = 0s;
    CHECK(may_retry(settings, failed) == RetryVerdict::kRetry);
    failed.retry_after = 2s;
    CHECK(may_retry(settings, failed) == RetryVerdict::kRetry);
    failed.retry_after = 2s + 1us;
    CHECK(may_retry(settings, failed) == RetryVerdict::kTooLate);
    failed.retry_after = kLongestRetryAfter;
    CHECK(may_retry(settings, failed) == RetryVerdict::kTooLate);
  }
}

TEST_CASE("a Retry-After without a response to it means nothing") {
  FailedAttempt failed = failed_get({.result = Result::kReset});
  failed.retry_after = 1h;
  CHECK(may_retry(everything(), failed) == RetryVerdict::kRetry);
}

TEST_CASE("of several reasons against a retry the first in the verdicts' order is named") {
  // The reasons that can be switched on one by one, in this order; all 64 combinations.
  constexpr std::array kOrder = {RetryVerdict::kNotAsked, RetryVerdict::kShed,      RetryVerdict::kMarked,
                                 RetryVerdict::kUnsafe,   RetryVerdict::kExhausted, RetryVerdict::kTooLate};
  for (unsigned bits = 0; bits < 64; ++bits) {
    const auto on = [&](unsigned i) { return ((bits >> i) & 1U) != 0; };
    FailedAttempt failed = failed_get({.result = Result::kResponse, .status = on(0) ? 404U : 503U});
    failed.shed = on(1);
    failed.marked = on(2);
    failed.attempt.method = on(3) ? "POST" : "GET";
    failed.made = on(4) ? 3 : 2;
    failed.retry_after = on(5) ? 1h : 1s;
    RetryVerdict expected = RetryVerdict::kRetry;
    for (unsigned i = 6; i-- > 0;) {
      if (on(i)) expected = kOrder[i];
    }
    CAPTURE(bits);
    CHECK(may_retry(everything(), failed) == expected);
  }
}

TEST_CASE("every verdict has a name of its own") {
  std::vector<std::string> names;
  for (const RetryVerdict verdict :
       {RetryVerdict::kRetry, RetryVerdict::kNotAsked, RetryVerdict::kShed, RetryVerdict::kMarked,
        RetryVerdict::kUnsafe, RetryVerdict::kExhausted, RetryVerdict::kTooLate}) {
    names.emplace_back(to_string(verdict));
  }
  CHECK(names ==
        std::vector<std::string>{"retry", "not_asked", "shed", "marked", "unsafe", "exhausted", "too_late"});
}
