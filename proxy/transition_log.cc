#include "proxy/transition_log.h"

#include <string>

#include "base/log.h"
#include "proxy/event_ring.h"

namespace remora::proxy {

bool may_log_line(ClusterState& cluster, TimePoint now) {
  if (cluster.log_lines.try_take(now)) {
    cluster.log_lines_left_out.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  const std::uint64_t left_out = cluster.log_lines_left_out.exchange(0, std::memory_order_relaxed);
  if (left_out > 0) log_warn("state changes not logged, too many", {{"count", std::to_string(left_out)}});
  return true;
}

void log_transition(ClusterState& cluster, std::string_view name, std::string_view endpoint,
                    const breaker::CircuitBreaker::Transition& transition, TimePoint now) {
  using Phase = breaker::CircuitBreaker::Phase;
  if (!may_log_line(cluster, now)) return;
  const std::string open_for = std::to_string(transition.open_for / 1ms);
  log_line(transition.to == Phase::kOpen ? LogLevel::kWarn : LogLevel::kInfo, "circuit breaker changed",
           {{"cluster", name},
            {"endpoint", endpoint},
            {"state", to_string(transition.to)},
            {"was", to_string(transition.from)},
            {"reason", to_string(transition.reason)},
            {"open_for_ms", open_for}});
  if (cluster.events == nullptr) return;
  cluster.events->on_event({.at = now,
                            .kind = Event::Kind::kBreaker,
                            .cluster = std::string(name),
                            .endpoint = std::string(endpoint),
                            .from = to_string(transition.from),
                            .to = to_string(transition.to),
                            .reason = to_string(transition.reason)});
}

}  // namespace remora::proxy
