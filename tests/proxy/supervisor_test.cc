// The control thread's side of health: what the checks find, and what the workers tell.
#include "proxy/supervisor.h"

#include <doctest/doctest.h>

#include <memory>
#include <utility>

#include "tests/proxy/supervisor_fixture.h"

using namespace remora;
using namespace remora::testing;
using namespace remora::proxy;
using Active = health::Sources::Active;
using Checked = health::Checker::State;
using Why = health::Why;

TEST_CASE("an endpoint is unknown until its first result, which every worker then sees") {
  SupervisorFixture f({checked()}, {{kA, kB}});
  f.backend(kA);
  f.backend(kB).answer = kUnwell;
  f.t.run_for(5s);
  CHECK(f.backend(kA).asked == 0);  // not started yet
  CHECK_FALSE(f.view().endpoints[0].check.has_value());
  f.supervisor.start();
  CHECK(f.at(0).active.load() == Active::kUnknown);
  CHECK(f.at(1).active.load() == Active::kUnknown);
  CHECK(f.shown(0).why == Why::kActiveCheck);
  CHECK(f.shown(0).check->state == Checked::kUnknown);
  const std::uint64_t version = f.cluster().version.load();
  f.t.run_for(200ms);
  CHECK(f.at(0).active.load() == Active::kPassing);
  CHECK(f.at(1).active.load() == Active::kFailing);
  CHECK(f.cluster().version.load() == version + 2);
  CHECK(f.shown(0).why == Why::kAvailable);
  CHECK(f.shown(1).why == Why::kActiveCheck);
  f.t.run_for(10s);
  CHECK(f.cluster().version.load() == version + 2);  // nothing new
}

TEST_CASE("it is settled with the last first result, and says so once") {
  SupervisorFixture f({checked("app"), checked("other")}, {{kA, kB}, {kC}});
  f.backend(kA);
  f.backend(kB).answer = kUnwell;
  f.backend(kC).answer = "";  // its first result comes with the timeout
  f.start();
  CHECK(f.at(0).active.load() == Active::kPassing);
  CHECK(f.at(1).active.load() == Active::kFailing);
  CHECK_FALSE(f.supervisor.settled());
  CHECK(f.settled == 0);
  f.t.run_for(600ms);
  CHECK(f.at(0, 1).active.load() == Active::kFailing);
  CHECK(f.supervisor.settled());
  CHECK(f.settled == 1);
  f.backend(kC).answer = kWell;
  f.backend(kA).answer = kUnwell;
  f.t.run_for(5s);
  REQUIRE(f.at(0, 1).active.load() == Active::kPassing);
  REQUIRE(f.at(0).active.load() == Active::kFailing);
  // One more endpoint is one more first result.
  f.backend("10.0.0.4:80");
  f.set({{kA, kB, "10.0.0.4:80"}, {kC}});
  CHECK_FALSE(f.supervisor.settled());
  f.t.run_for(200ms);
  CHECK(f.supervisor.settled());
  CHECK(f.settled == 2);
  f.set({{kA, kB}, {kC}});
  f.t.run_for(5s);
  CHECK(f.settled == 2);
}

TEST_CASE("without checks it is settled from the start, and has nothing to say") {
  SupervisorFixture f({cluster_named("app")}, {{kA}});
  CHECK(f.supervisor.settled());
  f.start();
  CHECK(f.supervisor.settled());
  CHECK(f.settled == 0);
  CHECK(f.at(0).active.load() == Active::kNone);
  CHECK_FALSE(f.shown(0).check.has_value());
  CHECK_FALSE(f.shown(0).outlier.has_value());
  CHECK(f.shown(0).why == Why::kAvailable);
  CHECK(f.t.network.attempts(*Address::parse(kA)) == 0);
}

TEST_CASE(
    "an endpoint that has recovered takes its share little by little, one that was never ill does not") {
  SupervisorFixture f({checked()}, {{kA}});
  Backend& a = f.backend(kA);
  f.start();
  CHECK(f.at(0).ramps_since() == TimePoint{});
  CHECK(f.shown(0).share == 1.0);
  a.answer = kUnwell;
  f.t.run_for(2s);
  REQUIRE(f.at(0).active.load() == Active::kFailing);
  CHECK(f.at(0).ramps_since() == TimePoint{});
  a.answer = kWell;
  const TimePoint before = f.now();
  f.t.run_for(1s);
  REQUIRE(f.at(0).active.load() == Active::kPassing);
  CHECK(f.at(0).ramps_since() > before);
  CHECK(f.at(0).ramps_since() == f.now() - f.shown(0).check->changed_ago.value());
  CHECK(f.shown(0).share < 0.2);
  f.t.run_for(5s);
  CHECK(f.shown(0).share == doctest::Approx(0.6).epsilon(0.2));
  f.t.run_for(5s);
  CHECK(f.shown(0).share == 1.0);
}

TEST_CASE("endpoints that stay keep their results, new ones are checked, those that are gone are not") {
  SupervisorFixture f({checked()}, {{kA, kB}});
  f.backend(kA);
  f.backend(kB);
  f.backend(kC);
  f.start();
  const EndpointState* const stays = &f.at(1);
  f.set({{kC, kB}});
  CHECK(f.at(0).active.load() == Active::kUnknown);
  CHECK(&f.at(1) == stays);
  CHECK(f.at(1).active.load() == Active::kPassing);
  CHECK(f.shown(1).check->passes == 1);
  CHECK(f.shown(0).address == kC);
  const std::size_t asked = f.backend(kA).asked;
  f.t.run_for(3s);
  CHECK(f.at(0).active.load() == Active::kPassing);
  CHECK(f.backend(kA).asked == asked);
  CHECK(f.backend(kB).asked >= 3);
}

TEST_CASE("a result is its own cluster's, whatever came before it in the configuration") {
  SupervisorFixture f({cluster_named("plain"), checked("app")}, {{kA}, {kA}});
  Backend& a = f.backend(kA);
  f.start();
  CHECK(f.at(0, 0).active.load() == Active::kNone);
  CHECK(f.at(0, 1).active.load() == Active::kPassing);
  const ClusterState* const app = &f.cluster(1);
  f.supervise({checked("app")}, {{kA}});
  CHECK(&f.cluster(0) == app);
  const std::uint64_t version = f.cluster(0).version.load();
  a.answer = kUnwell;
  f.t.run_for(3s);
  CHECK(f.at(0).active.load() == Active::kFailing);
  CHECK(f.cluster(0).version.load() == version + 1);
}

TEST_CASE("an endpoint whose check fails is none of those that ejection keeps") {
  config::Cluster settings = checked();
  settings.outlier.enabled = true;
  SupervisorFixture f({settings}, {{kA, kB}});
  f.backend(kA);
  f.backend(kB).answer = kUnwell;
  f.start();
  f.cluster().events->on_failures_in_a_row(f.cluster(), f.at(0));
  f.run_tasks();
  CHECK_FALSE(f.at(0).ejected.load());
  CHECK(f.view().ejections_suppressed == 1);
  f.backend(kB).answer = kWell;
  f.t.run_for(2s);
  f.cluster().events->on_failures_in_a_row(f.cluster(), f.at(0));
  f.run_tasks();
  CHECK(f.at(0).ejected.load());
}

TEST_CASE("failures in a row that a worker tells eject on the control thread, later") {
  SupervisorFixture f({watched("app"), watched("other")}, {{kA, kB}, {kA, kB}});
  f.cluster(1).events->on_failures_in_a_row(f.cluster(1), f.at(0, 1));
  CHECK_FALSE(f.at(0, 1).ejected.load());
  REQUIRE(f.tasks.size() == 1);
  f.run_tasks();
  CHECK(f.at(0, 1).ejected.load());
  CHECK_FALSE(f.at(0, 0).ejected.load());
  CHECK(f.view(1).endpoints[0].why == Why::kEjected);
  f.t.run_for(31s);
  CHECK_FALSE(f.at(0, 1).ejected.load());
  CHECK(f.at(0, 1).ramps_since() > TimePoint{});
  CHECK(f.view(1).endpoints[0].why == Why::kAvailable);
}

TEST_CASE("news of what is gone by the time it is heard is not heard") {
  SupervisorFixture f({watched("app"), watched("other")}, {{kA, kB, kC}, {kA, kB}});
  const std::weak_ptr<EndpointState> endpoint = f.snapshot.endpoints[0][0].state;
  const std::weak_ptr<ClusterState> cluster = f.snapshot.clusters[1];
  f.cluster(0).events->on_failures_in_a_row(f.cluster(0), f.at(0, 0));
  f.cluster(1).events->on_failures_in_a_row(f.cluster(1), f.at(0, 1));
  f.supervise({watched("app")}, {{kB, kC}});
  REQUIRE(endpoint.expired());
  REQUIRE(cluster.expired());
  REQUIRE(f.tasks.size() == 2);
  f.run_tasks();
  CHECK_FALSE(f.at(0).ejected.load());
  CHECK_FALSE(f.at(1).ejected.load());
  CHECK(f.view().ejections_suppressed == 0);
}

TEST_CASE("an ejection outlives a new configuration and other endpoints") {
  SupervisorFixture f({cluster_named("first"), watched("app")}, {{}, {kA, kB}});
  f.cluster(1).events->on_failures_in_a_row(f.cluster(1), f.at(1, 1));
  f.run_tasks();
  REQUIRE(f.at(1, 1).ejected.load());
  f.snapshot = {};  // nobody else has the old one any more
  f.supervise({watched("app")}, {{kC, kB, kA}});
  CHECK(f.at(1).ejected.load());
  CHECK(f.shown(1).outlier->ejected);
  f.t.run_for(31s);
  CHECK_FALSE(f.at(1).ejected.load());
}

TEST_CASE("other settings of outlier detection let everybody back in") {
  SupervisorFixture f({watched()}, {{kA, kB}});
  f.cluster().events->on_failures_in_a_row(f.cluster(), f.at(1));
  f.run_tasks();
  REQUIRE(f.at(1).ejected.load());
  const std::uint64_t version = f.cluster().version.load();
  config::Cluster other = watched();
  other.outlier.consecutive_failures = 9;
  f.supervise({other}, {{kA, kB}});
  CHECK_FALSE(f.at(1).ejected.load());
  CHECK_FALSE(f.shown(1).outlier->ejected);
  CHECK(f.cluster().version.load() > version);
}

TEST_CASE("room that one worker makes is told to those that wait for it") {
  SupervisorFixture f({cluster_named("app"), cluster_named("other")}, {{kA}, {kA}});
  f.cluster(1).events->on_room(f.cluster(1), 0b1010);
  CHECK(f.room.empty());
  f.run_tasks();
  REQUIRE(f.room.size() == 1);
  CHECK(f.room[0].first == &f.cluster(1));
  CHECK(f.room[0].second == 0b1010);
}

TEST_CASE("workers whose requests wait are told when an endpoint may be used again") {
  SupervisorFixture f({checked()}, {{kA}});
  Backend& a = f.backend(kA);
  a.answer = kUnwell;
  f.start();
  f.run_tasks();
  CHECK(f.room.empty());  // nobody waits
  f.cluster().waiting = 0b100;
  a.answer = kWell;
  f.t.run_for(1s);
  REQUIRE(f.at(0).active.load() == Active::kPassing);
  f.run_tasks();
  REQUIRE(f.room.size() == 1);
  CHECK(f.room[0].first == &f.cluster());
  CHECK((f.room[0].second & 0b100) != 0);
}

TEST_CASE("it may be destroyed while checks are under way and timers run") {
  config::Cluster settings = checked();
  settings.outlier.enabled = settings.adaptive.enabled = true;
  TestEnv t;
  Backend a(t.network, *Address::parse(kA));
  a.answer = "";
  const Logged log;
  int settled = 0;
  {
    Supervisor supervisor(t.env, {.to_control = [](auto) {},
                                  .to_workers = [](const ClusterState&, std::uint64_t) {},
                                  .settled = [&] { ++settled; }});
    Snapshot snapshot;
    config::Config config;
    config.clusters.push_back(settings);
    snapshot.config = std::make_shared<const config::Config>(std::move(config));
    snapshot.endpoints = {{endpoint_at(kA)}};
    supervisor.supervise(snapshot);
    supervisor.start();
    t.run_for(200ms);
    REQUIRE(a.asked == 1);
    REQUIRE(t.wheel.size() == 3);
  }
  CHECK(t.wheel.size() == 0);
  t.run_for(5s);
  CHECK(settled == 0);
  CHECK(a.asked == 1);
}
