#include "proxy/cluster.h"

#include <algorithm>

#include "lb/priority.h"

namespace remora::proxy {

ClusterEndpoint::ClusterEndpoint(Env& env, ResolvedEndpoint what, const UpstreamPool::Settings& settings,
                                 ClusterStats& cluster)
    : info(std::move(what)),
      address_text(info.address.to_string()),
      pool(env, info.address, settings, stats, cluster) {}

void Lease::finish(Outcome outcome, std::optional<Duration> latency) {
  if (endpoint_ == nullptr) return;
  auto* endpoint = std::exchange(endpoint_, nullptr);
  cluster_->release(*endpoint, outcome, latency);
}

Cluster::Cluster(Env& env, const config::Cluster& settings, std::string own_zone)
    : env_(env),
      name_(settings.name),
      own_zone_(std::move(own_zone)),
      pool_settings_{
          .connect_timeout = settings.timeouts.connect, .idle_timeout = settings.timeouts.idle, .limits = {}},
      balancer_(lb::make_balancer(settings.balance)),
      tracks_latency_(settings.balance.algorithm == lb::Algorithm::kPeakEwma) {}

Cluster::~Cluster() = default;

void Cluster::apply(const std::vector<ResolvedEndpoint>& endpoints) {
  std::vector<std::unique_ptr<ClusterEndpoint>> next;
  std::vector<lb::Load> loads;
  std::vector<lb::Endpoint> described;
  next.reserve(endpoints.size());
  for (const ResolvedEndpoint& wanted : endpoints) {
    const auto same = std::ranges::find_if(
        endpoints_, [&](const auto& have) { return have && have->info.address == wanted.address; });
    if (same != endpoints_.end()) {
      loads.push_back(loads_[static_cast<std::size_t>(same - endpoints_.begin())]);
      next.push_back(std::move(*same));
      next.back()->info = wanted;
    } else {
      loads.emplace_back();
      next.push_back(std::make_unique<ClusterEndpoint>(env_, wanted, pool_settings_, stats_));
    }
    next.back()->index = static_cast<std::uint32_t>(next.size() - 1);
    described.push_back({.name = next.back()->address_text, .weight = wanted.weight});
  }
  for (auto& gone : endpoints_) {
    if (!gone) continue;
    gone->index.reset();
    gone->pool.retire();
    if (gone->stats.requests_active > 0) {
      retired_.push_back(std::move(gone));
    } else {
      env_.turn.bury(std::move(gone));
    }
  }
  endpoints_ = std::move(next);
  loads_ = std::move(loads);
  listed_in_flight_ = 0;
  for (const lb::Load& load : loads_) listed_in_flight_ += load.in_flight;
  balancer_->set_endpoints(described);
  refresh_candidates();
}

void Cluster::refresh_candidates() {
  std::vector<lb::Standing> standings;
  standings.reserve(endpoints_.size());
  for (const auto& endpoint : endpoints_) {
    standings.push_back({.priority = endpoint->info.priority,
                         .local_zone = !own_zone_.empty() && endpoint->info.zone == own_zone_,
                         .available = true});
  }
  lb::choose_candidates(standings, candidates_);
  balancer_->set_candidates(candidates_);
}

Lease Cluster::acquire(std::optional<std::uint64_t> key, std::span<const std::uint32_t> tried) {
  const auto index = balancer_->pick(
      {.loads = loads_, .key = key, .tried = tried, .now = env_.now(), .total_in_flight = listed_in_flight_},
      env_.random);
  if (!index) return {};
  ClusterEndpoint& endpoint = *endpoints_[*index];
  ++loads_[*index].in_flight;
  ++endpoint.stats.requests;
  ++endpoint.stats.requests_active;
  ++in_flight_;
  ++listed_in_flight_;
  return {*this, endpoint};
}

void Cluster::release(ClusterEndpoint& endpoint, Lease::Outcome outcome, std::optional<Duration> latency) {
  --in_flight_;
  --endpoint.stats.requests_active;
  if (outcome == Lease::Outcome::kFailure) ++endpoint.stats.failures;
  if (latency && tracks_latency_) endpoint.latency.observe(*latency, env_.now());
  if (endpoint.index) {
    lb::Load& load = loads_[*endpoint.index];
    --load.in_flight;
    --listed_in_flight_;
    if (latency && tracks_latency_) {
      load.latency_seconds = endpoint.latency.value(env_.now());
      load.latency_at = env_.now();
    }
    return;
  }
  if (endpoint.stats.requests_active > 0) return;
  const auto gone = std::ranges::find_if(retired_, [&](const auto& r) { return r.get() == &endpoint; });
  if (gone == retired_.end()) return;
  env_.turn.bury(std::move(*gone));
  retired_.erase(gone);
}

ClusterReport Cluster::report() const {
  ClusterReport report{.name = name_, .stats = stats_, .endpoints = {}};
  for (const auto& endpoint : endpoints_) {
    report.endpoints.push_back({.name = endpoint->info.name,
                                .address = endpoint->address_text,
                                .zone = endpoint->info.zone,
                                .weight = endpoint->info.weight,
                                .priority = endpoint->info.priority,
                                .available = true,
                                .latency_seconds = loads_[*endpoint->index].latency_seconds,
                                .stats = endpoint->stats});
  }
  return report;
}

}  // namespace remora::proxy
