#include "proxy/cluster.h"

#include <doctest/doctest.h>

#include <array>
#include <set>

#include "tests/support/raw_peer.h"
#include "tests/support/test_cluster.h"
#include "tests/support/test_env.h"

using namespace remora;
using namespace remora::proxy;
using remora::testing::kSucceeded;
using remora::testing::kWasReset;
using remora::testing::TestCluster;
using remora::testing::TestEnv;
using remora::testing::TestStates;

namespace {

constexpr const char* kA = "10.0.0.1:80";
constexpr const char* kB = "10.0.0.2:80";
constexpr const char* kC = "10.0.0.3:80";

ResolvedEndpoint endpoint(const char* address, std::uint32_t weight = 1, std::string zone = "",
                          std::uint32_t priority = 0) {
  return {.name = address,
          .address = *Address::parse(address),
          .weight = weight,
          .zone = std::move(zone),
          .priority = priority,
          .state = nullptr};
}

config::Cluster settings(lb::Algorithm algorithm = lb::Algorithm::kRoundRobin) {
  config::Cluster cluster;
  cluster.name = "app";
  cluster.balance.algorithm = algorithm;
  return cluster;
}

// Takes and gives back: who gets the next requests.
std::multiset<std::string> picks(TestCluster& cluster, int n) {
  std::multiset<std::string> all;
  for (int i = 0; i < n; ++i) {
    Lease lease = cluster.acquire({}, {});
    if (lease) all.insert(lease.endpoint().address_text);
  }
  return all;
}

const EndpointReport& report_of(const ClusterReport& report, const char* address) {
  for (const auto& endpoint : report.endpoints) {
    if (endpoint.address == address) return endpoint;
  }
  FAIL("no such endpoint: " << address);
  return report.endpoints.front();
}

// Takes whatever stream it is given.
struct Exchange final : http::Responses, UpstreamPool::Waiter {
  void on_informational(http::ResponseHead&) override {}
  void on_response(http::ResponseHead&, bool) override {}
  void on_upgrade(http::ResponseHead&) override {}
  void on_body(std::string_view, bool) override {}
  void on_trailers(const http::FieldList&) override {}
  void on_writable() override {}
  void on_reset(const Error&) override { stream = nullptr; }
  void on_stream(http::ClientStream& given, bool) override {
    stream = &given;
    http::RequestHead head;
    head.method = "GET";
    head.target = "/";
    head.authority = "h";
    given.send_request(head, true);
  }
  void on_connect_failed(const Error&) override {}
  http::ClientStream* stream = nullptr;
};

}  // namespace

TEST_CASE("whom the mesh suspects is the last resort, whatever its priority") {
  using Member = health::Sources::Member;
  TestEnv env;
  TestCluster cluster(env.env, settings(), "");
  cluster.apply({endpoint(kA), endpoint(kB), endpoint(kC, 1, "", 1)});
  const auto think = [&](std::size_t i, Member member) {
    cluster.states().snapshot.endpoints[0][i].state->member.store(member);
    cluster.states().snapshot.clusters[0]->changed();
  };
  think(0, Member::kSuspect);
  CHECK(picks(cluster, 2) == std::multiset<std::string>{kB, kB});
  think(1, Member::kSuspect);
  CHECK(picks(cluster, 2) == std::multiset<std::string>{kC, kC});  // of a later priority, and not suspected
  think(2, Member::kSuspect);
  CHECK(picks(cluster, 3) == std::multiset<std::string>{kA, kB, kC});  // better than nobody
  think(0, Member::kAlive);
  CHECK(picks(cluster, 2) == std::multiset<std::string>{kA, kA});
}

TEST_CASE("a cluster without endpoints gives no lease") {
  TestEnv t;
  TestCluster cluster(t.env, settings(), "");
  CHECK_FALSE(cluster.acquire({}, {}));
  cluster.apply({});
  CHECK_FALSE(cluster.acquire({}, {}));
  CHECK(cluster.report().endpoints.empty());
  CHECK(cluster.idle());
}

TEST_CASE("every endpoint is used, and one that was tried is not picked again") {
  TestEnv t;
  TestCluster cluster(t.env, settings(), "");
  cluster.apply({endpoint(kA), endpoint(kB)});
  CHECK(picks(cluster, 4) == std::multiset<std::string>{kA, kA, kB, kB});
  const Lease first = cluster.acquire({}, {});
  const std::array tried{*first.endpoint().index};
  const Lease second = cluster.acquire({}, tried);
  REQUIRE(second);
  CHECK(&second.endpoint() != &first.endpoint());
  const std::array both{*first.endpoint().index, *second.endpoint().index};
  CHECK(cluster.acquire({}, both));  // better one of them again than none
}

TEST_CASE("a lease reports its outcome exactly once, by finish or by its end") {
  TestEnv t;
  TestCluster cluster(t.env, settings(), "");
  cluster.apply({endpoint(kA)});
  const auto stats = [&] { return cluster.report().endpoints.at(0).stats; };
  {
    Lease lease = cluster.acquire({}, {});
    CHECK(stats().requests == 1);
    CHECK(stats().requests_active == 1);
    CHECK_FALSE(cluster.idle());
    lease.finish(kWasReset, std::nullopt);
    CHECK_FALSE(lease);
    lease.finish(kWasReset, std::nullopt);
  }
  CHECK(stats().failures == 1);
  CHECK(stats().requests_active == 0);
  {
    const Lease cancelled = cluster.acquire({}, {});
  }
  CHECK(stats().failures == 1);
  CHECK(stats().requests == 2);
  Lease moved;
  {
    Lease lease = cluster.acquire({}, {});
    moved = std::move(lease);
  }
  CHECK(stats().requests_active == 1);
  moved = Lease();
  CHECK(stats().requests_active == 0);
  CHECK(cluster.idle());
}

TEST_CASE("an endpoint that stays keeps its pool, its load and its numbers, wherever it stands in the list") {
  TestEnv t;
  testing::RawServer backend(t.network, *Address::parse(kA));
  TestCluster cluster(t.env, settings(lb::Algorithm::kLeastRequest), "");
  cluster.apply({endpoint(kA)});
  Lease lease = cluster.acquire({}, {});
  ClusterEndpoint* const before = &lease.endpoint();
  Exchange exchange;
  before->pool.open(exchange, exchange, false);
  t.settle();
  REQUIRE(exchange.stream != nullptr);

  cluster.apply({endpoint(kB), endpoint(kA, 7, "z1"), endpoint(kC)});
  t.settle();
  CHECK(&lease.endpoint() == before);
  CHECK(lease.endpoint().index == 1);
  const auto report = cluster.report();
  CHECK(report_of(report, kA).stats.requests_active == 1);
  CHECK(report_of(report, kA).stats.connections_active == 1);
  CHECK(report_of(report, kA).weight == 7);
  CHECK(report_of(report, kA).zone == "z1");
  CHECK(report_of(report, kB).stats.requests == 0);

  backend[0].send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  t.settle();
  lease.finish(kSucceeded, 5ms);
  CHECK(report_of(cluster.report(), kA).stats.requests_active == 0);
  CHECK(report_of(cluster.report(), kA).stats.connections_idle == 1);
  CHECK_FALSE(backend[0].finished());
}

TEST_CASE("the load of an endpoint that moves in the list moves with it") {
  TestEnv t;
  TestCluster cluster(t.env, settings(lb::Algorithm::kLeastRequest), "");
  cluster.apply({endpoint(kA), endpoint(kB)});
  const std::array not_b{1U};
  std::vector<Lease> on_a;
  for (int i = 0; i < 5; ++i) on_a.push_back(cluster.acquire({}, not_b));
  REQUIRE(on_a[0].endpoint().address_text == kA);
  cluster.apply({endpoint(kB), endpoint(kA)});
  CHECK(picks(cluster, 10) == std::multiset<std::string>{kB, kB, kB, kB, kB, kB, kB, kB, kB, kB});
}

TEST_CASE("an endpoint that goes finishes what it has begun and then dies") {
  TestEnv t;
  testing::RawServer backend(t.network, *Address::parse(kA));
  TestCluster cluster(t.env, settings(), "");
  cluster.apply({endpoint(kA)});
  Lease first = cluster.acquire({}, {});
  Lease second = cluster.acquire({}, {});
  Exchange exchange;
  first.endpoint().pool.open(exchange, exchange, false);
  t.settle();

  cluster.apply({endpoint(kB)});
  t.settle();
  CHECK(cluster.report().endpoints.size() == 1);
  CHECK(picks(cluster, 3).count(kA) == 0);
  CHECK_FALSE(first.endpoint().index.has_value());
  CHECK(first.endpoint().info().name == kA);  // although its list has gone
  CHECK_FALSE(backend[0].finished());

  SUBCASE("with its leases") {
    backend[0].send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    t.settle();
    CHECK(backend[0].finished());  // not kept for anybody
    first.finish(kSucceeded, 1ms);
    CHECK(second.endpoint().address_text == kA);
    second.finish(kWasReset, std::nullopt);
    t.settle();
  }
  SUBCASE("even when it comes back meanwhile, as a new one") {
    cluster.apply({endpoint(kA)});
    Lease third = cluster.acquire({}, {});
    CHECK(&third.endpoint() != &first.endpoint());
    CHECK(report_of(cluster.report(), kA).stats.requests_active == 1);
    exchange.stream->reset();
    first.finish(kWasReset, std::nullopt);
    second.finish(kWasReset, std::nullopt);
    CHECK(report_of(cluster.report(), kA).stats.failures == 0);
    CHECK(report_of(cluster.report(), kA).stats.requests_active == 1);
    third.finish(kSucceeded, std::nullopt);
    t.settle();
  }
  CHECK(cluster.idle());
}

TEST_CASE("a cluster that dies closes its connections") {
  TestEnv t;
  testing::RawServer backend(t.network, *Address::parse(kA));
  {
    TestCluster cluster(t.env, settings(), "");
    cluster.apply({endpoint(kA)});
    Lease lease = cluster.acquire({}, {});
    Exchange exchange;
    lease.endpoint().pool.open(exchange, exchange, false);
    t.settle();
    backend[0].send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    t.settle();
  }
  t.settle();
  CHECK(backend[0].finished());
}

TEST_CASE("the lowest priority that has an endpoint is used alone") {
  TestEnv t;
  TestCluster cluster(t.env, settings(), "");
  cluster.apply({endpoint(kA, 1, "", 1), endpoint(kB, 1, "", 0), endpoint(kC, 1, "", 1)});
  CHECK(picks(cluster, 4).count(kB) == 4);
  cluster.apply({endpoint(kA, 1, "", 1), endpoint(kC, 1, "", 1)});
  CHECK(picks(cluster, 4) == std::multiset<std::string>{kA, kA, kC, kC});
}

TEST_CASE("new settings hold for a list that is the same") {
  TestEnv t;
  TestCluster cluster(t.env, settings(), "");
  cluster.apply({endpoint(kA, 1, "z1"), endpoint(kB, 1, "z2")});
  CHECK(picks(cluster, 4) == std::multiset<std::string>{kA, kA, kB, kB});
  config::Config zoned = *cluster.states().snapshot.config;
  zoned.runtime.zone = "z2";
  cluster->set_settings({.config = std::make_shared<const config::Config>(zoned)});
  cluster.apply_shared();
  CHECK(picks(cluster, 4).count(kB) == 4);
}

TEST_CASE("endpoints of the own zone are preferred when there is one") {
  TestEnv t;
  TestCluster cluster(t.env, settings(), "z1");
  cluster.apply({endpoint(kA, 1, "z2"), endpoint(kB, 1, "z1"), endpoint(kC, 1, "")});
  CHECK(picks(cluster, 6).count(kB) == 6);
  cluster.apply({endpoint(kA, 1, "z2"), endpoint(kC, 1, "")});
  CHECK(picks(cluster, 6) == std::multiset<std::string>{kA, kA, kA, kC, kC, kC});
  TestCluster anywhere(t.env, settings(), "");
  anywhere.apply({endpoint(kA, 1, "z2"), endpoint(kC, 1, "")});
  CHECK(picks(anywhere, 6) == std::multiset<std::string>{kA, kA, kA, kC, kC, kC});
}

TEST_CASE("latency is measured for peak_ewma, and only for it") {
  for (const auto algorithm :
       {lb::Algorithm::kPeakEwma, lb::Algorithm::kLeastRequest, lb::Algorithm::kRoundRobin}) {
    TestEnv t;
    TestCluster cluster(t.env, settings(algorithm), "");
    cluster.apply({endpoint(kA)});
    Lease lease = cluster.acquire({}, {});
    lease.finish(kSucceeded, 20ms);
    const double latency = cluster.report().endpoints.at(0).latency_seconds;
    CAPTURE(static_cast<int>(algorithm));
    CHECK((latency > 0.0) == (algorithm == lb::Algorithm::kPeakEwma));
  }
}

TEST_CASE("an endpoint that was slow once is asked again after a while") {
  TestEnv t;
  TestCluster cluster(t.env, settings(lb::Algorithm::kPeakEwma), "");
  cluster.apply({endpoint(kA), endpoint(kB)});
  for (int i = 0; i < 20; ++i) {
    Lease lease = cluster.acquire({}, {});
    const bool slow = lease.endpoint().address_text == kA;
    lease.finish(kSucceeded, slow ? 2s : 2ms);
  }
  const auto asked = [&] { return report_of(cluster.report(), kA).stats.requests; };
  const auto before = asked();
  const auto load = [&](int n) {
    for (int i = 0; i < n; ++i) {
      t.run_for(100ms);
      Lease lease = cluster.acquire({}, {});
      lease.finish(kSucceeded, lease.endpoint().address_text == kA ? 2s : 2ms);
    }
  };
  load(20);
  CHECK(asked() == before);
  load(1200);
  CHECK(asked() > before);
}

TEST_CASE("a cluster that goes anywhere has an endpoint wherever somebody goes, as long as there is room") {
  TestEnv t;
  config::Cluster away = settings();
  away.discover.emplace().source = config::Discover::Source::kOriginalDestination;
  TestCluster cluster(t.env, away, "");
  cluster.apply({});
  CHECK(cluster.ask().denied == Denied::kNoEndpoint);
  const auto go = [&](const Address& to) {
    return cluster->acquire({}, {}, {.retry = false, .tunnel = true, .destination = &to});
  };
  const auto numbered = [](std::uint32_t i) {
    return *Address::parse("10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ":80");
  };
  std::vector<Lease> held;
  for (std::uint32_t i = 0; i < Cluster::kMostDestinations; ++i) {
    held.push_back(go(numbered(i)).lease);
    REQUIRE(held.back());
    CHECK(held.back().endpoint().info().address == numbered(i));
  }
  CHECK_FALSE(cluster->has_untried({}));
  CHECK(go(numbered(7)).lease);
  CHECK(go(*Address::parse("192.0.2.1:80")).denied == Denied::kConnections);
  held[3].finish(kSucceeded, std::nullopt);
  const std::uint64_t generation = cluster->generation();
  const Lease other = go(*Address::parse("192.0.2.1:80")).lease;
  REQUIRE(other);
  CHECK(cluster->generation() != generation);
  CHECK(cluster.report().endpoints.size() == Cluster::kMostDestinations);
  CHECK(go(numbered(2)).lease.endpoint().info().address == numbered(2));
  CHECK(go(numbered(4)).lease.endpoint().info().address == numbered(4));
  CHECK(go(numbered(3)).denied == Denied::kConnections);
  cluster.apply({});
  held.clear();
  CHECK(cluster.report().endpoints.size() == Cluster::kMostDestinations);
  CHECK(go(numbered(9999)).lease.endpoint().address_text == numbered(9999).to_string());
  CHECK(cluster.report().endpoints.size() == 2);  // and whoever is still there
}

TEST_CASE("workers share what they know of a destination") {
  TestEnv t;
  config::Cluster away = settings();
  away.discover.emplace().source = config::Discover::Source::kOriginalDestination;
  away.breaker.consecutive_failures = 2;
  TestStates states(t.env.random, away);
  TestCluster first(t.env, states, 0);
  TestCluster second(t.env, states, 1);
  first.apply_shared();
  second.apply_shared();
  const Address to = *Address::parse(kA);
  const auto go = [&](TestCluster& cluster) {
    return cluster->acquire({}, {}, {.retry = false, .tunnel = true, .destination = &to});
  };
  go(first).lease.finish(kWasReset, std::nullopt);
  CHECK(go(second).lease);
  go(second).lease.finish(kWasReset, std::nullopt);
  CHECK(go(first).denied == Denied::kBreakerOpen);
  CHECK(go(second).denied == Denied::kBreakerOpen);
}
