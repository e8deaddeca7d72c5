#include "proxy/supervisor.h"

#include <algorithm>
#include <unordered_map>

#include "base/log.h"
#include "health/slow_start.h"
#include "proxy/transition_log.h"

namespace remora::proxy {

namespace {

using breaker::CircuitBreaker;
using health::Checker;

health::Sources::Active to_source(Checker::State state) {
  switch (state) {
    case Checker::State::kUnknown: return health::Sources::Active::kUnknown;
    case Checker::State::kPassing: return health::Sources::Active::kPassing;
    case Checker::State::kFailing: return health::Sources::Active::kFailing;
  }
  return health::Sources::Active::kUnknown;
}

Checker::State from_source(health::Sources::Active active) {
  switch (active) {
    case health::Sources::Active::kPassing: return Checker::State::kPassing;
    case health::Sources::Active::kFailing: return Checker::State::kFailing;
    case health::Sources::Active::kNone:
    case health::Sources::Active::kUnknown: break;
  }
  return Checker::State::kUnknown;
}

std::optional<Duration> ago(TimePoint then, TimePoint now) {
  return then == TimePoint{} ? std::nullopt : std::optional(now - then);
}

std::optional<Duration> left(std::optional<TimePoint> until, TimePoint now) {
  return until ? std::optional(std::max(*until - now, Duration::zero())) : std::nullopt;
}

LimitView view_of(const breaker::Limiter& limiter) { return {limiter.most(), limiter.in_use()}; }

EndpointView::ActiveCheck view_of(const Checker& checker, TimePoint now) {
  return {.state = checker.state(),
          .last_reason = checker.last_reason(),
          .failed_ago = ago(checker.last_failure(), now),
          .changed_ago = ago(checker.changed_at(), now),
          .passes = checker.passes(),
          .failures = checker.failures()};
}

EndpointView::Outlier view_of(const health::OutlierDetector::Standing& standing, TimePoint now) {
  return {
      .ejected = standing.ejected,
      .ejected_for = standing.ejected ? std::max(standing.until - now, Duration::zero()) : Duration::zero(),
      .ejections = standing.ejections,
      .last_reason = standing.last_reason,
      .last_detail = standing.last_detail};
}

// A server that wants PROXY headers wants them of checks as well, unless they ask another one.
std::string preamble_of(const config::Cluster& settings) {
  if (settings.proxy_protocol == config::ProxyProtocol::kNone || settings.health_check->port != 0) return {};
  return http::own_proxy_header(proxy_version(settings.proxy_protocol));
}

}  // namespace

Supervisor::Supervisor(Env& env, Ways ways)
    : env_(env), ways_(std::move(ways)), registry_(env.random, this), prober_(env, *this) {}

Supervisor::~Supervisor() = default;

void Supervisor::supervise(Snapshot& snapshot) {
  registry_.fill(snapshot, env_.now());
  tls_ = snapshot.tls;
  config_ = snapshot.config;  // after: the registry still knows the clusters by the old one
  std::vector<std::unique_ptr<ClusterWatch>> watches;
  std::unordered_map<const ClusterState*, std::size_t> known;
  for (std::size_t i = 0; i < watches_.size(); ++i) {
    if (watches_[i]) known.emplace(&watches_[i]->state(), i);
  }
  for (const StateRegistry::Cluster& cluster : registry_.clusters()) {
    const auto same = known.find(cluster.state.get());
    auto& watch = watches.emplace_back();
    if (same != known.end() && watches_[same->second]->watches(*cluster.settings)) {
      watch = std::move(watches_[same->second]);
    } else {
      // What another judge has decided is over.
      if (same != known.end()) readmit(cluster);
      if (!ClusterWatch::needed(*cluster.settings)) continue;
      watch = std::make_unique<ClusterWatch>(env_, *cluster.settings, cluster.state);
    }
    watch->set_endpoints(cluster.endpoints);
  }
  watches_ = std::move(watches);
  if (started_) check_endpoints();
}

void Supervisor::readmit(const StateRegistry::Cluster& cluster) {
  for (const StateRegistry::Endpoint& endpoint : cluster.endpoints) {
    if (endpoint.state->ejected.exchange(false, std::memory_order_relaxed)) {
      endpoint.state->recovered(env_.now());
    }
  }
  cluster.state->changed();
}

void Supervisor::start() {
  started_ = true;
  check_endpoints();
}

void Supervisor::check_endpoints() {
  std::vector<Prober::Target> targets;
  const auto& clusters = registry_.clusters();
  for (std::size_t i = 0; i < clusters.size(); ++i) {
    const config::Cluster& settings = *clusters[i].settings;
    if (!settings.health_check) continue;
    const std::shared_ptr<const config::HealthCheck> check(config_, &*settings.health_check);
    for (const StateRegistry::Endpoint& endpoint : clusters[i].endpoints) {
      targets.push_back(
          {.id = i,
           .cluster = settings.name,
           .check = check,
           .endpoint = {.name = endpoint.name,
                        .address = endpoint.address,
                        .weight = 1,
                        .zone = {},
                        .priority = 0,
                        .state = endpoint.state},
           .tls = {.wanted = settings.tls.has_value(),
                   .context = tls_ ? tls_->clusters[i] : nullptr,
                   .name = settings.tls ? tls_name(*settings.tls, endpoint.name) : std::string(),
                   .sessions = {}},
           .preamble = preamble_of(settings)});
    }
  }
  prober_.set_targets(std::move(targets));
  was_settled_ = settled();
}

// Called by the prober, which has logged it.
void Supervisor::on_health(const Prober::Target& target, Checker::State state, std::string_view reason) {
  EndpointState& endpoint = *target.endpoint.state;
  const auto before = endpoint.active.exchange(to_source(state), std::memory_order_relaxed);
  if (ways_.tell) {
    ways_.tell({.at = env_.now(),
                .kind = Event::Kind::kHealthCheck,
                .cluster = target.cluster,
                .endpoint = target.endpoint.address.to_string(),
                .from = to_string(from_source(before)),
                .to = to_string(state),
                .reason = std::string(reason)});
  }
  if (state == Checker::State::kPassing && before == health::Sources::Active::kFailing) {
    endpoint.recovered(env_.now());
  }
  registry_.clusters()[target.id].state->changed();
  if (watches_[target.id]) watches_[target.id]->refresh_usable();
  if (was_settled_ || !settled()) return;
  was_settled_ = true;
  ways_.settled();
}

void Supervisor::on_room(ClusterState& cluster, std::uint64_t workers) {
  ways_.to_control([this, &cluster, workers] { ways_.to_workers(cluster, workers); });
}

void Supervisor::on_failures_in_a_row(ClusterState& cluster, EndpointState& endpoint) {
  ways_.to_control([this, &cluster, told = endpoint.weak_from_this()] {
    // Either may be gone by now. The cluster is only compared; another endpoint may have the memory of this
    // one.
    const auto alive = told.lock();
    if (alive == nullptr) return;
    for (const auto& watch : watches_) {
      if (watch && &watch->state() == &cluster) watch->on_failures_in_a_row(*alive);
    }
  });
}

void Supervisor::on_event(Event event) {
  if (!ways_.tell) return;
  ways_.to_control([this, event = std::move(event)]() mutable { ways_.tell(std::move(event)); });
}

std::optional<Supervisor::Refused> Supervisor::obey(std::string_view cluster, std::string_view address,
                                                    Order order) {
  const auto& clusters = registry_.clusters();
  const auto found =
      std::ranges::find_if(clusters, [&](const auto& c) { return c.settings->name == cluster; });
  if (found == clusters.end()) return Refused::kNoCluster;
  const bool breaker = order == Order::kOpen || order == Order::kClose;
  const bool shared = found->settings->breaker_scope == config::BreakerScope::kCluster;
  if (breaker && !found->settings->breaker.enabled) return Refused::kBreakerOff;
  if (address.empty() ? !shared || !breaker : shared && breaker) return Refused::kNoSuchBreaker;
  if (address.empty()) {
    force(*found, nullptr, found->state->breaker, order);
    return std::nullopt;
  }
  bool known = false;  // a name may have several addresses: the order is for all of them
  for (const StateRegistry::Endpoint& endpoint : found->endpoints) {
    if (endpoint.name != address && endpoint.address.to_string() != address) continue;
    known = true;
    if (breaker) {
      force(*found, &endpoint, endpoint.state->breaker, order);
    } else {
      drain(*found, endpoint, order == Order::kDrain);
    }
  }
  if (!known) return Refused::kNoEndpoint;
  found->state->changed();
  const auto& watch = watches_[static_cast<std::size_t>(found - clusters.begin())];
  if (watch) watch->refresh_usable();
  return std::nullopt;
}

void Supervisor::drain(const StateRegistry::Cluster& cluster, const StateRegistry::Endpoint& endpoint,
                       bool drain) {
  const bool before = endpoint.state->draining.exchange(drain, std::memory_order_relaxed);
  if (before == drain) return;
  if (!drain) endpoint.state->recovered(env_.now());
  log_info(drain ? "endpoint draining" : "endpoint in use again",
           {{"cluster", cluster.settings->name}, {"endpoint", endpoint.address.to_string()}});
  if (!ways_.tell) return;
  ways_.tell({.at = env_.now(),
              .kind = Event::Kind::kOrder,
              .cluster = cluster.settings->name,
              .endpoint = endpoint.address.to_string(),
              .from = drain ? "in_use" : "draining",
              .to = drain ? "draining" : "in_use",
              .reason = "manual"});
}

void Supervisor::force(const StateRegistry::Cluster& cluster, const StateRegistry::Endpoint* endpoint,
                       CircuitBreaker& breaker, Order order) {
  const auto transition =
      order == Order::kOpen ? breaker.force_open(env_.now()) : breaker.force_close(env_.now());
  if (!transition) return;
  if (endpoint != nullptr && order == Order::kClose) endpoint->state->recovered(env_.now());
  log_transition(*cluster.state, cluster.settings->name,
                 endpoint != nullptr ? endpoint->address.to_string() : "*", *transition, env_.now());
  cluster.state->changed();
}

EndpointView Supervisor::view_of(const StateRegistry::Cluster& cluster,
                                 const StateRegistry::Endpoint& endpoint, const ClusterWatch* watch,
                                 const Checker* checker) const {
  const TimePoint now = env_.now();
  const EndpointState& state = *endpoint.state;
  EndpointView view{.name = endpoint.name,
                    .address = endpoint.address.to_string(),
                    .draining = state.draining.load(std::memory_order_relaxed),
                    .share = health::SlowStart::share(state.ramps_since(), cluster.settings->slow_start, now),
                    .breaker = state.breaker.view(now),
                    .breaker_changed_ago = {},
                    .breaker_opens_for = {},
                    .check = {},
                    .outlier = {},
                    .last_failure = {}};
  view.member = state.member.load(std::memory_order_relaxed);
  view.breaker_changed_ago = ago(view.breaker.changed_at, now);
  view.breaker_opens_for = left(view.breaker.open_until, now);
  const auto* standing = watch != nullptr ? watch->standing(state) : nullptr;
  if (standing != nullptr) view.outlier = proxy::view_of(*standing, now);
  if (checker != nullptr) view.check = proxy::view_of(*checker, now);
  if (const auto seen = state.last_failure.load()) {
    view.last_failure = EndpointView::LastFailure{
        .outcome = seen->outcome, .ago = std::max<Duration>(now - seen->at, Duration::zero())};
  }
  return view;
}

bool Supervisor::passes(std::string_view cluster) const {
  const auto& clusters = registry_.clusters();
  const auto found =
      std::ranges::find_if(clusters, [&](const auto& c) { return c.settings->name == cluster; });
  return found != clusters.end() &&
         std::ranges::any_of(found->endpoints, [](const StateRegistry::Endpoint& endpoint) {
           return endpoint.state->active.load(std::memory_order_relaxed) ==
                      health::Sources::Active::kPassing &&
                  !endpoint.state->draining.load(std::memory_order_relaxed);
         });
}

std::vector<ClusterView> Supervisor::view() const {
  std::vector<ClusterView> views;
  const TimePoint now = env_.now();
  std::unordered_map<const EndpointState*, const Checker*> checkers;
  for (std::size_t i = 0; i < prober_.size(); ++i) {
    checkers.emplace(prober_.target(i).endpoint.state.get(), &prober_.checker(i));
  }
  for (std::size_t i = 0; i < registry_.clusters().size(); ++i) {
    const StateRegistry::Cluster& cluster = registry_.clusters()[i];
    const config::Cluster& settings = *cluster.settings;
    ClusterState& state = *cluster.state;
    ClusterView view{.name = settings.name,
                     .cluster_breaker = settings.breaker_scope == config::BreakerScope::kCluster,
                     .breaker = state.breaker.view(now),
                     .requests = proxy::view_of(state.requests),
                     .connections = proxy::view_of(state.connections),
                     .pending = proxy::view_of(state.pending),
                     .retries = proxy::view_of(state.retries),
                     .adaptive = {},
                     .retry_budget_left = state.budget.left(now),
                     .ejections_suppressed = watches_[i] ? watches_[i]->suppressed() : 0,
                     .endpoints = {}};
    view.breaker_changed_ago = ago(view.breaker.changed_at, now);
    view.breaker_opens_for = left(view.breaker.open_until, now);
    if (settings.adaptive.enabled) view.adaptive = proxy::view_of(state.adaptive);
    std::vector<health::Sources> sources;
    for (const StateRegistry::Endpoint& endpoint : cluster.endpoints) {
      sources.push_back(endpoint.state->sources(now));
      if (view.cluster_breaker) sources.back().breaker_open = false;
      const auto checked = checkers.find(endpoint.state.get());
      view.endpoints.push_back(view_of(cluster, endpoint, watches_[i].get(),
                                       checked != checkers.end() ? checked->second : nullptr));
    }
    view.panic = settings.health_check && health::in_panic(sources, settings.health_check->panic_below);
    for (std::size_t n = 0; n < sources.size(); ++n) {
      view.endpoints[n].why = health::availability(sources[n], view.panic);
    }
    views.push_back(std::move(view));
  }
  return views;
}

}  // namespace remora::proxy
