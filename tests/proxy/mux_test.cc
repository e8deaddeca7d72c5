// Two workers, as two sidecars, with a multiplexed protocol between them: clients speak HTTP/1.1 to the
// first, it speaks the tests' protocol to the second, which speaks HTTP/1.1 to the backend. Nothing but the
// codecs differs from any other worker, so exchanges, pools and connections do not know how many messages
// share a connection.
#include <doctest/doctest.h>

#include "tests/support/mux_codec.h"
#include "tests/support/world.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::testing;

namespace {

constexpr std::string_view kNear = R"(
[[listener]]
name = "near"
address = "127.0.0.1:8080"
[[listener.route]]
cluster = "far"
timeout = "0s"
[[cluster]]
name = "far"
endpoints = ["10.0.0.9:80"]
retry = { attempts = 1 }
)";

constexpr std::string_view kFar = R"(
[[listener]]
name = "far"
address = "10.0.0.9:80"
[[listener.route]]
cluster = "app"
timeout = "0s"
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80"]
retry = { attempts = 1 }
)";

const proxy::Codecs kMuxUpstream{
    .client = [](http::Transport& transport, http::H1Scratch&, const http::H1Limits&) {
      return http::test::make_mux_client(transport);
    }};
const proxy::Codecs kMuxDownstream{
    .server = [](http::Transport& transport, http::Requests& requests, http::H1Scratch&,
                 const http::H1Limits&) { return http::test::make_mux_server(transport, requests); }};

struct Pair {
  Pair() {
    auto snapshot = std::make_shared<proxy::Snapshot>();
    snapshot->config = World::load(kFar);
    snapshot->listen_addresses = {snapshot->config->listeners[0].address};
    snapshot->endpoints = {
        {{.name = "app", .address = *Address::parse("10.0.0.1:80"), .zone = {}, .state = nullptr}}};
    states.fill(*snapshot, TimePoint{});
    far = std::make_unique<proxy::Worker>(far_env, log, 1, "remora-far");
    REQUIRE(far->apply(snapshot).has_value());
  }
  ~Pair() {
    for (auto& client : clients) client->close();
    far.reset();
    near.settle();
  }

  // A client for each of `n` requests, sent at once, of which the backend has got the heads.
  void ask(std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      clients.push_back(near.client());
      clients.back()->send("GET /" + std::to_string(clients.size() - 1) + " HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    near.settle();
  }
  // The connection on which the backend was asked for `path`.
  RawPeer& asked(const std::string& path) {
    for (std::size_t i = 0; i < backend.size(); ++i) {
      if (contains(backend[i].received(), "GET " + path + " HTTP")) return backend[i];
    }
    FAIL("nobody asked for " << path);
    return backend.last();
  }
  // Opens the connection between the two, and leaves it idle.
  void warm_up() {
    World::answer(backend, std::string(kOk));
    auto client = near.client();
    client->send("GET /warm HTTP/1.1\r\nHost: h\r\n\r\n");
    near.settle();
    REQUIRE(status_of(client->received()) == 200);
    client->close();
    backend.when_accepted = nullptr;
    backend[0].when_received = nullptr;
    backend[0].close();  // so that every exchange gets a backend connection of its own
    near.settle();
    REQUIRE(far->connections() == 1);
  }

  proxy::AccessLog log{nullptr, LogFormat::kText, 1.0};
  World near{kNear, 1, kMuxUpstream};
  http::H1Scratch far_scratch;
  proxy::Env far_env{.wheel = near.wheel(),
                     .turn = near.env().turn,
                     .network = near.network(),
                     .random = near.env().random,
                     .buffers = near.env().buffers,
                     .scratch = far_scratch,
                     .date = near.env().date,
                     .codecs = kMuxDownstream};
  proxy::StateRegistry states{near.env().random, nullptr};
  std::unique_ptr<proxy::Worker> far;
  RawServer& backend = near.backend("10.0.0.1:80");
  std::vector<std::unique_ptr<RawPeer>> clients;
};

std::string ok_with(std::string_view body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

}  // namespace

TEST_CASE("many exchanges share one connection and end in any order") {
  Pair p;
  p.warm_up();
  p.ask(10);
  CHECK(p.far->connections() == 1);
  CHECK(p.far->exchanges() == 10);
  CHECK(p.near.worker().exchanges() == 10);
  for (int i = 9; i >= 0; --i) {
    const std::string path = "/" + std::to_string(i);
    p.asked(path).send(ok_with("answer to " + path));
    p.near.settle();
    CHECK(p.clients[static_cast<std::size_t>(i)]->received().ends_with("answer to " + path));
    CHECK(p.far->exchanges() == static_cast<std::size_t>(i));
  }
  CHECK(p.far->connections() == 1);
  CHECK(p.near.log().size() == 11);
}

TEST_CASE("requests that arrive while the first connection is dialled are all served") {
  Pair p;
  p.near.network().at(*Address::parse("10.0.0.9:80")).connect_delay = 100ms;
  p.ask(5);
  p.near.run_for(200ms);
  for (int i = 0; i < 5; ++i) p.asked("/" + std::to_string(i)).send(kOk);
  p.near.settle();
  for (const auto& client : p.clients) CHECK(status_of(client->received()) == 200);
}

TEST_CASE("one exchange that fails leaves the others on its connection alone") {
  Pair p;
  p.warm_up();
  p.ask(3);
  SUBCASE("because its client leaves") {
    p.clients[1]->reset();
    p.near.settle();
    CHECK(p.asked("/1").finished());
  }
  SUBCASE("because its backend leaves") {
    p.asked("/1").reset();
    p.near.settle();
    CHECK(status_of(p.clients[1]->received()) == 502);
  }
  SUBCASE("because its response is cut short") {
    p.asked("/1").send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart");
    p.near.settle();
    p.asked("/1").close();
    p.near.settle();
    CHECK(p.clients[1]->error().has_value());
  }
  CHECK(p.far->connections() == 1);
  CHECK(p.far->exchanges() == 2);
  p.asked("/0").send(ok_with("zero"));
  p.asked("/2").send(ok_with("two"));
  p.near.settle();
  CHECK(p.clients[0]->received().ends_with("zero"));
  CHECK(p.clients[2]->received().ends_with("two"));
}

TEST_CASE("bodies of several exchanges cross one connection whole") {
  Pair p;
  p.warm_up();
  const std::size_t size = 300'000;
  for (int i = 0; i < 4; ++i) {
    p.clients.push_back(p.near.client());
    p.clients.back()->send("POST /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\nContent-Length: " +
                           std::to_string(size) + "\r\n\r\n" + std::string(size, static_cast<char>('a' + i)));
  }
  p.near.settle();
  REQUIRE(p.far->connections() == 1);
  int seen = 0;
  for (std::size_t i = 1; i < p.backend.size(); ++i) {
    const std::string& got = p.backend[i].received();
    const char letter = got.back();
    CHECK(got.ends_with(std::string(size, letter)));
    CHECK(got.starts_with(std::string("POST /") + static_cast<char>('0' + (letter - 'a')) + " "));
    p.backend[i].send(ok_with(std::string(size, letter)));
    ++seen;
  }
  CHECK(seen == 4);
  p.near.settle();
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(p.clients[i]->received().ends_with(std::string(size, static_cast<char>('a' + i))));
  }
}

TEST_CASE("a long life with many bodies does not use up a connection") {
  Pair p;
  p.warm_up();
  for (std::size_t i = 0; i < 100; ++i) {
    p.ask(1);
    p.asked("/" + std::to_string(i)).send(ok_with(std::string(10'000, 'x')));
    p.near.settle();
    REQUIRE(status_of(p.clients[i]->received()) == 200);
    p.clients[i]->close();
  }
  CHECK(p.far->connections() == 1);
  CHECK(p.near.network().attempts(*Address::parse("10.0.0.9:80")) == 1);
}

TEST_CASE("a tunnel runs beside ordinary exchanges") {
  Pair p;
  p.warm_up();
  auto client = p.near.client();
  client->send("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  p.near.settle();
  RawPeer& peer = p.asked("/ws");
  peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nglued");
  p.ask(1);
  CHECK(status_of(client->received()) == 101);
  client->send("up");
  peer.send("down");
  p.asked("/0").send(kOk);
  p.near.settle();
  CHECK(peer.received().ends_with("up"));
  CHECK(client->received().ends_with("gluedown") == false);
  CHECK(client->received().ends_with("glueddown"));
  CHECK(status_of(p.clients[0]->received()) == 200);
  client->end();
  p.near.settle();
  CHECK(peer.ended());
  peer.end();
  p.near.settle();
  CHECK(client->ended());
  CHECK(p.far->exchanges() == 0);
  CHECK(p.far->connections() == 1);
}

TEST_CASE("a shared connection that is in use does not count as idle, and ages from its last exchange") {
  Pair p;
  p.warm_up();
  p.near.run_for(20s);
  p.ask(1);
  p.near.run_for(50s);
  CHECK(p.far->connections() == 1);
  const auto stats = [&] { return p.near.worker().report().clusters.at(0).endpoints.at(0).stats; };
  CHECK(stats().connections_active == 1);
  CHECK(stats().connections_idle == 0);
  p.asked("/0").send(kOk);
  p.near.settle();
  CHECK(stats().connections_active == 0);
  CHECK(stats().connections_idle == 1);
  p.near.run_for(29s);
  CHECK(p.far->connections() == 1);
  p.near.run_for(2s);
  CHECK(p.far->connections() == 0);
  CHECK(stats().connections_idle == 0);
}

TEST_CASE("an endpoint that is removed closes its shared connection after the last exchange") {
  Pair p;
  p.warm_up();
  p.ask(2);
  p.near.apply_endpoints({{}});
  p.near.settle();
  p.asked("/0").send(kOk);
  p.near.settle();
  CHECK(status_of(p.clients[0]->received()) == 200);
  CHECK(p.far->connections() == 1);
  p.asked("/1").send(kOk);
  p.near.settle();
  CHECK(status_of(p.clients[1]->received()) == 200);
  CHECK(p.far->connections() == 0);
}

TEST_CASE("draining the far side lets its exchanges end, and the near side begins no new one there") {
  Pair p;
  p.warm_up();
  p.ask(2);
  int drained = 0;
  p.far->drain(config::Direction::kInbound, [&] { ++drained; });
  p.near.settle();
  CHECK(p.far->exchanges() == 2);
  auto late = p.near.client();
  late->send(kGet);
  p.near.settle();
  CHECK(status_of(late->received()) == 502);
  CHECK(contains(late->received(), "x-remora-flag: UF"));  // a new connection was tried, and refused
  p.asked("/0").send(kOk);
  p.asked("/1").send(kOk);
  p.near.settle();
  CHECK(status_of(p.clients[0]->received()) == 200);
  CHECK(status_of(p.clients[1]->received()) == 200);
  CHECK(drained == 1);
}
