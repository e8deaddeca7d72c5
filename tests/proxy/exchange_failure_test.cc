// Everything that can go wrong, one test per row of the table in docs/architecture.md, in virtual time.
// Long because it is that table: the rows belong side by side.
#include <doctest/doctest.h>

#include <array>

#include "tests/support/world.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::testing;

namespace {

struct Reply {
  unsigned status;
  std::string_view flag;
};

// One exchange, one line, this status and flag; nothing left behind.
void check_reply(World& w, RawPeer& client, Reply expected) {
  CHECK(status_of(client.received()) == expected.status);
  CHECK(contains(client.received(), "\r\nx-remora-flag: " + std::string(expected.flag) + "\r\n"));
  const auto log = w.log();
  REQUIRE(log.size() == 1);
  CHECK(contains(log[0], "\"status\":" + std::to_string(expected.status)));
  CHECK(contains(log[0], "\"flag\":\"" + std::string(expected.flag) + "\""));
  CHECK(w.worker().exchanges() == 0);
}

}  // namespace

TEST_CASE("what the client did wrong gets its status, closes, and nothing reaches the upstream") {
  struct Row {
    const char* what;
    std::string bytes;
    Reply reply;
  };
  const std::array<Row, 12> rows{{
      {"no Host", "GET / HTTP/1.1\r\n\r\n", {400, "DPE"}},
      {"both framings",
       "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
       {400, "DPE"}},
      {"bare LF", "GET / HTTP/1.1\nHost: h\r\n\r\n", {400, "DPE"}},
      {"unknown coding",
       "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
       {501, "DPE"}},
      {"major version", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", {505, "DPE"}},
      {"CONNECT", "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", {405, "DPE"}},
      {"too many fields",
       "GET / HTTP/1.1\r\nHost: h\r\n" +
           [] {
             std::string many;
             for (int i = 0; i < 101; ++i) many += "X-" + std::to_string(i) + ": 1\r\n";
             return many;
           }() +
           "\r\n",
       {431, "DL"}},
      {"header section",
       "GET / HTTP/1.1\r\nHost: h\r\nX-Big: " + std::string(70'000, 'x') + "\r\n\r\n",
       {431, "DL"}},
      {"URI", "GET /" + std::string(70'000, 'x') + " HTTP/1.1\r\nHost: h\r\n\r\n", {414, "DL"}},
      {"Connection names Host", "GET / HTTP/1.1\r\nHost: h\r\nConnection: Host\r\n\r\n", {400, "DPE"}},
      {"own Via", "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 remora-test\r\n\r\n", {508, "LD"}},
      {"broken chunk",
       "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
       {400, "DPE"}},
  }};
  for (const Row& row : rows) {
    World w(kOneBackend);
    auto& backend = w.backend("10.0.0.1:80");
    auto client = w.client();
    client->send(row.bytes);
    w.settle();
    CAPTURE(row.what);
    check_reply(w, *client, row.reply);
    if (row.reply.flag != "LD") CHECK(client->ended());
    if (std::string_view(row.what) != "broken chunk") CHECK(backend.size() == 0);
  }
}

TEST_CASE("a body over its limit is 413, declared or counted") {
  World w(std::string(kOneBackend) + "");
  const std::string limited = R"(
[[listener]]
name = "in"
address = "127.0.0.1:8080"
limits = { body_bytes = "1KiB" }
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80"]
)";
  for (const std::string_view framing :
       {"Content-Length: 2000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n7d0\r\n"}) {
    World small(limited);
    small.backend("10.0.0.1:80");
    auto client = small.client();
    client->send("POST / HTTP/1.1\r\nHost: h\r\n" + std::string(framing) + std::string(2000, 'x'));
    small.settle();
    CAPTURE(framing);
    check_reply(small, *client, {413, "DL"});
  }
}

TEST_CASE("a head that takes too long is 408, an idle connection closes silently") {
  World w(kOneBackend);
  auto slow = w.client();
  auto silent = w.client();
  slow->send("GET / HTTP/1.1\r\nHos");
  w.settle();
  w.run_for(11s);
  check_reply(w, *slow, {408, "DT"});
  CHECK(slow->ended());
  CHECK(silent->received().empty());
  CHECK(silent->finished());
}

TEST_CASE("a head that trickles does not get more time with every byte") {
  World w(kOneBackend);
  auto client = w.client();
  client->send("GET / HTTP/1.1\r\n");
  for (int i = 0; i < 12; ++i) {
    w.run_for(1s);
    client->send("X");
    w.settle();
  }
  CHECK(status_of(client->received()) == 408);
}

TEST_CASE("a keep-alive connection closes silently after its timeout and not before") {
  World w(kOneBackend);
  World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
  auto client = w.client();
  client->send(kGet);
  w.settle();
  w.run_for(74s);
  CHECK_FALSE(client->finished());
  client->take();
  client->send(kGet);
  w.settle();
  CHECK(status_of(client->received()) == 200);
  client->take();
  w.run_for(76s);
  CHECK(client->finished());
  CHECK(client->received().empty());
}

TEST_CASE("a request body that stops coming is 408 and the upstream is cancelled") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  client->send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf");
  w.settle();
  w.run_for(61s);
  check_reply(w, *client, {408, "DT"});
  CHECK(backend[0].finished());
}

TEST_CASE("no route is 404") {
  World w(R"(
[[listener]]
address = "127.0.0.1:8080"
[[listener.route]]
path = "/only"
respond = { status = 204 }
)");
  auto client = w.client();
  client->send(kGet);
  w.settle();
  check_reply(w, *client, {404, "NR"});
  CHECK_FALSE(client->finished());
}

TEST_CASE("a cluster without endpoints is 503") {
  World w(kOneBackend);
  w.apply_endpoints({{}});
  auto client = w.client();
  client->send(kGet);
  w.settle();
  check_reply(w, *client, {503, "UH"});
}

TEST_CASE("a refused connection is 502, one that times out 504") {
  World w(kOneBackend);
  const auto address = *Address::parse("10.0.0.1:80");
  auto client = w.client();
  SUBCASE("refused") {
    w.network().at(address).connect = AddressKnobs::Connect::kRefuse;
    client->send(kGet);
    w.settle();
    check_reply(w, *client, {502, "UF"});
  }
  SUBCASE("black hole") {
    w.network().at(address).connect = AddressKnobs::Connect::kBlackHole;
    client->send(kGet);
    w.settle();
    CHECK(client->received().empty());
    w.run_for(1100ms);
    check_reply(w, *client, {504, "UF"});
  }
}

TEST_CASE("an upstream that leaves before its response is 502") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  client->send(kGet);
  w.settle();
  SUBCASE("by FIN") { backend[0].close(); }
  SUBCASE("by reset") { backend[0].reset(); }
  SUBCASE("inside the head") {
    backend[0].send("HTTP/1.1 200 OK\r\nConte");
    w.settle();
    backend[0].close();
  }
  w.settle();
  check_reply(w, *client, {502, "UC"});
}

TEST_CASE("an invalid response is 502 and its connection is not used again") {
  for (const std::string_view bytes :
       {"nonsense\r\n\r\n", "HTTP/1.1 999 X\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"}) {
    World w(kOneBackend);
    auto& backend = w.backend("10.0.0.1:80");
    World::answer(backend, std::string(bytes));
    auto client = w.client();
    client->send(kGet);
    w.settle();
    CAPTURE(bytes);
    check_reply(w, *client, {502, "UPE"});
    CHECK(backend[0].finished());
  }
}

TEST_CASE("no response within the timeout is 504 and the upstream is cancelled") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  client->send(kGet);
  w.settle();
  w.run_for(14s);
  CHECK(client->received().empty());
  w.run_for(1100ms);
  check_reply(w, *client, {504, "UT"});
  CHECK(backend[0].finished());
}

TEST_CASE("a pooled connection that dies under a request is replaced once, silently") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  int requests = 0;
  backend.when_accepted = [&](RawPeer& peer) {
    peer.when_received = [&](RawPeer& p) {
      ++requests;
      // The second request on the first connection meets a server that has just given it up.
      if (requests == 2) return p.reset();
      p.send(kOk);
    };
  };
  auto client = w.client();
  client->send(kGet);
  w.settle();
  client->take();
  SUBCASE("a GET") {
    client->send(kGet);
    w.settle();
    CHECK(status_of(client->received()) == 200);
    CHECK(backend.size() == 2);
    CHECK(contains(w.log().back(), R"("flag":"UR")"));
    CHECK(contains(w.log().back(), R"("attempts":2)"));
  }
  SUBCASE("a PUT with its body") {
    client->send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");
    w.settle();
    CHECK(status_of(client->received()) == 200);
    CHECK(backend[1].received().ends_with("\r\n\r\nbody"));
  }
  SUBCASE("a POST is never sent twice") {
    client->send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");
    w.settle();
    CHECK(status_of(client->received()) == 502);
    CHECK(contains(client->received(), "x-remora-flag: UC"));
    CHECK(backend.size() == 1);
  }
  SUBCASE("unless it has an Idempotency-Key") {
    client->send("POST / HTTP/1.1\r\nHost: h\r\nIdempotency-Key: k\r\nContent-Length: 4\r\n\r\nbody");
    w.settle();
    CHECK(status_of(client->received()) == 200);
    CHECK(backend[1].received().ends_with("\r\n\r\nbody"));
  }
}

TEST_CASE("the silent replacement happens once, not for ever") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  int requests = 0;
  backend.when_accepted = [&](RawPeer& peer) {
    peer.when_received = [&](RawPeer& p) {
      if (++requests > 1) return p.reset();
      p.send(kOk);
    };
  };
  auto client = w.client();
  client->send(kGet);
  w.settle();
  client->take();
  client->send(kGet);
  w.settle();
  CHECK(status_of(client->received()) == 502);
  CHECK(requests == 3);
}

TEST_CASE("a response cut short can be told from a complete one") {
  struct Row {
    const char* what;
    std::string_view response;
    std::string_view request = kGet;
  };
  const std::array<Row, 3> rows{{
      {"by its length", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"},
      {"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n"},
      {"chunked to an HTTP/1.0 client",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
       "GET / HTTP/1.0\r\nHost: h\r\n\r\n"},
  }};
  for (const Row& row : rows) {
    World w(kOneBackend);
    auto& backend = w.backend("10.0.0.1:80");
    World::answer(backend, std::string(row.response));
    auto client = w.client();
    client->send(row.request);
    w.settle();
    backend[0].close();
    w.settle();
    CAPTURE(row.what);
    CHECK_FALSE(client->received().ends_with("\r\n0\r\n\r\n"));
    CHECK(client->error().has_value());  // a reset, not a FIN
    const auto log = w.log();
    REQUIRE(log.size() == 1);
    CHECK(contains(log[0], R"("flag":"UC")"));
  }
}

TEST_CASE("an upstream that stalls inside its body, and a client that does not read, are both cut off") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  SUBCASE("the upstream") {
    World::answer(backend, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    auto client = w.client();
    client->send(kGet);
    w.settle();
    w.run_for(61s);
    CHECK(client->error().has_value());
    CHECK(contains(w.log().at(0), R"("flag":"UT")"));
  }
  SUBCASE("the client") {
    World::answer(backend,
                  "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + std::string(10'000'000, 'x'));
    auto client = w.client();
    client->send(kGet);
    client->pause();
    w.settle();
    w.run_for(61s);
    CHECK(contains(w.log().at(0), R"("flag":"DT")"));
    CHECK(w.worker().exchanges() == 0);
    CHECK(backend[0].finished());
  }
}

TEST_CASE("a client that leaves cancels its upstream at once") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  client->send(kGet);
  w.settle();
  client->reset();
  w.settle();
  CHECK(backend[0].finished());
  CHECK(w.worker().exchanges() == 0);
  const auto log = w.log();
  REQUIRE(log.size() == 1);
  CHECK(contains(log[0], R"("flag":"DC")"));
  CHECK(contains(log[0], R"("status":0)"));
}

TEST_CASE("a client that leaves while its connection is being dialled leaves nothing behind") {
  World w(kOneBackend);
  w.backend("10.0.0.1:80");
  w.network().at(*Address::parse("10.0.0.1:80")).connect_delay = 500ms;
  auto client = w.client();
  client->send(kGet);
  w.settle();
  client->reset();
  w.settle();
  CHECK(w.worker().exchanges() == 0);
  w.run_for(1s);
  // The connection was dialled for nobody: it is kept for the next one.
  World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
  CHECK(w.network().attempts(*Address::parse("10.0.0.1:80")) == 1);
}

TEST_CASE("an endpoint that is removed finishes what it has begun") {
  World w(kTwoBackends);
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  World::answer(b, std::string(kOk));
  auto client = w.client();
  client->send(kGet);
  w.settle();
  REQUIRE(a.size() == 1);
  w.apply_endpoints(
      {{{.name = "b", .address = *Address::parse("10.0.0.2:80"), .zone = {}, .state = nullptr}}});
  w.settle();
  a[0].send(kOk);
  w.settle();
  CHECK(status_of(client->received()) == 200);
  CHECK(a[0].finished());  // and its connection is not kept
  client->take();
  client->send(kGet);
  w.settle();
  CHECK(status_of(client->received()) == 200);
  CHECK(b.size() == 1);
}
