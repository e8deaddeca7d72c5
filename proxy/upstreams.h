// One worker's clusters. A new snapshot of the same configuration changes their endpoints (a name resolved
// differently); one of another configuration finds clusters again by name. Those it no longer names are
// retired, and live until the last exchange that began with them has ended.
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
  const std::vector<Ref<Cluster>>& clusters() const { return clusters_; }
  std::size_t retired() const { return retired_.size(); }
  // Somebody has made room in the cluster with this state.
  void on_room(const ClusterState& state);
  // Forgets retired clusters that nobody needs any more.
  void tidy();
  std::vector<ClusterReport> report() const;

 private:
  void change_config(const Snapshot& snapshot);

  Env& env_;
  unsigned worker_;
  std::shared_ptr<const config::Config> config_;
  std::vector<Ref<Cluster>> clusters_;  // by the configuration's index
  std::vector<Ref<Cluster>> retired_;
};

}  // namespace remora::proxy
