// Where the states come from that workers share, who finds them again, and when they die.
#include "proxy/state_registry.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/event_ring.h"
#include "tests/support/start.h"

using namespace remora;
using namespace remora::proxy;

namespace {

constexpr TimePoint kLater{1060s};

struct Listed {
  std::string cluster;
  std::vector<std::string> addresses;
};

// A snapshot as name resolution leaves it: no states yet.
Snapshot snapshot_of(const std::vector<Listed>& clusters, const std::vector<std::string>& listeners = {}) {
  config::Config config;
  Snapshot snapshot;
  for (const Listed& listed : clusters) {
    config.clusters.emplace_back().name = listed.cluster;
    auto& endpoints = snapshot.endpoints.emplace_back();
    for (const std::string& address : listed.addresses) {
      ResolvedEndpoint& endpoint = endpoints.emplace_back();
      endpoint.name = "name of " + address;
      endpoint.address = *Address::parse(address);
    }
  }
  for (const std::string& name : listeners) config.listeners.emplace_back().name = name;
  snapshot.config = std::make_shared<const config::Config>(std::move(config));
  return snapshot;
}

struct Registry {
  // The one before lives until then, as the server's does.
  Snapshot fill(Snapshot next, TimePoint now = kStart) {
    registry.fill(next, now);
    return latest = std::move(next);
  }

  Random random{1};
  StateRegistry registry{random, nullptr};
  Snapshot latest;
};

constexpr const char* kA = "10.0.0.1:80";
constexpr const char* kB = "10.0.0.2:80";
constexpr const char* kC = "10.0.0.3:80";

}  // namespace

TEST_CASE("every cluster, endpoint and listener of a snapshot gets a state of its own") {
  Registry r;
  const Snapshot s = r.fill(snapshot_of({{"app", {kA, kB}}, {"other", {kA}}}, {"in", "out"}));
  REQUIRE(s.clusters.size() == 2);
  REQUIRE(s.listeners.size() == 2);
  CHECK(s.clusters[0] != nullptr);
  CHECK(s.clusters[1] != nullptr);
  CHECK(s.clusters[0] != s.clusters[1]);
  CHECK(s.listeners[0] != nullptr);
  CHECK(s.listeners[1] != nullptr);
  CHECK(s.listeners[0] != s.listeners[1]);
  CHECK(s.endpoints[0][0].state != nullptr);
  CHECK(s.endpoints[0][1].state != nullptr);
  CHECK(s.endpoints[0][0].state != s.endpoints[0][1].state);
  REQUIRE(s.endpoints[1][0].state != nullptr);
  CHECK(s.endpoints[1][0].state != s.endpoints[0][0].state);  // the same address in another cluster

  const auto& known = r.registry.clusters();
  REQUIRE(known.size() == 2);
  CHECK(known[0].settings == &s.config->clusters[0]);
  CHECK(known[0].state == s.clusters[0]);
  REQUIRE(known[0].endpoints.size() == 2);
  CHECK(known[0].endpoints[1].name == "name of 10.0.0.2:80");
  CHECK(known[0].endpoints[1].address.to_string() == kB);
  CHECK(known[0].endpoints[1].state == s.endpoints[0][1].state);
}

TEST_CASE("states begin as the configuration says") {
  Snapshot s = snapshot_of({{"app", {kA}}, {"unchecked", {kA}}}, {"in"});
  config::Config config = *s.config;
  config::Cluster& app = config.clusters.edit()[0];
  app.limits = {.connections = 1,
                .requests = 2,
                .pending = 3,
                .retries = 4,
                .endpoint_connections = 5,
                .endpoint_requests = 6};
  app.health_check.emplace();
  app.adaptive.enabled = true;
  app.adaptive.initial = 7;
  app.breaker.open_for = 8s;
  config.listeners[0].limits.connections = 9;
  s.config = std::make_shared<const config::Config>(std::move(config));
  Registry r;
  s = r.fill(std::move(s));
  CHECK(s.clusters[0]->connections.most() == 1);
  CHECK(s.clusters[0]->requests.most() == 2);
  CHECK(s.clusters[0]->pending.most() == 3);
  CHECK(s.clusters[0]->retries.most() == 4);
  CHECK(s.clusters[0]->adaptive.most() == 7);
  CHECK(s.clusters[0]->breaker.settings().open_for == 8s);
  CHECK(s.clusters[1]->adaptive.most() == 0);  // not enabled: unlimited
  const EndpointState& endpoint = *s.endpoints[0][0].state;
  CHECK(endpoint.connections.most() == 5);
  CHECK(endpoint.requests.most() == 6);
  CHECK(endpoint.breaker.settings().open_for == 8s);
  CHECK(endpoint.active.load() == health::Sources::Active::kUnknown);
  CHECK(s.endpoints[1][0].state->active.load() == health::Sources::Active::kNone);
  CHECK(s.listeners[0]->connections.most() == 9);
}

TEST_CASE("states are found again by name and by address, wherever they now stand") {
  Registry r;
  const Snapshot before = r.fill(snapshot_of({{"app", {kA, kB}}, {"other", {kA}}}, {"in", "out"}));
  const Snapshot after =
      r.fill(snapshot_of({{"new", {kA}}, {"other", {kA}}, {"app", {kC, kB, kA}}}, {"out", "new", "in"}));
  CHECK(after.clusters[2] == before.clusters[0]);
  CHECK(after.clusters[1] == before.clusters[1]);
  CHECK(after.clusters[0] != before.clusters[0]);
  CHECK(after.clusters[0] != before.clusters[1]);
  CHECK(after.endpoints[2][2].state == before.endpoints[0][0].state);
  CHECK(after.endpoints[2][1].state == before.endpoints[0][1].state);
  CHECK(after.endpoints[1][0].state == before.endpoints[1][0].state);
  CHECK(after.endpoints[0][0].state != before.endpoints[0][0].state);  // that of another cluster
  CHECK(after.endpoints[0][0].state != before.endpoints[1][0].state);
  CHECK(after.listeners[0] == before.listeners[1]);
  CHECK(after.listeners[2] == before.listeners[0]);
  CHECK(after.listeners[1] != before.listeners[0]);
  CHECK(after.listeners[1] != before.listeners[1]);
  CHECK(r.registry.clusters()[2].settings == &after.config->clusters[2]);
}

TEST_CASE("an endpoint is its address, whatever it is called") {
  Registry r;
  const Snapshot before = r.fill(snapshot_of({{"app", {kA}}}));
  Snapshot renamed = snapshot_of({{"app", {kA}}});
  renamed.endpoints[0].edit()[0].name = "another";
  renamed = r.fill(std::move(renamed));
  CHECK(renamed.endpoints[0][0].state == before.endpoints[0][0].state);
  CHECK(r.registry.clusters()[0].endpoints[0].name == "another");
}

TEST_CASE("an endpoint that joins others takes its share little by little, the first ones do not") {
  Registry r;
  Snapshot s = r.fill(snapshot_of({{"app", {kA, kB}}, {"empty", {}}}));
  CHECK(s.endpoints[0][0].state->ramps_since() == TimePoint{});
  CHECK(s.endpoints[0][1].state->ramps_since() == TimePoint{});

  s = r.fill(snapshot_of({{"app", {kC, kA, kB}}, {"empty", {kA, kB}}, {"new", {kA}}}), kLater);
  CHECK(s.endpoints[0][0].state->ramps_since() == kLater);
  CHECK(s.endpoints[0][1].state->ramps_since() == TimePoint{});
  CHECK(s.endpoints[0][2].state->ramps_since() == TimePoint{});
  for (const auto& first : s.endpoints[1]) CHECK(first.state->ramps_since() == TimePoint{});
  CHECK(s.endpoints[2][0].state->ramps_since() == TimePoint{});

  s = r.fill(snapshot_of({{"app", {kC, kA, kB}}, {"empty", {kA, kB}}, {"new", {kA}}}), kLater + 60s);
  CHECK(s.endpoints[0][0].state->ramps_since() == kLater);  // it had come before
}

TEST_CASE("one that comes back is a new one") {
  Registry r;
  Snapshot s = r.fill(snapshot_of({{"app", {kA, kB}}}));
  s.endpoints[0][1].state->draining = true;
  r.fill(snapshot_of({{"app", {kA}}}));
  s = r.fill(snapshot_of({{"app", {kA, kB}}}), kLater);
  CHECK_FALSE(s.endpoints[0][1].state->draining.load());
  CHECK(s.endpoints[0][1].state->ramps_since() == kLater);
}

TEST_CASE("what is not named any more dies with its last user") {
  Registry r;
  Snapshot s = r.fill(snapshot_of({{"app", {kA, kB}}, {"other", {kA}}}, {"in", "out"}));
  const std::weak_ptr<EndpointState> stays = s.endpoints[0][0].state;
  const std::weak_ptr<EndpointState> dropped = s.endpoints[0][1].state;
  const std::weak_ptr<EndpointState> with_its_cluster = s.endpoints[1][0].state;
  const std::weak_ptr<ClusterState> cluster = s.clusters[1];
  const std::weak_ptr<ListenerState> listener = s.listeners[1];
  // A worker that has a download under way.
  std::shared_ptr<EndpointState> user = s.endpoints[0][1].state;

  s = r.fill(snapshot_of({{"app", {kA}}}, {"in"}));
  CHECK_FALSE(stays.expired());
  CHECK_FALSE(dropped.expired());
  CHECK(with_its_cluster.expired());
  CHECK(cluster.expired());
  CHECK(listener.expired());
  user.reset();
  CHECK(dropped.expired());
  s = {};
  r.latest.endpoints.clear();
  CHECK_FALSE(stays.expired());  // the registry's own
}

TEST_CASE("a cluster knows whom to tell") {
  struct Events final : ClusterState::Events {
    void on_room(ClusterState& /*cluster*/, std::uint64_t /*workers*/) override {}
    void on_failures_in_a_row(ClusterState& /*cluster*/, EndpointState& /*endpoint*/) override {}
    void on_event(Event /*event*/) override {}
  } events;
  Random random{1};
  StateRegistry registry(random, &events);
  Snapshot s = snapshot_of({{"app", {kA}}});
  registry.fill(s, kStart);
  CHECK(s.clusters[0]->events == &events);
}

TEST_CASE("a new configuration changes what states are told, and nothing that they have counted") {
  Registry r;
  config::Config config;
  config.clusters.emplace_back().name = "app";
  config.clusters.edit()[0].breaker.consecutive_failures = 1;
  config.listeners.emplace_back().name = "in";
  Snapshot first;
  first.endpoints = {{ResolvedEndpoint{.name = kA, .address = *Address::parse(kA), .zone = {}, .state = {}}}};
  first.config = std::make_shared<const config::Config>(config);
  first = r.fill(std::move(first));
  const auto cluster = first.clusters[0];
  const auto endpoint = first.endpoints[0][0].state;
  const auto permit = cluster->requests.try_take();
  endpoint->ejected = true;
  REQUIRE(endpoint->breaker.force_open(kStart));
  const auto version = cluster->version.load();

  config.clusters.edit()[0].limits = {.connections = 1, .requests = 2, .pending = 3, .endpoint_requests = 4};
  config.clusters.edit()[0].breaker.consecutive_failures = 9;
  config.clusters.edit()[0].adaptive.enabled = true;
  config.clusters.edit()[0].adaptive.initial = 6;
  config.clusters.edit()[0].health_check.emplace();
  config.listeners[0].limits.connections = 5;
  Snapshot second;
  second.endpoints = {
      {ResolvedEndpoint{.name = kA, .address = *Address::parse(kA), .zone = {}, .state = {}},
       ResolvedEndpoint{.name = kB, .address = *Address::parse(kB), .zone = {}, .state = {}}}};
  second.config = std::make_shared<const config::Config>(config);
  second = r.fill(std::move(second), kLater);
  CHECK(second.clusters[0] == cluster);
  CHECK(second.endpoints[0][0].state == endpoint);
  CHECK(cluster->version.load() > version);
  CHECK(cluster->connections.most() == 1);
  CHECK(cluster->requests.most() == 2);
  CHECK(cluster->requests.in_use() == 1);
  CHECK(cluster->pending.most() == 3);
  CHECK(cluster->adaptive.most() == 6);
  CHECK(endpoint->requests.most() == 4);
  CHECK(endpoint->breaker.settings().consecutive_failures == 9);
  CHECK(!endpoint->breaker.may_enter(kLater));
  CHECK(second.listeners[0] == first.listeners[0]);
  CHECK(second.listeners[0]->connections.most() == 5);
  CHECK(endpoint->ramps_since() == TimePoint{});
  // Nothing of this cluster has been checked: it is not kept waiting for the first checks, newcomers neither.
  CHECK(endpoint->active.load() == health::Sources::Active::kNone);
  CHECK(second.endpoints[0][1].state->active.load() == health::Sources::Active::kNone);

  // Somebody is known to be well: who comes now waits for its check.
  endpoint->active = health::Sources::Active::kPassing;
  config.clusters.edit()[0].health_check->path = "/other";
  Snapshot third;
  third.endpoints = {{ResolvedEndpoint{.name = kA, .address = *Address::parse(kA), .zone = {}, .state = {}},
                      ResolvedEndpoint{.name = kC, .address = *Address::parse(kC), .zone = {}, .state = {}}}};
  third.config = std::make_shared<const config::Config>(config);
  third = r.fill(std::move(third), kLater);
  CHECK(endpoint->active.load() == health::Sources::Active::kPassing);  // until the other check says more
  CHECK(third.endpoints[0][1].state->active.load() == health::Sources::Active::kUnknown);

  config.clusters.edit()[0].health_check.reset();
  third.config = std::make_shared<const config::Config>(config);
  r.fill(std::move(third), kLater);
  CHECK(endpoint->active.load() == health::Sources::Active::kNone);
  CHECK(!endpoint->ejected.load());  // nor does outlier detection speak any more
}

TEST_CASE("a rate limit goes on counting where it is as it was") {
  Registry r;
  const auto config = [](std::uint32_t all,
                         const std::vector<std::pair<std::string, std::uint32_t>>& routes) {
    config::Config made;
    auto& listener = made.listeners.emplace_back();
    listener.name = "in";
    listener.rate_limit.emplace().bucket.requests = all;
    for (const auto& [path, requests] : routes) {
      auto& route = listener.routes.emplace_back();
      route.match.path = path;
      if (requests != 0) route.rate_limit.emplace().bucket.requests = requests;
    }
    Snapshot snapshot;
    snapshot.config = std::make_shared<const config::Config>(std::move(made));
    return snapshot;
  };
  const ListenerRates first = r.fill(config(5, {{"/a", 1}, {"/b", 0}, {"/c", 3}})).rates[0];
  REQUIRE(first.by_route.size() == 3);
  CHECK(first.by_route[1] == nullptr);
  const ListenerRates same = r.fill(config(5, {{"/c", 3}, {"/a", 1}})).rates[0];
  CHECK(same.all == first.all);
  CHECK(same.by_route[0] == first.by_route[2]);
  CHECK(same.by_route[1] == first.by_route[0]);
  const ListenerRates other = r.fill(config(6, {{"/c", 4}, {"/b", 1}})).rates[0];
  CHECK(other.all != first.all);
  CHECK(other.by_route[0] != first.by_route[2]);
  CHECK(other.by_route[1] != first.by_route[0]);
}

TEST_CASE("a list that is the same keeps its states without being looked at, and goes by new settings") {
  Registry r;
  const Snapshot before = r.fill(snapshot_of({{"app", {kA, kB}}, {"other", {kA}}}));
  const auto endpoint = before.endpoints[0][0].state;
  const auto version = before.clusters[0]->version.load();
  config::Config config = *before.config;
  config.clusters.edit()[0].limits.endpoint_requests = 3;
  Snapshot next;
  next.config = std::make_shared<const config::Config>(config);
  next.endpoints = before.endpoints;
  next = r.fill(std::move(next));
  CHECK(next.endpoints[0].is(before.endpoints[0]));
  CHECK(next.endpoints[1].is(before.endpoints[1]));
  CHECK(endpoint->requests.most() == 3);
  CHECK(next.clusters[0]->version.load() > version);
  CHECK(next.endpoints[1][0].state->requests.most() == 0);
}

TEST_CASE("the states of a list that was another cluster's are not taken over with it") {
  Registry r;
  const Snapshot before = r.fill(snapshot_of({{"app", {kA}}, {"other", {kA}}}));
  Snapshot next = before;
  next.endpoints[1] = before.endpoints[0];
  next = r.fill(std::move(next));
  CHECK(next.endpoints[0][0].state == before.endpoints[0][0].state);
  CHECK(next.endpoints[1][0].state == before.endpoints[1][0].state);
}

TEST_CASE("what the mesh thinks of a member is told to the workers without another snapshot") {
  using Member = health::Sources::Member;
  Registry registry;
  Snapshot first = snapshot_of({{"app", {kA, kB}}});
  for (auto& endpoint : first.endpoints[0].edit()) endpoint.member = Member::kAlive;
  first = registry.fill(std::move(first));
  const auto version = first.clusters[0]->version.load();
  Snapshot next = first;
  next.endpoints[0].edit()[1].member = Member::kSuspect;
  next = registry.fill(std::move(next));
  CHECK(next.endpoints == first.endpoints);
  CHECK(next.endpoints[0][0].state->sources(kStart).member == Member::kAlive);
  CHECK(next.endpoints[0][1].state->sources(kStart).member == Member::kSuspect);
  CHECK(next.clusters[0]->version.load() > version);
  const auto after = next.clusters[0]->version.load();
  registry.fill(Snapshot(next));
  CHECK(next.clusters[0]->version.load() == after);
}
