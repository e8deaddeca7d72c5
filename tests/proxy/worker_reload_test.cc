// A second configuration under a working worker: what stays, what hands over, what ends.
// Long because every state an exchange can be in when the configuration changes has its case.
#include <doctest/doctest.h>

#include <string>

#include "tests/support/world.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::testing;

namespace {

constexpr std::string_view kSlowAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
constexpr std::string_view kUpgrade =
    "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
constexpr std::string_view kSwitched =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

std::string listener(std::string_view name, std::string_view address, std::string_view rest) {
  return "[[listener]]\nname = \"" + std::string(name) + "\"\naddress = \"" + std::string(address) + "\"\n" +
         std::string(rest) + "\n";
}

std::string to(std::string_view cluster) {
  return "[[listener.route]]\ncluster = \"" + std::string(cluster) + "\"\n";
}

std::string cluster(std::string_view name, std::string_view endpoints, std::string_view rest = "") {
  return "[[cluster]]\nname = \"" + std::string(name) + "\"\nendpoints = [" + std::string(endpoints) + "]\n" +
         std::string(rest) + "\n";
}

std::string respond(std::string_view body) {
  return "[[listener.route]]\nrespond = { body = \"" + std::string(body) + "\" }\n";
}

const std::string kApp = cluster("app", "\"10.0.0.1:80\"", "retry = { attempts = 1 }");
const std::string kIn = listener("in", "127.0.0.1:8080", to("app"));

// The responses of a connection so far, and forgets them.
std::string get(World& w, RawPeer& client, std::string_view request = kGet) {
  const std::size_t before = client.received().size();
  client.send(request);
  w.settle();
  return client.received().substr(before);
}

const proxy::ClusterReport* report_of(const proxy::WorkerReport& report, std::string_view name) {
  for (const auto& c : report.clusters) {
    if (c.name == name) return &c;
  }
  return nullptr;
}

std::uint64_t answered(const proxy::WorkerReport& report, std::string_view listener_name,
                       std::string_view cluster_name) {
  for (const auto& e : report.exchanges) {
    if (e.listener == listener_name && e.cluster == cluster_name) return e.stats.codes[2];
  }
  return 0;
}

}  // namespace

TEST_CASE("a connection stays through a reload, and its next request goes by the new routes") {
  World w(kIn + kApp);
  World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
  auto client = w.client();
  CHECK(status_of(get(w, *client)) == 200);
  REQUIRE(w.reload(listener("in", "127.0.0.1:8080", respond("new")) + kApp));
  w.settle();
  CHECK(!client->ended());
  CHECK(contains(get(w, *client), "new"));
  CHECK(!client->ended());
  const auto report = w.worker().report();
  CHECK(answered(report, "in", "app") == 1);
  CHECK(answered(report, "in", "-") == 1);
  CHECK(report.listeners[0].stats.connections_total == 1);
}

TEST_CASE("the next request on a connection goes by the new limits and timeouts") {
  World w(kIn + kApp);
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  // Begun before: it may be as long as it was allowed to be.
  get(w, *client, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  REQUIRE(w.reload(
      listener("in", "127.0.0.1:8080",
               "limits = { body_bytes = \"4B\" }\ntimeouts = { keep_alive = \"5s\" }\n" + to("app")) +
      kApp));
  get(w, *client, "3\r\ndef\r\n0\r\n\r\n");
  backend[0].send(kOk);
  w.settle();
  CHECK(status_of(client->received()) == 200);
  CHECK(status_of(get(w, *client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde")) == 413);
  backend[0].close();
  World::answer(backend, std::string(kOk));
  auto again = w.client();
  CHECK(status_of(get(w, *again)) == 200);
  w.run_for(4s);
  CHECK(!again->ended());
  w.run_for(10s);  // as its timer looks first
  CHECK(again->ended());
}

TEST_CASE("an exchange under way ends as it began, on the cluster that is gone") {
  World w(kIn + kApp);
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  CHECK(get(w, *client).empty());
  backend[0].send(kSlowAnswer);
  backend[0].send("ab");
  w.settle();
  REQUIRE(w.reload(listener("in", "127.0.0.1:8080", to("other")) + cluster("other", "\"10.0.0.2:80\"")));
  World::answer(w.backend("10.0.0.2:80"), std::string(kOk));
  CHECK(w.worker().retired() == 1);
  w.settle();
  backend[0].send("cd");
  w.settle();
  CHECK(client->received().ends_with("abcd"));
  CHECK(backend[0].ended());  // no connection is kept for nobody
  CHECK(status_of(get(w, *client)) == 200);
  CHECK(w.backend("10.0.0.2:80").size() == 1);
  const auto report = w.worker().report();
  CHECK(w.worker().retired() == 0);
  CHECK(report_of(report, "app") == nullptr);
  CHECK(answered(report, "in", "app") == 0);
  CHECK(answered(report, "in", "other") == 1);
  CHECK(w.log().size() == 2);
  CHECK(contains(w.log()[0], "\"cluster\":\"app\""));
}

TEST_CASE("an exchange between two attempts makes the second on the cluster that is gone") {
  World w(
      kIn +
      cluster(
          "app", "\"10.0.0.1:80\"",
          R"(retry = { attempts = 2, on = ["connect-failure"], backoff = { base = "100ms", max = "100ms" } })"));
  w.network().at(*Address::parse("10.0.0.1:80")).connect = AddressKnobs::Connect::kRefuse;
  auto client = w.client();
  CHECK(get(w, *client).empty());
  REQUIRE(w.reload(listener("in", "127.0.0.1:8080", respond("new"))));
  World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
  w.network().at(*Address::parse("10.0.0.1:80")).connect = AddressKnobs::Connect::kAccept;
  w.run_for(300ms);
  CHECK(status_of(client->received()) == 200);
  CHECK(client->received().ends_with("hi"));
  CHECK(w.worker().report().clusters.empty());
  CHECK(w.worker().retired() == 0);
}

TEST_CASE("a request that waits for a place gets it although its cluster is gone") {
  World w(kIn + cluster("app", "\"10.0.0.1:80\"", "limits = { requests = 1 }"));
  auto& backend = w.backend("10.0.0.1:80");
  auto first = w.client();
  auto second = w.client();
  CHECK(get(w, *first).empty());
  CHECK(get(w, *second).empty());
  REQUIRE(w.reload(listener("in", "127.0.0.1:8080", respond("new"))));
  backend[0].send(kOk);
  w.settle();
  CHECK(status_of(first->received()) == 200);
  REQUIRE(backend.size() == 2);
  backend[1].send(kOk);
  w.settle();
  CHECK(second->received().ends_with("hi"));
}

TEST_CASE("a raised limit lets in who waits, a lowered one holds for who comes") {
  World w(kIn + cluster("app", "\"10.0.0.1:80\"", "limits = { requests = 1 }"));
  auto& backend = w.backend("10.0.0.1:80");
  auto first = w.client();
  auto second = w.client();
  get(w, *first);
  get(w, *second);
  CHECK(backend.size() == 1);
  REQUIRE(w.reload(kIn + cluster("app", "\"10.0.0.1:80\"", "limits = { requests = 2 }")));
  w.worker().on_room(*w.states().clusters()[0].state);
  w.settle();
  CHECK(backend.size() == 2);
  REQUIRE(w.reload(kIn + cluster("app", "\"10.0.0.1:80\"", "limits = { requests = 1, pending = 0 }")));
  auto third = w.client();
  CHECK(status_of(get(w, *third)) == 503);
  backend[0].send(kOk);
  backend[1].send(kOk);
  w.settle();
  CHECK(status_of(first->received()) == 200);
  CHECK(status_of(second->received()) == 200);
  CHECK(w.states().clusters()[0].state->requests.in_use() == 0);
}

TEST_CASE("weights and priorities hold from the next request on") {
  const auto config = [](std::string_view one, std::string_view two) {
    const auto endpoint = [](std::string_view address, std::string_view rest) {
      return "{ address = \"" + std::string(address) + "\", " + std::string(rest) + " }";
    };
    return kIn + cluster("app", endpoint("10.0.0.1:80", one) + ", " + endpoint("10.0.0.2:80", two));
  };
  World w(config("priority = 0", "priority = 1"));
  World::answer(w.backend("10.0.0.1:80"), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none");
  World::answer(w.backend("10.0.0.2:80"), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo");
  auto client = w.client();
  const auto twos_of_ten = [&] {
    int twos = 0;
    for (int i = 0; i < 10; ++i) twos += get(w, *client).ends_with("two") ? 1 : 0;
    return twos;
  };
  CHECK(twos_of_ten() == 0);
  REQUIRE(w.reload(config("priority = 1", "priority = 0")));
  CHECK(twos_of_ten() == 10);
  REQUIRE(w.reload(config("weight = 1", "weight = 4")));
  CHECK(twos_of_ten() == 8);
  REQUIRE(w.reload(config("weight = 4", "weight = 1")));
  CHECK(twos_of_ten() == 2);
}

TEST_CASE("connections that are there do not count against a limit that is new") {
  World w(kIn + kApp);
  auto& backend = w.backend("10.0.0.1:80");
  auto first = w.client();
  CHECK(get(w, *first).empty());
  REQUIRE(w.reload(kIn + cluster("app", "\"10.0.0.1:80\"", "limits = { connections = 1, pending = 0 }")));
  auto second = w.client();
  CHECK(get(w, *second).empty());
  CHECK(backend.size() == 2);
  auto third = w.client();
  CHECK(contains(get(w, *third), "x-remora-flag: UO"));
  for (std::size_t i = 0; i < backend.size(); ++i) backend[i].send(kOk);
  w.settle();
  CHECK(status_of(first->received()) == 200);
  CHECK(status_of(second->received()) == 200);
}

TEST_CASE("a tunnel goes on through reloads, unless its listener goes") {
  World w(kIn + kApp);
  auto& backend = w.backend("10.0.0.1:80");
  backend.when_accepted = [](RawPeer& peer) {
    peer.when_received = [](RawPeer& p) {
      if (contains(p.received(), "\r\n\r\n") && !contains(p.received(), "ping")) p.send(kSwitched);
      if (p.received().ends_with("ping")) p.send("pong");
    };
  };
  auto client = w.client();
  CHECK(status_of(get(w, *client, kUpgrade)) == 101);
  REQUIRE(w.reload(listener("in", "127.0.0.1:8080", respond("new")) + kApp));
  CHECK(get(w, *client, "ping") == "pong");
  SUBCASE("its cluster goes and it ends by itself") {
    REQUIRE(w.reload(listener("in", "127.0.0.1:8080", respond("new"))));
    w.run_for(60s);
    CHECK(get(w, *client, "ping") == "pong");
    CHECK(w.worker().retired() == 1);
    client->end();
    w.settle();
    backend[0].end();
    w.settle();
    CHECK(client->ended());
    w.worker().report();
    CHECK(w.worker().retired() == 0);
  }
  SUBCASE("its listener goes and it has as long as a drain") {
    REQUIRE(w.reload("[runtime]\ndrain_timeout = \"10s\"\n" +
                     listener("new", "127.0.0.1:9090", respond("new")) + kApp));
    w.run_for(9s);
    CHECK(get(w, *client, "ping") == "pong");
    CHECK(w.worker().retired() == 1);
    w.run_for(2s);
    CHECK(client->error().has_value());
    CHECK(w.worker().connections() == 0);
    CHECK(w.worker().retired() == 0);
  }
}

TEST_CASE("an open breaker stays open, with its endpoint or its cluster changed around it") {
  const std::string failing =
      "breaker = { consecutive_failures = 1, open_for = \"20s\" }\nretry = { attempts = 1 }";
  World w(kIn + cluster("app", "\"10.0.0.1:80\"", failing));
  World::answer(w.backend("10.0.0.1:80"), "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
  auto client = w.client();
  CHECK(status_of(get(w, *client)) == 500);
  CHECK(contains(get(w, *client), "x-remora-flag: CO"));
  std::string next;
  SUBCASE("another endpoint comes") {
    next = kIn + cluster("app", "\"10.0.0.1:80\"",
                         failing + "\n[[cluster]]\nname = \"b\"\nendpoints = [\"10.0.0.9:80\"]");
  }
  SUBCASE("other limits") {
    next = kIn + cluster("app", "\"10.0.0.1:80\"", failing + "\nlimits = { requests = 7 }");
  }
  SUBCASE("other breaker settings") {
    next =
        kIn + cluster("app", "\"10.0.0.1:80\"",
                      "breaker = { consecutive_failures = 9, open_for = \"1s\" }\nretry = { attempts = 1 }");
  }
  SUBCASE("the clusters change places") {
    next = kIn + cluster("before", "\"10.0.0.9:80\"") + cluster("app", "\"10.0.0.1:80\"", failing);
  }
  REQUIRE(w.reload(next));
  CHECK(contains(get(w, *client), "x-remora-flag: CO"));
  w.run_for(19s);
  CHECK(contains(get(w, *client), "x-remora-flag: CO"));
  w.run_for(8s);  // jitter included
  CHECK(status_of(get(w, *client)) == 500);
}

TEST_CASE("pools and numbers of an endpoint stay while others come and go") {
  World w(kIn + kApp);
  World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
  World::answer(w.backend("10.0.0.2:80"), std::string(kOk));
  auto client = w.client();
  CHECK(status_of(get(w, *client)) == 200);
  REQUIRE(w.reload(kIn + cluster("app", "\"10.0.0.2:80\", \"10.0.0.1:80\"",
                                 "slow_start = \"0s\"\ntimeouts = { connect = \"3s\" }")));
  for (int i = 0; i < 4; ++i) CHECK(status_of(get(w, *client)) == 200);
  CHECK(w.backend("10.0.0.1:80").size() == 1);
  CHECK(w.backend("10.0.0.2:80").size() == 1);
  const auto report = w.worker().report();
  REQUIRE(report.clusters[0].endpoints.size() == 2);
  CHECK(report.clusters[0].endpoints[1].stats.requests == 3);
  CHECK(report.clusters[0].endpoints[0].stats.requests == 2);
  CHECK(answered(report, "in", "app") == 5);
}

TEST_CASE("a listener that moves is bound before the old address goes, and its connections drain") {
  World w(kIn + kApp);
  World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
  auto idle = w.client();
  CHECK(status_of(get(w, *idle)) == 200);
  auto fresh = w.client();
  w.settle();
  auto waiting = w.client();  // in the backlog: connected, not accepted
  w.network().settle(1);
  const std::string moved = listener("in", "127.0.0.1:9090", to("app")) + kApp;
  SUBCASE("the new address cannot be bound") {
    w.network().at(*Address::parse("127.0.0.1:9090")).listen_error =
        Error(ErrorCode::kAddressInUse, Side::kInternal);
    CHECK(!w.reload(moved));
    w.settle();
    CHECK(!idle->ended());
    CHECK(status_of(get(w, *idle)) == 200);
    CHECK(status_of(get(w, *waiting)) == 200);
    CHECK(w.worker().listen_address(0).to_string() == "127.0.0.1:8080");
    // And once it can be, it is.
    w.network().at(*Address::parse("127.0.0.1:9090")).listen_error.reset();
    CHECK(w.reload(moved));
    CHECK(w.worker().listen_address(0).to_string() == "127.0.0.1:9090");
  }
  SUBCASE("it can") {
    CHECK(w.reload(moved));
    w.settle();
    CHECK(idle->ended());
    CHECK(!idle->error());
    for (auto* late : {fresh.get(), waiting.get()}) {
      const std::string response = get(w, *late);
      CHECK(status_of(response) == 200);
      CHECK(contains(response, "Connection: close"));
      CHECK(late->ended());
      late->end();
    }
    idle->end();
    w.settle();
    CHECK(w.worker().retired() == 0);
    auto refused = RawPeer::dial([&](net::Stream::Events& events) {
      return w.network().connect(*Address::parse("127.0.0.1:8080"), events);
    });
    w.settle();
    CHECK(refused->error().has_value());
    auto client = w.client();
    CHECK(status_of(get(w, *client)) == 200);
    CHECK(answered(w.worker().report(), "in", "app") == 4);
    CHECK(w.worker().report().listeners[0].stats.connections_total == 4);
  }
}

TEST_CASE("listeners exchange addresses or names without being bound anew") {
  World w(listener("a", "127.0.0.1:8080", respond("A")) + listener("b", "127.0.0.1:9090", respond("B")));
  auto old = w.client(0);
  CHECK(contains(get(w, *old), "A"));
  for (const char* address : {"127.0.0.1:8080", "127.0.0.1:9090"}) {
    w.network().at(*Address::parse(address)).listen_error = Error(ErrorCode::kAddressInUse, Side::kInternal);
  }
  SUBCASE("addresses") {
    REQUIRE(w.reload(listener("a", "127.0.0.1:9090", respond("A")) +
                     listener("b", "127.0.0.1:8080", respond("B"))));
    w.settle();
    CHECK(old->ended());
    auto a = w.client(0);
    CHECK(contains(get(w, *a), "A"));
    CHECK(w.worker().listen_address(0).to_string() == "127.0.0.1:9090");
    auto b = w.client(1);
    CHECK(contains(get(w, *b), "B"));
  }
  SUBCASE("a new name at an old address") {
    REQUIRE(w.reload(listener("c", "127.0.0.1:8080", respond("C")) +
                     listener("b", "127.0.0.1:9090", respond("B"))));
    w.settle();
    CHECK(old->ended());
    auto c = w.client(0);
    CHECK(contains(get(w, *c), "C"));
    CHECK(w.worker().report().listeners[0].stats.connections_total == 1);
  }
  SUBCASE("another order") {
    REQUIRE(w.reload(listener("b", "127.0.0.1:9090", respond("B")) +
                     listener("a", "127.0.0.1:8080", respond("A2"))));
    w.settle();
    CHECK(!old->ended());
    CHECK(contains(get(w, *old), "A2"));
  }
}

TEST_CASE("who is trusted is asked anew for a connection that is there") {
  World w(kIn + kApp);
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend, std::string(kOk));
  auto client = w.client();
  constexpr std::string_view kForwarded = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n";
  get(w, *client, kForwarded);
  CHECK(contains(backend[0].received(), "9.9.9.9"));
  REQUIRE(w.reload(listener("in", "127.0.0.1:8080", "trusted = [\"10.0.0.0/8\"]\n" + to("app")) + kApp));
  const std::size_t before = backend[0].received().size();
  get(w, *client, kForwarded);
  CHECK(!contains(backend[0].received().substr(before), "9.9.9.9"));
}

TEST_CASE("a cluster that goes and comes back begins anew, while an exchange is on the old one") {
  World w(kIn + kApp);
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  get(w, *client);
  REQUIRE(w.reload(listener("in", "127.0.0.1:8080", respond("new"))));
  REQUIRE(w.reload(kIn + kApp));
  auto second = w.client();
  get(w, *second);
  REQUIRE(backend.size() == 2);
  CHECK(w.worker().report().clusters[0].endpoints[0].stats.requests == 1);
  backend[0].send(kOk);
  backend[1].send(kOk);
  w.settle();
  CHECK(status_of(client->received()) == 200);
  CHECK(status_of(second->received()) == 200);
  CHECK(backend[0].ended());
  CHECK(!backend[1].ended());
}

TEST_CASE("many reloads under way leave nothing behind") {
  World w(kIn + kApp);
  World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
  World::answer(w.backend("10.0.0.2:80"), std::string(kOk));
  auto client = w.client();
  for (int i = 0; i < 50; ++i) {
    const bool even = i % 2 == 0;
    REQUIRE(w.reload(kIn + listener("extra", even ? "127.0.0.1:8081" : "127.0.0.1:8082", to("app")) +
                     cluster("app", even ? "\"10.0.0.1:80\", \"10.0.0.2:80\"" : "\"10.0.0.1:80\"",
                             even ? "breaker = { open_for = \"9s\" }" : "")));
    CHECK(status_of(get(w, *client)) == 200);
  }
  w.settle();
  CHECK(answered(w.worker().report(), "in", "app") == 50);
  CHECK(w.worker().retired() == 0);
  client->end();
  w.settle();
  CHECK(w.worker().connections() == 0);
}
