// The tests' multiplexed codec keeps the codecs' contract with several exchanges at a time.
#include "tests/support/mux_codec.h"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/proxy/http/recorder.h"

namespace remora::http::test {
namespace {

// Keeps every exchange apart: a receiver for each.
class ManyRequests final : public Requests {
 public:
  struct One final : Receiver {
    void on_body(std::string_view bytes, bool end) override {
      body += bytes;
      ended = ended || end;
      stream->consume(bytes.size());
    }
    void on_trailers(const FieldList& trailers) override {
      ended = true;
      append_fields(body, trailers);
    }
    void on_writable() override { ++writable; }
    void on_reset(const Error& error) override { reset = describe(error); }
    ServerStream* stream = nullptr;
    std::string head;
    std::string body;
    std::string reset;
    bool ended = false;
    int writable = 0;
  };

  Receiver* on_request(ServerStream& stream, RequestHead& head, bool end) override {
    One& one = *all.emplace_back(std::make_unique<One>());
    one.stream = &stream;
    one.head = head.method + " " + head.target;
    append_fields(one.head, head.fields);
    one.ended = end;
    return &one;
  }
  void on_bad_request(ServerStream&, const Error&) override { FAIL("bad request"); }
  std::vector<std::unique_ptr<One>> all;
};

// Both roles back to back.
struct Pair {
  std::unique_ptr<ServerCodec> server = make_mux_server(server_out, requests);
  std::unique_ptr<ClientCodec> client = make_mux_client(client_out, 3);
  RecordingTransport server_out;
  RecordingTransport client_out;
  ManyRequests requests;

  // Moves bytes, `step` at a time, until nothing moves.
  void settle(std::size_t step = 100000) {
    while (!server_out.written.empty() || !client_out.written.empty()) {
      move(client_out, *server, step);
      move(server_out, *client, step);
    }
    server->proceed();
    client->proceed();
  }
  static void move(RecordingTransport& from, Codec& to, std::size_t step) {
    const std::string bytes = from.take();
    for (std::size_t at = 0; at < bytes.size(); at += step) to.feed(std::string_view(bytes).substr(at, step));
  }
  ClientStream& ask(RecordingResponses& responses, const std::string& target, bool end = true) {
    RequestHead head;
    head.method = "GET";
    head.target = target;
    head.has_body = !end;
    head.fields.add("X", target);
    responses.stream = &client->start(responses);
    responses.stream->send_request(head, end);
    return *responses.stream;
  }
};

ResponseHead ok() {
  ResponseHead head;
  head.status = 200;
  head.reason = "OK";
  head.has_body = true;
  return head;
}

TEST_CASE("mux: exchanges overlap and are answered in any order, however the bytes are split") {
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{100000}}) {
    Pair pair;
    RecordingResponses a;
    RecordingResponses b;
    RecordingResponses c;
    pair.ask(a, "/a", false);
    pair.ask(b, "/b");
    pair.ask(c, "/c");
    CHECK(!pair.client->available());
    pair.settle(step);
    REQUIRE(pair.requests.all.size() == 3);
    CHECK(pair.server->active() == 3);
    CHECK(pair.requests.all[1]->head == "GET /b | X: /b");
    pair.requests.all[2]->stream->send_response(ok(), false, false);
    pair.requests.all[1]->stream->send_response(ok(), false, false);
    pair.requests.all[1]->stream->send_body(std::string(100000, 'b'), true);
    pair.requests.all[2]->stream->send_body("c", true);
    pair.settle(step);
    CHECK(b.log == "200 OK 1.0 length=?\nbody " + std::string(100000, 'b') + "\nend\n");
    CHECK(c.log == "200 OK 1.0 length=?\nbody c\nend\n");
    CHECK(a.log.empty());
    CHECK(pair.client->available());
    a.stream->send_body("hello", true);
    pair.settle(step);
    CHECK(pair.requests.all[0]->body == "hello");
    CHECK(pair.requests.all[0]->ended);
    pair.requests.all[0]->stream->send_response(ok(), true, false);
    pair.settle(step);
    CHECK(pair.server->active() == 0);
    CHECK(pair.client->active() == 0);
  }
}

TEST_CASE("mux: a reset ends one exchange and leaves the others alone") {
  Pair pair;
  RecordingResponses a;
  RecordingResponses b;
  pair.ask(a, "/a");
  pair.ask(b, "/b");
  pair.settle();
  a.stream->reset();
  pair.requests.all[1]->stream->reset();
  pair.settle();
  CHECK(pair.requests.all[0]->reset == "cancelled downstream retry=no");
  CHECK(a.log.empty());
  CHECK(b.log == "reset connection reset upstream retry=yes\n");
  CHECK(pair.client->available());
  CHECK(pair.client->fate() == Codec::Fate::kOpen);
}

TEST_CASE("mux: trailers and interim responses pass") {
  Pair pair;
  RecordingResponses a;
  pair.ask(a, "/a", false);
  FieldList trailers;
  trailers.add("T", "1");
  a.stream->send_trailers(trailers);
  pair.settle();
  CHECK(pair.requests.all[0]->body == " | T: 1");
  ResponseHead early = ok();
  early.status = 103;
  early.has_body = false;
  pair.requests.all[0]->stream->send_informational(early);
  pair.requests.all[0]->stream->send_response(ok(), false, false);
  pair.requests.all[0]->stream->send_trailers(trailers);
  pair.settle();
  CHECK(a.log == "interim 103 OK 1.0\n200 OK 1.0 length=?\ntrailers | T: 1\n");
}

TEST_CASE("mux: a tunnel ends one half at a time") {
  Pair pair;
  RecordingResponses a;
  pair.ask(a, "/a");
  pair.settle();
  ResponseHead head = ok();
  head.status = 101;
  head.has_body = false;
  pair.requests.all[0]->stream->send_upgrade(head);
  pair.settle();
  a.stream->send_body("up", true);
  pair.settle();
  CHECK(pair.requests.all[0]->body == "up");
  CHECK(pair.server->active() == 1);
  pair.requests.all[0]->stream->send_body("down", true);
  pair.settle();
  CHECK(a.log == "upgrade 101 OK 1.0\nbody down\nend\n");
  CHECK(pair.server->active() == 0);
  CHECK(pair.client->active() == 0);
}

TEST_CASE("mux: drain lets open exchanges end and takes no more") {
  Pair pair;
  RecordingResponses a;
  pair.ask(a, "/a");
  pair.settle();
  pair.server->drain();
  pair.settle();
  CHECK(!pair.client->available());
  CHECK(pair.server->fate() == Codec::Fate::kOpen);
  pair.requests.all[0]->stream->send_response(ok(), true, true);
  pair.settle();
  CHECK(pair.server->fate() == Codec::Fate::kClose);
  CHECK(pair.client->fate() == Codec::Fate::kClose);
}

TEST_CASE("mux: a lost connection resets every exchange") {
  Pair pair;
  RecordingResponses a;
  RecordingResponses b;
  pair.ask(a, "/a");
  pair.ask(b, "/b");
  pair.settle();
  pair.requests.all[0]->stream->send_response(ok(), false, false);
  pair.settle();
  const Error lost(ErrorCode::kReset, Side::kInternal);
  pair.client->on_closed(lost);
  pair.server->on_closed(lost);
  CHECK(a.log.ends_with("reset connection reset upstream retry=no\n"));
  CHECK(b.log == "reset connection reset upstream retry=if-reused\n");
  CHECK(pair.requests.all[0]->reset == "connection reset downstream retry=no");
  CHECK(pair.client->active() + pair.server->active() == 0);
}

}  // namespace
}  // namespace remora::http::test
