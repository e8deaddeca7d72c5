// What the operator says of endpoints and breakers.
#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "proxy/supervisor.h"
#include "tests/proxy/supervisor_fixture.h"

using namespace remora;
using namespace remora::testing;
using namespace remora::proxy;
using Active = health::Sources::Active;
using Order = Supervisor::Order;
using Phase = breaker::CircuitBreaker::Phase;
using Refused = Supervisor::Refused;
using Why = health::Why;

TEST_CASE("an order reaches the endpoint that it names, by address or as configured") {
  for (const std::string endpoint : {"10.0.0.2:80", "name of 10.0.0.2:80"}) {
    CAPTURE(endpoint);
    SupervisorFixture f({cluster_named("other"), cluster_named("app")}, {{kB}, {kA, kB}});
    const auto obey = [&](Order order) {
      const std::uint64_t version = f.cluster(1).version.load();
      CHECK(f.supervisor.obey("app", endpoint, order) == std::nullopt);
      CHECK(f.cluster(1).version.load() > version);
    };
    obey(Order::kOpen);
    CHECK_FALSE(f.at(1, 1).breaker.may_enter(f.now() + 24h));
    CHECK(f.view(1).endpoints[1].why == Why::kBreaker);
    obey(Order::kClose);
    CHECK(f.at(1, 1).breaker.may_enter(f.now()));
    CHECK(f.at(1, 1).ramps_since() == f.now());
    obey(Order::kDrain);
    CHECK(f.at(1, 1).draining.load());
    CHECK(f.view(1).endpoints[1].draining);
    CHECK(f.view(1).endpoints[1].why == Why::kDraining);
    f.t.run_for(5s);
    obey(Order::kUndrain);
    CHECK_FALSE(f.at(1, 1).draining.load());
    CHECK(f.at(1, 1).ramps_since() == f.now());
    CHECK(f.view(1).endpoints[1].why == Why::kAvailable);
    // Nobody else is meant.
    CHECK(f.at(0, 1).ramps_since() == TimePoint{});
    CHECK(f.at(0, 0).ramps_since() == TimePoint{});
    CHECK(f.cluster(0).version.load() == 1);
  }
}

TEST_CASE("an order that changes nothing is obeyed, and does not make a well endpoint ramp") {
  SupervisorFixture f({cluster_named("app")}, {{kA}});
  CHECK(f.supervisor.obey("app", kA, Order::kUndrain) == std::nullopt);
  CHECK(f.supervisor.obey("app", kA, Order::kClose) == std::nullopt);
  CHECK(f.at(0).ramps_since() == TimePoint{});
  CHECK(f.supervisor.obey("app", kA, Order::kDrain) == std::nullopt);
  CHECK(f.supervisor.obey("app", kA, Order::kDrain) == std::nullopt);
  CHECK(f.at(0).draining.load());
  CHECK(f.supervisor.obey("app", kA, Order::kOpen) == std::nullopt);
  CHECK(f.supervisor.obey("app", kA, Order::kOpen) == std::nullopt);
  CHECK(f.shown(0).breaker.transitions_to[static_cast<std::size_t>(Phase::kOpen)] == 1);
  CHECK(f.at(0).ramps_since() == TimePoint{});
}

TEST_CASE("an order for what does not exist is refused") {
  SupervisorFixture f({cluster_named("app"), cluster_named("empty")}, {{kA}, {}});
  for (const Order order : {Order::kOpen, Order::kClose, Order::kDrain, Order::kUndrain}) {
    CHECK(f.supervisor.obey("nobody", kA, order) == Refused::kNoCluster);
    CHECK(f.supervisor.obey("", "", order) == Refused::kNoCluster);
    CHECK(f.supervisor.obey("app", kB, order) == Refused::kNoEndpoint);
    CHECK(f.supervisor.obey("app", "10.0.0.1", order) == Refused::kNoEndpoint);
    CHECK(f.supervisor.obey("empty", kA, order) == Refused::kNoEndpoint);
    CHECK(f.supervisor.obey("app", "", order) == Refused::kNoSuchBreaker);
  }
  CHECK(f.cluster().version.load() == 1);
  f.set({{kB}, {}});
  CHECK(f.supervisor.obey("app", kA, Order::kDrain) == Refused::kNoEndpoint);
  CHECK(f.supervisor.obey("app", kB, Order::kDrain) == std::nullopt);
}

TEST_CASE("a breaker for the whole cluster is opened and closed without an endpoint") {
  config::Cluster settings = cluster_named("app");
  settings.breaker_scope = config::BreakerScope::kCluster;
  SupervisorFixture f({settings}, {{kA}});
  std::uint64_t version = f.cluster().version.load();
  CHECK(f.supervisor.obey("app", "", Order::kOpen) == std::nullopt);
  CHECK_FALSE(f.cluster().breaker.may_enter(f.now()));
  CHECK(std::exchange(version, f.cluster().version.load()) < f.cluster().version.load());
  CHECK(f.view().cluster_breaker);
  CHECK(f.view().breaker.phase == Phase::kOpen);
  CHECK(f.shown(0).why == Why::kAvailable);  // of the endpoint nothing is said
  CHECK(f.supervisor.obey("app", "", Order::kClose) == std::nullopt);
  CHECK(f.cluster().breaker.may_enter(f.now()));
  CHECK(version < f.cluster().version.load());

  CHECK(f.supervisor.obey("app", kA, Order::kOpen) == Refused::kNoSuchBreaker);
  CHECK(f.supervisor.obey("app", kA, Order::kClose) == Refused::kNoSuchBreaker);
  CHECK(f.at(0).breaker.may_enter(f.now()));
  CHECK(f.supervisor.obey("app", "", Order::kDrain) == Refused::kNoSuchBreaker);
  CHECK(f.supervisor.obey("app", "", Order::kUndrain) == Refused::kNoSuchBreaker);
  CHECK(f.supervisor.obey("app", kA, Order::kDrain) == std::nullopt);  // that is the endpoint's own
  CHECK(f.at(0).draining.load());
}

TEST_CASE("a drained endpoint is checked further") {
  SupervisorFixture f({checked()}, {{kA, kB}});
  f.backend(kA);
  f.backend(kB);
  f.start();
  CHECK(f.supervisor.obey("app", kA, Order::kDrain) == std::nullopt);
  f.backend(kA).answer = kUnwell;
  f.t.run_for(3s);
  CHECK(f.at(0).active.load() == Active::kFailing);
  CHECK(f.shown(0).why == Why::kDraining);
  CHECK(f.supervisor.obey("app", kA, Order::kUndrain) == std::nullopt);
  CHECK(f.shown(0).why == Why::kActiveCheck);
}

TEST_CASE("a drained endpoint is none of those that ejection keeps") {
  SupervisorFixture f({watched()}, {{kA, kB}});
  CHECK(f.supervisor.obey("app", kB, Order::kDrain) == std::nullopt);
  f.cluster().events->on_failures_in_a_row(f.cluster(), f.at(0));
  f.run_tasks();
  CHECK_FALSE(f.at(0).ejected.load());
  CHECK(f.supervisor.obey("app", kB, Order::kUndrain) == std::nullopt);
  f.cluster().events->on_failures_in_a_row(f.cluster(), f.at(0));
  f.run_tasks();
  CHECK(f.at(0).ejected.load());
}

TEST_CASE("orders are in the log, those that change nothing of a breaker are not") {
  config::Cluster shared = cluster_named("shared");
  shared.breaker_scope = config::BreakerScope::kCluster;
  SupervisorFixture f({cluster_named("app"), shared}, {{kA}, {kA}});
  const std::string by_name = "name of 10.0.0.1:80";
  f.supervisor.obey("app", by_name, Order::kOpen);
  f.supervisor.obey("app", by_name, Order::kOpen);
  f.supervisor.obey("app", by_name, Order::kClose);
  f.supervisor.obey("shared", "", Order::kOpen);
  f.supervisor.obey("app", by_name, Order::kDrain);
  f.supervisor.obey("app", by_name, Order::kUndrain);
  const std::string reason = std::string(" reason=") + to_string(breaker::CircuitBreaker::Reason::kManual);
  CHECK(f.log.lines() ==
        Lines{"warn circuit breaker changed cluster=app endpoint=10.0.0.1:80 state=open was=closed" + reason +
                  " open_for_ms=0",
              "info circuit breaker changed cluster=app endpoint=10.0.0.1:80 state=closed was=open" + reason +
                  " open_for_ms=0",
              "warn circuit breaker changed cluster=shared endpoint=* state=open was=closed" + reason +
                  " open_for_ms=0",
              "info endpoint draining cluster=app endpoint=10.0.0.1:80",
              "info endpoint in use again cluster=app endpoint=10.0.0.1:80"});
}

TEST_CASE("an order by a name reaches all its addresses") {
  SupervisorFixture f({cluster_named("app")}, {{kA, kB}});
  Snapshot next = f.snapshot;
  for (auto& endpoint : next.endpoints[0].edit()) endpoint.name = "app.local:80";
  f.supervisor.supervise(next);
  CHECK(f.supervisor.obey("app", "app.local:80", Order::kDrain) == std::nullopt);
  CHECK(f.at(0).draining.load());
  CHECK(f.at(1).draining.load());
}

TEST_CASE("a breaker that is switched off cannot be opened") {
  auto cluster = cluster_named("app");
  cluster.breaker.enabled = false;
  SupervisorFixture f({cluster}, {{kA}});
  CHECK(f.supervisor.obey("app", kA, Order::kOpen) == Refused::kBreakerOff);
}
