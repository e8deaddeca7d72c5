// What the client codec makes of the bytes of responses: one table, every row fed whole, byte by byte, and
// split once at every position.
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "tests/proxy/http/recorder.h"

namespace remora::http::test {
namespace {

constexpr std::string_view kMalformed = "reset malformed message upstream retry=no\nabort\n";
constexpr std::string_view kFraming = "reset forbidden framing upstream retry=no\nabort\n";
constexpr std::string_view kCoding = "reset unsupported transfer coding upstream retry=no\nabort\n";
constexpr std::string_view kCut = "reset connection closed early upstream retry=no\nabort\n";

struct Row {
  const char* name;
  std::string_view bytes;
  std::string_view expected;
  std::string_view method = "GET";
  bool upgrade = false;
  bool end = false;  // then the peer's FIN
};

std::string run(const Row& row, std::string_view first, std::string_view second, bool bytewise = false) {
  ClientWorld world;
  world.ask(row.method, row.upgrade);
  if (bytewise) {
    for (std::size_t i = 0; i < row.bytes.size(); ++i) world.feed(row.bytes.substr(i, 1));
  } else {
    world.feed(first);
    world.feed(second);
  }
  if (row.end) world.codec->feed_end();
  return world.result();
}

// Whether bytes behind a response came with it or after it decides how the connection dies, but not whether.
std::string without_fate(const std::string& result) {
  const bool dead = result.ends_with("abort\n") || result.ends_with("close\n");
  return dead ? result.substr(0, result.size() - 6) : result;
}

void check(const Row& row) {
  CAPTURE(row.name);
  const std::string verdict = run(row, row.bytes, {});
  CHECK(verdict == row.expected);
  CHECK(without_fate(run(row, {}, {}, true)) == without_fate(verdict));
  for (std::size_t at = 1; at < row.bytes.size(); ++at) {
    CAPTURE(at);
    CHECK(without_fate(run(row, row.bytes.substr(0, at), row.bytes.substr(at))) == without_fate(verdict));
  }
}

#define OK "HTTP/1.1 200 OK\r\n"
#define LEN3 "Content-Length: 3\r\n\r\nabc"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_HEAD "200 OK 1.1 length=? | Transfer-Encoding: chunked\n"

constexpr std::string_view kOk = "200 OK 1.1 length=3 | Content-Length: 3\nbody abc\nend\nopen available\n";
constexpr std::string_view kBadChunk = CHUNKED_HEAD "reset malformed message upstream retry=no\nabort\n";

const Row kStatusLines[] = {
    {"plain", OK LEN3, kOk},
    {"no reason", "HTTP/1.1 200 \r\n" LEN3,
     "200  1.1 length=3 | Content-Length: 3\nbody abc\nend\nopen available\n"},
    {"no reason and no space", "HTTP/1.1 200\r\n" LEN3,
     "200  1.1 length=3 | Content-Length: 3\nbody abc\nend\nopen available\n"},
    {"octets above 127 and a tab in the reason", "HTTP/1.1 200 O\tK\xc3\xa9\r\n" LEN3,
     "200 O\tK\xc3\xa9 1.1 length=3 | Content-Length: 3\nbody abc\nend\nopen available\n"},
    {"unknown status", "HTTP/1.1 599 X\r\n" LEN3,
     "599 X 1.1 length=3 | Content-Length: 3\nbody abc\nend\nopen available\n"},
    {"status 99", "HTTP/1.1 099 X\r\n" LEN3, kMalformed},
    {"status of two digits", "HTTP/1.1 99 X\r\n" LEN3, kMalformed},
    {"status 600", "HTTP/1.1 600 X\r\n" LEN3, kMalformed},
    {"status 999", "HTTP/1.1 999 X\r\n" LEN3, kMalformed},
    {"status of four digits", "HTTP/1.1 2000 X\r\n" LEN3, kMalformed},
    {"two spaces", "HTTP/1.1  200 OK\r\n" LEN3, kMalformed},
    {"empty line before", "\r\n" OK LEN3, kMalformed},
    {"HTTP/2.0", "HTTP/2.0 200 OK\r\n" LEN3, "reset unsupported HTTP version upstream retry=no\nabort\n"},
    {"RTSP", "RTSP/1.0 200 OK\r\n" LEN3, kMalformed},
    {"ICY", "ICY 200 OK\r\n" LEN3, kMalformed},
    {"lower-case protocol", "http/1.1 200 OK\r\n" LEN3, kMalformed},
    {"CR alone in the reason", "HTTP/1.1 200 O\rK\r\n" LEN3, kMalformed},
    {"LF alone ends the status line", "HTTP/1.1 200 OK\n" LEN3, kMalformed},
    {"NUL in the reason",
     std::string_view("HTTP/1.1 200 \0\r\n" LEN3, sizeof("HTTP/1.1 200 \0\r\n" LEN3) - 1), kMalformed},
    {"HTTP/1.0", "HTTP/1.0 200 OK\r\n" LEN3,
     "200 OK 1.0 length=3 | Content-Length: 3\nbody abc\nend\nclose\n"},
    {"HTTP/1.0 with keep-alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" LEN3,
     "200 OK 1.0 length=3 | Connection: keep-alive | Content-Length: 3\nbody abc\nend\nopen available\n"},
    {"close", OK "Connection: close\r\n" LEN3,
     "200 OK 1.1 length=3 | Connection: close | Content-Length: 3\nbody abc\nend\nclose\n"},
    {"no HTTP at all", "hello\r\n\r\n", kMalformed},
};

const Row kFields[] = {
    {"folded line", OK "X: 1\r\n 2\r\n" LEN3, kMalformed},
    {"space before the colon", OK "X : 1\r\n" LEN3, kMalformed},
    {"empty name", OK ": 1\r\n" LEN3, kMalformed},
    {"CR alone", OK "X: a\rb\r\n" LEN3, kMalformed},
    {"LF alone ends the head", OK "Content-Length: 3\r\n\nabc", kMalformed},
    {"NUL", std::string_view(OK "X: \0\r\n" LEN3, sizeof(OK "X: \0\r\n" LEN3) - 1), kMalformed},
    {"repeated Set-Cookie", OK "Set-Cookie: a\r\nSet-Cookie: b\r\n" LEN3,
     "200 OK 1.1 length=3 | Set-Cookie: a | Set-Cookie: b | Content-Length: 3\nbody abc\nend\nopen "
     "available\n"},
};

const Row kFramings[] = {
    {"no body", OK "Content-Length: 0\r\n\r\n",
     "200 OK 1.1 length=0 no-body | Content-Length: 0\nend\nopen available\n"},
    {"bytes behind the body", OK LEN3 "x", "200 OK 1.1 length=3 | Content-Length: 3\nbody abc\nend\nclose\n"},
    {"second response nobody asked for", OK LEN3 OK LEN3,
     "200 OK 1.1 length=3 | Content-Length: 3\nbody abc\nend\nclose\n"},
    {"bytes behind a response without a body", "HTTP/1.1 204 No\r\n\r\nabc", "204 No 1.1\nend\nclose\n"},
    {"body cut short", OK "Content-Length: 9\r\n\r\nabc",
     "200 OK 1.1 length=9 | Content-Length: 9\nbody abc\nreset connection closed early upstream "
     "retry=no\nabort\n",
     "GET", false, true},
    {"head cut short", OK, kCut, "GET", false, true},
    {"until close", OK "\r\nabc", "200 OK 1.1 length=?\nbody abc\nend\nclose\n", "GET", false, true},
    {"until close on HTTP/1.0", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nabc",
     "200 OK 1.0 length=? | Connection: keep-alive\nbody abc\nend\nclose\n", "GET", false, true},
    {"until close, empty", OK "\r\n", "200 OK 1.1 length=?\nend\nclose\n", "GET", false, true},
    {"length twice", OK "Content-Length: 3\r\n" LEN3, kFraming},
    {"length list", OK "Content-Length: 3, 3\r\n\r\nabc", kFraming},
    {"length with a sign", OK "Content-Length: +3\r\n\r\nabc", kFraming},
    {"length and chunked", OK "Transfer-Encoding: chunked\r\n" LEN3, kFraming},
    {"chunked and length", OK "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", kFraming},
    {"gzip", OK "Transfer-Encoding: gzip\r\n\r\nabc", kCoding},
    {"gzip, chunked", OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", kCoding},
    {"identity", OK "Transfer-Encoding: identity\r\n\r\nabc", kCoding},
    {"chunked, identity", OK "Transfer-Encoding: chunked, identity\r\n\r\nabc", kFraming},
    {"chunked on HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", kFraming},
    {"chunked", CHUNKED "3\r\nabc\r\n0\r\n\r\n", CHUNKED_HEAD "body abc\nend\nopen available\n"},
    {"chunked with trailers", CHUNKED "3\r\nabc\r\n0\r\nX: 1\r\nContent-Type: x\r\n\r\n",
     CHUNKED_HEAD "body abc\ntrailers | X: 1\nopen available\n"},
    {"bytes behind the last chunk", CHUNKED "0\r\n\r\nx", CHUNKED_HEAD "end\nclose\n"},
    {"chunked cut short", CHUNKED "3\r\nab",
     CHUNKED_HEAD "body ab\nreset connection closed early upstream retry=no\nabort\n", "GET", false, true},
    {"chunked without the last chunk", CHUNKED "3\r\nabc\r\n",
     CHUNKED_HEAD "body abc\nreset connection closed early upstream retry=no\nabort\n", "GET", false, true},
    {"chunked with half a last chunk", CHUNKED "3\r\nabc\r\n0\r\n",
     CHUNKED_HEAD "body abc\nreset connection closed early upstream retry=no\nabort\n", "GET", false, true},
    {"bad chunk size", CHUNKED "x\r\n", kBadChunk},
    {"bad chunk end", CHUNKED "1\r\naXX",
     CHUNKED_HEAD "body a\nreset malformed message upstream retry=no\nabort\n"},
    {"LF alone ends the trailers", CHUNKED "0\r\n\n", kBadChunk},
    {"Content-Length in trailers", CHUNKED "0\r\nContent-Length: 1\r\n\r\n",
     CHUNKED_HEAD "reset forbidden framing upstream retry=no\nabort\n"},
};

const Row kBodiless[] = {
    {"HEAD with a length", OK "Content-Length: 3\r\n\r\n",
     "200 OK 1.1 length=3 no-body | Content-Length: 3\nend\nopen available\n", "HEAD"},
    {"HEAD with a stray body", OK LEN3, "200 OK 1.1 length=3 no-body | Content-Length: 3\nend\nclose\n",
     "HEAD"},
    {"HEAD with chunked", OK "Transfer-Encoding: chunked\r\n\r\n",
     "200 OK 1.1 | Transfer-Encoding: chunked\nend\nopen available\n", "HEAD"},
    {"HEAD with neither", OK "\r\n", "200 OK 1.1\nend\nopen available\n", "HEAD"},
    {"204", "HTTP/1.1 204 No\r\n\r\n", "204 No 1.1\nend\nopen available\n"},
    {"204 with a length", "HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n",
     "204 No 1.1 | Content-Length: 3\nend\nopen available\n"},
    {"204 with a length and a body", "HTTP/1.1 204 No\r\n" LEN3,
     "204 No 1.1 | Content-Length: 3\nend\nclose\n"},
    {"204 with chunked", "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
     "204 No 1.1 | Transfer-Encoding: chunked\nend\nopen available\n"},
    {"304 with a length", "HTTP/1.1 304 Not\r\nContent-Length: 3\r\n\r\n",
     "304 Not 1.1 length=3 no-body | Content-Length: 3\nend\nopen available\n"},
    {"304 with a stray body", "HTTP/1.1 304 Not\r\n" LEN3,
     "304 Not 1.1 length=3 no-body | Content-Length: 3\nend\nclose\n"},
    {"304 with chunked", "HTTP/1.1 304 Not\r\nTransfer-Encoding: chunked\r\n\r\n",
     "304 Not 1.1 | Transfer-Encoding: chunked\nend\nopen available\n"},
    {"304 with ambiguous framing",
     "HTTP/1.1 304 Not\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", kFraming},
};

const Row kInterim[] = {
    {"103, then 200", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" OK LEN3,
     "interim 103 Early Hints 1.1 | Link: </a>\n200 OK 1.1 length=3 | Content-Length: 3\nbody abc\nend\nopen "
     "available\n"},
    {"several", "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\n\r\n" OK LEN3,
     "interim 100 C 1.1\ninterim 102 P 1.1\ninterim 103 E 1.1\n200 OK 1.1 length=3 | Content-Length: 3\nbody "
     "abc\nend\nopen available\n"},
    {"interim with a length has no body", "HTTP/1.1 103 E\r\nContent-Length: 3\r\n\r\n" OK LEN3,
     "interim 103 E 1.1 | Content-Length: 3\n200 OK 1.1 length=3 | Content-Length: 3\nbody abc\nend\nopen "
     "available\n"},
    {"nothing behind an interim response", "HTTP/1.1 103 E\r\n\r\n",
     "interim 103 E 1.1\nreset connection closed early upstream retry=no\nabort\n", "GET", false, true},
    {"101 nobody asked for", "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
     kMalformed},
    {"101 without Upgrade", "HTTP/1.1 101 S\r\nConnection: upgrade\r\n\r\n", kMalformed, "GET", true},
    {"101 without Connection", "HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n", kMalformed, "GET", true},
    {"101", "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw\r\n\r\n",
     "upgrade 101 S 1.1 | Connection: Upgrade | Upgrade: websocket\nopen\n", "GET", true},
    {"101 behind 103",
     "HTTP/1.1 103 E\r\n\r\nHTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
     "interim 103 E 1.1\nupgrade 101 S 1.1 | Connection: Upgrade | Upgrade: websocket\nopen\n", "GET", true},
    {"tunnel until FIN", "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw",
     "upgrade 101 S 1.1 | Connection: Upgrade | Upgrade: websocket\nbody raw\nend\nopen\n", "GET", true,
     true},
    {"upgrade refused", "HTTP/1.1 426 U\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n",
     "426 U 1.1 length=0 no-body | Upgrade: x | Connection: upgrade | Content-Length: 0\nend\nopen "
     "available\n",
     "GET", true},
    {"upgrade ignored", OK LEN3, kOk, "GET", true},
};

template <std::size_t N>
void check_all(const Row (&rows)[N]) {
  for (const Row& row : rows) check(row);
}

TEST_CASE("status lines are exact or refused") { check_all(kStatusLines); }
TEST_CASE("field lines of responses are as strict as those of requests") { check_all(kFields); }
TEST_CASE("a response's framing is unambiguous or refused, and truncation is seen") { check_all(kFramings); }
TEST_CASE("responses without a body end with their head") { check_all(kBodiless); }
TEST_CASE("interim responses and upgrades") { check_all(kInterim); }

}  // namespace
}  // namespace remora::http::test
