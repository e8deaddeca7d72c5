// One upstream service as one worker sees it: its endpoints with their pools, loads and statistics, and the
// balancer that chooses among those available. The one place where "may this endpoint be used now" is
// computed.
//
// Thread: the worker's. Owner: Upstreams. Endpoints are reconciled by address: one that stays keeps its pool,
// load and numbers; one that goes is retired and dies when its last lease ends.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lb/balancer.h"
#include "lb/ewma.h"
#include "proxy/env.h"
#include "proxy/snapshot.h"
#include "proxy/stats.h"
#include "proxy/upstream_pool.h"

namespace remora::proxy {

class Cluster;

// One endpoint of a cluster in one worker.
struct ClusterEndpoint {
  ClusterEndpoint(Env& env, ResolvedEndpoint what, const UpstreamPool::Settings& settings,
                  ClusterStats& cluster);

  ResolvedEndpoint info;
  std::string address_text;  // for logs: made once
  EndpointStats stats;
  lb::Ewma latency;
  UpstreamPool pool;
  std::optional<std::uint32_t> index;  // place in the cluster's list; nullopt when retired
};

// The right to use one endpoint for one attempt. Reports what came of it exactly once: finish(), or
// destruction (cancelled).
class Lease final {
 public:
  enum class Outcome : std::uint8_t { kSuccess, kFailure, kCancelled };

  Lease() = default;
  Lease(Cluster& cluster, ClusterEndpoint& endpoint) : cluster_(&cluster), endpoint_(&endpoint) {}
  Lease(Lease&& other) noexcept
      : cluster_(std::exchange(other.cluster_, nullptr)),
        endpoint_(std::exchange(other.endpoint_, nullptr)) {}
  Lease& operator=(Lease&& other) noexcept {
    std::swap(cluster_, other.cluster_);
    std::swap(endpoint_, other.endpoint_);
    return *this;
  }
  ~Lease() { finish(Outcome::kCancelled, std::nullopt); }

  explicit operator bool() const { return endpoint_ != nullptr; }
  ClusterEndpoint& endpoint() const { return *endpoint_; }
  // `latency`: from the request's sending to the response's head, if one came.
  void finish(Outcome outcome, std::optional<Duration> latency);

 private:
  Cluster* cluster_ = nullptr;
  ClusterEndpoint* endpoint_ = nullptr;
};

class Cluster final {
 public:
  // `own_zone`: this sidecar's zone, "" for none.
  Cluster(Env& env, const config::Cluster& settings, std::string own_zone);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // Who exists now. O(n log n).
  void apply(const std::vector<ResolvedEndpoint>& endpoints);

  // Picks an endpoint not in `tried` (indices from Lease::endpoint().index). An empty lease: none is
  // available.
  Lease acquire(std::optional<std::uint64_t> key, std::span<const std::uint32_t> tried);

  const std::string& name() const { return name_; }
  ClusterStats& stats() { return stats_; }
  ClusterReport report() const;
  // Nothing is in flight: a retired cluster may be destroyed.
  bool idle() const { return in_flight_ == 0; }

 private:
  friend class Lease;
  void release(ClusterEndpoint& endpoint, Lease::Outcome outcome, std::optional<Duration> latency);
  void refresh_candidates();

  Env& env_;
  std::string name_;
  std::string own_zone_;
  UpstreamPool::Settings pool_settings_;
  ClusterStats stats_;
  std::unique_ptr<lb::Balancer> balancer_;
  std::vector<std::unique_ptr<ClusterEndpoint>> endpoints_;
  std::vector<std::unique_ptr<ClusterEndpoint>> retired_;
  std::vector<lb::Load> loads_;            // parallel to endpoints_
  std::vector<std::uint32_t> candidates_;  // indices the balancer may pick
  std::uint64_t in_flight_ = 0;            // leases, those of retired endpoints included
  std::uint64_t listed_in_flight_ = 0;     // the sum over loads_
  bool tracks_latency_ = false;
};

}  // namespace remora::proxy
