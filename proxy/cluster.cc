// Who exists, who is well, and what came of the attempts. Getting an endpoint is in cluster_acquire.cc.
#include "proxy/cluster.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <unordered_map>

#include "lb/priority.h"
#include "proxy/transition_log.h"

namespace remora::proxy {

namespace {

using breaker::CircuitBreaker;

// Behind whatever the configuration says: a member that the mesh suspects.
constexpr std::uint32_t kLastResort = std::numeric_limits<std::uint32_t>::max();

bool limits_connections(const config::Cluster& settings) {
  return settings.limits.connections != 0 || settings.limits.endpoint_connections != 0;
}

}  // namespace

ClusterEndpoint::ClusterEndpoint(Env& env, const ResolvedEndpoint& what,
                                 const UpstreamPool::Settings& settings, ClusterCounters& cluster)
    : info_(&what),
      address_text(what.address.to_string()),
      pool(env, what.address, settings, stats, cluster) {}

void Lease::answered(const breaker::Outcome& outcome, std::optional<Duration> latency) {
  if (endpoint_ != nullptr) cluster_->answered(*this, outcome, latency);
}

void Lease::finish(const breaker::Outcome& outcome, std::optional<Duration> latency) {
  if (endpoint_ == nullptr) return;
  cluster_->release(*this, outcome, latency);
}

Cluster::Cluster(Env& env, Settings settings, std::shared_ptr<ClusterState> state, unsigned worker)
    : env_(env),
      config_(std::move(settings.config)),
      settings_(&config_->clusters[settings.index]),
      state_(std::move(state)),
      worker_(worker) {
  learn_settings(settings.hedged_by_routes);
}

Cluster::~Cluster() = default;

void Cluster::learn_settings(bool hedged_by_routes) {
  pool_settings_ = {.connect_timeout = settings_->timeouts.connect,
                    .idle_timeout = settings_->timeouts.idle,
                    .limits = {},
                    .room = limits_connections(*settings_) ? &connection_room_ : nullptr};
  tracks_latency_ = settings_->balance.algorithm == lb::Algorithm::kPeakEwma;
  if (!hedged_by_routes && settings_->retry.hedge_percentile <= 0) {
    latencies_.reset();
  } else if (!latencies_) {
    latencies_ = std::make_unique<breaker::LatencyQuantile>();
  }
  cluster_scope_ = settings_->breaker_scope == config::BreakerScope::kCluster;
}

void Cluster::set_settings(Settings settings) {
  const config::Cluster& next = settings.config->clusters[settings.index];
  const bool other_balance = next.balance != settings_->balance;
  other_tls_ = other_tls_ || next.tls != settings_->tls;
  other_settings_ =
      other_settings_ || next != *settings_ || settings.config->runtime.zone != config_->runtime.zone;
  config_.swap(settings.config);  // the old one lives until the end of this
  settings_ = &next;
  learn_settings(settings.hedged_by_routes);
  if (!other_balance || balancer_ == nullptr) return;
  make_balancer();
  refresh_candidates();
}

void Cluster::set_tls(std::shared_ptr<const net::TlsContext> context) {
  const bool other = std::exchange(other_tls_, false);
  if (tls_ == context && !other) return;
  tls_ = std::move(context);
  for (auto& endpoint : endpoints_) tell_pool(*endpoint, other);
}

void Cluster::tell_pool(ClusterEndpoint& endpoint, bool other) const {
  endpoint.pool.set_tls(settings_->tls.has_value(), tls_,
                        settings_->tls ? tls_name(*settings_->tls, endpoint.info().name) : std::string(),
                        other);
}

void Cluster::retire() {
  for (auto& endpoint : endpoints_) endpoint->pool.retire();
}

// Of a cluster that nobody has asked yet there is none, unless it takes longer to make than a request may
// wait.
void Cluster::make_balancer() {
  balancer_ = lb::make_balancer(settings_->balance);
  describe_to_balancer();
}

void Cluster::describe_to_balancer() {
  std::vector<lb::Endpoint> described;
  described.reserve(endpoints_.size());
  for (const auto& endpoint : endpoints_) {
    described.push_back({.name = endpoint->address_text, .weight = endpoint->info().weight});
  }
  balancer_->set_endpoints(described);
}

void Cluster::apply(const EndpointList& endpoints) {
  const bool other_settings = std::exchange(other_settings_, false);
  if (std::exchange(went_anywhere_, goes_anywhere()) && went_anywhere_) return refresh_candidates();
  if (endpoints.is(list_) && endpoints_.size() == list_.size()) {
    if (other_settings) look_again();
    return;
  }
  const bool equal = std::ranges::equal(endpoints, endpoints_, {}, {},
                                        [](const auto& have) -> const auto& { return have->info(); });
  const EndpointList before = std::exchange(list_, endpoints);  // until nobody stands in it any more
  if (equal) {
    for (std::size_t i = 0; i < endpoints_.size(); ++i) endpoints_[i]->set_info(list_[i]);
    return look_again();
  }
  ++generation_;
  std::vector<std::unique_ptr<ClusterEndpoint>> next;
  std::vector<lb::Load> loads;
  std::unordered_map<std::string_view, std::size_t> known;
  for (const auto& have : endpoints_) known.emplace(have->address_text, known.size());
  next.reserve(endpoints.size());
  loads.reserve(endpoints.size());
  for (const ResolvedEndpoint& wanted : list_) {
    const auto same = known.find(wanted.address.to_string());
    if (same != known.end()) {
      loads.push_back(loads_[same->second]);
      next.push_back(std::move(endpoints_[same->second]));
      next.back()->set_info(wanted);
    } else {
      loads.emplace_back();
      next.push_back(std::make_unique<ClusterEndpoint>(env_, wanted, pool_settings_, stats_));
      tell_pool(*next.back(), false);
    }
    next.back()->index = static_cast<std::uint32_t>(next.size() - 1);
  }
  for (auto& gone : endpoints_) {
    if (!gone) continue;
    gone->index.reset();
    gone->pool.retire();
    gone->keep_info(std::make_unique<const ResolvedEndpoint>(gone->info()));
    if (gone->stats.requests_active > 0) {
      retired_.push_back(std::move(gone));
    } else {
      env_.turn.bury(std::move(gone));
    }
  }
  endpoints_ = std::move(next);
  loads_ = std::move(loads);
  index_destinations();
  listed_in_flight_ = 0;
  for (const lb::Load& load : loads_) listed_in_flight_ += load.in_flight;
  if (balancer_ != nullptr) describe_to_balancer();
  look_again();
  if (!queue_.empty()) env_.turn.defer(*this);
}

// At who may be used: now, or when somebody asks.
void Cluster::look_again() {
  const bool hashes = settings_->balance.algorithm == lb::Algorithm::kRingHash ||
                      settings_->balance.algorithm == lb::Algorithm::kMaglev;
  if (balancer_ != nullptr || hashes) return refresh_candidates();
  seen_version_ = 0;
}

void Cluster::refresh_candidates() {
  if (balancer_ == nullptr) make_balancer();
  const TimePoint now = env_.now();
  seen_version_ = state_->version.load(std::memory_order_acquire);
  look_again_ = TimePoint::max();
  ramps_until_ = TimePoint{};
  sources_.clear();
  for (const auto& endpoint : endpoints_) {
    sources_.push_back(endpoint->info().state->sources(now));
    if (cluster_scope_) sources_.back().breaker_open = false;
  }
  const bool panic =
      settings_->health_check && health::in_panic(sources_, settings_->health_check->panic_below);
  std::vector<lb::Standing> standings;
  standings.reserve(endpoints_.size());
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    ClusterEndpoint& endpoint = *endpoints_[i];
    const health::Why before = std::exchange(endpoint.why, health::availability(sources_[i], panic));
    const bool available = endpoint.why == health::Why::kAvailable;
    // What waits in the pool of a failed endpoint is as dead as the endpoint, or keeps it busy for nothing.
    if (!available && before == health::Why::kAvailable) endpoint.pool.close_idle();
    if (endpoint.why == health::Why::kBreaker) {
      look_again_ =
          std::min(look_again_, endpoint.info().state->breaker.next_wakeup(now).value_or(TimePoint::max()));
    }
    const TimePoint since = endpoint.info().state->ramps_since();
    if (since != TimePoint{}) ramps_until_ = std::max(ramps_until_, since + settings_->slow_start);
    standings.push_back(
        {.priority =
             sources_[i].member == health::Sources::Member::kSuspect ? kLastResort : endpoint.info().priority,
         .local_zone = !config_->runtime.zone.empty() && endpoint.info().zone == config_->runtime.zone,
         .available = available});
  }
  lb::choose_candidates(standings, candidates_);
  if (!goes_anywhere()) balancer_->set_candidates(candidates_);
  reserves_.clear();
  for (std::uint32_t i = 0; i < standings.size(); ++i) {
    if (standings[i].available && !std::ranges::binary_search(candidates_, i)) reserves_.push_back(i);
  }
  std::ranges::stable_sort(reserves_, {}, [&](std::uint32_t i) {
    return std::pair(standings[i].priority, !standings[i].local_zone);
  });
}

// A probe has done its work when the head is there: a long download must not keep the others waiting. A
// tunnel has when it is open.
void Cluster::answered(Lease& lease, const breaker::Outcome& outcome, std::optional<Duration> latency) {
  if (lease.reported_) return;
  report_to_breaker(lease, outcome, latency);
  lease.ticket_.probe = false;
  lease.reported_ = true;
}

void Cluster::report_to_breaker(Lease& lease, const breaker::Outcome& outcome,
                                std::optional<Duration> latency) {
  // The one that gave the ticket, although the configuration may have chosen the other one since.
  const auto transition = lease.breaker_->report(lease.ticket_, outcome, latency, env_.now(), env_.random);
  if (transition) on_transition(lease.breaker_ == &state_->breaker ? nullptr : lease.endpoint_, *transition);
}

void Cluster::release(Lease& lease, const breaker::Outcome& outcome, std::optional<Duration> latency) {
  ClusterEndpoint& endpoint = *lease.endpoint_;
  judge(lease, outcome, latency);
  lease.endpoint_ = nullptr;
  lease.permits_ = {};
  lease.connection_ = {};
  --in_flight_;
  --endpoint.stats.requests_active;
  if (latency && tracks_latency_) endpoint.latency.observe(*latency, env_.now());
  if (latency && latencies_) latencies_->observe(*latency, env_.now());
  if (!queue_.empty() || state_->waiting.load() != 0) {
    room_made_ = true;
    env_.turn.defer(*this);
  }
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

// What came of an attempt, told to everybody who draws conclusions from it.
void Cluster::judge(Lease& lease, const breaker::Outcome& outcome, std::optional<Duration> latency) {
  using breaker::Result;
  const bool cut_short = outcome.result != Result::kResponse && outcome.result != Result::kIgnored;
  if (cut_short) ++lease.endpoint_->stats.failures;
  if (cut_short || outcome.status >= 500)
    lease.endpoint_->info().state->last_failure.store(outcome, env_.now());
  if (!lease.reported_) report_to_breaker(lease, outcome, latency);
  if (settings_->outlier.enabled) judge_for_outliers(*lease.endpoint_->info().state, outcome);
  if (!settings_->adaptive.enabled) return;
  LatencySamples& samples = state_->latency;
  // An upstream that sheds answers fast, which must not pass for being well.
  const bool shed = outcome.status == 503 || outcome.status == 429;
  if (shed || outcome.result == Result::kTimeout) samples.dropped.fetch_add(1, std::memory_order_relaxed);
  if (!latency || shed) return;
  samples.responses.fetch_add(1, std::memory_order_relaxed);
  samples.total_us.fetch_add(static_cast<std::uint64_t>(latency->count()), std::memory_order_relaxed);
}

void Cluster::judge_for_outliers(EndpointState& state, const breaker::Outcome& outcome) {
  if (settings_->breaker.failures.is_ignored(outcome)) return;
  state.judged.fetch_add(1, std::memory_order_relaxed);
  if (!settings_->breaker.failures.is_failure(outcome)) {
    if (state.failed_in_a_row.load(std::memory_order_relaxed) != 0) {
      state.failed_in_a_row.store(0, std::memory_order_relaxed);
    }
    return;
  }
  state.failed.fetch_add(1, std::memory_order_relaxed);
  const std::uint32_t in_a_row = state.failed_in_a_row.fetch_add(1, std::memory_order_relaxed) + 1;
  if (in_a_row == settings_->outlier.consecutive_failures && state_->events != nullptr) {
    state_->events->on_failures_in_a_row(*state_, state);
  }
}

void Cluster::on_transition(const ClusterEndpoint* endpoint, const CircuitBreaker::Transition& transition) {
  if (endpoint != nullptr && transition.to == CircuitBreaker::Phase::kClosed) {
    endpoint->info().state->recovered(env_.now());
  }
  state_->changed();
  log_transition(*state_, settings_->name,
                 endpoint != nullptr ? endpoint->address_text : std::string_view("*"), transition,
                 env_.now());
}

ClusterReport Cluster::report() const {
  ClusterReport report{
      .name = settings_->name, .tls = settings_->tls.has_value(), .stats = stats_.stats(), .endpoints = {}};
  report.stats.pending = queue_.size();
  report.endpoints.reserve(endpoints_.size());
  for (const auto& endpoint : endpoints_) {
    report.endpoints.push_back({.name = endpoint->info().name,
                                .address = endpoint->address_text,
                                .zone = endpoint->info().zone,
                                .weight = endpoint->info().weight,
                                .priority = endpoint->info().priority,
                                .latency_seconds = loads_[*endpoint->index].latency_seconds,
                                .stats = endpoint->stats});
  }
  return report;
}

}  // namespace remora::proxy
