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

Acquired Cluster::acquire(std::optional<std::uint64_t> key, std::span<const std::uint32_t> tried,
                          Terms terms) {
  refresh_if_changed();
  Lease lease;
  if (const Denied denied = take_cluster_permits(lease); denied != Denied::kNone) return refused(denied);
  if (goes_anywhere()) return acquire_at(terms, std::move(lease));
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
      spare = index;
    } else if (take_endpoint(*index, terms, lease, denied)) {
      return {.lease = std::move(lease)};
    }
    avoided_.push_back(*index);
  }
  if (spare && take_endpoint(*spare, terms, lease, denied)) return {.lease = std::move(lease)};
  // The rest, those tried already last.
  for (const bool again : {false, true}) {
    for (const std::uint32_t index : candidates_) {
      const bool was_tried = std::ranges::find(tried, index) != tried.end();
      if (was_tried == again && take_endpoint(index, terms, lease, denied))
        return {.lease = std::move(lease)};
    }
    if (tried.empty()) break;
  }
  // A recovering endpoint that has its probes already must not keep others out that are well.
  for (const std::uint32_t index : reserves_) {
    if (take_endpoint(index, terms, lease, denied)) return {.lease = std::move(lease)};
  }
  if (cluster_scope_) state_->breaker.report(lease.ticket_, {}, std::nullopt, env_.now(), env_.random);
  return refused(denied);
}

// The one endpoint that is where the connection was going.
Acquired Cluster::acquire_at(Terms terms, Lease&& lease) {
  Denied denied = Denied::kNoEndpoint;
  if (terms.destination != nullptr) {
    const auto index = find_destination(*terms.destination);
    if (!index) {
      denied = Denied::kConnections;
    } else if (take_endpoint(*index, terms, lease, denied)) {
      return {.lease = std::move(lease)};
    }
  }
  if (cluster_scope_) state_->breaker.report(lease.ticket_, {}, std::nullopt, env_.now(), env_.random);
  return refused(denied);
}

std::size_t HashAddress::operator()(const Address& address) const noexcept {
  const auto& bytes = address.bytes();
  const std::string_view view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return std::hash<std::string_view>{}(view) ^ (std::size_t{address.port()} << 16U);
}

// nullopt: there are as many as may be, and somebody uses each of them.
std::optional<std::uint32_t> Cluster::find_destination(const Address& address) {
  if (destinations_ == nullptr) index_destinations();
  if (const auto known = destinations_->find(address); known != destinations_->end()) return known->second;
  if (endpoints_.size() >= kMostDestinations && !forget_destinations()) return std::nullopt;
  ResolvedEndpoint info{.name = address.to_string(), .address = address, .zone = {}, .state = {}};
  info.state = state_->destination(address, *settings_);
  auto own = std::make_unique<const ResolvedEndpoint>(std::move(info));
  loads_.emplace_back();
  endpoints_.push_back(std::make_unique<ClusterEndpoint>(env_, *own, pool_settings_, stats_));
  endpoints_.back()->keep_info(std::move(own));
  const auto index = static_cast<std::uint32_t>(endpoints_.size() - 1);
  endpoints_.back()->index = index;
  destinations_->emplace(address, index);
  tell_pool(*endpoints_.back(), false);
  return index;
}

void Cluster::index_destinations() {
  destinations_.reset();
  if (!goes_anywhere()) return;
  destinations_ = std::make_unique<Destinations>();
  for (const auto& endpoint : endpoints_) destinations_->emplace(endpoint->info().address, *endpoint->index);
}

// All that nobody uses, idle connections included.
bool Cluster::forget_destinations() {
  std::size_t kept = 0;
  const std::size_t before = endpoints_.size();
  for (std::size_t i = 0; i < before; ++i) {
    if (endpoints_[i]->stats.requests_active == 0) {
      env_.turn.bury(std::move(endpoints_[i]));
      continue;
    }
    if (kept != i) {
      endpoints_[kept] = std::move(endpoints_[i]);
      loads_[kept] = loads_[i];
    }
    endpoints_[kept]->index = static_cast<std::uint32_t>(kept);
    ++kept;
  }
  endpoints_.resize(kept);
  loads_.resize(kept);
  index_destinations();
  candidates_.clear();
  reserves_.clear();
  if (kept == before) return false;
  ++generation_;
  refresh_candidates();
  return true;
}

// What the cluster as a whole grants. Nothing is kept of a refusal: permits end with the lease.
Denied Cluster::take_cluster_permits(Lease& lease) {
  if (state_->requests.limited()) {
    auto permit = state_->requests.try_take();
    if (!permit) return Denied::kRequests;
    lease.permits_.cluster = std::move(*permit);
  }
  if (settings_->adaptive.enabled) {
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
    lease.breaker_ = &state_->breaker;
  }
  return Denied::kNone;
}

// `denied`: the reason that helps most, a limit (for which one can wait) before a breaker before nobody.
bool Cluster::take_endpoint(std::uint32_t index, Terms terms, Lease& lease, Denied& denied) {
  ClusterEndpoint& endpoint = *endpoints_[index];
  EndpointState& state = *endpoint.info().state;
  breaker::CircuitBreaker::Entry entry;
  if (!cluster_scope_) {
    entry = state.breaker.try_enter(env_.now());
    if (entry.transition) on_transition(&endpoint, *entry.transition);
    if (!entry.ticket) {
      if (denied == Denied::kNoEndpoint) denied = Denied::kBreakerOpen;
      return false;
    }
    lease.ticket_ = *entry.ticket;
    lease.breaker_ = &state.breaker;
  }
  const auto refuse = [&](Denied why) {
    // Before all, connections: others can make room for them, if they know.
    if (can_wait(why) ? denied != Denied::kConnections : !can_wait(denied)) denied = why;
    if (entry.ticket) state.breaker.report(*entry.ticket, {}, std::nullopt, env_.now(), env_.random);
    return false;
  };
  breaker::Permit request;
  if (state.requests.limited()) {
    auto permit = state.requests.try_take();
    if (!permit) return refuse(Denied::kRequests);
    request = std::move(*permit);
  }
  breaker::Permit another_try;
  if (terms.retry && state.retries.limited()) {
    auto permit = state.retries.try_take();
    if (!permit) return refuse(Denied::kRetries);
    another_try = std::move(*permit);
  }
  UpstreamPool::Permits connection;
  if ((terms.tunnel || !endpoint.pool.has_available()) && pool_settings_.room != nullptr) {
    auto permits = permits_to_dial(endpoint);
    if (!permits) return refuse(Denied::kConnections);
    connection = std::move(*permits);
  }
  lease.permits_.endpoint = std::move(request);
  lease.permits_.retry = std::move(another_try);
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
  if (endpoint.info().state->connections.limited()) {
    auto permit = endpoint.info().state->connections.try_take();
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

// For those who wait elsewhere: so many that `wanted` new ones have room, if there are as many.
void Cluster::close_idle_connections(std::uint32_t wanted) {
  const auto lacks = [&](const breaker::Limiter& limit) {
    return limit.limited() && limit.in_use() + wanted > limit.most();
  };
  for (auto& endpoint : endpoints_) {
    while ((lacks(state_->connections) || lacks(endpoint->info().state->connections)) &&
           endpoint->pool.close_oldest_idle()) {
    }
  }
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
      health::SlowStart::share(endpoint.info().state->ramps_since(), settings_->slow_start, env_.now());
  return share < 1.0 && env_.random.unit() >= share;
}

bool Cluster::has_untried(std::span<const std::uint32_t> tried) {
  if (goes_anywhere()) return false;  // there is one place to go to
  refresh_if_changed();
  const auto untried = [&](std::uint32_t i) { return std::ranges::find(tried, i) == tried.end(); };
  return std::ranges::any_of(candidates_, untried) || std::ranges::any_of(reserves_, untried);
}

bool Cluster::has_room_for_retry() {
  if (settings_->limits.endpoint_retries == 0) return true;
  refresh_if_changed();
  const auto has_room = [&](std::uint32_t i) {
    const breaker::Limiter& limit = endpoints_[i]->info().state->retries;
    return limit.in_use() < limit.most();
  };
  return std::ranges::any_of(candidates_, has_room) || std::ranges::any_of(reserves_, has_room);
}

bool Cluster::wait(Waiter& waiter, Denied denied) {
  auto permit = state_->pending.limited() ? state_->pending.try_take() : std::nullopt;
  if (!permit) return false;
  queue_.add(waiter, std::move(*permit), env_.now());
  say_that_we_wait(denied);
  // Somebody may have made room between the refusal and this; and others may have connections to spare.
  env_.turn.defer(*this);
  if (denied == Denied::kConnections) ask_for_connections(kAllWorkers);
  return true;
}

// True: that it is connections we lack is news to the others.
bool Cluster::say_that_we_wait(Denied denied) {
  const std::uint64_t before = state_->waiting.fetch_or(worker_bit());
  if (denied != Denied::kConnections) return false;
  const std::uint64_t lacking = state_->waiting_for_connections.fetch_or(worker_bit());
  return (before & lacking & worker_bit()) == 0;
}

// Whoever has idle connections that count against the limit gives them up.
void Cluster::ask_for_connections(std::uint64_t workers) {
  if (state_->events != nullptr) state_->events->on_room(*state_, workers);
}

void Cluster::on_room() {
  if (!queue_.empty()) return env_.turn.defer(*this);
  if (state_->waiting_for_connections.load() != 0) close_idle_connections(state_->pending.in_use());
}

// Something has ended here: whoever waits is served, here or elsewhere. When both wait, they take turns; who
// yields is told by the same way as the others, so that nobody is forgotten.
void Cluster::at_end_of_turn() {
  const bool room_made = std::exchange(room_made_, false);
  std::uint64_t others = state_->waiting.load() & ~worker_bit();
  yields_ = !yields_ && others != 0 && room_made && state_->events != nullptr;
  if (!yields_) serve_queue();
  if (!room_made || state_->events == nullptr) return;
  const bool lacking = (state_->waiting_for_connections.load() & ~worker_bit()) != 0;
  if (queue_.empty() && lacking) close_idle_connections(state_->pending.in_use());
  if (others == 0) return;
  if (!queue_.empty()) others |= worker_bit();
  // Each that is told says again that it waits if that was not enough.
  state_->waiting.fetch_and(~others);
  state_->events->on_room(*state_, others);
}

void Cluster::serve_queue() {
  while (!queue_.empty()) {
    auto& waiter = static_cast<Waiter&>(*queue_.next(env_.now()));
    Acquired acquired = acquire(waiter.wait_key, waiter.wait_tried, waiter.wait_terms);
    if (can_wait(acquired.denied)) {
      const bool news = say_that_we_wait(acquired.denied);
      // Once more, for what was given back before the bit was there.
      acquired = acquire(waiter.wait_key, waiter.wait_tried, waiter.wait_terms);
      if (can_wait(acquired.denied)) {
        if (news) ask_for_connections(~state_->waiting.load());  // who waits has none to spare
        return;
      }
    }
    waiter.leave();
    waiter.on_place(std::move(acquired));
  }
  state_->waiting.fetch_and(~worker_bit());
  state_->waiting_for_connections.fetch_and(~worker_bit());
}

}  // namespace remora::proxy
