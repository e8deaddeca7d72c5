// One upstream service as one worker sees it: its endpoints with their pools, loads and statistics, the
// balancer that chooses among those available, and the queue of requests that wait for a place. The one
// place where "may this endpoint be used now" is computed, from the state that all workers share
// (proxy/shared_state.h).
//
// Who may be used is looked at anew with the next request after something has changed: the shared version has
// moved on, or a breaker's time is over. Nobody is told; nothing is swept.
//
// The endpoints of one that goes anywhere (config::Cluster::goes_anywhere) are made when a connection wants
// to go there, at most kMostDestinations of them; those that nobody uses give way to others.
//
// Thread: the worker's. Owner: Upstreams, and the listeners' contexts. Endpoints are reconciled by address:
// one that stays keeps its pool, load and numbers; one that goes is retired and dies when its last lease
// ends. So do clusters, by name: one that a newer configuration no longer has is retired, and dies with the
// last exchange that began with it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ref.h"
#include "breaker/latency_quantile.h"
#include "health/availability.h"
#include "lb/balancer.h"
#include "lb/ewma.h"
#include "proxy/env.h"
#include "proxy/lease.h"
#include "proxy/pending_queue.h"
#include "proxy/snapshot.h"
#include "proxy/stats.h"
#include "proxy/upstream_pool.h"

namespace remora::proxy {

// One endpoint of a cluster in one worker.
struct ClusterEndpoint {
  // `what`: in the cluster's list.
  ClusterEndpoint(Env& env, const ResolvedEndpoint& what, const UpstreamPool::Settings& settings,
                  ClusterCounters& cluster);

  const ResolvedEndpoint& info() const { return *info_; }
  // It stands in another list now.
  void set_info(const ResolvedEndpoint& what) {
    info_ = &what;
    pool.set_address(what.address);
    own_info_.reset();
  }
  // The list goes, or there is none.
  void keep_info(std::unique_ptr<const ResolvedEndpoint> own) {
    info_ = own.get();
    pool.set_address(own->address);
    own_info_ = std::move(own);
  }

 private:
  // Before the pool, whose connections count against the state, which may be nobody else's any more.
  const ResolvedEndpoint* info_;
  std::unique_ptr<const ResolvedEndpoint> own_info_;

 public:
  std::string address_text;  // for logs: made once
  EndpointStats stats;
  lb::Ewma latency;
  UpstreamPool pool;
  std::optional<std::uint32_t> index;  // place in the cluster's list; nullopt when retired
  health::Why why = health::Why::kAvailable;
};

// Why there is no endpoint for a request.
enum class Denied : std::uint8_t {
  kNone,
  kNoEndpoint,   // nobody is there, or nobody is well
  kBreakerOpen,  // every candidate's breaker is open
  kRequests,     // the limit of requests in flight
  kConnections,  // the limit of connections
  kAdaptive,     // the adaptive limit
  kRetries,      // the limit of retries in flight at an endpoint
};

// A place may become free: waiting makes sense.
constexpr bool can_wait(Denied denied) {
  return denied == Denied::kRequests || denied == Denied::kConnections || denied == Denied::kAdaptive;
}

struct Acquired {
  Lease lease;
  Denied denied = Denied::kNone;
  Duration retry_after{};  // with kBreakerOpen: when the first of them may be tried again
};

struct HashAddress {
  std::size_t operator()(const Address& address) const noexcept;
};

class Cluster final : public Counted<Cluster>, private TurnTask {
 public:
  static constexpr std::size_t kMostDestinations = 1024;

  // What an attempt needs of its endpoint besides being well.
  struct Terms {
    bool retry = false;   // it counts against the endpoint's limit of retries
    bool tunnel = false;  // a connection of its own: an idle one does not help
    // Where the request's connection was going before it was redirected; outlives the call, and the waiting.
    const Address* destination = nullptr;
  };

  // A request that waits for a place.
  class Waiter : public PendingQueue::Member {
   public:
    // Its place has come: an endpoint, or that there is none any more. It is out of the queue.
    virtual void on_place(Acquired acquired) = 0;
    // As acquire() was given them; they outlive the waiting.
    std::optional<std::uint64_t> wait_key;
    std::span<const std::uint32_t> wait_tried;
    Terms wait_terms;

   protected:
    ~Waiter() = default;
  };

  // A configuration's word on one cluster.
  struct Settings {
    std::shared_ptr<const config::Config> config;
    std::size_t index = 0;          // of the cluster
    bool hedged_by_routes = false;  // some route of it hedges by a percentile of the latency
  };

  // `state`: which it shares; `worker`: this worker's number.
  Cluster(Env& env, Settings settings, std::shared_ptr<ClusterState> state, unsigned worker);
  ~Cluster() override;
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // What a newer configuration says of the cluster of this name; apply() follows. Nothing
  // that was counted or learnt is lost; a connection that is there does not count against a limit of
  // connections that was not.
  void set_settings(Settings settings);
  // How its endpoints are spoken to from now on; with every snapshot, before apply(). Null: the settings say
  // nothing of TLS.
  void set_tls(std::shared_ptr<const net::TlsContext> context);
  // No configuration has it any more: what is under way ends here, attempts still to come included, and no
  // connection is kept.
  void retire();
  // Who exists now. O(n) for n endpoints: not for every request. O(1) for the very list that it has, if the
  // settings are the same, too.
  void apply(const EndpointList& endpoints);

  // Picks an endpoint if all that limits it allows, one not in `tried` (indices from Lease::endpoint().index)
  // if there is any.
  Acquired acquire(std::optional<std::uint64_t> key, std::span<const std::uint32_t> tried) {
    return acquire(key, tried, Terms());
  }
  Acquired acquire(std::optional<std::uint64_t> key, std::span<const std::uint32_t> tried, Terms terms);
  // After a denial that can_wait(): waits for a place. False: the queue is full.
  bool wait(Waiter& waiter, Denied denied);
  // There are available endpoints not in `tried`.
  bool has_untried(std::span<const std::uint32_t> tried);
  // Some endpoint's limit of retries leaves room for one more.
  bool has_room_for_retry();
  bool has_candidates() {
    refresh_if_changed();
    return !candidates_.empty();
  }
  // Moves on when the indices of endpoints change their meaning.
  std::uint64_t generation() const { return generation_; }
  // Somebody has made room elsewhere in the process.
  void on_room();
  // Room for a connection that replaces one found dead, for the endpoint of a lease. nullopt: at the limit.
  std::optional<UpstreamPool::Permits> permits_to_dial(ClusterEndpoint& endpoint);

  const std::string& name() const { return settings_->name; }
  const config::Cluster& settings() const { return *settings_; }
  ClusterState& state() { return *state_; }
  ClusterCounts& stats() { return stats_; }
  // The latency a share `q` of the responses stays below; nullopt: not enough is known.
  std::optional<Duration> latency_quantile(double q) const {
    return latencies_ ? latencies_->value(q, env_.now()) : std::nullopt;
  }
  ClusterReport report() const;
  // Nothing is in flight: a retired cluster may be destroyed.
  bool idle() const { return in_flight_ == 0 && queue_.empty(); }

 private:
  friend class Lease;

  // What the pools defer when a connection has become free.
  struct ConnectionRoom final : TurnTask {
    explicit ConnectionRoom(Cluster& c) : cluster(c) {}
    void at_end_of_turn() override {
      cluster.room_made_ = true;
      cluster.at_end_of_turn();
    }
    Cluster& cluster;
  };

  void learn_settings(bool hedged_by_routes);
  void make_balancer();
  void describe_to_balancer();
  void look_again();
  void answered(Lease& lease, const breaker::Outcome& outcome, std::optional<Duration> latency);
  void release(Lease& lease, const breaker::Outcome& outcome, std::optional<Duration> latency);
  void at_end_of_turn() override;

  bool goes_anywhere() const { return settings_->goes_anywhere(); }
  Acquired acquire_at(Terms terms, Lease&& lease);
  std::optional<std::uint32_t> find_destination(const Address& address);
  bool forget_destinations();
  void index_destinations();
  Denied take_cluster_permits(Lease& lease);
  bool take_endpoint(std::uint32_t index, Terms terms, Lease& lease, Denied& denied);
  Acquired refused(Denied denied) const;
  bool ramp_rejects(const ClusterEndpoint& endpoint);
  bool close_an_idle_connection();
  void close_idle_connections(std::uint32_t wanted);
  bool say_that_we_wait(Denied denied);
  void ask_for_connections(std::uint64_t workers);

  void report_to_breaker(Lease& lease, const breaker::Outcome& outcome, std::optional<Duration> latency);
  void judge(Lease& lease, const breaker::Outcome& outcome, std::optional<Duration> latency);
  void judge_for_outliers(EndpointState& state, const breaker::Outcome& outcome);
  // `endpoint`: null for the cluster's own breaker.
  void on_transition(const ClusterEndpoint* endpoint, const breaker::CircuitBreaker::Transition& transition);
  void tell_pool(ClusterEndpoint& endpoint, bool other) const;
  void refresh_candidates();
  void refresh_if_changed() {
    if (state_->version.load(std::memory_order_acquire) != seen_version_ || env_.now() >= look_again_) {
      refresh_candidates();
    }
  }
  std::uint64_t worker_bit() const { return std::uint64_t{1} << (worker_ % 64); }
  void serve_queue();

  Env& env_;
  std::shared_ptr<const config::Config> config_;
  const config::Cluster* settings_;
  std::shared_ptr<ClusterState> state_;
  unsigned worker_;
  UpstreamPool::Settings pool_settings_;
  std::shared_ptr<const net::TlsContext> tls_;
  bool other_tls_ = false;  // the settings have changed since set_tls()
  ClusterCounters stats_;
  std::unique_ptr<lb::Balancer> balancer_;  // null: nobody has asked for an endpoint yet
  ConnectionRoom connection_room_{*this};   // before the pools, which defer it
  EndpointList list_;                       // which the endpoints stand in
  std::vector<std::unique_ptr<ClusterEndpoint>> endpoints_;
  std::vector<std::unique_ptr<ClusterEndpoint>> retired_;
  using Destinations = std::unordered_map<Address, std::uint32_t, HashAddress>;  // to indices
  std::unique_ptr<Destinations> destinations_;                                   // null: it goes nowhere else
  std::vector<lb::Load> loads_;                                                  // parallel to endpoints_
  std::vector<std::uint32_t> candidates_;  // indices the balancer may pick
  std::vector<std::uint32_t> reserves_;   // available, but of a later priority or another zone; nearest first
  std::vector<std::uint32_t> avoided_;    // scratch of acquire()
  std::vector<health::Sources> sources_;  // scratch of refresh_candidates()
  std::uint64_t in_flight_ = 0;           // leases, those of retired endpoints included
  std::uint64_t listed_in_flight_ = 0;    // the sum over loads_
  PendingQueue queue_;
  std::unique_ptr<breaker::LatencyQuantile> latencies_;  // null unless somebody asks: it is large
  std::uint64_t seen_version_ = 0;
  std::uint64_t generation_ = 0;
  TimePoint look_again_ = TimePoint::max();  // when a breaker's time is over
  TimePoint ramps_until_{};                  // some endpoint has less than its full share until then
  bool room_made_ = false;                   // a place was given back in this event
  bool yields_ = false;                      // it is the others' turn, where others wait as well
  bool tracks_latency_ = false;
  bool cluster_scope_ = false;
  bool went_anywhere_ = false;  // when apply() was called before
  bool other_settings_ = true;  // than then
};

}  // namespace remora::proxy
