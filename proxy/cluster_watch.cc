#include "proxy/cluster_watch.h"

#include <algorithm>

#include "base/log.h"
#include "proxy/event_ring.h"
#include "proxy/transition_log.h"

namespace remora::proxy {

using health::OutlierDetector;

ClusterWatch::ClusterWatch(Env& env, const config::Cluster& settings, std::shared_ptr<ClusterState> state)
    : env_(env),
      name_(settings.name),
      outlier_settings_(settings.outlier),
      adaptive_settings_(settings.adaptive),
      panic_below_(settings.health_check ? settings.health_check->panic_below : 0.0),
      state_(std::move(state)) {
  if (settings.outlier.enabled) detector_.emplace(settings.outlier, env_.now());
  if (settings.adaptive.enabled) {
    adaptive_.emplace(settings.adaptive);
    env_.wheel.arm_in(adaptive_timer_, adaptive_settings_.interval);
  }
  arm();
}

ClusterWatch::~ClusterWatch() = default;

bool ClusterWatch::watches(const config::Cluster& settings) const {
  const double panic_below = settings.health_check ? settings.health_check->panic_below : 0.0;
  return settings.outlier == outlier_settings_ && settings.adaptive == adaptive_settings_ &&
         panic_below == panic_below_;
}

void ClusterWatch::set_endpoints(const EndpointList& endpoints) {
  if (!detector_) return;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const auto same = std::ranges::find(endpoints, slots_[i].state, &StateRegistry::Endpoint::state);
    if (slots_[i].state == nullptr || same != endpoints.end()) continue;
    slots_[i] = {};
    detector_->forget(i);
  }
  for (const StateRegistry::Endpoint& endpoint : endpoints) {
    if (slot_of(*endpoint.state)) continue;
    auto free = std::ranges::find(slots_, nullptr, &Slot::state);
    if (free == slots_.end()) free = slots_.insert(free, Slot());
    *free = {endpoint.address.to_string(), endpoint.state};
  }
  detector_->resize(slots_.size());
  refresh_usable();
}

void ClusterWatch::refresh_usable() {
  if (!detector_) return;
  std::vector<health::Sources> sources;
  for (const Slot& slot : slots_) {
    health::Sources from = slot.state ? slot.state->sources(env_.now()) : health::Sources{.removed = true};
    from.ejected = from.breaker_open = false;
    sources.push_back(from);
  }
  const bool panic = health::in_panic(sources, panic_below_);
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    detector_->set_usable(i, health::availability(sources[i], panic) == health::Why::kAvailable);
  }
  arm();
}

void ClusterWatch::on_failures_in_a_row(const EndpointState& endpoint) {
  const auto slot = slot_of(endpoint);
  if (!detector_ || !slot) return;
  carry_out(detector_->on_consecutive_failures(*slot, env_.now()));
  // Those after it count anew, whatever was decided.
  slots_[*slot].state->failed_in_a_row.store(0, std::memory_order_relaxed);
}

void ClusterWatch::on_outlier_timer() {
  std::vector<OutlierDetector::Traffic> traffic(slots_.size());
  if (detector_->interval_due(env_.now())) {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].state == nullptr) continue;
      // Failures first: an attempt counted between the two then counts as a success at worst.
      traffic[i].failures = slots_[i].state->failed.exchange(0, std::memory_order_relaxed);
      traffic[i].requests = slots_[i].state->judged.exchange(0, std::memory_order_relaxed);
      traffic[i].requests = std::max(traffic[i].requests, traffic[i].failures);
    }
  }
  carry_out(detector_->on_time(traffic, env_.now()));
}

void ClusterWatch::carry_out(const std::vector<OutlierDetector::Change>& changes) {
  using Kind = OutlierDetector::Change::Kind;
  for (const auto& change : changes) {
    const Slot& slot = slots_[change.endpoint];
    if (slot.state == nullptr) continue;
    log_change(slot, change);
    if (change.kind == Kind::kSuppressed) continue;
    slot.state->ejected.store(change.kind == Kind::kEjected, std::memory_order_relaxed);
    if (change.kind == Kind::kReturned) slot.state->recovered(env_.now());
    state_->changed();
  }
  arm();
}

void ClusterWatch::log_change(const Slot& slot, const OutlierDetector::Change& change) {
  using Kind = OutlierDetector::Change::Kind;
  if (!may_log_line(*state_, env_.now())) return;
  tell(slot, change);
  const std::string seconds = std::to_string(change.ejected_for / 1s);
  switch (change.kind) {
    case Kind::kEjected:
      return log_warn("endpoint ejected", {{"cluster", name_},
                                           {"endpoint", slot.address},
                                           {"reason", to_string(change.reason)},
                                           {"detail", change.detail},
                                           {"seconds", seconds}});
    case Kind::kReturned:
      return log_info("endpoint returned",
                      {{"cluster", name_}, {"endpoint", slot.address}, {"seconds", seconds}});
    case Kind::kSuppressed:
      return log_warn("endpoint not ejected, too few would be left", {{"cluster", name_},
                                                                      {"endpoint", slot.address},
                                                                      {"reason", to_string(change.reason)},
                                                                      {"detail", change.detail}});
  }
}

void ClusterWatch::tell(const Slot& slot, const OutlierDetector::Change& change) {
  using Kind = OutlierDetector::Change::Kind;
  if (state_->events == nullptr) return;
  Event event{.at = env_.now(),
              .kind = Event::Kind::kOutlier,
              .cluster = name_,
              .endpoint = slot.address,
              .from = change.kind == Kind::kReturned ? "ejected" : "in_use",
              .to = change.kind == Kind::kEjected ? "ejected" : "in_use",
              .reason = {}};
  if (change.kind == Kind::kReturned) {
    event.reason = "its time is over";
  } else {
    event.reason = std::string(to_string(change.reason)) + ": " + change.detail;
  }
  if (change.kind == Kind::kSuppressed) event.reason += " (not ejected, too few would be left)";
  state_->events->on_event(std::move(event));
}

void ClusterWatch::on_adaptive_timer() {
  LatencySamples& from = state_->latency;
  const std::uint64_t responses = from.responses.exchange(0, std::memory_order_relaxed);
  const std::uint64_t total_us = from.total_us.exchange(0, std::memory_order_relaxed);
  const breaker::AdaptiveLimit::Sample sample{
      .responses = responses,
      .mean_latency = Duration(responses > 0 ? static_cast<Duration::rep>(total_us / responses) : 0),
      .most_in_flight = from.most_in_flight.exchange(state_->adaptive.in_use(), std::memory_order_relaxed),
      .dropped = from.dropped.exchange(0, std::memory_order_relaxed)};
  state_->adaptive.set_most(adaptive_->on_interval(sample, env_.now()));
  env_.wheel.arm_in(adaptive_timer_, adaptive_settings_.interval);
}

std::optional<std::size_t> ClusterWatch::slot_of(const EndpointState& endpoint) const {
  const auto found = std::ranges::find_if(slots_, [&](const Slot& s) { return s.state.get() == &endpoint; });
  if (found == slots_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - slots_.begin());
}

const OutlierDetector::Standing* ClusterWatch::standing(const EndpointState& endpoint) const {
  const auto slot = slot_of(endpoint);
  return detector_ && slot ? &detector_->standing(*slot) : nullptr;
}

void ClusterWatch::arm() {
  if (detector_ && detector_->next_wakeup() != TimePoint::max()) {
    env_.wheel.arm(outlier_timer_, detector_->next_wakeup());
  }
}

}  // namespace remora::proxy
