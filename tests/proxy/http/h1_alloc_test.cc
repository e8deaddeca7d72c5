// Once warm, an exchange on a kept-alive connection allocates nothing, through both codecs and the header
// rules; and an idle codec holds no input.
#include <doctest/doctest.h>

#include <string>

#include "proxy/http/forwarding.h"
#include "tests/proxy/http/recorder.h"
#include "tests/support/alloc_count.h"

namespace remora::http::test {
namespace {

class Discard final : public Transport {
 public:
  bool write(std::string_view) override { return true; }
  bool write_through(std::string_view, std::string_view, std::string_view) override { return true; }
  void end() override {}
  void codec_changed() override {}
};

// The shortest possible proxy: passes every head and body on at once.
class Relay final : public Requests, public Receiver {
 public:
  Relay()
      : server(make_h1_server(down, *this, scratch, limits)), client(make_h1_client(up, scratch, limits)) {
    answers.relay = this;
  }
  Receiver* on_request(ServerStream& stream, RequestHead& head, bool end) override {
    downstream = &stream;
    std::swap(request, head);
    prepare_request(request, {.peer = peer, .peer_host = "10.0.0.7", .scheme = "http"}, random);
    upstream = &client->start(answers);
    upstream->send_request(request, end);
    return this;
  }
  void on_bad_request(ServerStream&, const Error&) override { FAIL("bad request"); }
  void on_body(std::string_view bytes, bool end) override {
    upstream->send_body(bytes, end);
    downstream->consume(bytes.size());
  }
  void on_trailers(const FieldList& trailers) override { upstream->send_trailers(trailers); }
  void on_writable() override {}
  void on_reset(const Error&) override { FAIL("reset"); }

  class Answers final : public Responses {
   public:
    void on_informational(ResponseHead&) override {}
    void on_response(ResponseHead& head, bool end) override {
      prepare_response(head);
      relay->downstream->send_response(head, end, false);
    }
    void on_upgrade(ResponseHead&) override {}
    void on_body(std::string_view bytes, bool end) override { relay->downstream->send_body(bytes, end); }
    void on_trailers(const FieldList& trailers) override { relay->downstream->send_trailers(trailers); }
    void on_writable() override {}
    void on_reset(const Error&) override { FAIL("reset"); }
    Relay* relay = nullptr;
  };

  Discard down;
  Discard up;
  H1Scratch scratch;
  H1Limits limits;
  Answers answers;
  std::unique_ptr<ServerCodec> server;
  std::unique_ptr<ClientCodec> client;
  ServerStream* downstream = nullptr;
  ClientStream* upstream = nullptr;
  RequestHead request;
  Random random{1};
  Address peer;
};

TEST_CASE("a warm exchange allocates nothing") {
  Relay relay;
  const std::string long_path(200, 'p');
  const std::string requests[] = {
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /" + long_path + " HTTP/1.1\r\nHost: a.long.name.example.com:8080\r\nAccept: */*\r\nCookie: " +
          long_path + "\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\n\r\n",
  };
  const std::string responses[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a\r\n\r\nhello",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\n\r\n",
      "HTTP/1.1 204 No Content\r\n\r\n",
  };
  const auto all = [&] {
    for (const std::string& request : requests) {
      for (const std::string& response : responses) {
        relay.server->feed(request);
        relay.client->feed(response);
        relay.server->proceed();
      }
    }
  };
  all();
  all();  // the heads have been swapped once each
  const remora::test::AllocCount count;
  all();
  const auto news = count.news();
  CHECK(news == 0);
  CHECK(relay.server->active() == 0);
  CHECK(relay.client->available());
}

TEST_CASE("a head in pieces is freed when it is whole") {
  Relay relay;
  const std::string request = "GET /" + std::string(1000, 'p') + " HTTP/1.1\r\nHost: a\r\n\r\n";
  const auto all = [&] {
    relay.server->feed(std::string_view(request).substr(0, 500));
    relay.server->feed(std::string_view(request).substr(500));
    relay.client->feed("HTTP/1.1 204 No Content\r\n\r\n");
  };
  all();
  all();
  const remora::test::AllocCount count;
  all();
  const auto news = count.news();
  const auto deletes = count.deletes();
  CHECK(news == deletes);
}

}  // namespace
}  // namespace remora::http::test
