// A Cluster with the states it shares with others, for tests without a worker. Several made of one
// `TestStates` are the same cluster as several workers see it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/cluster.h"
#include "proxy/state_registry.h"

namespace remora::testing {

struct TestStates {
  TestStates(Random& random, config::Cluster settings, std::string zone = "",
             proxy::ClusterState::Events* events = nullptr)
      : registry(random, events) {
    config::Config all;
    all.clusters.push_back(std::move(settings));
    all.runtime.zone = std::move(zone);
    snapshot.config = std::make_shared<const config::Config>(std::move(all));
    snapshot.endpoints.emplace_back();
    registry.fill(snapshot, TimePoint{});
  }

  const proxy::EndpointList& set(std::vector<proxy::ResolvedEndpoint> endpoints, TimePoint now) {
    snapshot.endpoints[0] = std::move(endpoints);
    registry.fill(snapshot, now);
    return snapshot.endpoints[0];
  }
  proxy::ClusterState& cluster() { return *snapshot.clusters[0]; }
  proxy::EndpointState& endpoint(std::size_t index) { return *snapshot.endpoints[0].at(index).state; }

  proxy::StateRegistry registry;
  proxy::Snapshot snapshot;
};

class TestCluster final {
 public:
  TestCluster(proxy::Env& env, config::Cluster settings, std::string zone)
      : env_(env),
        own_(std::make_unique<TestStates>(env.random, std::move(settings), std::move(zone))),
        states_(*own_) {}
  TestCluster(proxy::Env& env, TestStates& states, unsigned worker)
      : env_(env), states_(states), worker_(worker) {}

  void apply(std::vector<proxy::ResolvedEndpoint> endpoints) {
    cluster_.apply(states_.set(std::move(endpoints), env_.now()));
  }
  void apply_shared() { cluster_.apply(states_.snapshot.endpoints[0]); }

  proxy::Lease acquire(std::optional<std::uint64_t> key, std::span<const std::uint32_t> tried) {
    return cluster_.acquire(key, tried).lease;
  }
  proxy::Acquired ask() { return cluster_.acquire({}, {}); }
  proxy::Cluster* operator->() { return &cluster_; }
  proxy::ClusterReport report() const { return cluster_.report(); }
  bool idle() const { return cluster_.idle(); }
  TestStates& states() { return states_; }

 private:
  proxy::Env& env_;
  std::unique_ptr<TestStates> own_;
  TestStates& states_;
  unsigned worker_ = 0;
  proxy::Cluster cluster_{env_, {.config = states_.snapshot.config}, states_.snapshot.clusters[0], worker_};
};

inline constexpr breaker::Outcome kSucceeded{.result = breaker::Result::kResponse, .status = 200};
inline constexpr breaker::Outcome kServerError{.result = breaker::Result::kResponse, .status = 500};
inline constexpr breaker::Outcome kWasReset{.result = breaker::Result::kReset, .status = 0};

}  // namespace remora::testing
