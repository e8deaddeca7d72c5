// One cluster's breakers and health as the workers of a process see them: a breaker opens, probes and closes
// for all of them, and who may not be used is gone from everybody's picks.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "tests/support/test_process.h"

using namespace remora;
using namespace remora::proxy;
using breaker::CircuitBreaker;
using remora::testing::endpoints;
using remora::testing::kA;
using remora::testing::kB;
using remora::testing::kWorkers;
using remora::testing::limited;
using remora::testing::Process;
using remora::testing::Request;
using remora::testing::RequestPtr;
using remora::testing::settings;

namespace {

config::Cluster broken_after(std::uint32_t failures) {
  config::Cluster cluster = settings();
  cluster.breaker.consecutive_failures = failures;
  cluster.breaker.failure_ratio = 0;
  cluster.breaker.jitter = 0;
  cluster.slow_start = 0s;
  return cluster;
}

}  // namespace

TEST_CASE("a breaker opens after exactly the configured failures, however they are spread over the workers") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Process p(broken_after(5));
    for (int i = 0; i < 4; ++i) p.fail(random.below(kWorkers));
    CHECK(p.breaker().phase == CircuitBreaker::Phase::kClosed);
    const unsigned last = random.below(kWorkers);
    auto in_flight = p.ask((last + 1) % kWorkers);
    p.fail(last);
    CHECK(p.breaker().phase == CircuitBreaker::Phase::kOpen);
    for (unsigned w = 0; w < kWorkers; ++w) {
      const auto refused = p.ask(w);
      CHECK(refused->denied == Denied::kBreakerOpen);
      CHECK_FALSE(refused->waiting());
    }
    p.give_back(std::move(in_flight));  // says nothing of what was after it
    CHECK(p.breaker().phase == CircuitBreaker::Phase::kOpen);
    CHECK(p.breaker().transitions_to[static_cast<std::size_t>(CircuitBreaker::Phase::kOpen)] == 1);
  }
}

TEST_CASE("half-open lets exactly the configured probes through, over all workers") {
  for (const auto scope : {config::BreakerScope::kEndpoint, config::BreakerScope::kCluster}) {
    config::Cluster cluster = broken_after(2);
    cluster.breaker.half_open_requests = 3;
    cluster.breaker.success_threshold = 3;
    cluster.breaker_scope = scope;
    Process p(cluster);
    const auto phase = [&] {
      const TimePoint now = p.env(0).env.now();
      return (scope == config::BreakerScope::kCluster ? p.states.cluster().breaker
                                                      : p.states.endpoint(0).breaker)
          .view(now)
          .phase;
    };
    p.fail(0);
    p.fail(1);
    REQUIRE(phase() == CircuitBreaker::Phase::kOpen);
    p.run_for(cluster.breaker.open_for);
    std::vector<RequestPtr> probes;
    for (int i = 0; i < 3; ++i) {
      for (unsigned w = 0; w < kWorkers; ++w) {
        auto request = p.ask(w);
        if (request->held()) probes.push_back(std::move(request));
      }
    }
    CHECK(probes.size() == 3);
    CHECK(phase() == CircuitBreaker::Phase::kHalfOpen);

    const unsigned worker = probes.back()->worker;
    p.leave(std::move(probes.back()));  // without outcome: its place is free again
    probes.pop_back();
    probes.push_back(p.ask((worker + 1) % kWorkers));
    CHECK(probes.back()->held());
    CHECK_FALSE(p.ask(worker)->held());

    for (auto& probe : probes) {
      CHECK(phase() == CircuitBreaker::Phase::kHalfOpen);
      p.give_back(std::move(probe));
    }
    CHECK(phase() == CircuitBreaker::Phase::kClosed);
    for (unsigned w = 0; w < kWorkers; ++w) CHECK(p.picks(w) == std::set<std::string>{kA});
  }
}

TEST_CASE("an endpoint that may not be used is gone from every worker's picks with the next request") {
  Process p(settings(), {kA, kB});
  const std::set<std::string> both{kA, kB};
  const std::set<std::string> only_b{kB};
  const auto all_pick = [&](const std::set<std::string>& expected) {
    for (unsigned w = 0; w < kWorkers; ++w) CHECK(p.picks(w) == expected);
  };
  all_pick(both);
  EndpointState& a = p.states.endpoint(0);
  SUBCASE("ejected") {
    a.ejected = true;
    p.states.cluster().changed();
    all_pick(only_b);
    a.ejected = false;
  }
  SUBCASE("draining") {
    a.draining = true;
    p.states.cluster().changed();
    all_pick(only_b);
    a.draining = false;
  }
  SUBCASE("failing its checks") {
    a.active = health::Sources::Active::kFailing;
    p.states.cluster().changed();
    all_pick(only_b);
    a.active = health::Sources::Active::kPassing;
  }
  SUBCASE("its breaker forced open") {
    a.breaker.force_open(kStart);
    p.states.cluster().changed();
    all_pick(only_b);
    a.breaker.force_close(kStart);
  }
  p.states.cluster().changed();
  all_pick(both);
}

TEST_CASE("idle connections to an endpoint that fails are closed by every worker") {
  Process p(settings(), {kA}, true);
  std::vector<RequestPtr> requests;
  for (unsigned w = 0; w < kWorkers; ++w) p.give_back(p.ask(w));
  REQUIRE(p.connections(true) == kWorkers);
  p.states.endpoint(0).ejected = true;
  p.states.cluster().changed();
  for (unsigned w = 0; w < kWorkers; ++w) CHECK(p.ask(w)->denied == Denied::kNoEndpoint);
  CHECK(p.connections(false) == 0);
}

TEST_CASE("failures in a row are counted over all workers, and reported once") {
  config::Cluster cluster = settings();
  cluster.outlier.enabled = true;
  cluster.outlier.consecutive_failures = 4;
  cluster.breaker.enabled = false;
  Process p(cluster);
  for (unsigned i = 0; i < 3; ++i) p.fail(i);
  CHECK(p.failures_in_a_row == 0);
  p.fail(3);
  CHECK(p.failures_in_a_row == 1);
  p.fail(0);
  CHECK(p.failures_in_a_row == 1);
  CHECK(p.states.endpoint(0).judged == 5);
  CHECK(p.states.endpoint(0).failed == 5);
}

TEST_CASE("an endpoint that is removed lives until the last worker's last lease of it has ended") {
  Process p(limited({.requests = 4, .endpoint_requests = 4}), {kA});
  const std::weak_ptr<EndpointState> gone = p.states.snapshot.endpoints[0][0].state;
  std::vector<RequestPtr> requests;
  for (unsigned w = 0; w < kWorkers; ++w) requests.push_back(p.ask(w));
  const auto waiter = p.ask(0);
  REQUIRE(waiter->waiting());

  p.states.set(endpoints({kB}), kStart);
  // Worker 3 has not heard of it yet, and is not disturbed.
  for (unsigned w = 0; w < 3; ++w) p.cluster(w).apply_shared();
  for (unsigned w = 0; w < kWorkers; ++w) p.finish(w);
  CHECK(waiter->waiting());  // the cluster's own limit still holds
  CHECK(gone.lock()->requests.in_use() == 4);

  p.give_back(std::move(requests[3]));
  p.deliver_all();
  REQUIRE(waiter->held());
  CHECK(waiter->lease.endpoint().address_text == kB);
  p.cluster(3).apply_shared();
  p.finish(3);
  for (unsigned w = 0; w < 3; ++w) {
    CHECK_FALSE(gone.expired());
    CHECK_FALSE(requests[w]->lease.endpoint().index.has_value());
    p.give_back(std::move(requests[w]));
  }
  CHECK(gone.expired());
  CHECK(p.states.cluster().requests.in_use() == 1);
  for (unsigned w = 0; w < kWorkers; ++w) CHECK(p.picks(w) == std::set<std::string>{kB});
}

TEST_CASE("an endpoint that recovers has the same growing share of the requests of every worker") {
  config::Cluster cluster = settings();
  cluster.slow_start = 10s;
  Process p(cluster, {kA, kB});
  p.states.endpoint(0).recovered(p.env(0).env.now());
  p.states.cluster().changed();
  const auto share_of_a = [&](unsigned worker) {
    int picked = 0;
    for (int i = 0; i < 4000; ++i) {
      const Lease lease = p.cluster(worker).acquire({}, {});
      picked += lease.endpoint().address_text == kA ? 1 : 0;
    }
    p.finish(worker);
    return picked / 4000.0;
  };
  // Round robin offers it half of the requests, and it takes of those 10 %, then 55 %, then all. A pick that
  // it lets pass goes to the next one in turn. Four thousand make a deviation of 0.8 % at most.
  for (const double share : {0.1, 0.55, 1.0}) {
    for (unsigned w = 0; w < kWorkers; ++w) {
      CAPTURE(share);
      CHECK(share_of_a(w) == doctest::Approx(share / (1 + share)).scale(1).epsilon(0.025));
    }
    p.run_for(5s);
  }
}
