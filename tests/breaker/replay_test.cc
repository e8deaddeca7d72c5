#include "breaker/replay.h"

#include <doctest/doctest.h>

#include <array>

using namespace remora;
using namespace remora::breaker;

TEST_CASE("the idempotent methods are those of RFC 9110, spelt exactly") {
  for (const char* method : {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
    CHECK(is_idempotent(method));
  for (const char* method : {"POST", "PATCH", "CONNECT", "get", "GETX", "", "PROPFIND"})
    CHECK_FALSE(is_idempotent(method));
}

TEST_CASE("what may be sent a second time") {
  struct Row {
    const char* what;
    Attempt attempt;
    bool may;
  };
  const std::array<Row, 10> rows{{
      {"a GET that was sent", {.method = "GET", .sent = true}, true},
      {"a PUT whose body is at hand", {.method = "PUT", .sent = true, .body_kept = true}, true},
      {"a PUT whose body is gone", {.method = "PUT", .sent = true, .body_kept = false}, false},
      {"a POST that was sent", {.method = "POST", .sent = true}, false},
      {"a POST that was not sent", {.method = "POST", .sent = false}, true},
      {"a POST that was not sent but whose body is gone",
       {.method = "POST", .sent = false, .body_kept = false},
       false},
      {"a POST with Idempotency-Key", {.method = "POST", .has_idempotency_key = true, .sent = true}, true},
      {"one with Idempotency-Key whose body is gone",
       {.method = "POST", .has_idempotency_key = true, .sent = true, .body_kept = false},
       false},
      {"a GET whose response has begun", {.method = "GET", .sent = true, .response_begun = true}, false},
      {"an unknown method", {.method = "FROBNICATE", .sent = true}, false},
  }};
  for (const Row& row : rows) {
    CAPTURE(row.what);
    CHECK(may_replay(row.attempt) == row.may);
  }
}

TEST_CASE("a stale connection is a reused one whose error says so, under a request that may be sent again") {
  for (const Retry retry : {Retry::kNo, Retry::kYes, Retry::kIfReused}) {
    for (const bool reused : {false, true}) {
      for (const char* method : {"GET", "POST"}) {
        const Error error(ErrorCode::kEndOfStream, Side::kUpstream, retry);
        const Attempt attempt{.method = method, .sent = true, .reused_connection = reused};
        CAPTURE(method);
        CAPTURE(reused);
        CHECK(is_stale_connection(error, attempt) ==
              (retry == Retry::kIfReused && reused && std::string_view(method) == "GET"));
      }
    }
  }
}
