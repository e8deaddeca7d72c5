#include "proxy/upstreams.h"

namespace remora::proxy {

void Upstreams::apply(const Snapshot& snapshot) {
  if (config_ != snapshot.config) {
    clusters_.clear();
    for (const auto& cluster : snapshot.config->clusters) {
      clusters_.push_back(std::make_unique<Cluster>(env_, cluster, snapshot.config->runtime.zone));
    }
    config_ = snapshot.config;
  }
  for (std::size_t i = 0; i < clusters_.size(); ++i) clusters_[i]->apply(snapshot.endpoints[i]);
}

std::vector<ClusterReport> Upstreams::report() const {
  std::vector<ClusterReport> reports;
  reports.reserve(clusters_.size());
  for (const auto& cluster : clusters_) reports.push_back(cluster->report());
  return reports;
}

}  // namespace remora::proxy
