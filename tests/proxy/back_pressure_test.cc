// What a whole worker keeps in memory for peers that stall: however much one side sends, a bounded part of it
// waits here.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>

#include "tests/support/world.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::testing;

namespace {

constexpr std::string_view kStatic = R"(
[[listener]]
address = "127.0.0.1:8080"
[[listener.route]]
respond = { status = 200, body = "hello" }
)";

constexpr std::size_t kHuge = 100'000'000;
// Above every high-water mark, one read each way and one window.
constexpr std::size_t kBound = 512 * 1024;

// Keeps sending until `total` bytes are out, as fast as the peer takes them.
void pour(RawPeer& peer, std::size_t total) {
  auto left = std::make_shared<std::size_t>(total);
  peer.when_writable = [left](RawPeer& p) {
    while (*left > 0) {
      const std::size_t n = std::min<std::size_t>(*left, 65'536);
      *left -= n;
      if (!p.send(std::string(n, 'x'))) return;
    }
  };
  peer.when_writable(peer);
}

FakeStream& other_end(RawPeer& peer) { return *FakeNetwork::other_end_of(*peer.stream()); }

}  // namespace

TEST_CASE("a huge response to a client that does not read stays with the upstream") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  std::string framing;
  SUBCASE("with its length") { framing = "Content-Length: " + std::to_string(kHuge) + "\r\n\r\n"; }
  SUBCASE("until the end") { framing = "\r\n"; }
  auto client = w.client();
  client->send(kGet);
  w.settle();
  client->pause();
  backend[0].send("HTTP/1.1 200 OK\r\n" + framing);
  pour(backend[0], kHuge);
  w.settle();
  CHECK(other_end(*client).peak_queued() <= kBound);
  CHECK(other_end(backend[0]).total_received() <= 2 * kBound);
}

TEST_CASE("a huge upload to a backend that does not read stays with the client") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  backend.when_accepted = [](RawPeer& peer) { peer.pause(); };
  auto client = w.client();
  client->send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(kHuge) + "\r\n\r\n");
  pour(*client, kHuge);
  w.settle();
  CHECK(other_end(backend[0]).peak_queued() <= kBound);
  CHECK(other_end(*client).total_received() <= 2 * kBound);
}

TEST_CASE("an upload to a backend that is still being dialled waits at the client") {
  World w(kOneBackend);
  w.backend("10.0.0.1:80");
  w.network().at(*Address::parse("10.0.0.1:80")).connect_delay = 900ms;
  auto client = w.client();
  client->send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(kHuge) + "\r\n\r\n");
  pour(*client, kHuge);
  w.settle();
  CHECK(other_end(*client).total_received() <= 256 * 1024);
}

TEST_CASE("a tunnel holds back both sides alike") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  client->send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  w.settle();
  backend[0].send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  w.settle();
  REQUIRE(status_of(client->received()) == 101);
  SUBCASE("down") {
    client->pause();
    pour(backend[0], kHuge);
    w.settle();
    CHECK(other_end(*client).peak_queued() <= kBound);
    CHECK(other_end(backend[0]).total_received() <= 2 * kBound);
  }
  SUBCASE("up") {
    backend[0].pause();
    pour(*client, kHuge);
    w.settle();
    CHECK(other_end(backend[0]).peak_queued() <= kBound);
    CHECK(other_end(*client).total_received() <= 2 * kBound);
  }
}

TEST_CASE("a reader that goes on after a stall gets every byte") {
  constexpr std::size_t kSize = 5'000'000;
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  SUBCASE("down") {
    client->send(kGet);
    w.settle();
    client->pause();
    backend[0].send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kSize) + "\r\n\r\n");
    pour(backend[0], kSize);
    w.settle();
    w.run_for(30s);
    client->resume();
    w.settle();
    CHECK(client->received().size() > kSize);
  }
  SUBCASE("up") {
    backend.when_accepted = [](RawPeer& peer) { peer.pause(); };
    client->send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(kSize) + "\r\n\r\n");
    pour(*client, kSize);
    w.settle();
    w.run_for(10s);
    backend[0].resume();
    w.settle();
    CHECK(backend[0].received().size() > kSize);
    backend[0].send(kOk);
    w.settle();
    CHECK(status_of(client->received()) == 200);
  }
  CHECK(w.worker().exchanges() == 0);
}

TEST_CASE("a client that sends requests and reads no responses is not read from for ever") {
  World w(kStatic);
  auto client = w.client();
  client->pause();
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  for (int i = 0; i < 50; ++i) client->send(many);
  w.settle();
  CHECK(other_end(*client).peak_queued() <= kBound);
  CHECK(other_end(*client).total_received() <= kBound);  // 1.7 MB were sent
  CHECK(count_of(client->received(), "HTTP/1.1 200") < 50'000);
  // And it gets every answer once it reads.
  client->end();
  client->resume();
  w.settle();
  CHECK(count_of(client->received(), "HTTP/1.1 200") == 50'000);
  CHECK(client->ended());
}

TEST_CASE("a slow reader gets the end of its response, however much later than the keep-alive timeout") {
  for (const std::string_view connection : {"", "Connection: close\r\n"}) {
    World w(kOneBackend);
    auto& backend = w.backend("10.0.0.1:80");
    World::answer(backend, "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + std::string(200'000, 'x'));
    auto client = w.client();
    client->send("GET / HTTP/1.1\r\nHost: h\r\n" + std::string(connection) + "\r\n");
    client->pause();
    w.settle();
    CHECK(w.worker().exchanges() == 0);
    FakeNetwork::end_of(*client->stream()).knobs().read_limit = 1000;
    for (int i = 0; i < 40 && !client->finished(); ++i) {
      client->resume();
      for (int n = 0; n < 40; ++n) w.network().pump();
      client->pause();
      w.run_for(20s);
    }
    client->resume();
    w.settle();
    CAPTURE(connection);
    CHECK(client->received().ends_with(std::string(200'000, 'x')));
    CHECK_FALSE(client->error().has_value());
  }
}

TEST_CASE("a reader that has stopped for good does not keep its connection") {
  for (const std::string_view connection : {"", "Connection: close\r\n"}) {
    World w(kOneBackend);
    auto& backend = w.backend("10.0.0.1:80");
    World::answer(backend, "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + std::string(200'000, 'x'));
    auto client = w.client();
    client->send("GET / HTTP/1.1\r\nHost: h\r\n" + std::string(connection) + "\r\n");
    client->pause();
    w.settle();
    w.run_for(300s);
    CAPTURE(connection);
    CHECK(w.worker().connections() == 0);
    CHECK(w.connection_permits() == 0);
  }
}
