// TCP listeners: connections without HTTP through the same clusters, limits, breakers and logs. Long because
// each way in which a connection can begin and end is a test of its own.
#include <doctest/doctest.h>

#include <string>

#include "tests/support/world.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::testing;

namespace {

std::string tcp(std::string_view endpoints, std::string_view cluster = "", std::string_view listener = "") {
  std::string toml = "[[listener]]\nname = \"db\"\naddress = \"127.0.0.1:5432\"\nprotocol = \"tcp\"\n";
  toml.append("cluster = \"pg\"\n").append(listener);
  toml.append("\n[[cluster]]\nname = \"pg\"\nendpoints = [").append(endpoints).append("]\n").append(cluster);
  return toml;
}

const std::string kOne = R"("10.0.0.1:80")";
const std::string kTwo = R"("10.0.0.1:80", "10.0.0.2:80")";

const std::string kAway = R"([[listener]]
name = "out"
address = "127.0.0.1:5432"
protocol = "tcp"
original_destination = true
cluster = "away"
[[cluster]]
name = "away"
discover = { original_destination = true }
)";

AddressKnobs& at(World& w, std::string_view address) { return w.network().at(*Address::parse(address)); }

bool was_reset(const RawPeer& peer) { return peer.error() && peer.error()->code == ErrorCode::kReset; }

std::uint64_t local_replies(World& w, proxy::Flag flag) {
  return w.worker().report().listeners[0].stats.local_replies[static_cast<std::size_t>(flag)];
}

}  // namespace

TEST_CASE("TCP goes both ways at once, and each direction ends by itself") {
  for (const bool client_first : {true, false}) {
    CAPTURE(client_first);
    World w(tcp(kOne));
    auto& backend = w.backend("10.0.0.1:80");
    auto client = w.client();
    client->send("question");
    w.settle();
    REQUIRE(backend.size() == 1);
    CHECK(backend[0].received() == "question");
    backend[0].send("answer");
    w.settle();
    CHECK(client->received() == "answer");
    RawPeer& first = client_first ? *client : backend[0];
    RawPeer& second = client_first ? backend[0] : *client;
    first.end();
    w.settle();
    CHECK(second.ended());
    CHECK_FALSE(first.finished());
    second.send("last words");
    second.end();
    w.settle();
    CHECK(first.received().ends_with("last words"));
    CHECK(first.ended());
    CHECK_FALSE(first.error());
    CHECK(w.worker().exchanges() == 0);
    CHECK(w.worker().connections() == 0);
  }
}

TEST_CASE("a TCP connection is one line in the access log, without a method, a path and a status") {
  World w(tcp(kOne));
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  client->send("12345");
  w.settle();
  backend[0].send("123");
  w.run_for(2s);
  CHECK(w.log().empty());
  client->end();
  backend[0].end();
  w.settle();
  const auto log = w.log();
  REQUIRE(log.size() == 1);
  for (const std::string_view part :
       {R"("listener":"db")", R"("client":"127.0.0.1")", R"("method":"","host":"","target":"")",
        R"("status":0)", R"("flag":"-")", R"("duration_ms":2000.000)", R"("bytes_in":5,"bytes_out":3)",
        R"("cluster":"pg")", R"("upstream":"10.0.0.1:80")", R"("connect_ms":0.000,"response_ms":null)",
        R"("attempts":1)"}) {
    CAPTURE(log[0]);
    CHECK(contains(log[0], part));
  }
  const auto report = w.worker().report();
  REQUIRE(report.exchanges.size() >= 1);
  CHECK(report.exchanges[0].cluster == "pg");
  CHECK(report.exchanges[0].stats.codes[2] == 1);
  CHECK(report.clusters[0].endpoints[0].stats.requests == 1);
}

TEST_CASE("a TCP server may speak first") {
  World w(tcp(kOne));
  w.backend("10.0.0.1:80").when_accepted = [](RawPeer& peer) { peer.send("220 hello"); };
  const auto client = w.client();
  w.settle();
  CHECK(client->received() == "220 hello");
}

TEST_CASE("what a TCP client sends before its upstream is there is kept, its end too") {
  World w(tcp(kOne));
  auto& backend = w.backend("10.0.0.1:80");
  at(w, "10.0.0.1:80").connect_delay = 500ms;
  auto client = w.client();
  client->send("early");
  client->end();
  w.settle();
  CHECK(backend.size() == 0);
  w.run_for(1s);
  REQUIRE(backend.size() == 1);
  CHECK(backend[0].received() == "early");
  CHECK(backend[0].ended());
  backend[0].send("late");
  backend[0].end();
  w.settle();
  CHECK(client->received() == "late");
  CHECK(client->ended());
}

TEST_CASE("a TCP client cannot make Remora keep more than a window while its upstream is not there") {
  World w(tcp(kOne));
  w.backend("10.0.0.1:80");
  at(w, "10.0.0.1:80").connect_delay = 500ms;
  auto client = w.client();
  w.settle();
  client->send(std::string(std::size_t{1} << 20, 'x'));
  w.settle();
  CHECK(FakeNetwork::other_end_of(*client->stream())->total_received() <= 192U * 1024);
  w.run_for(1s);
  CHECK(w.backend("10.0.0.1:80")[0].received().size() == std::size_t{1} << 20);
}

TEST_CASE("a TCP connect that is refused or times out is tried at another endpoint") {
  for (const auto how : {AddressKnobs::Connect::kRefuse, AddressKnobs::Connect::kBlackHole}) {
    World w(tcp(kTwo));
    at(w, "10.0.0.1:80").connect = how;
    auto& other = w.backend("10.0.0.2:80");
    std::vector<std::unique_ptr<RawPeer>> clients;
    for (int i = 0; i < 2; ++i) {
      clients.push_back(w.client());
      clients.back()->send("hello");
    }
    w.run_for(3s);
    REQUIRE(other.size() == 2);
    CHECK(other[0].received() == "hello");
    CHECK(other[1].received() == "hello");
    other[0].end();
    clients[0]->end();
    other[1].end();
    clients[1]->end();
    w.settle();
    const auto log = w.log();
    REQUIRE(log.size() == 2);
    const std::size_t again = count_of(log[0] + log[1], R"("flag":"UR")");
    CHECK(again >= 1);
    CHECK(count_of(log[0] + log[1], R"("attempts":2)") == again);
    const auto report = w.worker().report();
    CHECK(report.clusters[0].endpoints[0].stats.connect_failures == again);
    CHECK(report.clusters[0].stats.retries == again);
  }
}

TEST_CASE("a TCP client whose connection cannot be made is reset, never given an empty answer") {
  World w(tcp(kTwo));  // and nobody listens there
  const auto client = w.client();
  client->send("hello");
  w.run_for(3s);
  CHECK(was_reset(*client));
  CHECK_FALSE(client->ended());
  const auto log = w.log();
  REQUIRE(log.size() == 1);
  CHECK(contains(log[0], R"("status":0,"flag":"UF")"));
  CHECK(contains(log[0], R"("bytes_in":5,"bytes_out":0)"));
  CHECK(local_replies(w, proxy::Flag::kUpstreamConnectFailure) == 1);
  CHECK(w.worker().connections() == 0);
}

TEST_CASE("cluster.retry.attempts bounds how many endpoints a TCP connection is tried at") {
  World w(tcp(R"("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80")", "retry = { attempts = 3 }\n"));
  const auto client = w.client();
  w.run_for(3s);
  CHECK(was_reset(*client));
  std::size_t attempts = 0;
  for (const char last : {'1', '2', '3', '4'}) {
    const auto made = w.network().attempts(*Address::parse(std::string("10.0.0.") + last + ":80"));
    CHECK(made <= 1);
    attempts += made;
  }
  CHECK(attempts == 3);
}

TEST_CASE(
    "connect failures of TCP open the breaker, and a connection that is made closes it while it lasts") {
  World w(tcp(kOne,
              "retry = { attempts = 1 }\n[cluster.breaker]\nconsecutive_failures = 2\nopen_for = \"5s\"\n"));
  for (int i = 0; i < 2; ++i) {
    const auto client = w.client();
    w.run_for(1s);
    CHECK(was_reset(*client));
  }
  const auto refused = w.client();
  w.settle();
  CHECK(was_reset(*refused));
  CHECK(w.network().attempts(*Address::parse("10.0.0.1:80")) == 2);  // not dialled
  CHECK(local_replies(w, proxy::Flag::kBreakerOpen) == 1);

  auto& backend = w.backend("10.0.0.1:80");
  w.run_for(10s);
  const auto probe = w.client();
  w.settle();
  REQUIRE(backend.size() == 1);
  const auto next = w.client();  // the probe goes on, and keeps nobody out
  w.settle();
  CHECK(backend.size() == 2);
}

TEST_CASE("a reset in the middle of TCP passes through in both directions") {
  World w(tcp(kOne));
  auto& backend = w.backend("10.0.0.1:80");
  auto one = w.client();
  one->send("x");
  w.settle();
  backend[0].send("half of");
  backend[0].reset();
  w.settle();
  CHECK(was_reset(*one));
  CHECK_FALSE(one->ended());
  auto other = w.client();
  w.settle();
  other->reset();
  w.settle();
  CHECK(was_reset(backend[1]));
  const auto log = w.log();
  REQUIRE(log.size() == 2);
  CHECK(contains(log[0], R"("flag":"UC")"));
  CHECK(contains(log[1], R"("flag":"DC")"));
}

TEST_CASE("a TCP connection that is silent for too long is reset on both sides") {
  World w(tcp(kOne, "", "timeouts = { tunnel_idle = \"10s\" }\n"));
  auto& backend = w.backend("10.0.0.1:80");
  const auto client = w.client();
  w.run_for(8s);
  backend[0].send("still there");
  w.run_for(8s);
  CHECK_FALSE(client->finished());
  w.run_for(3s);
  CHECK(was_reset(*client));
  CHECK(was_reset(backend[0]));
  REQUIRE(w.log().size() == 1);
  CHECK(contains(w.log()[0], R"("flag":"DT")"));
}

TEST_CASE("while a TCP connection is being made only the connect timeout counts") {
  World w(tcp(kOne, "timeouts = { connect = \"5m\" }\n", "timeouts = { tunnel_idle = \"1s\" }\n"));
  auto& backend = w.backend("10.0.0.1:80");
  at(w, "10.0.0.1:80").connect_delay = 240s;
  const auto client = w.client();
  w.run_for(239s);
  CHECK_FALSE(client->finished());
  w.run_for(1500ms);
  CHECK(backend.size() == 1);
  CHECK_FALSE(client->finished());
}

TEST_CASE("TCP connections beyond the limit of a listener are reset") {
  World w(tcp(kOne, "", "limits = { connections = 2 }\n"));
  auto& backend = w.backend("10.0.0.1:80");
  std::vector<std::unique_ptr<RawPeer>> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(w.client());
  w.settle();
  CHECK(backend.size() == 2);
  CHECK(was_reset(*clients[2]));
  CHECK(local_replies(w, proxy::Flag::kOverflow) == 1);
  clients[0]->reset();
  w.settle();
  clients.push_back(w.client());
  w.settle();
  CHECK(backend.size() == 3);
}

TEST_CASE("TCP connections beyond the limit of a cluster wait for a place, as requests do") {
  for (const std::string_view limit :
       {"requests = 1", "connections = 1", "per_endpoint = { connections = 1 }"}) {
    CAPTURE(limit);
    World w(tcp(kOne, "limits = { pending_timeout = \"2s\", " + std::string(limit) + " }\n"));
    auto& backend = w.backend("10.0.0.1:80");
    auto first = w.client();
    w.settle();
    auto second = w.client();
    second->send("waits");
    w.settle();
    CHECK(backend.size() == 1);
    first->end();
    backend[0].end();
    w.settle();
    REQUIRE(backend.size() == 2);
    CHECK(backend[1].received() == "waits");
    auto third = w.client();
    w.run_for(3s);
    CHECK(was_reset(*third));
    CHECK(contains(w.log().back(), R"("flag":"UO")"));
  }
}

TEST_CASE("a TCP client that leaves while its upstream is dialled ends the dialling") {
  World w(tcp(kOne));
  at(w, "10.0.0.1:80").connect = AddressKnobs::Connect::kBlackHole;
  auto client = w.client();
  w.settle();
  CHECK(w.network().attempts(*Address::parse("10.0.0.1:80")) == 1);
  client->reset();
  w.settle();
  client->close();
  w.settle();
  CHECK(w.network().stream_count() == 0);
  CHECK(w.worker().report().clusters[0].endpoints[0].stats.connections_active == 0);
  REQUIRE(w.log().size() == 1);
  CHECK(contains(w.log()[0], R"("flag":"DC")"));
}

TEST_CASE("TCP holds back both sides alike") {
  World w(tcp(kOne));
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  w.settle();
  const std::string much(std::size_t{4} << 20, 'x');
  for (const bool up : {true, false}) {
    CAPTURE(up);
    RawPeer& from = up ? *client : backend[0];
    RawPeer& to = up ? backend[0] : *client;
    to.pause();
    from.send(much);
    w.settle();
    CHECK(FakeNetwork::other_end_of(*from.stream())->total_received() < 1U << 20);
    CHECK(FakeNetwork::other_end_of(*to.stream())->peak_queued() < 512U * 1024);
    to.resume();
    w.settle();
    CHECK(to.take().size() == much.size());
  }
}

TEST_CASE("TCP and HTTP may share a cluster, and never a connection") {
  World w(
      tcp(kOne, "limits = { connections = 2 }\n") +
      "[[listener]]\nname = \"http\"\naddress = \"127.0.0.1:8080\"\n[[listener.route]]\ncluster = \"pg\"\n");
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend, std::string(kOk));
  auto http = w.client(1);
  http->send(kGet);
  w.settle();
  CHECK(status_of(http->take()) == 200);
  const auto tcp_client = w.client(0);
  w.settle();
  CHECK(backend.size() == 2);  // the idle one was left alone
  http->send(kGet);
  w.settle();
  CHECK(status_of(http->take()) == 200);
  CHECK(backend.size() == 2);
  tcp_client->end();
  backend[1].end();
  w.settle();
  CHECK(w.worker().report().clusters[0].endpoints[0].stats.connections_idle == 1);
}

TEST_CASE("a TCP connection beyond the limit takes the place of an idle HTTP connection") {
  World w(
      tcp(kOne, "limits = { connections = 1 }\n") +
      "[[listener]]\nname = \"http\"\naddress = \"127.0.0.1:8080\"\n[[listener.route]]\ncluster = \"pg\"\n");
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend, std::string(kOk));
  auto http = w.client(1);
  http->send(kGet);
  w.settle();
  const auto tcp_client = w.client(0);
  w.settle();
  REQUIRE(backend.size() == 2);
  CHECK(backend[0].finished());
  CHECK_FALSE(tcp_client->finished());
}

TEST_CASE("TCP clients stay with an endpoint by their address where the cluster hashes") {
  World w(tcp(kTwo, "balance = \"maglev\"\n"));
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  std::vector<std::unique_ptr<RawPeer>> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(w.client(0, "192.0.2.7:" + std::to_string(1000 + i)));
  w.settle();
  CHECK(a.size() + b.size() == 4);
  CHECK(std::min(a.size(), b.size()) == 0);
  for (int i = 0; i < 32; ++i) clients.push_back(w.client(0, "192.0.2." + std::to_string(i) + ":1000"));
  w.settle();
  CHECK(std::min(a.size(), b.size()) > 0);
}

TEST_CASE("a rate limit counts TCP connections") {
  World w(tcp(kOne, "", "rate_limit = { requests = 1, per = \"1m\", burst = 1, key = \"source\" }\n"));
  w.backend("10.0.0.1:80");
  const auto one = w.client();
  const auto two = w.client();
  const auto elsewhere = w.client(0, "192.0.2.1:5");
  w.settle();
  CHECK_FALSE(one->finished());
  CHECK(was_reset(*two));
  CHECK_FALSE(elsewhere->finished());
  CHECK(local_replies(w, proxy::Flag::kRateLimited) == 1);
}

TEST_CASE("a fallback is followed to another cluster, and one that speaks HTTP means nothing to TCP") {
  const std::string breaker = "retry = { attempts = 1 }\n[cluster.breaker]\nconsecutive_failures = 1\n";
  World w(tcp(kOne, breaker + "fallback = { cluster = \"spare\" }\n[[cluster]]\nname = \"spare\"\n" +
                        "endpoints = [\"10.0.0.9:80\"]\n"));
  auto& spare = w.backend("10.0.0.9:80");
  const auto first = w.client();
  w.run_for(100ms);
  const auto client = w.client();
  w.settle();
  CHECK(spare.size() == 1);
  CHECK_FALSE(client->finished());
  World said(tcp(kOne, breaker + "fallback = { status = 200, body = \"sorry\" }\n"));
  for (int i = 0; i < 2; ++i) {
    const auto refused = said.client();
    said.run_for(100ms);
    CHECK(was_reset(*refused));
    CHECK(refused->received().empty());
  }
  CHECK(contains(said.log().back(), R"("flag":"CO")"));
}

TEST_CASE("a TCP connection goes on through reloads, unless its listener goes or says something else") {
  World w(tcp(kOne));
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  w.settle();
  REQUIRE(w.reload(tcp(R"("10.0.0.2:80")")));
  client->send("as before");
  w.settle();
  CHECK(backend[0].received() == "as before");
  auto& other = w.backend("10.0.0.2:80");
  const auto next = w.client();
  w.settle();
  CHECK(other.size() == 1);
  REQUIRE(
      w.reload("[[listener]]\nname = \"db\"\naddress = \"127.0.0.1:5432\"\n[[listener.route]]\nrespond = { "
               "status = 204 }\n"));
  auto http = w.client();
  http->send(kGet);
  client->send(", and still");
  w.settle();
  CHECK(status_of(http->received()) == 204);
  CHECK(backend[0].received() == "as before, and still");
  REQUIRE(
      w.reload("[runtime]\ndrain_timeout = \"20s\"\n" +
               std::string("[[listener]]\nname = \"other\"\naddress = \"127.0.0.1:1\"\n[[listener.route]]\n"
                           "respond = {}\n")));
  w.run_for(19s);
  CHECK_FALSE(client->finished());
  w.run_for(2s);
  CHECK(was_reset(*client));
  CHECK(was_reset(backend[0]));
  w.worker().report();
  CHECK(w.worker().retired() == 0);
}

TEST_CASE("HTTP connections that wait when their listener turns to TCP are closed") {
  const std::string http =
      "[[listener]]\nname = \"db\"\naddress = \"127.0.0.1:5432\"\n[[listener.route]]\n"
      "respond = { status = 204 }\n";
  World w(http);
  auto client = w.client();
  client->send(kGet);
  w.settle();
  CHECK(status_of(client->received()) == 204);
  REQUIRE(w.reload(tcp(kOne)));
  w.settle();
  CHECK(client->ended());
}

TEST_CASE("a drain waits for TCP connections and accepts no more") {
  World w(tcp(kOne));
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  w.settle();
  bool drained = false;
  w.worker().drain(config::Direction::kInbound, [&] { drained = true; });
  w.settle();
  CHECK_FALSE(drained);
  client->send("on it goes");
  w.settle();
  CHECK(backend[0].received() == "on it goes");
  const auto late = w.client();
  w.settle();
  CHECK_FALSE(late->open());
  client->end();
  backend[0].end();
  w.settle();
  CHECK(drained);
}

TEST_CASE("a redirected connection goes where it was going, each to its own endpoint") {
  World w(kAway);
  auto& one = w.backend("10.0.0.1:80");
  auto& two = w.backend("10.0.0.2:81");
  std::vector<std::unique_ptr<RawPeer>> clients;
  for (const auto* to : {"10.0.0.1:80", "10.0.0.2:81", "10.0.0.1:80"}) {
    w.network().set_original(*Address::parse(to));
    clients.push_back(w.client());
    clients.back()->send(to);
    w.settle();
  }
  CHECK(one.size() == 2);
  REQUIRE(two.size() == 1);
  CHECK(two[0].received() == "10.0.0.2:81");
  const auto endpoints = w.worker().report().clusters[0].endpoints;
  REQUIRE(endpoints.size() == 2);
  CHECK(endpoints[0].address == "10.0.0.1:80");
  CHECK(endpoints[0].stats.requests == 2);

  // A new configuration leaves what is there.
  REQUIRE(w.reload(kAway));
  CHECK(w.worker().report().clusters[0].endpoints.size() == 2);
  clients[1]->send("!");
  w.settle();
  CHECK(two[0].received() == "10.0.0.2:81!");
}

TEST_CASE("who was not redirected, and whom the firewall has sent back, is reset") {
  World w(kAway);
  const auto nobody_knows = w.client();
  w.settle();
  CHECK(was_reset(*nobody_knows));
  w.network().set_original(*Address::parse("127.0.0.1:5432"));
  const auto by_itself = w.client();
  w.settle();
  CHECK(was_reset(*by_itself));
  CHECK(local_replies(w, proxy::Flag::kLoopDetected) == 2);
  CHECK(w.worker().connections() == 0);
  const auto log = w.log();
  REQUIRE(log.size() == 2);
  CHECK(contains(log[0], R"("flag":"LD")"));
}
