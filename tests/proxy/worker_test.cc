// A whole worker: limits, draining, numbers.
// Long because every test needs the same two worlds and scripted peers of the first page.
#include "proxy/worker.h"

#include <doctest/doctest.h>

#include <numeric>

#include "tests/support/test_env.h"
#include "tests/support/world.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::testing;

namespace {

constexpr std::string_view kLimited = R"(
[[listener]]
name = "in"
address = "127.0.0.1:8080"
limits = { connections = 2 }
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80"]
)";

constexpr std::string_view kTwoListeners = R"(
[[listener]]
name = "one"
address = "127.0.0.1:8080"
[[listener.route]]
path = "/static"
respond = { status = 200, body = "hello" }
[[listener.route]]
prefix = "/app"
cluster = "app"
[[listener]]
name = "two"
address = "127.0.0.1:8081"
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80"]
)";

const proxy::ListenerStats& listener_stats(const proxy::WorkerReport& report, std::size_t i = 0) {
  return report.listeners.at(i).stats;
}

}  // namespace

TEST_CASE("beyond the connection limit a client is told so, beyond twice the limit it is reset") {
  World w(kLimited);
  World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
  std::vector<std::unique_ptr<RawPeer>> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(w.client());
    w.settle();
  }
  CHECK(w.connection_permits() == 2);
  CHECK(w.worker().connections() == 4);
  CHECK(clients[4]->error().has_value());
  for (std::size_t i = 0; i < 4; ++i) {
    clients[i]->send(kGet);
    w.settle();
    CAPTURE(i);
    CHECK(status_of(clients[i]->received()) == (i < 2 ? 200 : 503));
    CHECK(contains(clients[i]->received(), "x-remora-flag: UO") == (i >= 2));
    CHECK(clients[i]->ended() == (i >= 2));
  }
  const auto report = w.worker().report();
  CHECK(listener_stats(report).connections_total == 5);
  CHECK(listener_stats(report).connections_refused == 3);
  CHECK(w.log().size() == 4);
}

TEST_CASE("a connection that ends gives its place to the next") {
  World w(kLimited);
  World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
  auto a = w.client();
  auto b = w.client();
  auto c = w.client();
  w.settle();
  SUBCASE("by FIN") { a->end(); }
  SUBCASE("by reset") { a->reset(); }
  w.settle();
  CHECK(w.connection_permits() == 1);
  auto d = w.client();
  w.settle();
  CHECK(w.connection_permits() == 2);
  d->send(kGet);
  w.settle();
  CHECK(status_of(d->received()) == 200);
  // The one that came too early was refused for good, although there was room meanwhile.
  c->send(kGet);
  w.settle();
  CHECK(status_of(c->received()) == 503);
  for (auto* peer : {b.get(), c.get(), d.get()}) peer->close();
  w.settle();
  CHECK(w.connection_permits() == 0);
  CHECK(w.worker().connections() == 0);
}

TEST_CASE("draining closes what is idle, lets the rest end, and says when it is done") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend, std::string(kOk));
  auto idle = w.client();
  auto fresh = w.client();
  idle->send(kGet);
  w.settle();
  backend.when_accepted = nullptr;
  backend[0].when_received = nullptr;
  auto busy = w.client();
  busy->send(kGet);
  w.settle();
  int drained = 0;
  w.worker().drain(config::Direction::kInbound, [&] { ++drained; });
  w.settle();
  CHECK(idle->ended());
  CHECK_FALSE(fresh->ended());  // its first request may be on the way
  CHECK_FALSE(busy->ended());
  auto late = w.client();
  w.settle();
  CHECK(late->error().has_value());
  idle->close();
  fresh->close();
  w.settle();
  CHECK(drained == 0);
  backend.last().send(kOk);
  w.settle();
  CHECK(status_of(busy->received()) == 200);
  CHECK(contains(busy->received(), "\r\nConnection: close\r\n"));
  CHECK(busy->ended());
  busy->close();
  w.settle();
  CHECK(drained == 1);
  w.run_for(200s);
  CHECK(drained == 1);
  late->close();
  for (std::size_t i = 0; i < backend.size(); ++i) backend[i].close();
  w.settle();
  CHECK(w.network().stream_count() == 0);
}

TEST_CASE("draining answers the requests that were pipelined before it") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  client->send(kGet);
  w.settle();
  w.worker().drain(config::Direction::kInbound, [] {});
  w.settle();
  backend[0].send(kOk);
  w.settle();
  CHECK(count_of(client->received(), "HTTP/1.1 200") == 1);
  CHECK(client->ended());
}

TEST_CASE("a worker without connections is drained at once") {
  World w(kOneBackend);
  int drained = 0;
  w.worker().drain(config::Direction::kInbound, [&] { ++drained; });
  CHECK(drained == 1);
}

TEST_CASE("a worker that dies with exchanges under way leaves nothing behind") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  auto waiting = w.client();
  waiting->send(kGet);
  w.settle();
  w.network().at(backend.address()).connect_delay = 10s;
  auto dialling = w.client();
  dialling->send(kGet);
  auto half = w.client();
  half->send("GET / HT");
  w.settle();
  CHECK(w.worker().exchanges() == 2);
}

TEST_CASE("running out of descriptors pauses accepting and is counted") {
  const LogLevel level = log_level();
  set_log_level(LogLevel::kOff);
  World w(kOneBackend);
  World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
  auto& knobs = w.network().at(w.worker().listen_address(0));
  knobs.accept_exhausted = true;
  auto client = w.client();
  client->send(kGet);
  w.settle();
  CHECK(w.worker().connections() == 0);
  CHECK(listener_stats(w.worker().report()).accept_paused == 1);
  knobs.accept_exhausted = false;
  w.run_for(1100ms);
  CHECK(status_of(client->received()) == 200);
  CHECK(listener_stats(w.worker().report()).accept_paused == 1);
  set_log_level(level);
}

TEST_CASE("a listener that cannot be bound leaves none bound") {
  TestEnv t;
  proxy::AccessLog log(nullptr, LogFormat::kText, 1.0);
  proxy::StateRegistry states(t.random, nullptr);
  auto snapshot = std::make_shared<proxy::Snapshot>();
  snapshot->config = World::load(kTwoListeners);
  snapshot->endpoints.resize(1);
  for (const auto& listener : snapshot->config->listeners)
    snapshot->listen_addresses.push_back(listener.address);
  states.fill(*snapshot, t.wheel.now());
  t.network.at(snapshot->listen_addresses[1]).listen_error = Error(ErrorCode::kAddressInUse, Side::kInternal);
  proxy::Worker worker(t.env, log, 0, "remora-test");
  const auto applied = worker.apply(snapshot);
  REQUIRE_FALSE(applied.has_value());
  CHECK(applied.error().code == ErrorCode::kAddressInUse);
  auto client = RawPeer::connect(t.network, snapshot->listen_addresses[0]);
  t.settle();
  CHECK(client->error().has_value());
}

TEST_CASE("the numbers of a report add up") {
  World w(kTwoListeners);
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend, std::string(kOk));
  auto one = w.client(0);
  auto two = w.client(1);
  for (int i = 0; i < 3; ++i) {
    one->send("GET /static HTTP/1.1\r\nHost: h\r\n\r\n");
    one->send("GET /app HTTP/1.1\r\nHost: h\r\n\r\n");
    one->send("GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n");
    two->send(kGet);
    w.settle();
  }
  auto bad = w.client(1);
  bad->send("nonsense\r\n\r\n");
  w.settle();
  const auto report = w.worker().report();
  REQUIRE(report.listeners.size() == 2);
  CHECK(report.listeners[0].name == "one");
  CHECK(report.listeners[1].address == "127.0.0.1:8081");
  CHECK(report.listeners[0].stats.connections_total == 1);
  CHECK(report.listeners[1].stats.connections_total == 2);
  std::uint64_t exchanges = 0;
  std::uint64_t to_app = 0;
  for (const auto& exchange : report.exchanges) {
    const auto& codes = exchange.stats.codes;
    const auto n = std::accumulate(codes.begin(), codes.end(), std::uint64_t{0});
    CHECK(exchange.stats.seconds.count() == n);
    exchanges += n;
    if (exchange.cluster == "app") to_app += n;
    if (exchange.listener == "one" && exchange.cluster == "-") {
      CHECK(codes[2] == 3);
      CHECK(codes[4] == 3);
    }
    if (exchange.listener == "two" && exchange.cluster == "-") CHECK(codes[4] == 1);
  }
  CHECK(exchanges == 13);
  CHECK(exchanges == w.log().size());
  CHECK(to_app == 6);
  REQUIRE(report.clusters.size() == 1);
  const auto& endpoint = report.clusters[0].endpoints.at(0);
  CHECK(endpoint.stats.requests == 6);
  CHECK(endpoint.stats.requests_active == 0);
  CHECK(endpoint.stats.failures == 0);
  CHECK(endpoint.stats.connections_active + endpoint.stats.connections_idle == backend.size());
  const auto flag = [&](std::size_t listener, proxy::Flag f) {
    return report.listeners[listener].stats.local_replies[static_cast<std::size_t>(f)];
  };
  CHECK(flag(0, proxy::Flag::kNoRoute) == 3);
  CHECK(flag(1, proxy::Flag::kDownstreamProtocolError) == 1);
  CHECK(report.listeners[0].stats.bytes.sent == one->received().size());
  CHECK(report.listeners[1].stats.bytes.received == 3 * kGet.size() + 12);
}

TEST_CASE("requests pipelined before a half-close are all answered, whoever answers them") {
  World w(kTwoListeners);
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  client->send("GET /app HTTP/1.1\r\nHost: h\r\n\r\n");
  for (int i = 0; i < 3; ++i) client->send("GET /static HTTP/1.1\r\nHost: h\r\n\r\n");
  client->end();
  w.settle();
  REQUIRE(backend.size() == 1);
  backend[0].send(kOk);
  w.settle();
  CHECK(count_of(client->received(), "HTTP/1.1 200") == 4);
  CHECK(client->ended());
}

TEST_CASE("draining serves the request of a client that had just connected, and one in the backlog") {
  World w(kOneBackend);
  World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
  auto accepted = w.client();
  w.settle();
  auto waiting = w.client();
  while (!waiting->open() && w.network().pump()) {
  }
  bool drained = false;
  w.worker().drain(config::Direction::kInbound, [&] { drained = true; });
  accepted->send(kGet);
  waiting->send(kGet);
  w.settle();
  for (auto* client : {accepted.get(), waiting.get()}) {
    CHECK(status_of(client->received()) == 200);
    CHECK(contains(client->received(), "\r\nConnection: close\r\n"));
  }
  w.run_for(3s);
  CHECK(drained);
}

TEST_CASE("draining inbound leaves outbound as it is, until its turn comes") {
  World w(R"(
[[listener]]
name = "in"
address = "127.0.0.1:8080"
[[listener.route]]
cluster = "app"
[[listener]]
name = "out"
address = "127.0.0.1:8081"
direction = "outbound"
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80"]
)");
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend, std::string(kOk));
  auto inbound = w.client(0);
  auto outbound = w.client(1);
  const auto ask = [&](RawPeer& client) {
    client.send(kGet);
    w.settle();
  };
  ask(*inbound);
  ask(*outbound);
  // Announced: everybody is served, inbound for the last time.
  w.worker().announce_drain(config::Direction::kInbound);
  auto late = w.client(0);
  ask(*late);
  CHECK(contains(late->received(), "\r\nConnection: close\r\n"));
  CHECK(late->ended());
  ask(*outbound);
  CHECK(count_of(outbound->received(), "HTTP/1.1 200") == 2);
  CHECK_FALSE(contains(outbound->received(), "Connection: close"));
  CHECK_FALSE(inbound->ended());
  // Inbound ends, outbound takes new connections.
  std::string drained;
  w.worker().drain(config::Direction::kInbound, [&] { drained += "in "; });
  w.settle();
  CHECK(inbound->ended());
  auto refused = w.client(0);
  auto another = w.client(1);
  ask(*another);
  CHECK(refused->error().has_value());
  CHECK(count_of(another->received(), "HTTP/1.1 200") == 1);
  inbound->close();
  late->close();
  w.settle();
  CHECK(drained == "in ");
  CHECK_FALSE(another->ended());
  // Then outbound.
  w.worker().drain(config::Direction::kOutbound, [&] { drained += "out "; });
  w.settle();
  CHECK(outbound->ended());
  CHECK(another->ended());
  outbound->close();
  another->close();
  w.settle();
  CHECK(drained == "in out ");
}
