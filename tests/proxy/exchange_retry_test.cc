// Trying again: when, where, how often, and when not, in virtual time.
#include <doctest/doctest.h>

#include <array>

#include "tests/support/alloc_count.h"
#include "tests/support/world.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::testing;

namespace {

constexpr std::string_view kBusy = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

// Two backends and these settings in the cluster.
std::string with(std::string_view settings) {
  return std::string(kTwoBackends) + std::string(settings) + "\n";
}

std::size_t requests_at(RawServer& server, std::string_view method) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < server.size(); ++i) {
    n += count_of(server[i].received(), std::string(method) + " /");
  }
  return n;
}

// Lets the backend read the request and then close the connection.
void dies_when_asked(RawServer& server) {
  server.when_accepted = [](RawPeer& peer) { peer.when_received = [](RawPeer& p) { p.reset(); }; };
}

void send_and_wait(World& w, RawPeer& client, std::string_view request, Duration wait = 2s) {
  client.send(request);
  w.settle();
  w.run_for(wait);
}

}  // namespace

TEST_CASE("a refused connection is tried at another endpoint at once, whatever the method") {
  for (const std::string_view method : {"GET", "POST", "PATCH"}) {
    World w(kTwoBackends);
    auto& good = w.backend("10.0.0.2:80");
    World::answer(good, std::string(kOk));
    for (int i = 0; i < 4; ++i) {  // round robin begins anywhere
      auto client = w.client();
      client->send(std::string(method) + " / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
      w.settle();  // no time passes
      CAPTURE(method);
      CHECK(status_of(client->received()) == 200);
    }
    CHECK(requests_at(good, method) == 4);
    const auto log = w.log();
    REQUIRE(log.size() == 4);
    const auto retried = count_of(log[0] + log[1] + log[2] + log[3], "\"attempts\":2");
    CHECK(retried >= 2);
    CHECK(count_of(log[0] + log[1] + log[2] + log[3], "\"flag\":\"UR\"") == retried);
  }
}

TEST_CASE("what may have been processed is repeated only when repeating is safe") {
  struct Row {
    std::string_view head;
    std::size_t sent;
    unsigned status;
  };
  const std::array<Row, 5> rows{
      {{"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 2, 502},
       {"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi", 2, 502},
       {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi", 1, 502},
       {"PATCH / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 1, 502},
       {"POST / HTTP/1.1\r\nHost: h\r\nIdempotency-Key: a\r\nContent-Length: 2\r\n\r\nhi", 2, 502}}};
  for (const Row& row : rows) {
    World w(kTwoBackends);
    auto& a = w.backend("10.0.0.1:80");
    auto& b = w.backend("10.0.0.2:80");
    dies_when_asked(a);
    dies_when_asked(b);
    auto client = w.client();
    send_and_wait(w, *client, row.head);
    CAPTURE(row.head);
    CHECK(a.size() + b.size() == row.sent);
    CHECK(status_of(client->received()) == row.status);
    CHECK(contains(client->received(), "x-remora-flag: UC"));
  }
}

TEST_CASE("a retry sends the whole body again and says which attempt it is") {
  World w(kTwoBackends);
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  auto client = w.client();
  client->send("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n01234");
  w.settle();
  RawServer& first = a.size() == 1 ? a : b;
  RawServer& second = a.size() == 1 ? b : a;
  REQUIRE(first.size() == 1);
  CHECK(contains(first[0].received(), "01234"));
  CHECK_FALSE(contains(first[0].received(), "attempt"));
  first[0].reset();
  w.settle();
  REQUIRE(second.size() == 1);
  client->send("56789");
  w.settle();
  CHECK(contains(second[0].received(), "0123456789"));
  CHECK(contains(second[0].received(), "X-Remora-Attempt: 2\r\n"));
  second[0].send(kOk);
  w.settle();
  CHECK(status_of(client->received()) == 200);
}

TEST_CASE("a body that has outgrown the replay buffer streams and is not sent again") {
  World w(with("retry = { body = \"1KiB\" }"));
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  auto client = w.client();
  client->send("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n" + std::string(3000, 'x'));
  w.settle();
  RawServer& first = a.size() == 1 ? a : b;
  first[0].reset();
  w.settle();
  w.run_for(1s);
  CHECK(a.size() + b.size() == 1);
  CHECK(status_of(client->received()) == 502);
}

TEST_CASE("a request that another hop retries already is tried once here, and stays marked") {
  World w(kTwoBackends);
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  dies_when_asked(a);
  dies_when_asked(b);
  auto client = w.client();
  send_and_wait(w, *client, "GET / HTTP/1.1\r\nHost: h\r\nx-remora-attempt: 2\r\n\r\n");
  CHECK(a.size() + b.size() == 1);
  RawServer& asked = a.size() == 1 ? a : b;
  CHECK(contains(asked[0].received(), "x-remora-attempt: 2\r\n"));
}

TEST_CASE("a status is retried only when asked for, after a pause, and the last one is passed on") {
  SUBCASE("not by default") {
    World w(kTwoBackends);
    auto& a = w.backend("10.0.0.1:80");
    auto& b = w.backend("10.0.0.2:80");
    World::answer(a, std::string(kBusy));
    World::answer(b, std::string(kBusy));
    auto client = w.client();
    send_and_wait(w, *client, kGet);
    CHECK(requests_at(a, "GET") + requests_at(b, "GET") == 1);
    CHECK(status_of(client->received()) == 503);
  }
  SUBCASE("when asked for") {
    World w(with("retry = { attempts = 3, on = [\"503\"] }"));
    auto& a = w.backend("10.0.0.1:80");
    auto& b = w.backend("10.0.0.2:80");
    World::answer(a, std::string(kBusy));
    World::answer(b, std::string(kBusy));
    auto client = w.client();
    send_and_wait(w, *client, kGet);
    CHECK(requests_at(a, "GET") + requests_at(b, "GET") == 3);
    CHECK(requests_at(a, "GET") >= 1);
    CHECK(requests_at(b, "GET") >= 1);
    CHECK(status_of(client->received()) == 503);
    CHECK(count_of(client->received(), "HTTP/1.1") == 1);
    CHECK_FALSE(contains(client->received(), "x-remora-flag"));
  }
  SUBCASE("and a good one ends it") {
    World w(with("retry = { attempts = 3, on = [\"5xx\"] }"));
    World::answer(w.backend("10.0.0.1:80"), std::string(kBusy));
    World::answer(w.backend("10.0.0.2:80"), std::string(kOk));
    auto client = w.client();
    send_and_wait(w, *client, kGet);
    CHECK(status_of(client->received()) == 200);
  }
}

TEST_CASE("Retry-After is waited for, within the cap") {
  const std::string busy = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
  for (const bool within : {true, false}) {
    World w(with(std::string("retry = { on = [\"503\"], retry_after_max = \"") + (within ? "2s" : "500ms") +
                 "\" }"));
    auto& a = w.backend("10.0.0.1:80");
    auto& b = w.backend("10.0.0.2:80");
    World::answer(a, busy);
    World::answer(b, busy);
    auto client = w.client();
    client->send(kGet);
    w.settle();
    w.run_for(900ms);
    CHECK(requests_at(a, "GET") + requests_at(b, "GET") == 1);
    CHECK(client->received().empty() == within);
    w.run_for(400ms);
    CHECK(requests_at(a, "GET") + requests_at(b, "GET") == (within ? 2 : 1));
    CHECK(status_of(client->received()) == 503);
  }
}

TEST_CASE("what a proxy behind has shed is not retried and counts against nobody") {
  World w(with("retry = { attempts = 3, on = [\"5xx\"] }\nbreaker = { consecutive_failures = 1 }"));
  const std::string shed =
      "HTTP/1.1 503 Service Unavailable\r\nx-remora-flag: UO\r\nContent-Length: 0\r\n\r\n";
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  World::answer(a, shed);
  World::answer(b, shed);
  for (int i = 0; i < 4; ++i) {
    auto client = w.client();
    send_and_wait(w, *client, kGet);
    CHECK(status_of(client->received()) == 503);
    CHECK(contains(client->received(), "x-remora-flag: UO"));
  }
  CHECK(requests_at(a, "GET") + requests_at(b, "GET") == 4);
}

TEST_CASE("the per-try timeout gives another endpoint a chance") {
  World w(with("retry = { per_try_timeout = \"200ms\", on = [\"timeout\"] }"));
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  auto client = w.client();
  client->send(kGet);
  w.settle();
  RawServer& hung = a.size() == 1 ? a : b;
  RawServer& other = a.size() == 1 ? b : a;
  w.run_for(150ms);
  CHECK(other.size() == 0);
  w.run_for(100ms);
  REQUIRE(other.size() == 1);
  CHECK(hung[0].finished());  // and is not answered any more
  other[0].send(kOk);
  w.settle();
  CHECK(status_of(client->received()) == 200);
}

TEST_CASE(
    "the budget ends a storm: with every answer a failure the upstream sees little more than was asked") {
  World w(
      with("retry = { attempts = 3, on = [\"503\"], budget = { ratio = 0.1, min_per_second = 0 } }\n"
           "breaker = { enabled = false }"));
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  World::answer(a, std::string(kBusy));
  World::answer(b, std::string(kBusy));
  auto client = w.client();
  for (int i = 0; i < 200; ++i) {
    client->send(kGet);
    w.settle();
    w.run_for(20ms);
  }
  w.run_for(1s);
  CHECK(count_of(client->received(), "HTTP/1.1 503") == 200);
  const auto upstream = requests_at(a, "GET") + requests_at(b, "GET");
  CHECK(upstream > 200);
  CHECK(upstream <= 220);
  CHECK(w.worker().report().clusters[0].stats.budget_exhausted > 0);
}

TEST_CASE("a response that has begun is never begun again") {
  World w(with("retry = { attempts = 3, on = [\"reset\", \"5xx\"] }"));
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  auto client = w.client();
  client->send(kGet);
  w.settle();
  RawServer& first = a.size() == 1 ? a : b;
  first[0].send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
  w.settle();
  first[0].reset();
  w.settle();
  w.run_for(1s);
  CHECK(a.size() + b.size() == 1);
  CHECK(count_of(client->received(), "HTTP/1.1") == 1);
  CHECK(client->finished());
}

TEST_CASE("attempts = 1 tries once") {
  World w(with("retry = { attempts = 1 }"));
  auto client = w.client();
  send_and_wait(w, *client, kGet);
  CHECK(status_of(client->received()) == 502);
  CHECK(contains(client->received(), "x-remora-flag: UF"));
  CHECK(contains(w.log().at(0), "\"attempts\":1"));
}

TEST_CASE("a route's own retry settings replace the cluster's") {
  World w(R"(
[[listener]]
address = "127.0.0.1:8080"
[[listener.route]]
cluster = "app"
retry = { attempts = 1 }
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80", "10.0.0.2:80"]
retry = { attempts = 5 }
)");
  auto client = w.client();
  send_and_wait(w, *client, kGet);
  CHECK(contains(w.log().at(0), "\"attempts\":1"));
}

TEST_CASE("what large requests have needed is given back when they are over") {
  constexpr std::size_t kMany = 50;
  World w(R"(
[[listener]]
name = "in"
address = "127.0.0.1:8080"
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80"]
retry = { attempts = 2 }
)");
  auto& backend = w.backend("10.0.0.1:80");
  const auto ask = [&](const std::string& request) {
    auto client = w.client();
    client->send(request);
    w.settle();
    return client;
  };
  const auto rush = [&](const std::string& request) {
    std::vector<std::unique_ptr<RawPeer>> clients;
    for (std::size_t i = 0; i < kMany; ++i) clients.push_back(ask(request));
    REQUIRE(backend.size() == kMany);
    for (std::size_t i = 0; i < kMany; ++i) {
      backend[i].take();
      backend[i].send(kOk);
    }
    w.settle();
    for (const auto& client : clients) CHECK(status_of(client->received()) == 200);
  };
  rush(std::string(kGet));  // makes what stays: exchanges, connections to the backend
  const std::string target = "/" + std::string(20'000, 'p');
  const std::string field = "X: " + std::string(20'000, 'x') + "\r\n";
  const test::AllocCount count;
  rush("POST " + target + " HTTP/1.1\r\nHost: h\r\n" + field + "Content-Length: 60000\r\n\r\n" +
       std::string(60'000, 'b'));
  ask("BROKEN " + field + "\r\n");
  rush(std::string(kGet));  // one of them takes the memory of the head that was refused
  const std::int64_t held = count.held();
  CHECK(held < std::int64_t{kMany} * 20'000);
}
