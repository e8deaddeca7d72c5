#include "proxy/upstreams.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace remora::proxy {

namespace {

bool hedges_by_percentile(const config::Route& route) {
  return route.retry && route.retry->hedge_percentile > 0;
}

}  // namespace

void Upstreams::apply(const Snapshot& snapshot) {
  if (config_ != snapshot.config) change_config(snapshot);
  for (std::size_t i = 0; i < clusters_.size(); ++i) {
    clusters_[i]->set_tls(snapshot.tls ? snapshot.tls->clusters[i] : nullptr);
    clusters_[i]->apply(snapshot.endpoints[i]);
  }
}

// A cluster whose state is another one has been away in between, although its name is the same.
void Upstreams::change_config(const Snapshot& snapshot) {
  std::unordered_map<std::string, Ref<Cluster>> known;
  for (auto& cluster : clusters_) {
    std::string name = cluster->name();
    known.emplace(std::move(name), std::move(cluster));
  }
  clusters_.clear();
  const bool hedged = std::ranges::any_of(snapshot.config->listeners, [](const config::Listener& listener) {
    return std::ranges::any_of(listener.routes, hedges_by_percentile);
  });
  for (std::size_t i = 0; i < snapshot.config->clusters.size(); ++i) {
    Cluster::Settings settings{.config = snapshot.config, .index = i, .hedged_by_routes = hedged};
    const auto same = known.find(snapshot.config->clusters[i].name);
    if (same != known.end() && &same->second->state() == snapshot.clusters[i].get()) {
      same->second->set_settings(std::move(settings));
      clusters_.push_back(std::move(same->second));
      known.erase(same);
    } else {
      clusters_.push_back(Ref<Cluster>::make(env_, std::move(settings), snapshot.clusters[i], worker_));
    }
  }
  for (auto& [name, gone] : known) {
    gone->retire();
    retired_.push_back(std::move(gone));
  }
  config_ = snapshot.config;
}

void Upstreams::tidy() {
  std::erase_if(retired_, [](const auto& cluster) { return cluster->holders() == 1; });
}

void Upstreams::on_room(const ClusterState& state) {
  for (const auto* list : {&clusters_, &retired_}) {
    for (const auto& cluster : *list) {
      if (&cluster->state() == &state) cluster->on_room();
    }
  }
}

std::vector<ClusterReport> Upstreams::report() const {
  std::vector<ClusterReport> reports;
  reports.reserve(clusters_.size());
  for (const auto& cluster : clusters_) reports.push_back(cluster->report());
  return reports;
}

}  // namespace remora::proxy
