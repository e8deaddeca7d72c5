// Outlier detection and the adaptive limit of one cluster, on the numbers that workers would leave.
// Long because both intervals and all their numbers are here, and what they say in the log.
#include "proxy/cluster_watch.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/proxy/logged.h"
#include "tests/support/test_cluster.h"
#include "tests/support/test_env.h"

using namespace remora;
using namespace remora::testing;
using namespace remora::proxy;
using Active = health::Sources::Active;
using Reason = health::OutlierDetector::Reason;

namespace {

config::Cluster watched() {
  config::Cluster cluster;
  cluster.name = "app";
  cluster.outlier = {.enabled = true,
                     .consecutive_failures = 5,
                     .interval = 10s,
                     .success_rate_deviations = 1.9,
                     .failure_percentage = 85,
                     .min_requests = 20,
                     .min_endpoints = 3,
                     .base_ejection = 30s,
                     .max_ejection = 300s,
                     .keep_at_least = 1};
  return cluster;
}

config::Cluster adaptive() {
  config::Cluster cluster;
  cluster.name = "app";
  cluster.adaptive.enabled = true;
  return cluster;
}

struct Fixture {
  explicit Fixture(const config::Cluster& settings,
                   std::vector<std::string> addresses = {"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"})
      : states(t.random, settings),
        watch(std::make_unique<ClusterWatch>(t.env, settings, states.snapshot.clusters[0])) {
    set(addresses);
  }
  void set(const std::vector<std::string>& addresses) {
    std::vector<ResolvedEndpoint> endpoints;
    for (const std::string& address : addresses) {
      endpoints.emplace_back().name = address;
      endpoints.back().address = *Address::parse(address);
    }
    states.set(std::move(endpoints), t.wheel.now());
    watch->set_endpoints(states.registry.clusters()[0].endpoints);
  }
  EndpointState& at(std::size_t index) { return states.endpoint(index); }
  const health::OutlierDetector::Standing& standing(std::size_t index) {
    REQUIRE(watch->standing(at(index)) != nullptr);
    return *watch->standing(at(index));
  }
  bool ejected(std::size_t index) {
    // What workers see, and what is known here, are one.
    CHECK(standing(index).ejected == at(index).ejected.load());
    return at(index).ejected.load();
  }
  void fails_in_a_row(std::size_t index) {
    at(index).failed_in_a_row = 7;
    watch->on_failures_in_a_row(at(index));
  }
  void traffic(std::size_t index, std::uint64_t requests, std::uint64_t failures) {
    at(index).judged = requests;
    at(index).failed = failures;
  }
  std::uint64_t version() { return states.cluster().version.load(); }

  Logged log;
  TestEnv t;
  TestStates states;
  std::unique_ptr<ClusterWatch> watch;
};

}  // namespace

TEST_CASE("who fails in a row is ejected at once, and returns with a small share when its time is over") {
  Fixture f(watched());
  const std::uint64_t version = f.version();
  const TimePoint ejected_at = f.t.wheel.now();
  f.fails_in_a_row(1);
  CHECK(f.ejected(1));
  CHECK_FALSE(f.ejected(0));
  CHECK_FALSE(f.ejected(2));
  CHECK(f.at(1).failed_in_a_row.load() == 0);
  CHECK(f.version() == version + 1);
  CHECK(f.standing(1).until == ejected_at + 30s);
  CHECK(f.standing(1).last_reason == Reason::kConsecutiveFailures);

  f.t.run_for(29990ms);
  CHECK(f.ejected(1));
  CHECK(f.version() == version + 1);
  CHECK(f.at(1).ramps_since() == TimePoint{});
  f.t.run_for(10ms);
  CHECK_FALSE(f.ejected(1));
  CHECK(f.version() == version + 2);
  CHECK(f.at(1).ramps_since() == ejected_at + 30s);
  CHECK(f.watch->suppressed() == 0);
}

TEST_CASE("the second ejection lasts twice as long") {
  config::Cluster settings = watched();
  settings.outlier.interval = 1h;
  Fixture f(settings);
  f.fails_in_a_row(0);
  f.t.run_for(30s);
  REQUIRE_FALSE(f.ejected(0));
  f.fails_in_a_row(0);
  f.t.run_for(59990ms);
  CHECK(f.ejected(0));
  f.t.run_for(10ms);
  CHECK_FALSE(f.ejected(0));
}

TEST_CASE("who fails in a row while it is ejected says nothing new") {
  Fixture f(watched());
  f.fails_in_a_row(0);
  const std::uint64_t version = f.version();
  f.t.run_for(5s);
  f.fails_in_a_row(0);
  CHECK(f.version() == version);
  CHECK(f.standing(0).ejections == 1);
  CHECK(f.at(0).failed_in_a_row.load() == 0);
}

TEST_CASE("the last ones are kept, which is counted, and their failures count anew") {
  config::Cluster settings = watched();
  settings.outlier.keep_at_least = 2;
  Fixture f(settings);
  f.fails_in_a_row(0);
  CHECK(f.ejected(0));
  const std::uint64_t version = f.version();
  f.fails_in_a_row(1);
  CHECK_FALSE(f.ejected(1));
  CHECK(f.watch->suppressed() == 1);
  CHECK(f.at(1).failed_in_a_row.load() == 0);
  CHECK(f.version() == version);
  CHECK(f.standing(1).last_reason == Reason::kConsecutiveFailures);
  f.fails_in_a_row(1);
  CHECK(f.watch->suppressed() == 1);  // once in an interval
  f.t.run_for(10s);
  f.fails_in_a_row(1);
  CHECK(f.watch->suppressed() == 2);
}

TEST_CASE("each interval compares the success rates, and takes the numbers away") {
  Fixture f(watched());
  f.traffic(0, 100, 1);
  f.traffic(1, 100, 40);
  f.traffic(2, 100, 0);
  f.t.run_for(9990ms);
  CHECK_FALSE(f.ejected(1));
  CHECK(f.at(1).judged.load() == 100);
  f.t.run_for(10ms);
  CHECK_FALSE(f.ejected(0));
  CHECK(f.ejected(1));
  CHECK_FALSE(f.ejected(2));
  CHECK(f.standing(1).last_reason == Reason::kSuccessRate);
  CHECK(f.standing(1).last_detail.starts_with("60.0 % of 100 requests succeeded"));
  for (std::size_t i = 0; i < 3; ++i) {
    CAPTURE(i);
    CHECK(f.at(i).judged.load() == 0);
    CHECK(f.at(i).failed.load() == 0);
  }
  // The next interval is judged by what came in it.
  f.traffic(0, 100, 99);
  f.traffic(2, 100, 0);
  f.t.run_for(10s);
  CHECK(f.ejected(0));
  CHECK(f.standing(0).last_reason == Reason::kFailurePercentage);
}

TEST_CASE("a failure whose attempt is not counted yet does not make more failures than attempts") {
  config::Cluster settings = watched();
  settings.outlier.min_requests = 30;
  Fixture f(settings);
  f.traffic(0, 29, 30);
  f.t.run_for(10s);
  CHECK(f.ejected(0));
  CHECK(f.standing(0).last_detail.starts_with("100.0 % of 30 requests failed"));
}

TEST_CASE("a return within an interval leaves the numbers for its end") {
  config::Cluster settings = watched();
  settings.outlier.base_ejection = 3s;
  Fixture f(settings);
  f.fails_in_a_row(0);
  f.traffic(1, 100, 90);
  f.traffic(2, 100, 0);
  f.t.run_for(3s);
  REQUIRE_FALSE(f.ejected(0));
  CHECK(f.at(1).judged.load() == 100);
  CHECK(f.at(1).failed.load() == 90);
  CHECK_FALSE(f.ejected(1));
  f.t.run_for(7s);
  CHECK(f.at(1).judged.load() == 0);
  CHECK(f.ejected(1));
}

TEST_CASE("an endpoint that cannot be used anyway is none of those that are kept") {
  config::Cluster settings = watched();
  settings.health_check.emplace().panic_below = 0.5;
  enum class Unfit { kFailing, kUnknown, kDraining, kNot };
  for (const Unfit how : {Unfit::kFailing, Unfit::kUnknown, Unfit::kDraining, Unfit::kNot}) {
    CAPTURE(static_cast<int>(how));
    Fixture f(settings, {"10.0.0.1:80", "10.0.0.2:80"});
    for (std::size_t i = 0; i < 2; ++i) f.at(i).active = Active::kPassing;
    if (how == Unfit::kFailing) f.at(1).active = Active::kFailing;
    if (how == Unfit::kUnknown) f.at(1).active = Active::kUnknown;
    if (how == Unfit::kDraining) f.at(1).draining = true;
    f.watch->refresh_usable();
    f.fails_in_a_row(0);
    CHECK(f.ejected(0) == (how == Unfit::kNot));
    CHECK(f.watch->suppressed() == (how == Unfit::kNot ? 0 : 1));
  }
}

TEST_CASE("an open breaker does not make an endpoint one that cannot be used") {
  Fixture f(watched(), {"10.0.0.1:80", "10.0.0.2:80"});
  f.at(1).breaker.force_open(f.t.wheel.now());
  f.watch->refresh_usable();
  f.fails_in_a_row(0);
  CHECK(f.ejected(0));
}

TEST_CASE("in panic the active checks do not count, neither for those that are kept") {
  config::Cluster settings = watched();
  settings.health_check.emplace().panic_below = 0.6;
  Fixture f(settings, {"10.0.0.1:80", "10.0.0.2:80"});
  f.at(0).active = Active::kPassing;
  f.at(1).active = Active::kFailing;
  f.watch->refresh_usable();
  f.fails_in_a_row(0);
  CHECK(f.ejected(0));
}

TEST_CASE("who is ejected returns early when nobody else can be used any more") {
  config::Cluster settings = watched();
  settings.health_check.emplace().panic_below = 0;
  Fixture f(settings, {"10.0.0.1:80", "10.0.0.2:80"});
  for (std::size_t i = 0; i < 2; ++i) f.at(i).active = Active::kPassing;
  f.watch->refresh_usable();
  f.fails_in_a_row(0);
  REQUIRE(f.ejected(0));
  f.t.run_for(1s);
  REQUIRE(f.ejected(0));
  f.at(1).active = Active::kFailing;
  f.watch->refresh_usable();
  f.t.run_for(20ms);
  CHECK_FALSE(f.ejected(0));
  CHECK(f.at(0).ramps_since() > TimePoint{});
}

TEST_CASE("who stays keeps its ejection, who is gone is forgotten, who is new is well") {
  Fixture f(watched());
  f.fails_in_a_row(1);
  const std::shared_ptr<EndpointState> kept = f.states.snapshot.endpoints[0][1].state;
  f.set({"10.0.0.4:80", "10.0.0.2:80", "10.0.0.3:80"});
  CHECK_FALSE(f.ejected(0));
  CHECK(f.standing(0).ejections == 0);
  CHECK(&f.at(1) == kept.get());
  CHECK(f.ejected(1));

  f.set({"10.0.0.4:80", "10.0.0.5:80", "10.0.0.3:80"});
  CHECK(f.watch->standing(*kept) == nullptr);
  CHECK_FALSE(f.ejected(1));
  CHECK(f.standing(1).ejections == 0);
  f.watch->on_failures_in_a_row(*kept);  // of a download that ends late
  for (std::size_t i = 0; i < 3; ++i) CHECK_FALSE(f.ejected(i));
  CHECK(f.watch->suppressed() == 0);
  f.t.run_for(31s);
  CHECK(kept->ejected.load());  // nobody touches it any more
}

TEST_CASE("when an ejected endpoint's siblings are gone it returns") {
  Fixture f(watched());
  f.fails_in_a_row(1);
  f.set({"10.0.0.2:80"});
  f.t.run_for(20ms);
  CHECK_FALSE(f.ejected(0));
}

TEST_CASE("a cluster without either is left alone") {
  config::Cluster settings = watched();
  settings.outlier.enabled = false;
  Fixture f(settings);
  CHECK(f.t.wheel.size() == 0);
  CHECK(f.watch->standing(f.at(0)) == nullptr);
  f.fails_in_a_row(0);
  f.watch->refresh_usable();
  CHECK_FALSE(f.at(0).ejected.load());
  CHECK(f.watch->suppressed() == 0);
  CHECK(f.states.cluster().adaptive.most() == 0);
}

TEST_CASE("what became of an endpoint is one line each") {
  Fixture f(watched(), {"10.0.0.1:80", "10.0.0.2:80"});
  f.fails_in_a_row(0);
  f.fails_in_a_row(1);
  f.fails_in_a_row(1);  // told already
  f.t.run_for(30s);
  const auto lines = f.log.lines();
  REQUIRE(lines.size() == 3);
  CHECK(lines[0] ==
        "warn endpoint ejected cluster=app endpoint=10.0.0.1:80 reason=consecutive_failures "
        "detail=\"5 failures in a row\" seconds=30");
  CHECK(lines[1] ==
        "warn endpoint not ejected, too few would be left cluster=app endpoint=10.0.0.2:80 "
        "reason=consecutive_failures detail=\"5 failures in a row, but keep_at_least = 1\"");
  CHECK(lines[2] == "info endpoint returned cluster=app endpoint=10.0.0.1:80 seconds=30");
}

TEST_CASE("a cluster that flaps is ejected and taken back, though the log has had enough") {
  config::Cluster settings = watched();
  settings.outlier.base_ejection = settings.outlier.max_ejection = 20ms;
  Fixture f(settings);
  for (int i = 0; i < 50; ++i) {
    f.fails_in_a_row(0);
    REQUIRE(f.ejected(0));
    f.t.run_for(20ms);
    REQUIRE_FALSE(f.ejected(0));
  }
  // 20, and 5 in the second that has passed. What was left out is said, or will be with the next line.
  const std::uint64_t unsaid = f.states.cluster().log_lines_left_out.load();
  std::uint64_t written = 0;
  std::uint64_t said = 0;
  for (const std::string& line : f.log.lines()) {
    const auto count = line.find("not logged, too many count=");
    if (count == std::string::npos) {
      ++written;
    } else {
      said += std::stoul(line.substr(line.find('=') + 1));
    }
  }
  CHECK(written <= 25);
  CHECK(written + said + unsaid == 100);
}

TEST_CASE("the adaptive limit is set from the samples of each interval") {
  const config::Cluster settings = adaptive();
  Fixture f(settings);
  breaker::AdaptiveLimit same(settings.adaptive);
  ClusterState& cluster = f.states.cluster();
  CHECK(cluster.adaptive.most() == 20);
  std::uint32_t before = 20;
  for (int i = 0; i < 5; ++i) {
    cluster.latency.responses = 40;
    cluster.latency.total_us = 40 * 3000;
    cluster.latency.most_in_flight = before;
    f.t.run_for(100ms);
    CHECK(cluster.adaptive.most() ==
          same.on_interval({.responses = 40, .mean_latency = 3ms, .most_in_flight = before, .dropped = 0},
                           f.t.wheel.now()));
    CHECK(cluster.adaptive.most() > before);
    before = cluster.adaptive.most();
    CHECK(cluster.latency.responses.load() == 0);
    CHECK(cluster.latency.total_us.load() == 0);
    CHECK(cluster.latency.most_in_flight.load() == 0);
  }
}

TEST_CASE("an interval without responses changes nothing") {
  Fixture f(adaptive());
  f.t.run_for(10s);
  CHECK(f.states.cluster().adaptive.most() == 20);
}

TEST_CASE("what the upstream has dropped lowers the limit with the next interval") {
  Fixture f(adaptive());
  LatencySamples& samples = f.states.cluster().latency;
  samples.responses = 75;
  samples.total_us = 75 * 1000;
  samples.dropped = 25;
  f.t.run_for(100ms);
  CHECK(f.states.cluster().adaptive.most() == 15);
  CHECK(samples.dropped.load() == 0);
  f.t.run_for(100ms);
  CHECK(f.states.cluster().adaptive.most() == 15);
}

TEST_CASE("what is in flight when an interval begins is in flight in it") {
  Fixture f(adaptive());
  ClusterState& cluster = f.states.cluster();
  std::vector<breaker::Permit> held;
  for (int i = 0; i < 20; ++i) held.push_back(std::move(*cluster.adaptive.try_take()));
  cluster.latency.responses = 40;
  cluster.latency.total_us = 40 * 3000;
  f.t.run_for(100ms);
  CHECK(cluster.adaptive.most() == 20);  // as far as is known, nothing was in flight
  CHECK(cluster.latency.most_in_flight.load() == 20);
  // The same twenty are all there is in the next interval: nobody enters, so no worker says how many.
  cluster.latency.responses = 40;
  cluster.latency.total_us = 40 * 3000;
  f.t.run_for(100ms);
  CHECK(cluster.adaptive.most() > 20);
  held.clear();
  f.t.run_for(100ms);
  CHECK(cluster.latency.most_in_flight.load() == 0);
}

TEST_CASE("a watch that is gone does nothing more") {
  config::Cluster settings = watched();
  settings.adaptive.enabled = true;
  Fixture f(settings);
  CHECK(f.t.wheel.size() == 2);
  f.watch.reset();
  CHECK(f.t.wheel.size() == 0);
}
