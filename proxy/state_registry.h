// Where the process-wide states of clusters, endpoints and listeners are made, and found again: clusters and
// listeners by name, endpoints by cluster and address. What a new snapshot still names keeps its state, with
// the new settings; what it no longer names is let go, and dies when the last worker has.
//
// Thread: the control thread. Owner: Supervisor, or a test's World.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "proxy/shared_state.h"
#include "proxy/snapshot.h"

namespace remora::proxy {

class StateRegistry final {
 public:
  using Endpoint = ResolvedEndpoint;
  struct Cluster {
    const config::Cluster* settings = nullptr;  // of the latest snapshot's configuration
    std::shared_ptr<ClusterState> state;
    EndpointList endpoints;
  };

  // `events`: as ClusterState::events; may be null.
  StateRegistry(Random& random, ClusterState::Events* events) : random_(random), events_(events) {}

  // Gives every cluster, endpoint and listener of `snapshot` its state. An endpoint that joins others is
  // taken as recovering: its share of the requests grows. When the configuration has changed under
  // a running process, a cluster of which no endpoint has been checked yet is not kept waiting for its first
  // checks: it is used until they say otherwise.
  // O(n) in the number of endpoints.
  void fill(Snapshot& snapshot, TimePoint now);

  // As of the latest fill(), in the configuration's order.
  const std::vector<Cluster>& clusters() const { return clusters_; }

 private:
  struct Listener {
    const config::Listener* settings = nullptr;
    std::shared_ptr<ListenerState> state;
    ListenerRates rates;
  };

  Cluster adopt(const config::Cluster& settings, Cluster* known, EndpointList& endpoints, bool changed,
                TimePoint now);
  // For a breaker that is told this.
  BreakerSettings shared(const breaker::CircuitBreaker::Settings& settings);
  void fill_listeners(Snapshot& snapshot, bool changed);

  Random& random_;
  ClusterState::Events* events_;
  std::shared_ptr<const config::Config> config_;  // the settings above are in it
  BreakerSettings latest_settings_;  // of breakers: those of the next cluster are likely to be the same
  std::vector<Cluster> clusters_;
  std::vector<Listener> listeners_;
};

}  // namespace remora::proxy
