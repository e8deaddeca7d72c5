// The server codec at its limits: sizes, windows, FINs, draining, time-outs, tunnels.
#include <doctest/doctest.h>

#include <string>

#include "tests/proxy/http/asked.h"

namespace remora::http::test {
namespace {

TEST_CASE("body limits: a length over it is refused at the head, chunks when they exceed it") {
  const H1Limits limits{.body_bytes = 4};
  ServerWorld sized(limits);
  sized.feed("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  CHECK(sized.result() == "bad body too large downstream retry=no\nclose\n");
  ServerWorld chunked(limits);
  chunked.feed(std::string(kChunkedPost) + "4\r\nabcd\r\n");
  CHECK(to_string(chunked.codec->fate()) == "open");
  chunked.feed("1\r\ne\r\n");
  CHECK(
      chunked.result().ends_with("body abcd\nreset body too large downstream retry=no\nbad body too large "
                                 "downstream retry=no\nclose\n"));
  ServerWorld exact(limits);
  exact.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd");
  CHECK(exact.result().ends_with("body abcd\nend\nopen\n"));
}

TEST_CASE("head limits: bytes, fields, request line") {
  const H1Limits limits{.header_bytes = 200, .header_fields = 3};
  const std::string fine = "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n\r\n";
  ServerWorld three(limits);
  three.feed(fine);
  CHECK(three.requests.requests == 1);
  for (const bool bytewise : {false, true}) {
    const auto verdict = [&](const std::string& bytes) {
      ServerWorld world(limits);
      bytewise ? world.feed_bytewise(bytes) : world.feed(bytes);
      return world.requests.log;
    };
    CHECK(verdict("GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n") ==
          "bad header section too large downstream retry=no\n");
    CHECK(verdict("GET / HTTP/1.1\r\nHost: a\r\nA: " + std::string(300, 'x') + "\r\n\r\n") ==
          "bad header section too large downstream retry=no\n");
    CHECK(verdict("GET /" + std::string(300, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n") ==
          "bad URI too long downstream retry=no\n");
    // To the byte: 200 pass, 201 do not.
    const std::string head = "GET / HTTP/1.1\r\nHost: a\r\nA: ";
    CHECK(verdict(head + std::string(200 - head.size() - 4, 'x') + "\r\n\r\n").starts_with("GET"));
    CHECK(verdict(head + std::string(201 - head.size() - 4, 'x') + "\r\n\r\n").starts_with("bad header"));
  }
}

TEST_CASE("trailers are limited like heads") {
  ServerWorld world(H1Limits{.header_bytes = 200, .header_fields = 3});
  world.feed(kChunkedPost);
  world.feed("0\r\nX: ");
  for (int i = 0; i < 20; ++i) world.feed(std::string(20, 'x'));
  CHECK(world.requests.log.find("reset header section too large") != std::string::npos);
}

TEST_CASE("chunk extensions and tiny chunks are bounded") {
  ServerWorld extension;
  extension.feed(kChunkedPost);
  extension.feed("1;" + std::string(20000, 'x'));
  CHECK(extension.requests.log.find("reset malformed message") != std::string::npos);

  ServerWorld many;
  many.feed(kChunkedPost);
  for (int i = 0; i < 600; ++i) many.feed("1;" + std::string(60, 'x') + "\r\na\r\n");
  CHECK(many.requests.log.find("reset malformed message") != std::string::npos);

  ServerWorld plain;  // one byte per chunk is poor but allowed
  plain.feed(kChunkedPost);
  for (int i = 0; i < 5000; ++i) plain.feed("1\r\na\r\n");
  plain.feed("0\r\n\r\n");
  CHECK(plain.requests.received == 5000);
  CHECK(to_string(plain.codec->fate()) == "open");
}

TEST_CASE("input stops at a window of bytes not consumed") {
  ServerWorld world;
  world.requests.answer = RecordingRequests::Answer::kNever;
  world.requests.consume = false;
  world.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
  world.feed(std::string(65536, 'x'));
  CHECK(world.codec->wants_input());
  world.feed("x");
  CHECK(!world.codec->wants_input());
  world.transport.changed = false;
  world.requests.stream->consume(1);
  CHECK(world.transport.changed);
  CHECK(world.codec->wants_input());
}

TEST_CASE("on_writable comes only after a refused write, also for a response begun inside on_request") {
  Asked world(kGet);
  world.codec->on_writable();
  CHECK(world.requests.writable == 0);
  world.stream().send_response(response(200), false, false);
  world.transport.room = false;
  CHECK(!world.stream().send_body("a", false));
  world.transport.room = true;
  world.codec->on_writable();
  world.codec->on_writable();
  CHECK(world.requests.writable == 1);
}

TEST_CASE("FIN: idle closes, half-closed still gets its response, inside a body is a reset") {
  ServerWorld idle;
  idle.feed_end();
  CHECK(idle.result() == "close\n");

  ServerWorld head;
  head.feed("GET / HT");
  CHECK(head.codec->reading_head());
  head.feed_end();
  CHECK(head.result() == "close\n");

  Asked waiting(kGet);
  waiting.feed_end();
  CHECK(waiting.fate() == "open");
  waiting.requests.respond();
  waiting.settle();
  CHECK(waiting.transport.written == "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
  CHECK(waiting.fate() == "close");

  Asked body("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
  body.feed_end();
  CHECK(body.result().ends_with("body ab\nreset connection closed early downstream retry=no\nabort\n"));
}

TEST_CASE("requests that were pipelined before a FIN are all answered") {
  ServerWorld world;
  world.requests.answer = RecordingRequests::Answer::kNever;
  world.feed(std::string(kGet) + std::string(kGet) + "GET /half");
  world.feed_end();
  for (int i = 0; i < 2; ++i) {
    CHECK(to_string(world.codec->fate()) == "open");
    world.requests.respond();
    world.settle();
  }
  CHECK(world.requests.requests == 2);
  CHECK(to_string(world.codec->fate()) == "close");
}

TEST_CASE("requests pipelined before a FIN and answered at once are all answered") {
  ServerWorld world;
  world.feed(std::string(kGet) + std::string(kGet) + std::string(kGet) + "GET /half");
  world.feed_end();
  CHECK(world.requests.requests == 3);
  CHECK(to_string(world.codec->fate()) == "close");
}

TEST_CASE("no further pipelined request is begun while the transport is above high water") {
  ServerWorld world;
  world.transport.room = false;
  world.feed(std::string(kGet) + std::string(kGet));
  CHECK(world.requests.requests == 1);
  CHECK(!world.codec->wants_input());
  CHECK(!world.codec->reading_head());
  world.transport.room = true;
  world.codec->on_writable();
  world.settle();
  CHECK(world.requests.requests == 2);
  CHECK(world.codec->wants_input());
}

TEST_CASE("a lost connection resets the open exchange") {
  Asked world(kGet);
  world.codec->on_closed(Error(ErrorCode::kReset, Side::kInternal));
  CHECK(world.requests.log.ends_with("reset connection reset downstream retry=no\n"));
  CHECK(world.codec->active() == 0);
  ServerWorld idle;
  idle.codec->on_closed(Error(ErrorCode::kReset, Side::kInternal));
  CHECK(idle.requests.log.empty());
}

TEST_CASE("drain: idle closes at once, an open exchange says close, a head that has begun is still served") {
  ServerWorld idle;
  idle.codec->drain();
  CHECK(to_string(idle.codec->fate()) == "close");

  Asked open(kGet);
  open.codec->drain();
  CHECK(open.fate() == "open");
  open.requests.respond();
  CHECK(open.transport.written.find("Connection: close\r\n") != std::string::npos);
  CHECK(open.fate() == "close");

  Asked late(kGet);  // asked to drain after the head went out
  late.stream().send_response(response(200, 2), false, false);
  late.codec->drain();
  late.stream().send_body("ok", true);
  CHECK(late.fate() == "close");

  ServerWorld begun;
  begun.feed("GET / HTTP/1.1\r\nHo");
  begun.codec->drain();
  begun.feed("st: a\r\n\r\n");
  CHECK(begun.requests.requests == 1);
  CHECK(begun.transport.written.find("Connection: close\r\n") != std::string::npos);
  CHECK(to_string(begun.codec->fate()) == "close");
}

TEST_CASE("too slow: part of a head or of a body is answered, an idle connection closes in silence") {
  const Error slow(ErrorCode::kTimedOut, Side::kDownstream);
  ServerWorld idle;
  idle.codec->fail(slow);
  CHECK(idle.result() == "close\n");
  CHECK(idle.transport.written.empty());

  ServerWorld head;
  head.feed("GET / HT");
  head.codec->fail(slow);
  CHECK(head.result() == "bad timed out downstream retry=no\nclose\n");
  head.feed(kGet);
  CHECK(head.requests.requests == 0);

  Asked body("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
  body.codec->fail(slow);
  CHECK(body.result().ends_with(
      "body ab\nreset timed out downstream retry=no\nbad timed out downstream retry=no\nclose\n"));
}

TEST_CASE("an owner that does not answer a bad request makes the connection abort") {
  ServerWorld world;
  world.requests.answer_bad = false;
  world.feed("nonsense\r\n\r\n");
  CHECK(world.result() == "bad malformed message downstream retry=no\nabort\n");
}

TEST_CASE("a malformed head after HEAD is answered with a body again") {
  ServerWorld world;
  world.feed("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  world.transport.take();
  world.feed("\x01");
  CHECK(world.transport.written ==
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

TEST_CASE("upgrade: glued bytes belong to the tunnel, and each half ends by itself") {
  Asked world(std::string(kUpgrade) + "early");
  ResponseHead head = response(101);
  head.fields.add("Upgrade", "x");
  world.stream().send_upgrade(head);
  CHECK(world.transport.take() == "HTTP/1.1 101 R\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
  world.settle();
  world.feed(" and late");
  world.stream().send_body("down", false);
  CHECK(world.transport.take() == "down");
  world.stream().send_body("", true);
  CHECK(world.transport.ended);
  CHECK(world.fate() == "open");
  world.feed("!");
  world.feed_end();
  CHECK(world.requests.log.ends_with("Upgrade: x\nbody early and late!\nend\n"));
  CHECK(world.fate() == "close");
}

TEST_CASE("upgrade: the peer may end its half first") {
  Asked world(kUpgrade);
  world.stream().send_upgrade(response(101));
  world.feed_end();
  CHECK(world.requests.log.ends_with("\nend\n"));
  CHECK(world.fate() == "open");
  world.stream().send_body("more", false);
  world.stream().send_body("", true);
  CHECK(world.transport.written.ends_with("more"));
  CHECK(world.fate() == "close");
}

TEST_CASE("upgrade: a FIN that came before the 101 is passed on after it") {
  Asked world(std::string(kUpgrade) + "glued");
  world.feed_end();
  world.stream().send_upgrade(response(101));
  world.settle();
  CHECK(world.requests.log.ends_with("body glued\nend\n"));
}

TEST_CASE("upgrade refused: the connection goes on with the next request") {
  Asked world(std::string(kUpgrade) + std::string(kGet));
  ResponseHead head = response(426, 0);
  head.fields.add("Upgrade", "y");
  world.stream().send_response(head, true, false);
  CHECK(world.transport.written ==
        "HTTP/1.1 426 R\r\nUpgrade: y\r\nContent-Length: 0\r\nConnection: upgrade\r\n\r\n");
  world.settle();
  CHECK(world.requests.requests == 2);
}

TEST_CASE("an upgrade nobody asked for aborts") {
  Asked world(kGet);
  world.stream().send_upgrade(response(101));
  CHECK(world.fate() == "abort");
  CHECK(world.transport.written.empty());
}

TEST_CASE("calls after the end of an exchange do nothing") {
  Asked world(kGet);
  ServerStream& stream = world.stream();
  world.requests.respond();
  const std::string written = world.transport.written;
  stream.send_response(response(500, 0), true, true);
  CHECK(stream.send_body("x", true));
  stream.send_informational(response(103));
  stream.send_trailers(FieldList());
  stream.consume(10);
  stream.reset();
  CHECK(world.transport.written == written);
  CHECK(world.fate() == "open");
}

}  // namespace
}  // namespace remora::http::test
