// What changes in a head on its way through, as one table for requests and one for responses.
#include "proxy/http/forwarding.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

namespace remora::http {
namespace {

using Pairs = std::vector<std::pair<std::string_view, std::string_view>>;

FieldList fields_of(const Pairs& pairs) {
  FieldList fields;
  for (const auto& [name, value] : pairs) fields.add(name, value);
  return fields;
}

std::string text(const FieldList& fields) {
  std::string all;
  fields.for_each([&all](std::string_view name, std::string_view value, FieldId) {
    all.append(name).append(": ").append(value).append(" | ");
  });
  return all;
}

struct Peer {
  bool trusted = true;
  std::string_view host = "10.0.0.7";
  std::string_view scheme = "http";
};

// The fields after preparing, or the verdict in brackets.
std::string prepared(RequestHead& head, const Peer& peer = {}) {
  const Address address;
  Random random(1);
  const ForwardingContext context{
      .peer = address, .peer_host = peer.host, .peer_trusted = peer.trusted, .scheme = peer.scheme};
  switch (prepare_request(head, context, random)) {
    case Verdict::kForward: return text(head.fields);
    case Verdict::kBadConnectionField: return "[bad connection]";
    case Verdict::kLoop: return "[loop]";
    case Verdict::kAnswerHere: return "[answer here]";
  }
  return "";
}

std::string prepared(const Pairs& pairs, const Peer& peer = {}, std::string_view method = "GET") {
  RequestHead head;
  head.method = method;
  head.target = "/";
  head.fields = fields_of(pairs);
  head.fields.add("X-Request-Id", "id");  // so that rows need not show a random one
  return prepared(head, peer);
}

// What every forwarded request of a trusted peer ends with.
#define ADDED "X-Request-Id: id | X-Forwarded-For: 10.0.0.7 | X-Forwarded-Proto: http | Via: 1.1 remora | "

TEST_CASE("ordinary fields pass unchanged, in order") {
  CHECK(prepared(Pairs{{"Host", "a"}, {"X", "1"}, {"a_b", "2"}, {"x", "3"}, {"Date", "d"}}) ==
        "Host: a | X: 1 | a_b: 2 | x: 3 | Date: d | " ADDED);
}

TEST_CASE("hop-by-hop fields and those that Connection names are removed") {
  CHECK(prepared(Pairs{{"Connection", "close, X-A"},
                       {"X-A", "1"},
                       {"x-a", "2"},
                       {"X-B", "3"},
                       {"Keep-Alive", "timeout=5"},
                       {"Proxy-Connection", "keep-alive"},
                       {"Proxy-Authorization", "x"},
                       {"Proxy-Authenticate", "x"},
                       {"Transfer-Encoding", "chunked"},
                       {"Upgrade", "websocket"}}) == "X-B: 3 | " ADDED);
  CHECK(prepared(Pairs{
            {"Connection", "X-A"}, {"Connection", " ,X-B , "}, {"X-A", "1"}, {"X-B", "1"}, {"X-C", "1"}}) ==
        "X-C: 1 | " ADDED);
  CHECK(prepared(Pairs{{"Connection", "Connection, cookie"}, {"Cookie", "c"}}) == ADDED);
}

TEST_CASE("Connection must not name what must not be dropped") {
  for (const std::string_view name : {"Host", "content-length", "Authorization", "X-Forwarded-For",
                                      "x-forwarded-proto", "X-Forwarded-Anything", "Forwarded"}) {
    CAPTURE(name);
    CHECK(prepared(Pairs{{"Connection", name}}) == "[bad connection]");
    CHECK(prepared(Pairs{{"Connection", "close, " + std::string(name)}, {"X", "1"}}) == "[bad connection]");
  }
}

TEST_CASE("Connection may not name more options than anybody needs") {
  std::string options;
  for (int i = 0; i < 64; ++i) options += "x" + std::to_string(i) + ", ";
  CHECK(prepared(Pairs{{"Connection", options}, {"X63", "1"}}) == ADDED);
  CHECK(prepared(Pairs{{"Connection", options + "y"}}) == "[bad connection]");
}

TEST_CASE("of TE only trailers is passed on") {
  CHECK(prepared(Pairs{{"TE", "gzip, trailers"}}) ==
        "X-Request-Id: id | TE: trailers | X-Forwarded-For: 10.0.0.7 | "
        "X-Forwarded-Proto: http | Via: 1.1 remora | ");
  CHECK(prepared(Pairs{{"TE", "Trailers;q=0.5"}, {"Connection", "TE"}}).find("TE: trailers | ") !=
        std::string::npos);
  CHECK(prepared(Pairs{{"TE", "gzip"}}) == ADDED);
  CHECK(prepared(Pairs{{"TE", ""}}) == ADDED);
}

TEST_CASE("Trailer is passed on only where trailers can follow") {
  RequestHead chunked;
  chunked.method = "POST";
  chunked.has_body = true;
  chunked.fields.add("Trailer", "X");
  CHECK(prepared(chunked).starts_with("Trailer: X | "));
  RequestHead sized = chunked;
  sized.fields = fields_of({{"Trailer", "X"}});
  sized.content_length = 5;
  CHECK(!prepared(sized).starts_with("Trailer"));
}

TEST_CASE("a real upgrade is passed on, any other is not") {
  RequestHead real;
  real.method = "GET";
  real.upgrade = true;
  real.fields = fields_of({{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Key", "k"}});
  CHECK(prepared(real).starts_with("Upgrade: websocket | Sec-WebSocket-Key: k | X-Forwarded-For"));
  CHECK(prepared(
            Pairs{{"Connection", "Upgrade, HTTP2-Settings"}, {"Upgrade", "h2c"}, {"HTTP2-Settings", "AA"}}) ==
        ADDED);
  CHECK(prepared(Pairs{{"Connection", "Upgrade"}, {"Upgrade", "h2c"}, {"HTTP2-Settings", "AA"}}) == ADDED);
}

TEST_CASE("X-Forwarded-For: appended in one line for trusted peers, replaced for others") {
  CHECK(
      prepared(Pairs{{"X-Forwarded-For", "1.1.1.1"}}) ==
      "X-Forwarded-For: 1.1.1.1, 10.0.0.7 | X-Request-Id: id | X-Forwarded-Proto: http | Via: 1.1 remora | ");
  CHECK(
      prepared(Pairs{{"X-Forwarded-For", "1.1.1.1, 2.2.2.2"}, {"A", "b"}, {"x-forwarded-for", "3.3.3.3"}}) ==
      "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 10.0.0.7 | A: b | X-Request-Id: id | X-Forwarded-Proto: "
      "http | Via: 1.1 "
      "remora | ");
  CHECK(prepared(Pairs{{"X-Forwarded-For", "6.6.6.6"}, {"X-Forwarded-For", "7.7.7.7"}}, {.trusted = false}) ==
        ADDED);
}

TEST_CASE("what an untrusted peer says about earlier hops is dropped, a trusted one is believed") {
  const Pairs claims{{"X-Forwarded-Proto", "https"},
                     {"X-Forwarded-Host", "h"},
                     {"X-Forwarded-Port", "1"},
                     {"X-Forwarded-Client-Cert", "c"},
                     {"Forwarded", "for=x"}};
  CHECK(prepared(claims, {.trusted = false}) == ADDED);
  CHECK(prepared(claims) ==
        "X-Forwarded-Proto: https | X-Forwarded-Host: h | X-Forwarded-Port: 1 | X-Forwarded-Client-Cert: c | "
        "Forwarded: for=x | "
        "X-Request-Id: id | X-Forwarded-For: 10.0.0.7 | Via: 1.1 remora | ");
  CHECK(prepared(Pairs{}, {.scheme = "https"}).find("X-Forwarded-Proto: https") != std::string::npos);
}

TEST_CASE("X-Forwarded-Proto said twice, as a list or empty is replaced") {
  for (const Pairs& pairs : {Pairs{{"X-Forwarded-Proto", "https"}, {"X-Forwarded-Proto", "http"}},
                             Pairs{{"X-Forwarded-Proto", ""}}, Pairs{{"X-Forwarded-Proto", "https, http"}}}) {
    CHECK(prepared(pairs).starts_with("X-Forwarded-Proto: http | X-Request-Id"));
  }
}

std::string request_id(const Pairs& pairs, bool trusted) {
  RequestHead head;
  head.method = "GET";
  head.fields = fields_of(pairs);
  prepared(head, {.trusted = trusted});
  REQUIRE(head.fields.count(FieldId::kXRequestId) == 1);
  return std::string(*head.fields.get(FieldId::kXRequestId));
}

TEST_CASE("X-Request-Id is made when it is absent, and kept when it can be") {
  const std::string made = request_id({}, false);
  REQUIRE(made.size() == 36);
  for (std::size_t i = 0; i < made.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    CHECK((dash ? made[i] == '-' : std::isxdigit(made[i]) != 0));
  }
  CHECK(made[14] == '4');
  CHECK(std::string_view("89ab").find(made[19]) != std::string_view::npos);
  CHECK(request_id({{"X-Request-Id", "abc-1"}}, false) == "abc-1");
  CHECK(request_id({{"X-Request-Id", "odd \"one\""}}, true) == "odd \"one\"");
  CHECK(request_id({{"X-Request-Id", "odd \"one\""}}, false) == made);
  CHECK(request_id({{"X-Request-Id", ""}}, true) == made);
  CHECK(request_id({{"X-Request-Id", std::string(129, 'a')}}, true) == made);
  CHECK(request_id({{"X-Request-Id", "a"}, {"X-Request-Id", "b"}}, true) == made);
}

TEST_CASE("request ids of one generator differ") {
  Random random(5);
  const Address address;
  std::vector<std::string> ids;
  for (int i = 0; i < 1000; ++i) {
    RequestHead head;
    prepare_request(head, {.peer = address, .peer_host = "h", .scheme = "http"}, random);
    ids.emplace_back(*head.fields.get(FieldId::kXRequestId));
  }
  std::sort(ids.begin(), ids.end());
  CHECK(std::adjacent_find(ids.begin(), ids.end()) == ids.end());
}

TEST_CASE("Via is added behind what is there and says what was received") {
  CHECK(prepared(Pairs{{"Via", "1.0 fred"}}).starts_with("Via: 1.0 fred | "));
  RequestHead old;
  old.version = {1, 0};
  CHECK(prepared(old).ends_with("Via: 1.0 remora | "));
}

TEST_CASE("our own name in Via is a loop, another's or one in a comment is not") {
  for (const std::string_view via :
       {"1.1 remora", "1.0 fred, 1.1 Remora", "HTTP/1.1 remora (sidecar)", "1.1\tremora(x)",
        "1.1 b (x, \\) y), 1.1 remora, 1.1 c", ", 1.1 remora"}) {
    CAPTURE(via);
    CHECK(prepared(Pairs{{"Via", via}}) == "[loop]");
  }
  CHECK(prepared(Pairs{{"Via", "1.1 a"}, {"Via", "1.1 remora"}}) == "[loop]");
  for (const std::string_view via : {"1.1 remora2", "1.1 xremora", "1.1 remora:80", "remora",
                                     "1.1 a (1.1 remora)", "1.1 a (x, 1.1 remora)", "", "1.1"}) {
    CAPTURE(via);
    CHECK(prepared(Pairs{{"Via", via}}) != "[loop]");
  }
}

TEST_CASE("the name in Via can be another") {
  const Address address;
  Random random(1);
  const ForwardingContext context{
      .peer = address, .peer_host = "h", .scheme = "http", .pseudonym = "remora-1"};
  RequestHead passed;
  passed.fields.add("Via", "1.1 remora");
  CHECK(prepare_request(passed, context, random) == Verdict::kForward);
  CHECK(text(passed.fields).ends_with("Via: 1.1 remora-1 | "));
  RequestHead loop;
  loop.fields.add("Via", "1.1 remora-1");
  CHECK(prepare_request(loop, context, random) == Verdict::kLoop);
}

TEST_CASE("Max-Forwards counts for TRACE and OPTIONS only") {
  for (const std::string_view method : {"TRACE", "OPTIONS"}) {
    CHECK(prepared(Pairs{{"Max-Forwards", "0"}}, {}, method) == "[answer here]");
    CHECK(prepared(Pairs{{"Max-Forwards", "0"}, {"Via", "1.1 remora"}}, {}, method) == "[answer here]");
    CHECK(prepared(Pairs{{"Max-Forwards", "10"}}, {}, method).starts_with("Max-Forwards: 9 | "));
    CHECK(prepared(Pairs{{"Max-Forwards", "x"}}, {}, method).starts_with("Max-Forwards: x | "));
    CHECK(prepared(Pairs{}, {}, method) == ADDED);
  }
  CHECK(prepared(Pairs{{"Max-Forwards", "0"}}).starts_with("Max-Forwards: 0 | "));
}

TEST_CASE("a peer without an address adds nothing to X-Forwarded-For") {
  CHECK(prepared(Pairs{{"X-Forwarded-For", "1.1.1.1"}}, {.host = ""})
            .starts_with("X-Forwarded-For: 1.1.1.1 | "));
}

std::string prepared_response(std::uint16_t status, const Pairs& pairs) {
  ResponseHead head;
  head.status = status;
  head.fields = fields_of(pairs);
  prepare_response(head);
  return text(head.fields);
}

TEST_CASE("responses lose their hop-by-hop fields and those that Connection names") {
  CHECK(prepared_response(200, {{"Connection", "X-A, close"},
                                {"X-A", "1"},
                                {"Set-Cookie", "a"},
                                {"Keep-Alive", "x"},
                                {"Set-Cookie", "b"},
                                {"Upgrade", "h2c"},
                                {"Proxy-Authenticate", "x"},
                                {"Trailer", "X"}}) ==
        "Set-Cookie: a | Set-Cookie: b | Trailer: X | Via: 1.1 remora | ");
  CHECK(prepared_response(200, {{"Connection", "Content-Length"}, {"Content-Length", "3"}}) ==
        "Content-Length: 3 | Via: 1.1 remora | ");
}

TEST_CASE("Upgrade stays in 101 and 426") {
  for (const std::uint16_t status : {std::uint16_t{101}, std::uint16_t{426}}) {
    CHECK(prepared_response(status, {{"Connection", "upgrade"}, {"Upgrade", "x"}}) ==
          "Upgrade: x | Via: 1.1 remora | ");
  }
}

TEST_CASE("TRACE is answered with the request but not its secrets") {
  RequestHead head;
  head.method = "TRACE";
  head.target = "/a?b";
  head.fields = fields_of(
      {{"Host", "h"}, {"Authorization", "x"}, {"Cookie", "x"}, {"Proxy-Authorization", "x"}, {"X", "1"}});
  CHECK(trace_body(head) == "TRACE /a?b HTTP/1.1\r\nHost: h\r\nX: 1\r\n\r\n");
}

}  // namespace
}  // namespace remora::http
