// The control thread's part in every cluster's health: it runs the active checks, the outlier detection and
// the adaptive limits, obeys the operator (open, close, drain), and tells the workers by way of the states
// they share. What the workers find out themselves (breakers) is in those states already.
//
// Thread: the control thread, but for the events, which come from any. Owner: Server, which destroys it after
// the workers have stopped.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "proxy/cluster_view.h"
#include "proxy/cluster_watch.h"
#include "proxy/env.h"
#include "proxy/event_ring.h"
#include "proxy/prober.h"
#include "proxy/state_registry.h"

namespace remora::proxy {

class Supervisor final : private ClusterState::Events, private Prober::Listener {
 public:
  struct Ways {
    // Runs a task on the control thread, later. Callable from any thread.
    std::function<void(std::move_only_function<void()>)> to_control;
    // Tells workers that there is room in a cluster: bit n is worker n modulo 64. On the control thread.
    std::function<void(const ClusterState&, std::uint64_t workers)> to_workers;
    // settled() has become true.
    std::function<void()> settled;
    // Something has changed that people want to see. On the control thread; may be empty.
    std::function<void(Event)> tell{};
  };
  enum class Order : std::uint8_t { kOpen, kClose, kDrain, kUndrain };

  Supervisor(Env& env, Ways ways);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Gives the snapshot its states, and looks after them from now on. Checks begin with start().
  void supervise(Snapshot& snapshot);
  void start();

  // Every checked endpoint has had its first result.
  bool settled() const { return prober_.settled(); }

  // What the operator says of an endpoint, named by its address or as configured, or with "" of a cluster
  // that has one breaker for all of them. nullopt: done.
  enum class Refused : std::uint8_t { kNoCluster, kNoEndpoint, kNoSuchBreaker, kBreakerOff };
  std::optional<Refused> obey(std::string_view cluster, std::string_view address, Order order);

  // Some endpoint of this cluster passes its active checks, and the operator drains it not.
  bool passes(std::string_view cluster) const;

  // Everything known, for pages and metrics.
  std::vector<ClusterView> view() const;

 private:
  void on_room(ClusterState& cluster, std::uint64_t workers) override;
  void on_failures_in_a_row(ClusterState& cluster, EndpointState& endpoint) override;
  void on_event(Event event) override;
  void on_health(const Prober::Target& target, health::Checker::State state,
                 std::string_view reason) override;
  void readmit(const StateRegistry::Cluster& cluster);
  void check_endpoints();
  void drain(const StateRegistry::Cluster& cluster, const StateRegistry::Endpoint& endpoint, bool drain);
  void force(const StateRegistry::Cluster& cluster, const StateRegistry::Endpoint* endpoint,
             breaker::CircuitBreaker& breaker, Order order);
  EndpointView view_of(const StateRegistry::Cluster& cluster, const StateRegistry::Endpoint& endpoint,
                       const ClusterWatch* watch, const health::Checker* checker) const;

  Env& env_;
  Ways ways_;
  StateRegistry registry_;
  Prober prober_;
  std::shared_ptr<const config::Config> config_;
  std::shared_ptr<const TlsContexts> tls_;
  std::vector<std::unique_ptr<ClusterWatch>> watches_;  // in the configuration's order; null: nothing to do
  bool started_ = false;
  bool was_settled_ = false;
};

}  // namespace remora::proxy
