// One worker's clusters. A new snapshot of the same configuration changes their endpoints (a name resolved
// differently); the clusters themselves live as long as the configuration.
//
// Thread: the worker's. Owner: Worker.
#pragma once

#include <memory>
#include <vector>

#include "proxy/cluster.h"
#include "proxy/env.h"
#include "proxy/snapshot.h"

namespace remora::proxy {

class Upstreams final {
 public:
  // `worker`: its number.
  Upstreams(Env& env, unsigned worker) : env_(env), worker_(worker) {}

  // After this, at(i) is the cluster of snapshot.config->clusters[i].
  void apply(const Snapshot& snapshot);

  Cluster& at(std::size_t index) { return *clusters_[index]; }
  // Somebody has made room in the cluster with this state.
  void on_room(const ClusterState& state);
  std::vector<ClusterReport> report() const;

 private:
  Env& env_;
  unsigned worker_;
  std::shared_ptr<const config::Config> config_;
  std::vector<std::unique_ptr<Cluster>> clusters_;
};

}  // namespace remora::proxy
