// The server codec's side of an exchange: what it writes, pipelining, early responses, and when it aborts.
#include <doctest/doctest.h>

#include <string>

#include "tests/proxy/http/asked.h"

namespace remora::http::test {
namespace {

using Answer = RecordingRequests::Answer;

TEST_CASE("a known length is sent as Content-Length, whatever the head's fields say about framing") {
  Asked world(kGet);
  ResponseHead head = response(200, 2);
  head.fields.add("X", "1");
  head.fields.add("Content-Length", "7");
  head.fields.add("Transfer-Encoding", "chunked");
  head.fields.add("Connection", "close");
  head.fields.add("Keep-Alive", "timeout=5");
  world.stream().send_response(head, false, false);
  CHECK(world.stream().send_body("ok", true));
  CHECK(world.transport.written == "HTTP/1.1 200 R\r\nX: 1\r\nContent-Length: 2\r\n\r\nok");
  CHECK(world.fate() == "open");
  CHECK(world.codec->active() == 0);
}

TEST_CASE("an unknown length is chunked for HTTP/1.1 and ends with the connection for HTTP/1.0") {
  Asked modern(kGet);
  modern.stream().send_response(response(200), false, false);
  modern.stream().send_body("0123456789abcdef", false);
  modern.stream().send_body("", false);
  modern.stream().send_body("x", true);
  CHECK(modern.transport.written ==
        "HTTP/1.1 200 R\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n1\r\nx\r\n0\r\n\r\n");
  CHECK(modern.fate() == "open");

  Asked old("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  old.stream().send_response(response(200), false, false);
  old.stream().send_body("abc", false);
  old.stream().send_body("", true);
  CHECK(old.transport.written == "HTTP/1.1 200 R\r\nConnection: close\r\n\r\nabc");
  CHECK(old.fate() == "close");
}

TEST_CASE("trailers go out behind chunks and are dropped elsewhere") {
  FieldList trailers;
  trailers.add("X-Sum", "1");
  Asked chunked(kGet);
  chunked.stream().send_response(response(200), false, false);
  chunked.stream().send_body("a", false);
  chunked.stream().send_trailers(trailers);
  CHECK(chunked.transport.written.ends_with("1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n"));

  Asked sized(kGet);
  sized.stream().send_response(response(200, 1), false, false);
  sized.stream().send_body("a", false);
  sized.stream().send_trailers(trailers);
  CHECK(sized.transport.written.ends_with("Content-Length: 1\r\n\r\na"));
  CHECK(sized.codec->active() == 0);
}

TEST_CASE("a response without a body says Content-Length 0") {
  Asked world(kGet);
  world.stream().send_response(response(200, std::nullopt, false), true, false);
  CHECK(world.transport.written == "HTTP/1.1 200 R\r\nContent-Length: 0\r\n\r\n");
}

TEST_CASE("HEAD and 304 keep the length of the body that is not sent, 204 never has one") {
  Asked head("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  head.stream().send_response(response(200, 5, false), true, false);
  CHECK(head.transport.written == "HTTP/1.1 200 R\r\nContent-Length: 5\r\n\r\n");

  Asked unknown("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  unknown.stream().send_response(response(200, std::nullopt, false), true, false);
  CHECK(unknown.transport.written == "HTTP/1.1 200 R\r\n\r\n");

  Asked not_modified(kGet);
  not_modified.stream().send_response(response(304, 5, false), true, false);
  CHECK(not_modified.transport.written == "HTTP/1.1 304 R\r\nContent-Length: 5\r\n\r\n");

  Asked empty(kGet);
  empty.stream().send_response(response(204, 0, false), true, false);
  CHECK(empty.transport.written == "HTTP/1.1 204 R\r\n\r\n");
}

TEST_CASE("a body sent to HEAD is thrown away") {
  Asked world("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  world.stream().send_response(response(200, 5), false, false);
  world.stream().send_body("hello", true);
  CHECK(world.transport.written == "HTTP/1.1 200 R\r\nContent-Length: 5\r\n\r\n");
  CHECK(world.fate() == "open");
  CHECK(world.codec->active() == 0);
}

TEST_CASE("HTTP/1.0 with keep-alive is told that the connection lives on") {
  Asked world("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  world.stream().send_response(response(200, 0), true, false);
  CHECK(world.transport.written == "HTTP/1.1 200 R\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
  CHECK(world.fate() == "open");
}

TEST_CASE("interim responses go to HTTP/1.1 only, and 101 is none of them") {
  Asked modern(kGet);
  modern.stream().send_informational(response(103));
  modern.stream().send_informational(response(103));
  modern.stream().send_informational(response(101));
  CHECK(modern.transport.written == "HTTP/1.1 103 R\r\n\r\nHTTP/1.1 103 R\r\n\r\n");
  Asked old(kGet10);
  old.stream().send_informational(response(103));
  CHECK(old.transport.written.empty());
}

TEST_CASE("more body than announced is cut and the connection aborted") {
  Asked world(kGet);
  world.stream().send_response(response(200, 2), false, false);
  world.stream().send_body("okHTTP/1.1 200 injected", false);
  CHECK(world.transport.written.ends_with("\r\n\r\nok"));
  CHECK(world.fate() == "abort");
}

TEST_CASE("less body than announced aborts the connection") {
  Asked world(kGet);
  world.stream().send_response(response(200, 3), false, false);
  world.stream().send_body("ok", true);
  CHECK(world.fate() == "abort");
}

TEST_CASE("reset makes truncation visible in every framing") {
  for (const std::string_view request : {kGet, kGet10}) {
    Asked before(request);
    before.stream().reset();
    CHECK(before.fate() == "abort");
    Asked during(request);
    during.stream().send_response(response(200), false, false);
    during.stream().send_body("abc", false);
    during.stream().reset();
    CHECK(during.fate() == "abort");
    CHECK(!during.transport.written.ends_with("0\r\n\r\n"));
    CHECK(during.codec->active() == 0);
    CHECK(!during.codec->wants_input());
  }
}

TEST_CASE("pipelined requests are answered in order, one at a time") {
  ServerWorld world;
  world.requests.answer = Answer::kNever;
  const std::string two = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
  world.feed(two);
  CHECK(world.requests.requests == 1);
  CHECK(!world.codec->wants_input());
  world.requests.respond();
  CHECK(world.requests.requests == 1);  // only at the end of the turn
  world.settle();
  CHECK(world.requests.requests == 2);
  CHECK(world.codec->wants_input());
  world.requests.respond();
  world.settle();
  CHECK(world.requests.log == "GET /1 [a] 1.1 | Host: a\nGET /2 [a] 1.1 | Host: a\n");
  CHECK(world.codec->active() == 0);
}

TEST_CASE("a thousand pipelined requests are processed without recursion") {
  for (const Answer answer : {Answer::kAtOnce, Answer::kAtEnd}) {
    ServerWorld world;
    world.requests.answer = answer;
    std::string all;
    for (int i = 0; i < 1000; ++i) all += "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    world.feed(all);
    CHECK(world.requests.requests == 1000);
    CHECK(to_string(world.codec->fate()) == "open");
  }
}

TEST_CASE("a request is recognised behind one that was answered before its body came") {
  ServerWorld world;
  world.requests.answer = Answer::kAtOnce;
  world.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
  CHECK(world.requests.requests == 1);
  CHECK(world.transport.take() == "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  world.feed("hello");
  world.feed(kGet);
  CHECK(world.requests.requests == 2);
  CHECK(world.requests.log.find("body") == std::string::npos);
}

TEST_CASE("an early response to a large upload closes, and says so") {
  ServerWorld world;
  world.requests.answer = Answer::kAtOnce;
  world.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 104857600\r\n\r\n");
  CHECK(world.transport.written == "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
  CHECK(to_string(world.codec->fate()) == "close");
}

TEST_CASE("what is discarded behind an early response is bounded") {
  ServerWorld world;
  world.requests.answer = Answer::kAtOnce;
  world.feed(kChunkedPost);
  const std::string chunk = "4000\r\n" + std::string(0x4000, 'x') + "\r\n";
  for (int i = 0; i < 16; ++i) world.feed(chunk);
  CHECK(to_string(world.codec->fate()) == "open");
  CHECK(world.codec->wants_input());
  world.feed(chunk);
  CHECK(to_string(world.codec->fate()) == "close");
}

TEST_CASE("a client that waits for 100 and is refused cannot keep the connection") {
  constexpr std::string_view kExpect =
      "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
  Asked refused(kExpect);
  refused.stream().send_response(response(401, 0), true, false);
  CHECK(refused.transport.written == "HTTP/1.1 401 R\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  CHECK(refused.fate() == "close");

  Asked continued(kExpect);
  continued.stream().send_informational(response(100));
  continued.stream().send_response(response(401, 0), true, false);
  CHECK(continued.fate() == "open");
  continued.feed("hello");
  continued.feed(kGet);
  CHECK(continued.requests.requests == 2);
}

TEST_CASE("malformed bytes behind an early response close without a second answer") {
  ServerWorld world;
  world.requests.answer = Answer::kAtOnce;
  world.feed(kChunkedPost);
  world.transport.take();
  world.feed("x\r\n");
  CHECK(world.transport.written.empty());
  CHECK(world.result().ends_with("chunked\nclose\n"));
}

TEST_CASE("a body that breaks after its response began aborts") {
  Asked world(kChunkedPost);
  world.stream().send_response(response(200), false, false);
  world.feed("x\r\n");
  CHECK(world.result().ends_with("reset malformed message downstream retry=no\nabort\n"));
}

}  // namespace
}  // namespace remora::http::test
