// A Supervisor in virtual time, with backends to check and the server played by the test.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/supervisor.h"
#include "tests/proxy/logged.h"
#include "tests/proxy/prober_fixture.h"
#include "tests/support/test_env.h"

namespace remora::testing {

inline constexpr const char* kA = "10.0.0.1:80";
inline constexpr const char* kB = "10.0.0.2:80";
inline constexpr const char* kC = "10.0.0.3:80";

inline config::Cluster cluster_named(std::string name) {
  config::Cluster cluster;
  cluster.name = std::move(name);
  cluster.slow_start = 10s;
  return cluster;
}

// Checked every second: one pass, or two failures in a row, decide.
inline config::Cluster checked(std::string name = "app") {
  config::Cluster cluster = cluster_named(std::move(name));
  config::HealthCheck& check = cluster.health_check.emplace();
  check.schedule = {
      .interval = 1s, .failing_interval = {}, .timeout = 500ms, .jitter = 0, .rise = 1, .fall = 2};
  check.panic_below = 0;
  return cluster;
}

inline config::Cluster watched(std::string name = "app") {
  config::Cluster cluster = cluster_named(std::move(name));
  cluster.outlier.enabled = true;
  return cluster;
}

inline proxy::ResolvedEndpoint endpoint_at(std::string_view address) {
  proxy::ResolvedEndpoint endpoint;
  endpoint.name = "name of " + std::string(address);
  endpoint.address = *Address::parse(address);
  return endpoint;
}

// What the supervisor asks others to do is kept until the test does it.
struct SupervisorFixture {
  using Lists = std::vector<std::vector<const char*>>;

  SupervisorFixture(std::vector<config::Cluster> clusters, const Lists& addresses) {
    supervise(std::move(clusters), addresses);
  }

  void supervise(std::vector<config::Cluster> clusters, const Lists& addresses) {
    config::Config config;
    config.clusters = std::move(clusters);
    set(std::make_shared<const config::Config>(std::move(config)), addresses);
  }
  // Other endpoints, in the same configuration.
  void set(const Lists& addresses) { set(snapshot.config, addresses); }
  void set(std::shared_ptr<const config::Config> config, const Lists& addresses) {
    proxy::Snapshot next;
    next.config = std::move(config);
    for (const auto& list : addresses) {
      auto& endpoints = next.endpoints.emplace_back();
      for (const char* address : list) endpoints.push_back(endpoint_at(address));
    }
    supervisor.supervise(next);
    snapshot = std::move(next);
  }
  Backend& backend(const char* address) {
    auto& found = backends[address];
    if (!found) found = std::make_unique<Backend>(t.network, *Address::parse(address));
    return *found;
  }
  void start() {
    supervisor.start();
    t.run_for(200ms);  // the first round: spread over a tenth of the interval
  }
  void run_tasks() {
    while (!tasks.empty()) {
      auto task = std::move(tasks.front());
      tasks.pop_front();
      task();
    }
  }

  proxy::EndpointState& at(std::size_t index, std::size_t cluster = 0) {
    return *snapshot.endpoints[cluster].at(index).state;
  }
  proxy::ClusterState& cluster(std::size_t index = 0) { return *snapshot.clusters.at(index); }
  proxy::ClusterView view(std::size_t index = 0) const { return supervisor.view().at(index); }
  proxy::EndpointView shown(std::size_t index) const { return view().endpoints.at(index); }
  TimePoint now() const { return t.wheel.now(); }

  Logged log;
  TestEnv t;
  std::map<std::string, std::unique_ptr<Backend>> backends;
  std::deque<std::move_only_function<void()>> tasks;
  std::vector<std::pair<const proxy::ClusterState*, std::uint64_t>> room;
  int settled = 0;
  std::vector<proxy::Event> told;
  proxy::Snapshot snapshot;
  proxy::Supervisor supervisor{t.env,
                               {.to_control = [this](auto task) { tasks.push_back(std::move(task)); },
                                .to_workers = [this](const proxy::ClusterState& state,
                                                     std::uint64_t to) { room.emplace_back(&state, to); },
                                .settled = [this] { ++settled; },
                                .tell = [this](proxy::Event event) { told.push_back(std::move(event)); }}};
};

}  // namespace remora::testing
