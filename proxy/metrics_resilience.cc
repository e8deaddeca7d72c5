#include "proxy/metrics_resilience.h"

#include <array>
#include <optional>

namespace remora::proxy {
namespace {

using breaker::CircuitBreaker;
using Views = std::vector<ClusterView>;

// What stands for the address where a cluster has one breaker for all endpoints.
constexpr const char* kWholeCluster = "*";

// One series per cluster.
template <typename Number>
void add_per_cluster(MetricFamilies& out, const Views& views, Number number) {
  for (const ClusterView& view : views) out.add({{"cluster", view.name}}, number(view));
}

void add_per_cluster(MetricFamilies& out, const WorkerReport& total, std::uint64_t ClusterStats::* number) {
  for (const ClusterReport& cluster : total.clusters) {
    out.add({{"cluster", cluster.name}}, cluster.stats.*number);
  }
}

// Calls visit(cluster, endpoint).
template <typename Visit>
void each_endpoint(const Views& views, Visit visit) {
  for (const ClusterView& view : views) {
    for (const EndpointView& endpoint : view.endpoints) visit(view, endpoint);
  }
}

// Calls visit(cluster, endpoint label, breaker) for those breakers that decide something.
template <typename Visit>
void each_breaker(const Views& views, Visit visit) {
  for (const ClusterView& view : views) {
    if (view.cluster_breaker) {
      visit(view, std::string(kWholeCluster), view.breaker);
      continue;
    }
    for (const EndpointView& endpoint : view.endpoints) visit(view, endpoint.address, endpoint.breaker);
  }
}

void add_health(MetricFamilies& out, const Views& views) {
  out.gauge("remora_endpoint_available", "1 when the endpoint may be picked, else 0.");
  each_endpoint(views, [&](const ClusterView& cluster, const EndpointView& endpoint) {
    out.add({{"cluster", cluster.name}, {"endpoint", endpoint.address}},
            endpoint.why == health::Why::kAvailable);
  });
  out.gauge("remora_endpoint_healthy", "1 when this source finds the endpoint well, else 0.");
  each_endpoint(views, [&](const ClusterView& cluster, const EndpointView& endpoint) {
    const auto add = [&](const char* source, bool well) {
      out.add({{"cluster", cluster.name}, {"endpoint", endpoint.address}, {"source", source}}, well);
    };
    if (endpoint.check) add("active", endpoint.check->state == health::Checker::State::kPassing);
    if (endpoint.member != health::Sources::Member::kNone) {
      add("member", endpoint.member == health::Sources::Member::kAlive);
    }
    if (endpoint.outlier) add("outlier", !endpoint.outlier->ejected);
    if (!cluster.cluster_breaker) add("breaker", endpoint.breaker.phase == CircuitBreaker::Phase::kClosed);
  });
  out.gauge("remora_cluster_panic", "1 while active checks are ignored because too few endpoints pass.");
  add_per_cluster(out, views, [](const ClusterView& view) { return view.panic; });
  out.counter("remora_health_checks_total", "Active health checks by result.");
  each_endpoint(views, [&](const ClusterView& cluster, const EndpointView& endpoint) {
    if (!endpoint.check) return;
    const auto add = [&](const char* result, std::uint64_t count) {
      out.add({{"cluster", cluster.name}, {"endpoint", endpoint.address}, {"result", result}}, count);
    };
    add("pass", endpoint.check->passes);
    add("fail", endpoint.check->failures);
  });
  out.counter("remora_ejections_suppressed_total",
              "Outliers that were not ejected because too few endpoints would have been left.");
  add_per_cluster(out, views, [](const ClusterView& view) { return view.ejections_suppressed; });
}

// One series for each source of endpoints that can fail; none where `number` gives nullopt.
template <typename Number>
void add_per_source(MetricFamilies& out, const Views& views, Number number) {
  for (const ClusterView& view : views) {
    for (const SourceView& source : view.sources) {
      const std::optional<double> value = number(source);
      if (source.kind == SourceView::Kind::kStatic || view.goes_anywhere() || !value) continue;
      out.add({{"cluster", view.name}, {"source", to_string(source.kind)}, {"name", source.name}}, *value);
    }
  }
}

void add_discovery(MetricFamilies& out, const Views& views) {
  using Value = std::optional<double>;
  out.gauge("remora_discovery_up", "1 when the last answer of this source of endpoints was good, else 0.");
  add_per_source(out, views, [](const SourceView& source) -> Value {
    return source.state == discovery::SourceRecord::State::kGood ? 1.0 : 0.0;
  });
  out.gauge("remora_discovery_answer_age_seconds", "Age of the source's last good answer, if there was one.");
  add_per_source(out, views, [](const SourceView& source) -> Value {
    if (!source.answer_age) return std::nullopt;
    return std::chrono::duration<double>(*source.answer_age).count();
  });
  out.gauge("remora_discovery_endpoints", "Endpoints, or names of some, that the source knows.");
  add_per_source(out, views, [](const SourceView& source) -> Value { return source.endpoints; });
  out.counter("remora_discovery_failures_total",
              "Answers of the source that were of no use, or did not come.");
  add_per_source(out, views, [](const SourceView& source) -> Value { return source.failures; });
}

void add_breakers(MetricFamilies& out, const Views& views) {
  out.gauge("remora_breaker_state",
            "0: closed; 1: half-open; 2: open. endpoint=\"*\": the breaker of the whole cluster.");
  each_breaker(views, [&](const ClusterView& cluster, const std::string& endpoint,
                          const CircuitBreaker::View& breaker) {
    out.add({{"cluster", cluster.name}, {"endpoint", endpoint}}, static_cast<unsigned>(breaker.phase));
  });
  out.counter("remora_breaker_transitions_total", "Transitions of the breaker to this state.");
  each_breaker(views, [&](const ClusterView& cluster, const std::string& endpoint,
                          const CircuitBreaker::View& breaker) {
    for (const auto to :
         {CircuitBreaker::Phase::kClosed, CircuitBreaker::Phase::kHalfOpen, CircuitBreaker::Phase::kOpen}) {
      out.add({{"cluster", cluster.name}, {"endpoint", endpoint}, {"to", to_string(to)}},
              breaker.transitions_to[static_cast<std::size_t>(to)]);
    }
  });
}

void add_retries(MetricFamilies& out, const WorkerReport& total, const Views& views) {
  out.counter("remora_retries_total",
              "Requests that were retried or hedged, by whether a response was had in the end; transparent: "
              "sent again because a pooled connection turned out to be dead.");
  for (const ClusterReport& cluster : total.clusters) {
    const auto add = [&](const char* outcome, std::uint64_t count) {
      out.add({{"cluster", cluster.name}, {"outcome", outcome}}, count);
    };
    add("success", cluster.stats.retry_successes);
    add("failure", cluster.stats.retry_failures);
    add("transparent", cluster.stats.transparent_retries);
  }
  out.counter("remora_hedges_total", "Second attempts made because the first was late.");
  add_per_cluster(out, total, &ClusterStats::hedges);
  out.counter("remora_hedge_wins_total", "Hedges that were answered before the first attempt.");
  add_per_cluster(out, total, &ClusterStats::hedge_wins);
  out.counter("remora_retry_budget_exhausted_total",
              "Retries and hedges not made because the retry budget was used up.");
  add_per_cluster(out, total, &ClusterStats::budget_exhausted);
  out.gauge("remora_retry_budget_left", "Retries that the budget would allow now.");
  add_per_cluster(out, views, [](const ClusterView& view) { return view.retry_budget_left; });
  out.counter("remora_fallbacks_total",
              "Requests answered by the fallback because every candidate's breaker was open.");
  add_per_cluster(out, total, &ClusterStats::fallbacks);
}

void add_limits(MetricFamilies& out, const WorkerReport& total, const Views& views) {
  constexpr std::array<const char*, static_cast<std::size_t>(ClusterLimit::kCount)> kNames{
      "requests", "connections", "adaptive", "pending", "retries"};  // by ClusterLimit
  out.counter("remora_limit_hits_total", "Times that a limit turned something away, or made it wait.");
  for (const ListenerReport& listener : total.listeners) {
    out.add({{"listener", listener.name}, {"limit", "connections"}}, listener.stats.connections_refused);
  }
  for (const ClusterReport& cluster : total.clusters) {
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      out.add({{"cluster", cluster.name}, {"limit", kNames[i]}}, cluster.stats.limit_hits[i]);
    }
  }
  out.gauge("remora_limit_in_use", "How much of the cluster's limit is in use, where one is set.");
  for (const ClusterView& view : views) {
    const auto add = [&](ClusterLimit limit, const LimitView& what) {
      if (what.most == 0) return;
      out.add({{"cluster", view.name}, {"limit", kNames[static_cast<std::size_t>(limit)]}}, what.in_use);
    };
    add(ClusterLimit::kRequests, view.requests);
    add(ClusterLimit::kConnections, view.connections);
    if (view.adaptive) add(ClusterLimit::kAdaptive, *view.adaptive);
    add(ClusterLimit::kPending, view.pending);
    add(ClusterLimit::kRetries, view.retries);
  }
  out.gauge("remora_concurrency_limit", "The adaptive limit of requests in flight.");
  for (const ClusterView& view : views) {
    if (view.adaptive) out.add({{"cluster", view.name}}, view.adaptive->most);
  }
  out.gauge("remora_pending_requests", "Requests that wait for a place.");
  add_per_cluster(out, total, &ClusterStats::pending);
  out.counter("remora_pending_timeouts_total", "Requests that waited for a place too long, and got 503.");
  add_per_cluster(out, total, &ClusterStats::pending_timeouts);
}

}  // namespace

void add_resilience(MetricFamilies& out, const WorkerReport& total, const std::vector<ClusterView>& views) {
  add_discovery(out, views);
  add_health(out, views);
  add_breakers(out, views);
  add_retries(out, total, views);
  add_limits(out, total, views);
}

}  // namespace remora::proxy
