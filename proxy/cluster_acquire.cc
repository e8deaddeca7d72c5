// Getting an endpoint for an attempt, and waiting for one.
#include <algorithm>

#include "health/slow_start.h"
#include "proxy/cluster.h"

namespace remora::proxy {

namespace {

// After so many picks that led nowhere the candidates are gone through one by one instead.
constexpr int kPicks = 8;
// What "try again" says when nobody knows when.
constexpr Duration kUnknownWait = 1s;
constexpr std::uint64_t kAllWorkers = ~std::uint64_t{0};

}  // namespace

Acquired Cluster::acquire(std::optional<std::uint64_t> key, std::span<const std::uint32_t> tried) {
  refresh_if_changed();
  Lease lease;
  if (const Denied denied = take_cluster_permits(lease); denied != Denied::kNone) return refused(denied);
  const bool ramping = env_.now() < ramps_until_;
  Denied denied = Denied::kNoEndpoint;
  std::optional<std::uint32_t> spare;  // recovering, and spared this time if anybody else can take it
  avoided_.assign(tried.begin(), tried.end());
  for (int picks = 0; picks < kPicks; ++picks) {
    const auto index = balancer_->pick({.loads = loads_,
                                        .key = key,
                                        .tried = avoided_,
                                        .now = env_.now(),
                                        .total_in_flight = listed_in_flight_},
                                       env_.random);
    if (!index) break;
    if (ramping && ramp_rejects(*endpoints_[*index])) {
      spare = *index;
    } else if (take_endpoint(*index, lease, denied)) {
      return {.lease = std::move(lease)};
    }
    avoided_.push_back(*index);
  }
  if (spare && take_endpoint(*spare, lease, denied)) return {.lease = std::move(lease)};
  // The rest, those tried already last.
  for (const bool again : {false, true}) {
    for (const std::uint32_t index : candidates_) {
      const bool was_tried = std::ranges::find(tried, index) != tried.end();
      if (was_tried == again && take_endpoint(index, lease, denied)) return {.lease = std::move(lease)};
    }
    if (tried.empty()) break;
  }
  if (cluster_scope_) state_->breaker.report(lease.ticket_, {}, std::nullopt, env_.now(), env_.random);
  return refused(denied);
}

// What the cluster as a whole grants. Nothing is kept of a refusal: permits end with the lease.
Denied Cluster::take_cluster_permits(Lease& lease) {
  if (state_->requests.limited()) {
    auto permit = state_->requests.try_take();
    if (!permit) return Denied::kRequests;
    lease.permits_.cluster = std::move(*permit);
  }
  if (settings_.adaptive.enabled) {
    auto permit = state_->adaptive.try_take();
    if (!permit) return Denied::kAdaptive;
    lease.permits_.adaptive = std::move(*permit);
    const std::uint32_t in_flight = state_->adaptive.in_use();
    auto most = state_->latency.most_in_flight.load(std::memory_order_relaxed);
    while (in_flight > most && !state_->latency.most_in_flight.compare_exchange_weak(most, in_flight)) {
    }
  }
  if (cluster_scope_) {
    const auto entry = state_->breaker.try_enter(env_.now());
    if (entry.transition) on_transition(nullptr, *entry.transition);
    if (!entry.ticket) return Denied::kBreakerOpen;
    lease.ticket_ = *entry.ticket;
  }
  return Denied::kNone;
}

// `denied`: the reason that helps most, a limit (for which one can wait) before a breaker before nobody.
bool Cluster::take_endpoint(std::uint32_t index, Lease& lease, Denied& denied) {
  ClusterEndpoint& endpoint = *endpoints_[index];
  EndpointState& state = *endpoint.info.state;
  breaker::Permit request;
  if (state.requests.limited()) {
    auto permit = state.requests.try_take();
    if (!permit) {
      denied = Denied::kRequests;
      return false;
    }
    request = std::move(*permit);
  }
  UpstreamPool::Permits connection;
  if (!endpoint.pool.has_available() && pool_settings_.room != nullptr) {
    auto permits = permits_to_dial(endpoint);
    if (!permits) {
      denied = Denied::kConnections;
      return false;
    }
    connection = std::move(*permits);
  }
  if (!cluster_scope_) {
    const auto entry = state.breaker.try_enter(env_.now());
    if (entry.transition) on_transition(&endpoint, *entry.transition);
    if (!entry.ticket) {
      if (denied == Denied::kNoEndpoint) denied = Denied::kBreakerOpen;
      return false;
    }
    lease.ticket_ = *entry.ticket;
  }
  lease.permits_.endpoint = std::move(request);
  lease.connection_ = std::move(connection);
  lease.cluster_ = this;
  lease.endpoint_ = &endpoint;
  ++loads_[index].in_flight;
  ++endpoint.stats.requests;
  ++endpoint.stats.requests_active;
  ++in_flight_;
  ++listed_in_flight_;
  return true;
}

std::optional<UpstreamPool::Permits> Cluster::permits_to_dial(ClusterEndpoint& endpoint) {
  UpstreamPool::Permits permits;
  if (endpoint.info.state->connections.limited()) {
    auto permit = endpoint.info.state->connections.try_take();
    if (!permit) return std::nullopt;
    permits.endpoint = std::move(*permit);
  }
  if (state_->connections.limited()) {
    auto permit = state_->connections.try_take();
    if (!permit && close_an_idle_connection()) permit = state_->connections.try_take();
    if (!permit) return std::nullopt;
    permits.cluster = std::move(*permit);
  }
  return permits;
}

bool Cluster::close_an_idle_connection() {
  return std::ranges::any_of(endpoints_, [](auto& endpoint) { return endpoint->pool.close_oldest_idle(); });
}

Acquired Cluster::refused(Denied denied) const {
  if (denied == Denied::kNoEndpoint) {
    const bool open = std::ranges::any_of(
        endpoints_, [](const auto& endpoint) { return endpoint->why == health::Why::kBreaker; });
    if (open) denied = Denied::kBreakerOpen;
  }
  Acquired none{.lease = {}, .denied = denied};
  if (denied == Denied::kBreakerOpen) {
    const TimePoint then =
        cluster_scope_ ? state_->breaker.next_wakeup(env_.now()).value_or(TimePoint::max()) : look_again_;
    none.retry_after = then == TimePoint::max() ? kUnknownWait : then - env_.now();
  }
  return none;
}

bool Cluster::ramp_rejects(const ClusterEndpoint& endpoint) {
  const double share =
      health::SlowStart::share(endpoint.info.state->ramps_since(), settings_.slow_start, env_.now());
  return share < 1.0 && env_.random.unit() >= share;
}

bool Cluster::wait(Waiter& waiter) {
  auto permit = state_->pending.limited() ? state_->pending.try_take() : std::nullopt;
  if (!permit) return false;
  queue_.add(waiter, std::move(*permit), env_.now());
  state_->waiting.fetch_or(worker_bit());
  // Somebody may have made room between the refusal and this; and others may have connections to spare.
  env_.turn.defer(*this);
  if (state_->events != nullptr && state_->connections.limited())
    state_->events->on_room(*state_, kAllWorkers);
  return true;
}

void Cluster::on_room() {
  if (!queue_.empty()) return env_.turn.defer(*this);
  if (state_->connections.limited() && state_->waiting.load() != 0) close_an_idle_connection();
}

// Something has ended here: whoever waits is served, here or elsewhere.
void Cluster::at_end_of_turn() {
  serve_queue();
  if (!std::exchange(room_made_, false) || state_->events == nullptr) return;
  const std::uint64_t others = state_->waiting.load() & ~worker_bit();
  if (others == 0) return;
  if (queue_.empty() && state_->connections.limited()) close_an_idle_connection();
  // Each that is told says again that it waits if that was not enough.
  state_->waiting.fetch_and(~others);
  state_->events->on_room(*state_, others);
}

void Cluster::serve_queue() {
  while (!queue_.empty()) {
    auto& waiter = static_cast<Waiter&>(*queue_.next(env_.now()));
    Acquired acquired = acquire(waiter.wait_key, {});
    if (can_wait(acquired.denied)) {
      state_->waiting.fetch_or(worker_bit());
      // Once more, for what was given back before the bit was there.
      acquired = acquire(waiter.wait_key, {});
      if (can_wait(acquired.denied)) return;
    }
    waiter.leave();
    waiter.on_place(std::move(acquired));
  }
  state_->waiting.fetch_and(~worker_bit());
}

}  // namespace remora::proxy
