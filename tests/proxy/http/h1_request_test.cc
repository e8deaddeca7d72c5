// What the server codec makes of the bytes of requests: one table, every row fed whole, byte by byte, and
// split once at every position. A row's verdict must not depend on the split.
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "tests/proxy/http/recorder.h"

namespace remora::http::test {
namespace {

constexpr std::string_view kMalformed = "bad malformed message downstream retry=no\nclose\n";
constexpr std::string_view kFraming = "bad forbidden framing downstream retry=no\nclose\n";
constexpr std::string_view kCoding = "bad unsupported transfer coding downstream retry=no\nclose\n";
constexpr std::string_view kVersion = "bad unsupported HTTP version downstream retry=no\nclose\n";
constexpr std::string_view kMethod = "bad method not allowed downstream retry=no\nclose\n";

// A body that breaks after its head was handed over: the receiver is told, then the owner may answer.
constexpr std::string_view kBadChunk =
    "POST / [a] 1.1 length=? | Host: a | Transfer-Encoding: chunked\nreset malformed message downstream "
    "retry=no\n"
    "bad malformed message downstream retry=no\nclose\n";
constexpr std::string_view kBadChunkAfterBody =
    "POST / [a] 1.1 length=? | Host: a | Transfer-Encoding: chunked\nbody abc\nreset malformed message "
    "downstream "
    "retry=no\nbad malformed message downstream retry=no\nclose\n";

struct Row {
  const char* name;
  std::string_view bytes;
  std::string_view expected;
};

std::string whole(const Row& row) {
  ServerWorld world;
  world.feed(row.bytes);
  return world.result() + world.transport.written;
}

void check(const Row& row) {
  CAPTURE(row.name);
  {
    ServerWorld world;
    world.feed(row.bytes);
    CHECK(world.result() == row.expected);
  }
  const std::string verdict = whole(row);
  {
    ServerWorld world;
    world.feed_bytewise(row.bytes);
    CHECK(world.result() + world.transport.written == verdict);
  }
  for (std::size_t at = 1; at < row.bytes.size(); ++at) {
    CAPTURE(at);
    ServerWorld world;
    world.feed(row.bytes.substr(0, at));
    world.feed(row.bytes.substr(at));
    CHECK(world.result() + world.transport.written == verdict);
  }
}

#define HOST "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

constexpr std::string_view kGet = "GET / [a] 1.1 | Host: a\nopen\n";

const Row kStartLines[] = {
    {"plain", GET HOST "\r\n", kGet},
    {"one empty line before", "\r\n" GET HOST "\r\n", kGet},
    {"two empty lines before", "\r\n\r\n" GET HOST "\r\n", kMalformed},
    {"bare LF before", "\n" GET HOST "\r\n", kMalformed},
    {"bare CR before", "\r" GET HOST "\r\n", kMalformed},
    {"unknown method", "BREW / HTTP/1.1\r\n" HOST "\r\n", "BREW / [a] 1.1 | Host: a\nopen\n"},
    {"lower-case method", "get / HTTP/1.1\r\n" HOST "\r\n", "get / [a] 1.1 | Host: a\nopen\n"},
    {"method is no token", "GE(T / HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"method with an octet above 127", "GE\xc3T / HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"empty method", " / HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"two spaces after the method", "GET  / HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"two spaces after the target", "GET /  HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"space at the end", "GET / HTTP/1.1 \r\n" HOST "\r\n", kMalformed},
    {"space at the start", " GET / HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"tab as separator", "GET\t/ HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"no version", "GET /\r\n\r\n", kMalformed},
    {"only a method", "GET\r\n\r\n", kMalformed},
    {"LF alone ends the request line", "GET / HTTP/1.1\n" HOST "\r\n", kMalformed},
    {"CR alone ends the request line", "GET / HTTP/1.1\r" HOST "\r\n", kMalformed},
    {"HTTP/0.9 version", "GET / HTTP/0.9\r\n" HOST "\r\n", kVersion},
    {"HTTP/2.0", "GET / HTTP/2.0\r\n" HOST "\r\n", kVersion},
    {"HTTP/3.0", "GET / HTTP/3.0\r\n" HOST "\r\n", kVersion},
    {"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\n", kVersion},
    {"HTTP/1.2 is HTTP/1.1", "GET / HTTP/1.2\r\n" HOST "\r\n", "GET / [a] 1.2 | Host: a\nopen\n"},
    {"HTTP/1.10", "GET / HTTP/1.10\r\n" HOST "\r\n", kMalformed},
    {"HTTP/01.1", "GET / HTTP/01.1\r\n" HOST "\r\n", kMalformed},
    {"HTTP/1", "GET / HTTP/1\r\n" HOST "\r\n", kMalformed},
    {"lower-case protocol", "GET / http/1.1\r\n" HOST "\r\n", kMalformed},
    {"RTSP", "GET / RTSP/1.0\r\n" HOST "\r\n", kMalformed},
    {"ICE", "SOURCE / ICE/1.0\r\n" HOST "\r\n", kMalformed},
    {"a TLS hello", "\x16\x03\x01\x02\x00\x01", kMalformed},
};

const Row kTargets[] = {
    {"query", "GET /a?b=c&d HTTP/1.1\r\n" HOST "\r\n", "GET /a?b=c&d [a] 1.1 | Host: a\nopen\n"},
    {"dots and escapes are left alone", "GET /a/../%2f%zz HTTP/1.1\r\n" HOST "\r\n",
     "GET /a/../%2f%zz [a] 1.1 | Host: a\nopen\n"},
    {"fragment", "GET /a#b HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"octet above 127", "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"control character", "GET /\x01 HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"DEL", "GET /\x7f HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"tab", "GET /a\tb HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"neither form", "GET a HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"absolute form", "GET http://b/x?y HTTP/1.1\r\n" HOST "\r\n", "GET /x?y [b] 1.1 | Host: b\nopen\n"},
    {"absolute form without a path", "GET http://b:81 HTTP/1.1\r\n" HOST "\r\n",
     "GET / [b:81] 1.1 | Host: b:81\nopen\n"},
    {"absolute form with only a query", "GET http://b?q HTTP/1.1\r\n" HOST "\r\n",
     "GET /?q [b] 1.1 | Host: b\nopen\n"},
    {"absolute form, scheme in capitals", "GET HTTP://b/ HTTP/1.1\r\n" HOST "\r\n",
     "GET / [b] 1.1 | Host: b\nopen\n"},
    {"absolute form needs Host all the same", "GET http://b/ HTTP/1.1\r\n\r\n", kMalformed},
    {"absolute form on HTTP/1.0 without Host", "GET http://b/ HTTP/1.0\r\n\r\n",
     "GET / [b] 1.0 | Host: b\nfinish\n"},
    {"absolute form with userinfo", "GET http://u@b/ HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"absolute form without authority", "GET http:///x HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"absolute form with https", "GET https://b/ HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"absolute form with ftp", "GET ftp://b/ HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"asterisk", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "OPTIONS * [a] 1.1 | Host: a\nopen\n"},
    {"asterisk from absolute form", "OPTIONS http://b HTTP/1.1\r\n" HOST "\r\n",
     "OPTIONS * [b] 1.1 | Host: b\nopen\n"},
    {"OPTIONS of the root in absolute form", "OPTIONS http://b/ HTTP/1.1\r\n" HOST "\r\n",
     "OPTIONS / [b] 1.1 | Host: b\nopen\n"},
    {"asterisk with GET", "GET * HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"CONNECT", "CONNECT b:443 HTTP/1.1\r\n" HOST "\r\n", kMethod},
    {"CONNECT to IPv6", "CONNECT [::1]:443 HTTP/1.1\r\n" HOST "\r\n", kMethod},
    {"CONNECT without a port", "CONNECT b HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"CONNECT with an empty port", "CONNECT b: HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"CONNECT to IPv6 without a port", "CONNECT [::1] HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"CONNECT with a length", "CONNECT b:443 HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", kMalformed},
    {"CONNECT with chunks", "CONNECT b:443 HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     kMalformed},
    {"CONNECT with a path", "CONNECT / HTTP/1.1\r\n" HOST "\r\n", kMalformed},
    {"authority form with GET", "GET b:443 HTTP/1.1\r\n" HOST "\r\n", kMalformed},
};

const Row kHosts[] = {
    {"missing", GET "\r\n", kMalformed},
    {"missing on HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "GET / [] 1.0\nfinish\n"},
    {"twice", GET HOST HOST "\r\n", kMalformed},
    {"twice on HTTP/1.0", "GET / HTTP/1.0\r\n" HOST "host: b\r\n\r\n", kMalformed},
    {"empty", GET "Host:\r\n\r\n", kMalformed},
    {"port", GET "Host: a:8080\r\n\r\n", "GET / [a:8080] 1.1 | Host: a:8080\nopen\n"},
    {"only a port", GET "Host: :80\r\n\r\n", kMalformed},
    {"port that is no number", GET "Host: a:b\r\n\r\n", kMalformed},
    {"port too large", GET "Host: a:65536\r\n\r\n", kMalformed},
    {"space inside", GET "Host: a b\r\n\r\n", kMalformed},
    {"userinfo", GET "Host: u@a\r\n\r\n", kMalformed},
    {"path", GET "Host: a/b\r\n\r\n", kMalformed},
    {"IPv6", GET "Host: [::1]:80\r\n\r\n", "GET / [[::1]:80] 1.1 | Host: [::1]:80\nopen\n"},
    {"IPv6 not closed", GET "Host: [::1\r\n\r\n", kMalformed},
    {"IPv6 with rubbish behind", GET "Host: [::1]x\r\n\r\n", kMalformed},
    {"escaped name", GET "Host: a%41\r\n\r\n", "GET / [a%41] 1.1 | Host: a%41\nopen\n"},
    {"bad escape", GET "Host: a%4\r\n\r\n", kMalformed},
    {"list", GET "Host: a, b\r\n\r\n", kMalformed},
    {"octet above 127", GET "Host: \xc3\xa9\r\n\r\n", kMalformed},
};

const Row kFields[] = {
    {"space around a value is trimmed", GET HOST "X: \t v \t \r\n\r\n",
     "GET / [a] 1.1 | Host: a | X: v\nopen\n"},
    {"no space before a value", GET "Host:a\r\n\r\n", kGet},
    {"empty value", GET HOST "X:\r\n\r\n", "GET / [a] 1.1 | Host: a | X: \nopen\n"},
    {"value of blanks", GET HOST "X:  \r\nY: 1\r\n\r\n", "GET / [a] 1.1 | Host: a | X:  | Y: 1\nopen\n"},
    {"repeated fields keep their order", GET HOST "X: 1\r\nY: 2\r\nx: 3\r\n\r\n",
     "GET / [a] 1.1 | Host: a | X: 1 | Y: 2 | x: 3\nopen\n"},
    {"underscore in a name", GET HOST "a_b: 1\r\n\r\n", "GET / [a] 1.1 | Host: a | a_b: 1\nopen\n"},
    {"octets above 127 in a value", GET HOST "X: \xff\x80\r\n\r\n",
     "GET / [a] 1.1 | Host: a | X: \xff\x80\nopen\n"},
    {"tab in a value", GET HOST "X: a\tb\r\n\r\n", "GET / [a] 1.1 | Host: a | X: a\tb\nopen\n"},
    {"space before the colon", GET HOST "X : 1\r\n\r\n", kMalformed},
    {"tab before the colon", GET HOST "X\t: 1\r\n\r\n", kMalformed},
    {"no colon", GET HOST "X\r\n\r\n", kMalformed},
    {"empty name", GET HOST ": 1\r\n\r\n", kMalformed},
    {"empty name on the first line", GET ": 1\r\n" HOST "\r\n", kMalformed},
    {"separator in a name", GET HOST "X(: 1\r\n\r\n", kMalformed},
    {"octet above 127 in a name", GET HOST "X\x80: 1\r\n\r\n", kMalformed},
    {"folded line", GET HOST "X: 1\r\n 2\r\n\r\n", kMalformed},
    {"line folded with a tab", GET HOST "X: 1\r\n\t2\r\n\r\n", kMalformed},
    {"space on the first field line", GET " X: 1\r\n" HOST "\r\n", kMalformed},
    {"Content-Length behind a space", POST "X: 1\r\n Content-Length: 3\r\n\r\nabc", kMalformed},
    {"line of blanks", GET HOST " \r\n\r\n", kMalformed},
    {"LF alone ends a line", GET "Host: a\n\r\n", kMalformed},
    {"CR alone in a value", GET HOST "X: a\rb\r\n\r\n", kMalformed},
    {"CR alone hides a field", GET HOST "X: \rTransfer-Encoding: chunked\r\n\r\n", kMalformed},
    {"LF alone ends the head", GET HOST "\n", kMalformed},
    {"CR and a letter end the head", GET HOST "\rX", kMalformed},
    {"NUL in a value", std::string_view(GET HOST "X: a\0b\r\n\r\n", sizeof(GET HOST "X: a\0b\r\n\r\n") - 1),
     kMalformed},
    {"control character in a value", GET HOST "X: a\x01\r\n\r\n", kMalformed},
    {"DEL in a value", GET HOST "X: a\x7f\r\n\r\n", kMalformed},
    {"control character in a name", GET HOST "X\x02: a\r\n\r\n", kMalformed},
};

const Row kFramings[] = {
    {"Content-Length", POST "Content-Length: 3\r\n\r\nabc",
     "POST / [a] 1.1 length=3 | Host: a | Content-Length: 3\nbody abc\nend\nopen\n"},
    {"Content-Length 0", POST "Content-Length: 0\r\n\r\n",
     "POST / [a] 1.1 length=0 no-body | Host: a | Content-Length: 0\nopen\n"},
    {"Content-Length with leading zeros", POST "Content-Length: 003\r\n\r\nabc",
     "POST / [a] 1.1 length=3 | Host: a | Content-Length: 003\nbody abc\nend\nopen\n"},
    {"body on GET", GET HOST "Content-Length: 1\r\n\r\nx",
     "GET / [a] 1.1 length=1 | Host: a | Content-Length: 1\nbody x\nend\nopen\n"},
    {"Content-Length on HTTP/1.0", "POST / HTTP/1.0\r\n" HOST "Content-Length: 1\r\n\r\nx",
     "POST / [a] 1.0 length=1 | Host: a | Content-Length: 1\nbody x\nend\nfinish\n"},
    {"Content-Length twice, the same", POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", kFraming},
    {"Content-Length twice, different", POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", kFraming},
    {"Content-Length as a list", POST "Content-Length: 3, 3\r\n\r\nabc", kFraming},
    {"Content-Length with a sign", POST "Content-Length: +3\r\n\r\nabc", kFraming},
    {"negative Content-Length", POST "Content-Length: -3\r\n\r\nabc", kFraming},
    {"Content-Length with a space inside", POST "Content-Length: 3 3\r\n\r\nabc", kFraming},
    {"hexadecimal Content-Length", POST "Content-Length: 0x3\r\n\r\nabc", kFraming},
    {"empty Content-Length", POST "Content-Length:\r\n\r\n", kFraming},
    {"Content-Length beyond 64 bits", POST "Content-Length: 18446744073709551616\r\n\r\n", kFraming},
    {"Content-Length beyond 63 bits", POST "Content-Length: 9223372036854775808\r\n\r\n", kFraming},
    {"both, length first", POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", kFraming},
    {"both, coding first", POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", kFraming},
    {"empty coding and a length", POST "Transfer-Encoding:\r\nContent-Length: 3\r\n\r\nabc", kFraming},
    {"empty coding", POST "Transfer-Encoding:\r\n\r\n", kFraming},
    {"coding of a comma", POST "Transfer-Encoding: ,\r\n\r\n", kFraming},
    {"chunked in capitals", POST "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
     "POST / [a] 1.1 length=? | Host: a | Transfer-Encoding: Chunked\nend\nopen\n"},
    {"chunked twice", POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", kFraming},
    {"two fields of chunked",
     POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", kFraming},
    {"chunked not last", POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", kFraming},
    {"chunked, then identity", POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", kFraming},
    {"comma before chunked", POST "Transfer-Encoding: , chunked\r\n\r\n0\r\n\r\n", kFraming},
    {"comma behind chunked", POST "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", kFraming},
    {"gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", kCoding},
    {"gzip", POST "Transfer-Encoding: gzip\r\n\r\n", kCoding},
    {"identity", POST "Transfer-Encoding: identity\r\n\r\n", kCoding},
    {"xchunked", POST "Transfer-Encoding: xchunked\r\n\r\n", kCoding},
    {"chunked with a parameter", POST "Transfer-Encoding: chunked;q=1\r\n\r\n", kCoding},
    {"quoted chunked", POST "Transfer-Encoding: \"chunked\"\r\n\r\n", kCoding},
    {"identity and chunked in two fields",
     POST "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", kCoding},
    {"chunked on HTTP/1.0", "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     kFraming},
    {"folded chunked", POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", kMalformed},
    {"vertical tab before chunked", POST "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", kMalformed},
};

#define CHUNKED_HEAD "POST / [a] 1.1 length=? | Host: a | Transfer-Encoding: chunked\n"

const Row kChunks[] = {
    {"one chunk", CHUNKED "3\r\nabc\r\n0\r\n\r\n", CHUNKED_HEAD "body abc\nend\nopen\n"},
    {"chunks are joined", CHUNKED "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", CHUNKED_HEAD "body abc\nend\nopen\n"},
    {"hexadecimal size", CHUNKED "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
     CHUNKED_HEAD "body 01234567890123456789\nend\nopen\n"},
    {"leading zeros", CHUNKED "0003\r\nabc\r\n000\r\n\r\n", CHUNKED_HEAD "body abc\nend\nopen\n"},
    {"seventeen digits", CHUNKED "00000000000000003\r\nabc\r\n0\r\n\r\n", kBadChunk},
    {"size beyond 64 bits", CHUNKED "FFFFFFFFFFFFFFFFF\r\nabc", kBadChunk},
    {"size beyond 63 bits", CHUNKED "8000000000000000\r\nabc", kBadChunk},
    {"no digits", CHUNKED "\r\nabc\r\n0\r\n\r\n", kBadChunk},
    {"only an extension", CHUNKED ";a=b\r\n\r\n", kBadChunk},
    {"0x", CHUNKED "0x3\r\nabc\r\n0\r\n\r\n", kBadChunk},
    {"negative size", CHUNKED "-1\r\nabc\r\n0\r\n\r\n", kBadChunk},
    {"space before the size", CHUNKED " 3\r\nabc\r\n0\r\n\r\n", kBadChunk},
    {"space behind the size", CHUNKED "3 \r\nabc\r\n0\r\n\r\n", kBadChunk},
    {"LF alone behind the size", CHUNKED "3\nabc\r\n0\r\n\r\n", kBadChunk},
    {"CR and a letter behind the size", CHUNKED "3\rXabc\r\n0\r\n\r\n", kBadChunk},
    {"data not followed by CRLF", CHUNKED "3\r\nabcXX0\r\n\r\n", kBadChunkAfterBody},
    {"data followed by LF alone", CHUNKED "3\r\nabc\n0\r\n\r\n", kBadChunkAfterBody},
    {"data followed by CR and a letter", CHUNKED "3\r\nabc\rX", kBadChunkAfterBody},
    {"extension", CHUNKED "3;a=b\r\nabc\r\n0\r\n\r\n", CHUNKED_HEAD "body abc\nend\nopen\n"},
    {"two extensions", CHUNKED "3;a=b;c=d\r\nabc\r\n0;e\r\n\r\n", CHUNKED_HEAD "body abc\nend\nopen\n"},
    {"quoted extension", CHUNKED "3;a=\"b;c\"\r\nabc\r\n0\r\n\r\n", CHUNKED_HEAD "body abc\nend\nopen\n"},
    {"extension with blanks and a tab", CHUNKED "3; a =\tb\r\nabc\r\n0\r\n\r\n",
     CHUNKED_HEAD "body abc\nend\nopen\n"},
    {"LF alone in an extension", CHUNKED "3;a\nabc\r\n0\r\n\r\n", kBadChunk},
    {"CR alone in an extension", CHUNKED "3;a\rb\r\nabc\r\n0\r\n\r\n", kBadChunk},
    {"NUL in an extension", std::string_view(CHUNKED "3;\0\r\nabc", sizeof(CHUNKED "3;\0\r\nabc") - 1),
     kBadChunk},
    {"trailers", CHUNKED "3\r\nabc\r\n0\r\nX: 1\r\nY: 2\r\n\r\n",
     CHUNKED_HEAD "body abc\ntrailers | X: 1 | Y: 2\nopen\n"},
    {"trailers of an empty body", CHUNKED "0\r\nX: 1\r\n\r\n", CHUNKED_HEAD "trailers | X: 1\nopen\n"},
    {"forbidden trailers are dropped",
     CHUNKED "0\r\nHost: b\r\nAuthorization: x\r\nX: 1\r\nX-Forwarded-For: 1\r\nIf-Match: 1\r\n\r\n",
     CHUNKED_HEAD "trailers | X: 1\nopen\n"},
    {"only forbidden trailers", CHUNKED "0\r\nHost: b\r\n\r\n", CHUNKED_HEAD "end\nopen\n"},
    {"Content-Length in trailers", CHUNKED "0\r\nContent-Length: 3\r\n\r\n",
     CHUNKED_HEAD
     "reset forbidden framing downstream retry=no\nbad forbidden framing downstream retry=no\nclose\n"},
    {"Transfer-Encoding in trailers", CHUNKED "0\r\nTransfer-Encoding: chunked\r\n\r\n",
     CHUNKED_HEAD
     "reset forbidden framing downstream retry=no\nbad forbidden framing downstream retry=no\nclose\n"},
    {"LF alone ends the trailers", CHUNKED "0\r\n\n", kBadChunk},
    {"CR and a letter end the trailers", CHUNKED "0\r\n\rX", kBadChunk},
    {"folded trailer", CHUNKED "0\r\nX: 1\r\n 2\r\n\r\n", kBadChunk},
    {"trailer without a name", CHUNKED "0\r\n: 1\r\n\r\n", kBadChunk},
    {"trailer without a colon", CHUNKED "0\r\nX\r\n\r\n", kBadChunk},
    {"space before a trailer's colon", CHUNKED "0\r\nX : 1\r\n\r\n", kBadChunk},
    {"next request behind the body", CHUNKED "1\r\na\r\n0\r\n\r\n" GET HOST "\r\n",
     CHUNKED_HEAD "body a\nend\nGET / [a] 1.1 | Host: a\nopen\n"},
    {"next request behind trailers", CHUNKED "0\r\nX: 1\r\n\r\n" GET HOST "\r\n",
     CHUNKED_HEAD "trailers | X: 1\nGET / [a] 1.1 | Host: a\nopen\n"},
};

const Row kConnections[] = {
    {"close", GET HOST "Connection: close\r\n\r\n", "GET / [a] 1.1 | Host: a | Connection: close\nfinish\n"},
    {"close in a list", GET HOST "Connection: x, Close\r\n\r\n",
     "GET / [a] 1.1 | Host: a | Connection: x, Close\nfinish\n"},
    {"close in the second field", GET HOST "Connection: x\r\nConnection: close\r\n\r\n",
     "GET / [a] 1.1 | Host: a | Connection: x | Connection: close\nfinish\n"},
    {"HTTP/1.0", "GET / HTTP/1.0\r\n" HOST "\r\n", "GET / [a] 1.0 | Host: a\nfinish\n"},
    {"HTTP/1.0 with keep-alive", "GET / HTTP/1.0\r\n" HOST "Connection: Keep-Alive\r\n\r\n",
     "GET / [a] 1.0 | Host: a | Connection: Keep-Alive\nopen\n"},
    {"HTTP/1.0 with both", "GET / HTTP/1.0\r\n" HOST "Connection: keep-alive, close\r\n\r\n",
     "GET / [a] 1.0 | Host: a | Connection: keep-alive, close\nfinish\n"},
    {"nothing behind close is read", GET HOST "Connection: close\r\n\r\n" GET HOST "\r\n",
     "GET / [a] 1.1 | Host: a | Connection: close\nfinish\n"},
    {"upgrade", GET HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
     "GET / [a] 1.1 upgrade | Host: a | Connection: Upgrade | Upgrade: websocket\nopen\n"},
    {"upgrade not in Connection", GET HOST "Upgrade: websocket\r\n\r\n",
     "GET / [a] 1.1 | Host: a | Upgrade: websocket\nopen\n"},
    {"upgrade only in Connection", GET HOST "Connection: upgrade\r\n\r\n",
     "GET / [a] 1.1 | Host: a | Connection: upgrade\nopen\n"},
    {"upgrade on HTTP/1.0", "GET / HTTP/1.0\r\n" HOST "Connection: upgrade\r\nUpgrade: x\r\n\r\n",
     "GET / [a] 1.0 | Host: a | Connection: upgrade | Upgrade: x\nfinish\n"},
    {"upgrade to h2c",
     GET HOST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
     "GET / [a] 1.1 | Host: a | Connection: Upgrade, HTTP2-Settings | Upgrade: h2c | HTTP2-Settings: "
     "AA\nopen\n"},
    {"upgrade with a body", POST "Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\nx",
     "POST / [a] 1.1 length=1 | Host: a | Connection: upgrade | Upgrade: x | Content-Length: 1\nbody "
     "x\nend\nopen\n"},
    {"upgrade with a chunked body",
     POST
     "Connection: upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n" GET HOST
     "\r\n",
     "POST / [a] 1.1 length=? | Host: a | Connection: upgrade | Upgrade: x | Transfer-Encoding: "
     "chunked\nbody x\nend\nGET / [a] 1.1 | Host: a\nopen\n"},
    {"five pipelined, the third malformed",
     GET HOST "\r\n" GET HOST "\r\n" GET "\r\n" GET HOST "\r\n" GET HOST "\r\n",
     "GET / [a] 1.1 | Host: a\nGET / [a] 1.1 | Host: a\nbad malformed message downstream retry=no\nclose\n"},
};

template <std::size_t N>
void check_all(const Row (&rows)[N]) {
  for (const Row& row : rows) check(row);
}

TEST_CASE("request lines are exact or refused") { check_all(kStartLines); }
TEST_CASE("each form of the request target is resolved or refused") { check_all(kTargets); }
TEST_CASE("Host is one valid authority or the request is refused") { check_all(kHosts); }
TEST_CASE("field lines that two parsers could read differently are refused") { check_all(kFields); }
TEST_CASE("a request's framing is unambiguous or refused") { check_all(kFramings); }
TEST_CASE("chunked request bodies are decoded strictly") { check_all(kChunks); }
TEST_CASE("a request's Connection field decides whether the connection lives on") { check_all(kConnections); }

}  // namespace
}  // namespace remora::http::test
