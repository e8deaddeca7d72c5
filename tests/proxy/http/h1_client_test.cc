// The client codec's side of an exchange: what it writes, when the connection may be used again, and how it
// ends.
#include <doctest/doctest.h>

#include <string>

#include "tests/proxy/http/recorder.h"

namespace remora::http::test {
namespace {

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

RequestHead request(std::string_view method, bool has_body = false,
                    std::optional<std::uint64_t> length = std::nullopt) {
  RequestHead head;
  head.method = method;
  head.target = "/a?b";
  head.authority = "b:80";
  head.has_body = has_body;
  head.content_length = length;
  return head;
}

struct Started : ClientWorld {
  explicit Started(const RequestHead& head, bool end) {
    responses.stream = &codec->start(responses);
    responses.stream->send_request(head, end);
  }
  ClientStream& stream() { return *responses.stream; }
  std::string_view fate() const { return to_string(codec->fate()); }
};

TEST_CASE("a request without a body says so only where a body could be expected") {
  const auto written = [](const RequestHead& head) { return Started(head, true).transport.written; };
  CHECK(written(request("GET")) == "GET /a?b HTTP/1.1\r\nHost: b:80\r\n\r\n");
  CHECK(written(request("DELETE")) == "DELETE /a?b HTTP/1.1\r\nHost: b:80\r\n\r\n");
  for (const std::string method : {"POST", "PUT", "PATCH"}) {
    CHECK(written(request(method)) == method + " /a?b HTTP/1.1\r\nHost: b:80\r\nContent-Length: 0\r\n\r\n");
  }
  CHECK(written(request("DELETE", false, 0)) ==
        "DELETE /a?b HTTP/1.1\r\nHost: b:80\r\nContent-Length: 0\r\n\r\n");
}

TEST_CASE("a body is framed by its length when that is known, else chunked") {
  Started sized(request("POST", true, 5), false);
  sized.stream().send_body("hel", false);
  sized.stream().send_body("lo", true);
  CHECK(sized.transport.written == "POST /a?b HTTP/1.1\r\nHost: b:80\r\nContent-Length: 5\r\n\r\nhello");

  Started chunked(request("POST", true), false);
  chunked.stream().send_body("hello", false);
  FieldList trailers;
  trailers.add("X", "1");
  chunked.stream().send_trailers(trailers);
  CHECK(chunked.transport.written ==
        "POST /a?b HTTP/1.1\r\nHost: b:80\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: "
        "1\r\n\r\n");
}

TEST_CASE("Host is the head's authority, and hop-by-hop fields are the codec's own") {
  RequestHead head = request("GET");
  head.fields.add("A", "1");
  head.fields.add("Host", "other");
  head.fields.add("Connection", "keep-alive");
  head.fields.add("TE", "trailers");
  CHECK(Started(head, true).transport.written ==
        "GET /a?b HTTP/1.1\r\nHost: b:80\r\nA: 1\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
  head.upgrade = true;
  head.fields.add("Upgrade", "x");
  CHECK(Started(head, true).transport.written ==
        "GET /a?b HTTP/1.1\r\nHost: b:80\r\nA: 1\r\nTE: trailers\r\nUpgrade: x\r\nConnection: upgrade, "
        "TE\r\n\r\n");
}

TEST_CASE("exchanges follow each other on one connection") {
  ClientWorld world;
  for (int i = 0; i < 3; ++i) {
    REQUIRE(world.codec->available());
    world.ask("GET");
    CHECK(!world.codec->available());
    CHECK(world.codec->active() == 1);
    world.feed(kOk);
    CHECK(world.codec->active() == 0);
  }
  CHECK(world.result().ends_with("open available\n"));
}

TEST_CASE("bytes nobody asked for make an idle connection unusable") {
  for (const std::string_view stray : {"x", "\r\n", "HTTP/1.1 408 Request Timeout\r\n\r\n"}) {
    ClientWorld fresh;
    fresh.feed(stray);
    CHECK(fresh.result() == "abort\n");
    ClientWorld used;
    used.ask("GET");
    used.feed(kOk);
    used.feed(stray);
    CHECK(used.result().ends_with("end\nabort\n"));
  }
}

TEST_CASE("an idle connection that the peer closes is not available any more") {
  ClientWorld world;
  world.ask("GET");
  world.feed(kOk);
  world.codec->feed_end();
  CHECK(!world.codec->available());
  CHECK(to_string(world.codec->fate()) == "close");
}

TEST_CASE("a FIN before any byte of the response may be retried if the connection was reused") {
  ClientWorld none;
  none.ask("GET");
  none.codec->feed_end();
  CHECK(none.result() == "reset connection closed early upstream retry=if-reused\nabort\n");
  ClientWorld some;
  some.ask("GET");
  some.feed("H");
  some.codec->feed_end();
  CHECK(some.result() == "reset connection closed early upstream retry=no\nabort\n");
  ClientWorld interim;
  interim.ask("GET");
  interim.feed("HTTP/1.1 100 C\r\n\r\n");
  interim.codec->feed_end();
  CHECK(interim.result().ends_with("reset connection closed early upstream retry=no\nabort\n"));
}

TEST_CASE("a lost connection: what may be retried depends on what was received") {
  const auto lost = [](std::string_view received, Retry retry) {
    ClientWorld world;
    world.ask("GET");
    world.feed(received);
    world.codec->on_closed(Error(ErrorCode::kReset, Side::kInternal, retry));
    return world.responses.log.substr(world.responses.log.rfind("reset connection reset"));
  };
  CHECK(lost("", Retry::kNo) == "reset connection reset upstream retry=if-reused\n");
  CHECK(lost("", Retry::kYes) == "reset connection reset upstream retry=yes\n");
  CHECK(lost("H", Retry::kYes) == "reset connection reset upstream retry=no\n");
  CHECK(lost("HTTP/1.1 200 OK\r\n\r\nab", Retry::kYes) == "reset connection reset upstream retry=no\n");
}

TEST_CASE(
    "an early response is delivered at once, and the connection lives on only if the request is finished") {
  Started finished(request("POST", true, 5), false);
  finished.feed(kOk);
  CHECK(finished.responses.log.ends_with("body ok\nend\n"));
  CHECK(!finished.codec->available());
  finished.stream().send_body("hello", true);
  CHECK(finished.codec->available());

  Started given_up(request("POST", true, 5), false);
  given_up.feed(kOk);
  given_up.stream().reset();
  CHECK(given_up.fate() == "abort");
  CHECK(!given_up.codec->available());

  Started stray(request("POST", true, 5), false);
  stray.feed(kOk);
  stray.feed("x");
  stray.stream().send_body("hello", true);
  CHECK(stray.fate() == "close");
}

TEST_CASE("a connection lost while the rest of a request is sent resets the exchange") {
  Started world(request("POST", true, 5), false);
  world.feed(kOk);
  world.codec->on_closed(Error(ErrorCode::kReset, Side::kInternal));
  CHECK(world.responses.log.ends_with("reset connection reset upstream retry=no\n"));
}

TEST_CASE("reset drops the connection and silences it") {
  ClientWorld world;
  world.ask("GET");
  world.responses.stream->reset();
  world.feed(kOk);
  CHECK(world.result() == "abort\n");
  CHECK(world.codec->active() == 0);
}

TEST_CASE("a request body of the wrong length aborts") {
  Started more(request("POST", true, 2), false);
  more.stream().send_body("okGET /injected", false);
  CHECK(more.transport.written.ends_with("\r\n\r\nok"));
  CHECK(more.fate() == "abort");
  Started less(request("POST", true, 3), false);
  less.stream().send_body("ok", true);
  CHECK(less.fate() == "abort");
}

TEST_CASE("a response before its request is refused") {
  ClientWorld world;
  world.responses.stream = &world.codec->start(world.responses);
  world.feed(kOk);
  CHECK(world.result() == "reset malformed message upstream retry=no\nabort\n");
}

TEST_CASE("interim responses are bounded") {
  ClientWorld world;
  world.ask("GET");
  for (int i = 0; i < 64; ++i) world.feed("HTTP/1.1 102 P\r\n\r\n");
  CHECK(to_string(world.codec->fate()) == "open");
  world.feed("HTTP/1.1 102 P\r\n\r\n");
  CHECK(world.result().ends_with("reset malformed message upstream retry=no\nabort\n"));
}

TEST_CASE("response heads are limited") {
  ClientWorld world(H1Limits{.header_bytes = 100, .header_fields = 2});
  world.ask("GET");
  world.feed("HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nC: 3\r\n");
  CHECK(world.result() == "reset header section too large upstream retry=no\nabort\n");
  ClientWorld line(H1Limits{.header_bytes = 100, .header_fields = 2});
  line.ask("GET");
  line.feed("HTTP/1.1 200 " + std::string(100, 'x'));
  CHECK(line.result() == "reset header section too large upstream retry=no\nabort\n");
}

TEST_CASE("response input stops at a window of bytes not consumed") {
  ClientWorld world;
  world.responses.consume = false;
  world.ask("GET");
  world.feed("HTTP/1.1 200 OK\r\n\r\n");
  world.feed(std::string(65537, 'x'));
  CHECK(!world.codec->wants_input());
  world.transport.changed = false;
  world.responses.stream->consume(1);
  CHECK(world.transport.changed);
  CHECK(world.codec->wants_input());
}

TEST_CASE("request writes are pushed back and resumed") {
  Started world(request("POST", true), false);
  world.transport.room = false;
  CHECK(!world.stream().send_body("a", false));
  world.codec->on_writable();
  world.codec->on_writable();
  CHECK(world.responses.writable == 1);
}

TEST_CASE("client tunnel: glued bytes, raw bytes both ways, and each half ends by itself") {
  ClientWorld world;
  world.ask("GET", true);
  world.transport.take();
  world.feed("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nglued");
  world.responses.stream->send_body("up", false);
  CHECK(world.transport.take() == "up");
  world.feed("!");
  world.codec->feed_end();
  CHECK(world.responses.log.ends_with("body glued!\nend\n"));
  CHECK(to_string(world.codec->fate()) == "open");
  world.responses.stream->send_body("last", true);
  CHECK(world.transport.written == "last");
  CHECK(world.transport.ended);
  CHECK(to_string(world.codec->fate()) == "close");
}

TEST_CASE("client tunnel: our half may end first") {
  ClientWorld world;
  world.ask("GET", true);
  world.feed("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
  world.responses.stream->send_body({}, true);
  world.feed("tail");
  world.codec->feed_end();
  CHECK(world.responses.log.ends_with("body tail\nend\n"));
  CHECK(to_string(world.codec->fate()) == "close");
}

TEST_CASE("101 while the request is still being sent is refused") {
  RequestHead head = request("POST", true);
  head.upgrade = true;
  Started world(head, false);
  world.feed("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
  CHECK(world.result() == "reset malformed message upstream retry=no\nabort\n");
}

// Starts the next exchange inside the callback that ends the one before, as a pool may.
class Chained final : public Responses {
 public:
  explicit Chained(ClientWorld& world) : world_(world) {}
  void on_informational(ResponseHead&) override {}
  void on_response(ResponseHead&, bool end) override {
    if (end) next();
  }
  void on_upgrade(ResponseHead&) override {}
  void on_body(std::string_view, bool end) override {
    if (end) next();
  }
  void on_trailers(const FieldList&) override { next(); }
  void on_writable() override {}
  void on_reset(const Error&) override {}

 private:
  void next() {
    if (world_.codec->available()) world_.ask("GET");
  }
  ClientWorld& world_;
};

TEST_CASE("a new exchange may start inside the callback that ended the last, but takes none of its bytes") {
  for (const std::string_view response :
       {std::string_view("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), kOk,
        std::string_view("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")}) {
    ClientWorld world;
    Chained chained(world);
    RequestHead head = request("GET");
    world.codec->start(chained).send_request(head, true);
    world.feed(response);
    CHECK(world.codec->active() == 1);
    world.feed(kOk);
    CHECK(world.responses.log.ends_with("body ok\nend\n"));

    ClientWorld glued;
    Chained second(glued);
    glued.codec->start(second).send_request(head, true);
    glued.feed(std::string(response) + std::string(kOk));
    CHECK(glued.responses.log.empty());
    CHECK(!glued.codec->available());
    CHECK(to_string(glued.codec->fate()) == "close");
  }
}

}  // namespace
}  // namespace remora::http::test
