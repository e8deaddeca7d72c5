#include "proxy/upstreams.h"

namespace remora::proxy {

void Upstreams::apply(const Snapshot& snapshot) {
  if (config_ != snapshot.config) {
    clusters_.clear();
    for (std::size_t i = 0; i < snapshot.config->clusters.size(); ++i) {
      clusters_.push_back(std::make_unique<Cluster>(env_, snapshot.config, i, snapshot.clusters[i], worker_));
    }
    config_ = snapshot.config;
  }
  for (std::size_t i = 0; i < clusters_.size(); ++i) clusters_[i]->apply(snapshot.endpoints[i]);
}

void Upstreams::on_room(const ClusterState& state) {
  for (const auto& cluster : clusters_) {
    if (&cluster->state() == &state) cluster->on_room();
  }
}

std::vector<ClusterReport> Upstreams::report() const {
  std::vector<ClusterReport> reports;
  reports.reserve(clusters_.size());
  for (const auto& cluster : clusters_) reports.push_back(cluster->report());
  return reports;
}

}  // namespace remora::proxy
