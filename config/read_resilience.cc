// What a cluster bears, when it is left alone, and how often it is tried: [cluster.limits] [cluster.breaker]
// [cluster.retry] [cluster.adaptive_concurrency].
#include <array>

#include "config/draft.h"
#include "config/outcomes.h"

namespace remora::config {

namespace {

constexpr std::int64_t kMostConnections = 10'000'000;
constexpr std::int64_t kMostWaiting = 1'000'000;
constexpr std::int64_t kMostCount = 1'000'000;  // of failures or requests that a threshold may ask for
constexpr std::int64_t kMostProbes = 65'535;
constexpr double kMostJitter = 0.9;
constexpr double kLeastShare = 0.01;
constexpr Duration kLeastOpening = 10ms;  // a tick of the timers

using Scope = std::pair<std::string_view, BreakerScope>;
constexpr std::array kScopes{Scope{"endpoint", BreakerScope::kEndpoint},
                             Scope{"cluster", BreakerScope::kCluster}};

void read_limits(const TableReader& reader, ClusterLimits& limits) {
  reader.integer("connections", limits.connections, 0, kMostConnections);
  reader.integer("requests", limits.requests, 0, kMostConnections);
  reader.integer("pending", limits.pending, 0, kMostWaiting);
  reader.duration("pending_timeout", limits.pending_timeout, 1ms, 1h);
  reader.integer("retries", limits.retries, 0, kMostWaiting);
  const auto each = reader.table("per_endpoint");
  each.integer("connections", limits.endpoint_connections, 0, kMostConnections);
  each.integer("requests", limits.endpoint_requests, 0, kMostConnections);
  each.integer("retries", limits.endpoint_retries, 0, kMostWaiting);
}

void read_slow_call(const TableReader& reader, breaker::CircuitBreaker::Settings& breaker) {
  if (!reader.present()) return;
  if (!reader.has("threshold")) {
    reader.problem("threshold", "nothing says what is slow, write threshold = \"1s\"");
  }
  reader.duration("threshold", breaker.slow_call, 1ms, 1h);
  reader.number("ratio", breaker.slow_ratio, kLeastShare, 1);
}

void read_failures(const TableReader& reader, breaker::FailureClasses& failures) {
  const std::array words{
      OutcomeWord{"connect", &failures.connect, {}},
      OutcomeWord{"reset", &failures.reset, {}},
      OutcomeWord{"timeout", &failures.timeout, {}},
  };
  read_outcomes(
      reader, "failures", words, failures.statuses,
      "the list is empty and nothing would be a failure, write enabled = false to switch the breaker off");
}

void read_fallback(const TableReader& reader, Draft& draft, Cluster& cluster) {
  if (!reader.present()) return;
  std::string_view answer;
  for (const std::string_view key : {"status", "body", "content_type"}) {
    if (!reader.has(key)) continue;
    answer = key;
    if (!reader.has("cluster")) continue;
    reader.problem(key, "the other cluster answers, keep either cluster or the response");
  }
  const auto respond = read_respond(reader);
  if (const auto name = reader.string("cluster", "\"spare\"")) {
    draft.fallbacks.push_back({draft.config.clusters.size() - 1, *name, reader.where("cluster")});
    cluster.fallback = WeightedCluster{};
    return;
  }
  cluster.fallback = respond;
  if (reader.has("cluster") || reader.has("status")) return;
  if (answer.empty()) {
    reader.report().add(reader.where(), "the fallback is empty, add cluster, or a response with its status");
  } else {
    reader.problem("status",
                   "the response has no status, write the one that clients are to see, as status = 503");
  }
}

void read_breaker(const TableReader& reader, Draft& draft, Cluster& cluster) {
  auto& breaker = cluster.breaker;
  reader.boolean("enabled", breaker.enabled);
  reader.choice<BreakerScope>("scope", cluster.breaker_scope, kScopes);
  reader.integer("consecutive_failures", breaker.consecutive_failures, 0, kMostCount);
  reader.number("failure_ratio", breaker.failure_ratio, 0, 1);
  reader.duration("window", breaker.window, 100ms, 1h);
  reader.integer("min_requests", breaker.min_requests, 1, kMostCount);
  read_slow_call(reader.table("slow_call"), breaker);
  reader.duration("open_for", breaker.open_for, kLeastOpening, 24h);
  reader.duration("max_open_for", breaker.max_open_for, kLeastOpening, 24h);
  reader.ordered("open_for", breaker.open_for, "max_open_for", breaker.max_open_for);
  reader.number("jitter", breaker.jitter, 0, kMostJitter);
  reader.duration("quiet_period", breaker.quiet_period, 0s, 24h);
  reader.integer("half_open_requests", breaker.half_open_requests, 1, kMostProbes);
  reader.integer("success_threshold", breaker.success_threshold, 1, kMostProbes);
  read_failures(reader, breaker.failures);
  read_fallback(reader.table("fallback"), draft, cluster);
}

void read_budget(const TableReader& reader, breaker::RetryBudget::Settings& budget) {
  reader.number("ratio", budget.ratio, 0, 10);
  reader.integer("min_per_second", budget.min_per_second, 0, kMostCount);
}

void read_adaptive(const TableReader& reader, breaker::AdaptiveLimit::Settings& adaptive) {
  adaptive.enabled = reader.present();
  reader.boolean("enabled", adaptive.enabled);
  reader.integer("initial", adaptive.initial, 1, kMostWaiting);
  reader.integer("min", adaptive.min, 1, kMostWaiting);
  reader.integer("max", adaptive.max, 1, kMostWaiting);
  reader.ordered("min", adaptive.min, "max", adaptive.max);
  reader.ordered("min", adaptive.min, "initial", adaptive.initial);
  reader.ordered("initial", adaptive.initial, "max", adaptive.max);
  reader.duration("interval", adaptive.interval, 10ms, 1min);
  reader.number("tolerance", adaptive.tolerance, 1, 10);
  reader.number("smoothing", adaptive.smoothing, kLeastShare, 1);
}

}  // namespace

void read_resilience(const TableReader& reader, Draft& draft, Cluster& cluster) {
  read_limits(reader.table("limits"), cluster.limits);
  read_breaker(reader.table("breaker"), draft, cluster);
  const auto retry = reader.table("retry");
  cluster.retry = read_retry(retry);
  read_budget(retry.table("budget"), cluster.retry_budget);
  read_adaptive(reader.table("adaptive_concurrency"), cluster.adaptive);
  read_health(reader, cluster);
}

}  // namespace remora::config
