#include "proxy/downstream.h"

#include <doctest/doctest.h>

#include "proxy/local_reply.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_env.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::proxy;
using namespace remora::testing;

namespace {

constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

// Serves one connection; answers when told to, or at once.
struct Fixture final : Downstream::Handler, http::Receiver, net::Acceptor {
  Fixture() {
    const Address address = *Address::parse("127.0.0.1:8080");
    listener = std::move(*t.network.listen(address, {}, *this));
    client = RawPeer::dial([&](net::Stream::Events& events) {
      return t.network.connect_from(*Address::parse("10.1.2.3:999"), address, events);
    });
    t.settle();
  }
  ~Fixture() {
    if (downstream) downstream->close();
    t.settle();
  }
  void on_accept(std::unique_ptr<net::Stream> accepted) override {
    downstream = std::make_unique<Downstream>(t.env, *this, timeouts, limits, nullptr);
    downstream->start(std::move(accepted));
  }
  void on_accept_exhausted() override {}
  http::Receiver* on_request(Downstream&, http::ServerStream& given, http::RequestHead& head, bool) override {
    ++requests;
    path = head.target;
    stream = &given;
    if (at_once) answer();
    return this;
  }
  void on_bad_request(Downstream&, http::ServerStream& given, const Error& error) override {
    bad = error;
    send_local_reply(t.env, given, reply_to_bad_request(error), false);
  }
  void on_downstream_closed(Downstream&) override {
    ++closes;
    t.turn.bury(std::move(downstream));
  }
  void on_body(std::string_view, bool) override {}
  void on_trailers(const http::FieldList&) override {}
  void on_writable() override {}
  void on_reset(const Error& error) override {
    stream = nullptr;
    reset = error;
  }

  void answer() {
    http::ResponseHead head;
    head.status = 204;
    std::exchange(stream, nullptr)->send_response(head, true, false);
  }
  void answer_later() {
    answer();
    t.settle();
  }
  void send(std::string_view bytes) {
    client->send(bytes);
    t.settle();
  }

  TestEnv t;
  Downstream::Timeouts timeouts{.header = 10s, .keep_alive = 75s};
  http::H1Limits limits;
  std::unique_ptr<net::Listener> listener;
  std::unique_ptr<Downstream> downstream;
  std::unique_ptr<RawPeer> client;
  http::ServerStream* stream = nullptr;
  std::string path;
  int requests = 0;
  int closes = 0;
  bool at_once = false;
  std::optional<Error> bad;
  std::optional<Error> reset;
};

}  // namespace

TEST_CASE("a downstream connection knows its peer") {
  Fixture f;
  CHECK(f.downstream->peer().to_string() == "10.1.2.3:999");
  CHECK(f.downstream->peer_host() == "10.1.2.3");
}

TEST_CASE("a connection on which nothing ever comes closes silently after the header timeout") {
  Fixture f;
  f.t.run_for(9900ms);
  CHECK(f.closes == 0);
  f.t.run_for(200ms);
  CHECK(f.closes == 1);
  CHECK(f.client->finished());
  CHECK(f.client->received().empty());
  CHECK(f.t.wheel.size() == 0);
}

TEST_CASE("a head that does not end in time is 408") {
  Fixture f;
  f.t.run_for(5s);
  f.send("GET / HT");
  f.t.run_for(9900ms);
  CHECK(f.client->received().empty());
  f.t.run_for(200ms);
  CHECK(status_of(f.client->received()) == 408);
  REQUIRE(f.bad.has_value());
  CHECK(f.bad->code == ErrorCode::kTimedOut);
  CHECK(f.client->ended());
  CHECK(f.requests == 0);
}

TEST_CASE("the time for the next request begins with the end of the last response") {
  Fixture f;
  f.send(kRequest);
  f.t.run_for(200s);  // an exchange may take longer than any of these timeouts
  CHECK(f.closes == 0);
  f.answer_later();
  f.t.run_for(74s);
  CHECK(f.closes == 0);
  f.send(kRequest);
  CHECK(f.requests == 2);
  f.answer_later();
  f.client->take();
  f.t.run_for(74900ms);
  CHECK(f.closes == 0);
  f.t.run_for(200ms);
  CHECK(f.closes == 1);
  CHECK(f.client->received().empty());
}

TEST_CASE("the header timeout holds for the head of every request") {
  Fixture f;
  f.at_once = true;
  f.send(kRequest);
  f.client->take();
  f.t.run_for(60s);
  f.send("GET / HTTP/1.1\r\n");
  f.t.run_for(9900ms);
  CHECK(f.client->received().empty());
  f.t.run_for(200ms);
  CHECK(status_of(f.client->received()) == 408);
}

TEST_CASE("each of several heads that overlap the reads has its own time") {
  Fixture f;
  f.at_once = true;
  const std::string_view begin = kRequest.substr(0, 9);
  const std::string_view rest = kRequest.substr(9);
  f.send(begin);
  for (int i = 0; i < 5; ++i) {
    f.t.run_for(4s);
    f.send(std::string(rest) + std::string(begin));
    CHECK(f.requests == i + 1);
  }
  CHECK_FALSE(f.bad.has_value());
  f.t.run_for(9900ms);
  CHECK_FALSE(f.bad.has_value());
  f.t.run_for(200ms);
  CHECK(f.bad.has_value());
}

TEST_CASE("a malformed request is the handler's to answer, and the connection closes") {
  Fixture f;
  f.send("nonsense\r\n\r\n");
  REQUIRE(f.bad.has_value());
  CHECK(f.bad->side == remora::Side::kDownstream);
  CHECK(status_of(f.client->received()) == 400);
  CHECK(f.client->ended());
  f.t.run_for(3s);  // the linger time: this client does not close
  CHECK(f.closes == 1);
  CHECK(f.t.wheel.size() == 0);
}

TEST_CASE("draining closes an idle connection at once, one without a request yet after its header timeout") {
  Fixture f;
  f.at_once = true;
  bool served = false;
  SUBCASE("that has served") {
    f.send(kRequest);
    served = true;
  }
  SUBCASE("that has not") {}
  f.downstream->drain();
  if (!served) {
    f.t.run_for(9s);
    CHECK_FALSE(f.client->finished());
    f.t.run_for(2s);
  }
  f.t.settle();
  CHECK(f.client->ended());
  f.client->close();
  f.t.settle();
  CHECK(f.closes == 1);
}

TEST_CASE("draining before the first request makes its response the last") {
  Fixture f;
  f.downstream->drain();
  f.send(kRequest);
  CHECK_FALSE(f.client->ended());
  f.answer_later();
  CHECK(status_of(f.client->received()) == 204);
  CHECK(contains(f.client->received(), "Connection: close"));
  CHECK(f.client->ended());
}

TEST_CASE("draining lets an exchange end, and its response is the last") {
  Fixture f;
  f.send(kRequest);
  f.downstream->drain();
  f.t.settle();
  CHECK_FALSE(f.client->ended());
  f.answer_later();
  CHECK(status_of(f.client->received()) == 204);
  CHECK(contains(f.client->received(), "Connection: close"));
  CHECK(f.client->ended());
}

TEST_CASE("closing tells the exchange under way and calls back once") {
  Fixture f;
  f.send(kRequest);
  f.downstream->close();
  f.t.settle();
  REQUIRE(f.reset.has_value());
  CHECK(f.closes == 1);
  CHECK(f.client->error().has_value());
}

TEST_CASE("a client that leaves ends its exchange and its connection") {
  Fixture f;
  f.send(kRequest);
  f.client->reset();
  f.t.settle();
  REQUIRE(f.reset.has_value());
  CHECK(f.reset->code == ErrorCode::kReset);
  CHECK(f.closes == 1);
  CHECK(f.t.wheel.size() == 0);
}

TEST_CASE("a client that ends between requests is gone without more ado") {
  Fixture f;
  f.at_once = true;
  f.send(kRequest);
  f.client->end();
  f.t.settle();
  CHECK(f.closes == 1);
  CHECK(f.client->ended());
}
