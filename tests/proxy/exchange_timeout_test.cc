// The timeouts of an exchange when one wait turns into another, in virtual time.
#include <doctest/doctest.h>

#include "tests/support/world.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::testing;

namespace {

constexpr std::string_view kShortIdle = R"(
[[listener]]
address = "127.0.0.1:8080"
timeouts = { body_idle = "2s" }
[[listener.route]]
cluster = "app"
timeout = "1h"
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80"]
)";

constexpr std::string_view kNoTimeout = R"(
[[listener]]
address = "127.0.0.1:8080"
[[listener.route]]
cluster = "app"
timeout = "0s"
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80"]
)";

}  // namespace

TEST_CASE("the route's timeout begins when the request has ended, however long its body took") {
  World w(kOneBackend);
  w.backend("10.0.0.1:80");
  auto client = w.client();
  client->send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n");
  for (const char* byte : {"a", "b", "c"}) {
    w.run_for(20s);
    CHECK(client->received().empty());
    client->send(byte);
    w.settle();
  }
  w.run_for(14s);
  CHECK(client->received().empty());
  w.run_for(1100ms);
  CHECK(status_of(client->received()) == 504);
  CHECK(contains(client->received(), "x-remora-flag: UT"));
}

TEST_CASE("a response that stalls is cut off by the idle timeout although the route allows an hour") {
  World w(kShortIdle);
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  client->send(kGet);
  w.run_for(10s);
  CHECK_FALSE(client->finished());
  backend[0].send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
  w.run_for(1900ms);
  CHECK_FALSE(client->finished());
  w.run_for(300ms);
  CHECK(client->error().has_value());
  CHECK(contains(w.log().at(0), R"("flag":"UT")"));
}

TEST_CASE("a response that trickles within the idle timeout is not cut off") {
  World w(kShortIdle);
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  client->send(kGet);
  w.settle();
  backend[0].send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");
  for (int i = 0; i < 20; ++i) {
    w.run_for(1900ms);
    backend[0].send("x");
    w.settle();
  }
  CHECK(client->received().ends_with(std::string(20, 'x')));
  CHECK(contains(w.log().at(0), R"("flag":"-")"));
}

TEST_CASE("a route without a timeout waits for its response for ever, but not for a body") {
  World w(kNoTimeout);
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  client->send(kGet);
  w.run_for(1000s);
  CHECK_FALSE(client->finished());
  backend[0].send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
  w.run_for(59s);
  CHECK_FALSE(client->finished());
  w.run_for(2s);
  CHECK(client->error().has_value());
}

TEST_CASE("a tunnel that is silent both ways is closed after its own idle timeout") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  client->send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  w.settle();
  backend[0].send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  w.run_for(50min);
  CHECK_FALSE(client->finished());
  client->send("x");
  w.run_for(59min);
  CHECK_FALSE(client->finished());
  w.run_for(2min);
  CHECK(client->finished());
  CHECK(backend[0].finished());
  CHECK(w.worker().exchanges() == 0);
}

TEST_CASE("a client that waits for 100 while its upstream hangs gets the upstream's 504, not its own 408") {
  World w(kOneBackend);
  w.backend("10.0.0.1:80");
  auto client = w.client();
  client->send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  w.settle();
  w.run_for(16s);
  CHECK(status_of(client->received()) == 504);
  CHECK(contains(w.log().at(0), R"("flag":"UT")"));
}

TEST_CASE("a client that was told 100 and sends nothing gets its own 408") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  client->send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  w.settle();
  backend[0].send("HTTP/1.1 100 Continue\r\n\r\n");
  w.run_for(16s);
  CHECK_FALSE(contains(client->received(), "HTTP/1.1 504"));
  w.run_for(61s);
  CHECK(contains(client->received(), "HTTP/1.1 408"));
}

TEST_CASE("another attempt, or a wait before the first, does not prolong the route's timeout") {
  World w(std::string(kTwoBackends) +
          "retry = { attempts = 2, on = [\"timeout\"], per_try_timeout = \"10s\" }\n"
          "limits = { requests = 1, pending_timeout = \"14s\" }\n");
  w.backend("10.0.0.1:80");
  w.backend("10.0.0.2:80");
  auto client = w.client();
  client->send(kGet);
  w.settle();
  auto waiting = w.client();
  waiting->send(kGet);
  w.settle();
  w.run_for(12s);
  client->reset();  // so that the other one gets the place, with 3 of its 15 seconds left
  w.settle();
  w.run_for(4s);
  CHECK(status_of(waiting->received()) == 504);
  auto tried_twice = w.client();
  tried_twice->send(kGet);
  w.run_for(16s);
  CHECK(status_of(tried_twice->received()) == 504);
}

TEST_CASE("an upstream that does not take a request's body is the slow one, not the client") {
  World w(kShortIdle);
  auto& backend = w.backend("10.0.0.1:80");
  backend.when_accepted = [](RawPeer& peer) { peer.pause(); };
  auto client = w.client();
  client->send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\n" + std::string(2'000'000, 'x'));
  w.settle();
  w.run_for(3s);
  CHECK(status_of(client->received()) == 504);
  CHECK(contains(client->received(), "x-remora-flag: UT\r\n"));
}

TEST_CASE("a timeout counts against an endpoint that had a fair time to answer") {
  struct Row {
    const char* what;
    const char* from;
    const char* header;
    bool blamed;
  };
  for (const Row& row :
       {Row{"the route's timeout", "127.0.0.1:5555", "", true},
        Row{"a caller in a hurry", "127.0.0.1:5555", "X-Request-Timeout-Ms: 300\r\n", false},
        Row{"a caller with patience", "127.0.0.1:5555", "X-Request-Timeout-Ms: 5000\r\n", true},
        Row{"a stranger", "198.51.100.1:5555", "X-Request-Timeout-Ms: 5000\r\n", false}}) {
    CAPTURE(row.what);
    World w(std::string(kOneBackend) + "breaker = { consecutive_failures = 1 }\n");
    w.backend("10.0.0.1:80");
    auto client = w.client(0, row.from);
    client->send(std::string("GET / HTTP/1.1\r\nHost: h\r\n") + row.header + "\r\n");
    w.settle();
    w.run_for(16s);
    CHECK(status_of(client->received()) == 504);
    const auto& state = *w.states().clusters()[0].endpoints[0].state;
    CHECK((state.breaker.view(w.wheel().now()).transitions_to[2] == 1) == row.blamed);
  }
}

TEST_CASE("a timeout does not count against an endpoint that was asked late") {
  World w(std::string(kOneBackend) +
          "breaker = { consecutive_failures = 1 }\nlimits = { requests = 1, pending_timeout = \"14s\" }\n");
  auto& backend = w.backend("10.0.0.1:80");
  auto first = w.client();
  first->send(kGet);
  w.settle();
  auto second = w.client();
  second->send(kGet);
  w.settle();
  w.run_for(10s);
  backend[0].send(kOk);  // the second one's turn, of whose 15 seconds 5 are left
  w.settle();
  w.run_for(6s);
  CHECK(status_of(second->received()) == 504);
  const auto& state = *w.states().clusters()[0].endpoints[0].state;
  CHECK(state.breaker.view(w.wheel().now()).transitions_to[2] == 0);
}
