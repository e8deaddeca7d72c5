// Heads as bytes, and that nothing in a head can become a line of its own.
#include "proxy/http/h1_writer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "base/random.h"
#include "tests/proxy/http/recorder.h"

namespace remora::http::test {
namespace {

TEST_CASE("fields that came from the wire leave as they came, edits between them included") {
  H1Scratch scratch;
  RecordingTransport transport;
  RecordingRequests requests;
  const H1Limits limits;
  auto codec = make_h1_server(transport, requests, scratch, limits);
  requests.answer = RecordingRequests::Answer::kNever;
  codec->feed(
      "GET / HTTP/1.1\r\na: 1\r\nB:2\r\nHost: h\r\nC: 3 \r\nd: 4\r\nE:\r\nConnection: x\r\nf:  5\r\nG: "
      "6\r\nH: 7\r\n\r\n");
  RequestHead& head = scratch.request;
  std::string out;
  write_request_head(head, Delivery{}, out);
  CHECK(out ==
        "GET / HTTP/1.1\r\nHost: h\r\na: 1\r\nB: 2\r\nC: 3\r\nd: 4\r\nE: \r\nf: 5\r\nG: 6\r\nH: 7\r\n\r\n");
  head.fields.remove("G");
  head.fields.set("d", "four");
  head.fields.add("I", "8");
  write_request_head(head, Delivery{}, out);
  CHECK(
      out ==
      "GET / HTTP/1.1\r\nHost: h\r\na: 1\r\nB: 2\r\nC: 3\r\nd: four\r\nE: \r\nf: 5\r\nH: 7\r\nI: 8\r\n\r\n");
}

TEST_CASE("no control character of any part of a head reaches the wire") {
  for (const std::string_view poison :
       {std::string_view("a\r\nX: 1"), std::string_view("a\nb"), std::string_view("a\0b", 3),
        std::string_view("\r"), std::string_view("a\x7f"), std::string_view("a\r\n\r\nGET / HTTP/1.1")}) {
    RequestHead request;
    request.method = "GET" + std::string(poison);
    request.target = "/" + std::string(poison);
    request.authority = poison;
    request.fields.add("X", poison);
    request.fields.add(poison, "value");
    request.fields.add(FieldId::kVia, poison);
    std::string out;
    write_request_head(request, Delivery{}, out);
    const auto lines = [&out] { return std::count(out.begin(), out.end(), '\n'); };
    CHECK(lines() == 5);  // request line, Host, X, Via, the empty line
    CHECK(std::count(out.begin(), out.end(), '\r') == 5);
    CHECK(out.find('\0') == std::string::npos);
    CHECK(out.find('\x7f') == std::string::npos);

    ResponseHead response;
    response.status = 200;
    response.reason = poison;
    response.fields.add("X", poison);
    write_response_head(response, Delivery{}, out);
    CHECK(lines() == 3);
    CHECK(std::count(out.begin(), out.end(), '\r') == 3);

    FieldList trailers;
    trailers.add("X", poison);
    write_last_chunk(trailers, out);
    CHECK(lines() == 3);
  }
}

TEST_CASE("a tab in a value is kept, a space in a target is escaped") {
  RequestHead head;
  head.method = "GET";
  head.target = "/a b\xc3";
  head.authority = "h";
  head.fields.add("X", "a\tb");
  std::string out;
  write_request_head(head, Delivery{}, out);
  CHECK(out == "GET /a%20b%C3 HTTP/1.1\r\nHost: h\r\nX: a\tb\r\n\r\n");
}

TEST_CASE("what is written is read back the same, for random fields") {
  Random random(11);
  for (int round = 0; round < 300; ++round) {
    RequestHead head;
    head.method = "GET";
    head.target = "/";
    head.authority = "h";
    std::string expected = "GET / [h] 1.1 | Host: h";
    const std::uint32_t count = random.below(20);
    for (std::uint32_t i = 0; i < count; ++i) {
      std::string name = "X" + std::to_string(i);
      std::string value;
      const std::uint32_t size = random.below(40);
      for (std::uint32_t j = 0; j < size; ++j) value += static_cast<char>(0x21 + random.below(94));
      head.fields.add(name, value);
      expected.append(" | ").append(name).append(": ").append(value);
    }
    std::string out;
    write_request_head(head, Delivery{}, out);
    ServerWorld world;
    world.feed(out);
    CHECK(world.requests.log == expected + "\n");
  }
}

TEST_CASE("chunk sizes are hexadecimal without leading zeros") {
  for (const auto& [size, line] : {std::pair<std::size_t, const char*>(1, "1\r\n"),
                                   {15, "f\r\n"},
                                   {16, "10\r\n"},
                                   {65536, "10000\r\n"}}) {
    RecordingTransport transport;
    write_body(transport, true, nullptr, std::string(size, 'x'), false);
    CHECK(transport.written == line + std::string(size, 'x') + "\r\n");
  }
}

}  // namespace
}  // namespace remora::http::test
