#include <fmt/format.h>

#include <initializer_list>

#include "config/effective_parts.h"
#include "config/outcomes.h"
#include "config/units.h"

namespace remora::config {

namespace {

std::string_view word(lb::Algorithm algorithm) {
  switch (algorithm) {
    case lb::Algorithm::kRoundRobin: return "round_robin";
    case lb::Algorithm::kLeastRequest: return "least_request";
    case lb::Algorithm::kRandom: return "random";
    case lb::Algorithm::kPeakEwma: return "peak_ewma";
    case lb::Algorithm::kRingHash: return "ring_hash";
    case lb::Algorithm::kMaglev: break;
  }
  return "maglev";
}

// The words that are on, then the statuses.
std::vector<std::string> outcomes(std::initializer_list<std::pair<bool, std::string_view>> words,
                                  const StatusSet& statuses) {
  std::vector<std::string> out;
  for (const auto& [on, word] : words) {
    if (on) out.emplace_back(word);
  }
  for (auto& range : format_statuses(statuses)) out.push_back(std::move(range));
  return out;
}

void write_discover(TomlWriter& out, const Discover& discover) {
  const auto by_name = [&](std::string_view key) {
    out.line(fmt::format("discover = {{ {} = {} }}", key, toml_string(discover.name)));
  };
  switch (discover.source) {
    case Discover::Source::kFile: return by_name("file");
    case Discover::Source::kDns: return by_name("dns");
    case Discover::Source::kSrv: return by_name("srv");
    case Discover::Source::kOriginalDestination:
      return out.line("discover = { original_destination = true }");
    case Discover::Source::kSwim: break;
  }
  const discovery::swim::WantedSettings& wanted = discover.swim;
  std::string tags;
  for (const std::string& tag : wanted.tags) tags += (tags.empty() ? "" : ", ") + toml_string(tag);
  out.line(fmt::format("discover = {{ swim = {}, tags = [{}], role_tag = {}, port_tag = {}, port = {} }}",
                       toml_string(wanted.service), tags, toml_string(wanted.role_tag),
                       toml_string(wanted.port_tag), wanted.port));
}

void write_limits(TomlWriter& out, const ClusterLimits& limits) {
  out.table("cluster.limits");
  out.integer("connections", limits.connections);
  out.integer("requests", limits.requests);
  out.integer("pending", limits.pending);
  out.duration("pending_timeout", limits.pending_timeout);
  out.integer("retries", limits.retries);
  out.table("cluster.limits.per_endpoint");
  out.integer("connections", limits.endpoint_connections);
  out.integer("requests", limits.endpoint_requests);
  out.integer("retries", limits.endpoint_retries);
}

void write_breaker(TomlWriter& out, const Cluster& cluster, const Config& config) {
  const auto& breaker = cluster.breaker;
  out.table("cluster.breaker");
  out.boolean("enabled", breaker.enabled);
  out.text("scope", cluster.breaker_scope == BreakerScope::kCluster ? "cluster" : "endpoint");
  out.integer("consecutive_failures", breaker.consecutive_failures);
  out.number("failure_ratio", breaker.failure_ratio);
  out.duration("window", breaker.window);
  out.integer("min_requests", breaker.min_requests);
  out.duration("open_for", breaker.open_for);
  out.duration("max_open_for", breaker.max_open_for);
  out.number("jitter", breaker.jitter);
  out.duration("quiet_period", breaker.quiet_period);
  out.integer("half_open_requests", breaker.half_open_requests);
  out.integer("success_threshold", breaker.success_threshold);
  const auto& failures = breaker.failures;
  out.list("failures",
           outcomes({{failures.connect, "connect"}, {failures.reset, "reset"}, {failures.timeout, "timeout"}},
                    failures.statuses));
  if (breaker.slow_call > 0s) {
    out.table("cluster.breaker.slow_call");
    out.duration("threshold", breaker.slow_call);
    out.number("ratio", breaker.slow_ratio);
  }
  if (std::holds_alternative<std::monostate>(cluster.fallback)) return;
  out.table("cluster.breaker.fallback");
  if (const auto* respond = std::get_if<Rare<Respond>>(&cluster.fallback)) write_respond(out, **respond);
  if (const auto* other = std::get_if<WeightedCluster>(&cluster.fallback)) {
    out.text("cluster", config.clusters[other->cluster].name);
  }
}

void write_outlier(TomlWriter& out, const health::OutlierDetector::Settings& outlier) {
  out.table("cluster.outlier");
  out.boolean("enabled", outlier.enabled);
  out.integer("consecutive_failures", outlier.consecutive_failures);
  out.duration("interval", outlier.interval);
  out.number("success_rate_deviations", outlier.success_rate_deviations);
  out.number("failure_percentage", outlier.failure_percentage);
  out.integer("min_requests", outlier.min_requests);
  out.integer("min_endpoints", outlier.min_endpoints);
  out.duration("base_ejection", outlier.base_ejection);
  out.duration("max_ejection", outlier.max_ejection);
  out.integer("keep_at_least", outlier.keep_at_least);
}

// A path with its query, unless nobody is to see that.
std::string target(std::string_view path, Secrets secrets) {
  const auto query = path.find('?');
  const bool hidden =
      secrets == Secrets::kMask && query != std::string_view::npos && is_secret(path.substr(query));
  return hidden ? std::string(path.substr(0, query)) + "?***" : std::string(path);
}

void write_health_check(TomlWriter& out, const HealthCheck& check, Secrets secrets) {
  out.table("cluster.health_check");
  if (check.protocol == HealthCheck::Protocol::kTcp) {
    out.text("protocol", "tcp");
    // What is sent may log in.
    const bool hidden = secrets == Secrets::kMask && !check.send.empty();
    out.text("send", hidden ? "***" : check.send);
    out.text("receive", check.receive);
  } else {
    out.text("protocol", "http");
    out.text("method", check.method);
    out.text("path", target(check.path, secrets));
    out.text("host", check.host);
    out.list("expect", format_statuses(check.expect));
    out.text("body_contains", check.body_contains);
    out.boolean("reuse_connection", check.reuse_connection);
  }
  out.integer("port", check.port);
  out.duration("interval", check.schedule.interval);
  out.duration("failing_interval", check.schedule.failing_interval);
  out.duration("timeout", check.schedule.timeout);
  out.integer("rise", check.schedule.rise);
  out.integer("fall", check.schedule.fall);
  out.number("jitter", check.schedule.jitter);
  out.number("panic_below", check.panic_below);
}

void write_adaptive(TomlWriter& out, const breaker::AdaptiveLimit::Settings& adaptive) {
  out.table("cluster.adaptive_concurrency");
  out.boolean("enabled", adaptive.enabled);
  out.integer("initial", adaptive.initial);
  out.integer("min", adaptive.min);
  out.integer("max", adaptive.max);
  out.duration("interval", adaptive.interval);
  out.number("tolerance", adaptive.tolerance);
  out.number("smoothing", adaptive.smoothing);
}

}  // namespace

void write_retry(TomlWriter& out, std::string_view table, const breaker::RetrySettings& retry) {
  out.table(table);
  out.integer("attempts", retry.attempts);
  out.list("on", outcomes({{retry.on.connect_failure, "connect-failure"},
                           {retry.on.refused, "refused"},
                           {retry.on.reset, "reset"},
                           {retry.on.timeout, "timeout"}},
                          retry.on.statuses));
  out.duration("per_try_timeout", retry.per_try_timeout);
  out.duration("retry_after_max", retry.retry_after_max);
  out.size("body", retry.body_bytes);
  out.table(fmt::format("{}.backoff", table));
  out.duration("base", retry.backoff_base);
  out.duration("max", retry.backoff_max);
  if (retry.hedge_after == 0s && retry.hedge_percentile == 0) return;
  out.table(fmt::format("{}.hedge", table));
  if (retry.hedge_after > 0s) out.duration("after", retry.hedge_after);
  if (retry.hedge_percentile > 0) out.number("percentile", retry.hedge_percentile);
}

void write_cluster(TomlWriter& out, const Cluster& cluster, const Config& config, Secrets secrets) {
  out.element("cluster");
  out.text("name", cluster.name);
  out.text("balance", word(cluster.balance.algorithm));
  out.number("bounded_load", cluster.balance.bounded_load);
  out.duration("slow_start", cluster.slow_start);
  static constexpr std::array<std::string_view, 3> kProxy{"none", "v1", "v2"};
  out.text("proxy_protocol", kProxy[static_cast<std::size_t>(cluster.proxy_protocol)]);
  if (cluster.discover) write_discover(out, *cluster.discover);
  std::vector<std::string> endpoints;
  endpoints.reserve(cluster.endpoints.size());
  for (const auto& endpoint : cluster.endpoints) {
    endpoints.push_back(fmt::format("{{ address = {}, weight = {}, zone = {}, priority = {} }}",
                                    toml_string(endpoint.name), endpoint.weight, toml_string(endpoint.zone),
                                    endpoint.priority));
  }
  if (!cluster.discover) out.values("endpoints", endpoints);
  out.table("cluster.timeouts");
  out.duration("connect", cluster.timeouts.connect);
  out.duration("idle", cluster.timeouts.idle);
  if (cluster.tls) write_cluster_tls(out, *cluster.tls);
  write_limits(out, cluster.limits);
  write_breaker(out, cluster, config);
  write_outlier(out, cluster.outlier);
  if (cluster.health_check) write_health_check(out, *cluster.health_check, secrets);
  write_retry(out, "cluster.retry", cluster.retry);
  out.table("cluster.retry.budget");
  out.number("ratio", cluster.retry_budget.ratio);
  out.integer("min_per_second", cluster.retry_budget.min_per_second);
  write_adaptive(out, cluster.adaptive);
}

}  // namespace remora::config
