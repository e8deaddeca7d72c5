// Requests for the tests of the server codec, and a world in which one of them waits for its answer.
#pragma once

#include <doctest/doctest.h>

#include <optional>
#include <string_view>

#include "tests/proxy/http/recorder.h"

namespace remora::http::test {

inline constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
inline constexpr std::string_view kGet10 = "GET / HTTP/1.0\r\nHost: a\r\n\r\n";
inline constexpr std::string_view kChunkedPost =
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
inline constexpr std::string_view kUpgrade =
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";

inline ResponseHead response(std::uint16_t status, std::optional<std::uint64_t> length = std::nullopt,
                             bool has_body = true) {
  ResponseHead head;
  head.status = status;
  head.reason = "R";
  head.content_length = length;
  head.has_body = has_body;
  return head;
}

// A world with one request in it, not answered yet.
struct Asked : ServerWorld {
  explicit Asked(std::string_view request, H1Limits l = {}) : ServerWorld(l) {
    requests.answer = RecordingRequests::Answer::kNever;
    feed(request);
    REQUIRE(requests.stream != nullptr);
  }
  ServerStream& stream() { return *requests.stream; }
  std::string_view fate() const { return to_string(codec->fate()); }
};

}  // namespace remora::http::test
