#include "proxy/probe_reason.h"

#include <doctest/doctest.h>

using namespace remora;
using namespace remora::proxy;

TEST_CASE("a failure to connect is told in the system's words, or in ours") {
  CHECK(connect_failure(Error(ErrorCode::kConnectionRefused, Side::kUpstream, Retry::kYes, "ECONNREFUSED")) ==
        "connection refused");
  CHECK(connect_failure(Error(ErrorCode::kConnectFailed, Side::kInternal, Retry::kNo,
                              "host is unreachable")) == "host is unreachable");
  CHECK(connect_failure(Error(ErrorCode::kConnectFailed, Side::kInternal)) == "connect failed");
}

TEST_CASE("what came too late is told with the time it had") {
  CHECK(too_late("answer", 1s) == "no answer within 1s");
  CHECK(too_late("connection", 250ms) == "no connection within 250ms");
}

TEST_CASE("what was not found is quoted in one line") {
  const ProbeSearch small("x");
  ProbeSearch large("x");
  large.add(std::string(ProbeSearch::kWindow + 1, '.'));
  CHECK(not_found("body", "ok", small) == "body does not contain \"ok\"");
  CHECK(not_found("body", "ok", large) == "body does not contain \"ok\" in its first 64 KiB");
  CHECK(not_found("answer", "+PONG\r\n\x7f", small) == "answer does not contain \"+PONG   \"");
  CHECK(not_found("body", std::string(60, 'a'), small) ==
        "body does not contain \"" + std::string(60, 'a') + "\"");
  CHECK(not_found("body", std::string(61, 'a'), small) ==
        "body does not contain \"" + std::string(60, 'a') + "...\"");
}

TEST_CASE("a quotation ends between two characters of UTF-8") {
  const ProbeSearch search("x");
  const std::string smile = "\xf0\x9f\x98\x80";
  CHECK(not_found("body", std::string(58, 'a') + smile, search) ==
        "body does not contain \"" + std::string(58, 'a') + "...\"");
  CHECK(not_found("body", std::string(56, 'a') + smile + "b", search) ==
        "body does not contain \"" + std::string(56, 'a') + smile + "...\"");
  // Not UTF-8 at all.
  CHECK(not_found("body", std::string(70, '\x80'), search) == "body does not contain \"...\"");
}
