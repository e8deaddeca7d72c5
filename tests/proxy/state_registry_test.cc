// Where the states come from that workers share, who finds them again, and when they die.
#include "proxy/state_registry.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/event_ring.h"

using namespace remora;
using namespace remora::proxy;

namespace {

constexpr TimePoint kStart{1000s};
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
  config::Cluster& app = config.clusters[0];
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
  renamed.endpoints[0][0].name = "another";
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
