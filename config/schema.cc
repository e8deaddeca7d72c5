#include "config/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "config/report.h"
#include "config/suggest.h"

namespace remora::config {

namespace {

using Keys = std::string_view[];

constexpr Keys kTop = {"runtime", "overload", "admin", "log", "tracing", "listener", "cluster", "mesh"};
constexpr Keys kRuntime = {"workers", "drain_delay", "drain_timeout", "exit_with", "zone",
                           "watch",   "resolvers",   "user",          "core_dumps"};
constexpr Keys kOverload = {"loop_lag", "memory", "calm"};
constexpr Keys kAdmin = {"address", "hosts"};
constexpr Keys kLog = {"level", "format", "access"};
constexpr Keys kAccess = {"format", "path", "sample"};
constexpr Keys kTracing = {"endpoint", "sample",   "service", "propagation", "batch",
                           "queue",    "interval", "timeout", "headers"};

constexpr Keys kListener = {"name",    "address",  "protocol",       "direction",           "trusted",
                            "cluster", "timeouts", "limits",         "rate_limit",          "tls",
                            "allow",   "route",    "proxy_protocol", "original_destination"};
constexpr Keys kListenerTimeouts = {"header", "body_idle", "keep_alive", "tunnel_idle", "detect"};
constexpr Keys kListenerProxies = {"from", "timeout"};
constexpr Keys kListenerTls = {"certificate",
                               "key",
                               "ocsp",
                               "certificates",
                               "client_ca",
                               "client_crl",
                               "require_client_certificate",
                               "min_version",
                               "handshake_timeout",
                               "handshakes"};
constexpr Keys kKeyPair = {"certificate", "key", "ocsp"};
constexpr Keys kAllow = {"identity"};
constexpr Keys kListenerLimits = {"connections", "header_bytes", "header_fields", "body_bytes"};
constexpr Keys kRateLimit = {"requests", "per", "burst", "key", "keys"};
constexpr Keys kRateLimitKey = {"header"};
constexpr Keys kRoute = {"host",       "path",    "prefix",          "regex",
                         "methods",    "headers", "cluster",         "clusters",
                         "redirect",   "respond", "rewrite",         "timeout",
                         "hash",       "retry",   "request_headers", "response_headers",
                         "rate_limit", "allow",   "connect"};
constexpr Keys kRouteClusters = {"name", "weight"};
constexpr Keys kRedirect = {"to", "status", "scheme", "host", "path"};
constexpr Keys kRespond = {"status", "body", "content_type"};
constexpr Keys kHash = {"header", "cookie", "source", "query", "path"};
constexpr Keys kEdits = {"set", "add", "remove"};
constexpr Keys kRouteRetry = {"attempts", "on",   "per_try_timeout", "backoff", "retry_after_max",
                              "body",     "hedge"};
constexpr Keys kBackoff = {"base", "max"};
constexpr Keys kHedge = {"after", "percentile"};

constexpr Keys kCluster = {"name",
                           "discover",
                           "endpoints",
                           "balance",
                           "bounded_load",
                           "timeouts",
                           "limits",
                           "breaker",
                           "outlier",
                           "health_check",
                           "slow_start",
                           "retry",
                           "adaptive_concurrency",
                           "tls",
                           "proxy_protocol"};
constexpr Keys kEndpoint = {"address", "weight", "zone", "priority"};
constexpr Keys kClusterTimeouts = {"connect", "idle"};
constexpr Keys kClusterTls = {"ca",          "crl",      "certificate", "key",
                              "server_name", "identity", "verify",      "min_version"};
constexpr Keys kClusterLimits = {"connections",     "requests", "pending",
                                 "pending_timeout", "retries",  "per_endpoint"};
constexpr Keys kPerEndpoint = {"connections", "requests", "retries"};
constexpr Keys kBreaker = {"enabled",
                           "scope",
                           "consecutive_failures",
                           "failure_ratio",
                           "window",
                           "min_requests",
                           "slow_call",
                           "open_for",
                           "max_open_for",
                           "jitter",
                           "quiet_period",
                           "half_open_requests",
                           "success_threshold",
                           "failures",
                           "fallback"};
constexpr Keys kSlowCall = {"threshold", "ratio"};
constexpr Keys kFallback = {"status", "body", "content_type", "cluster"};
constexpr Keys kOutlier = {"enabled",
                           "consecutive_failures",
                           "interval",
                           "success_rate_deviations",
                           "failure_percentage",
                           "min_requests",
                           "min_endpoints",
                           "base_ejection",
                           "max_ejection",
                           "keep_at_least"};
constexpr Keys kHealthCheck = {"protocol",         "path",       "method",  "host", "expect",
                               "body_contains",    "send",       "receive", "port", "interval",
                               "failing_interval", "timeout",    "rise",    "fall", "jitter",
                               "reuse_connection", "panic_below"};
constexpr Keys kRetry = {"attempts",        "on",   "per_try_timeout", "backoff",
                         "retry_after_max", "body", "hedge",           "budget"};
constexpr Keys kBudget = {"ratio", "min_per_second"};
constexpr Keys kAdaptive = {"enabled", "initial", "min", "max", "interval", "tolerance", "smoothing"};

constexpr Keys kDiscover = {"swim", "file",     "dns",      "srv", "original_destination",
                            "tags", "role_tag", "port_tag", "port"};
constexpr Keys kService = {"name", "port", "weight", "zone", "tags", "cluster"};
constexpr Keys kMesh = {"node",  "bind",    "advertise", "join",    "key",     "key_file",
                        "label", "service", "snapshot",  "profile", "protocol"};
constexpr Keys kProtocol = {
    "probe_interval",     "probe_timeout",     "indirect_checks", "suspicion_mult",     "suspicion_max_mult",
    "awareness_max",      "retransmit_mult",   "gossip_nodes",    "gossip_interval",    "gossip_to_dead",
    "push_pull_interval", "stream_timeout",    "dead_reclaim",    "reconnect_interval", "reconnect_timeout",
    "members_max",        "packets_per_second"};

constexpr std::array kTables{
    TableKeys{"", "the top of the file", kTop},
    TableKeys{"runtime", "[runtime]", kRuntime},
    TableKeys{"overload", "[overload]", kOverload},
    TableKeys{"admin", "[admin]", kAdmin},
    TableKeys{"log", "[log]", kLog},
    TableKeys{"log.access", "[log.access]", kAccess},
    TableKeys{"tracing", "[tracing]", kTracing},
    TableKeys{"listener", "[[listener]]", kListener},
    TableKeys{"listener.timeouts", "[listener.timeouts]", kListenerTimeouts},
    TableKeys{"listener.limits", "[listener.limits]", kListenerLimits},
    TableKeys{"listener.proxy_protocol", "[listener.proxy_protocol]", kListenerProxies},
    TableKeys{"listener.tls", "[listener.tls]", kListenerTls},
    TableKeys{"listener.tls.certificates", "an element of certificates", kKeyPair},
    TableKeys{"listener.allow", "an element of allow", kAllow},
    TableKeys{"listener.rate_limit", "[listener.rate_limit]", kRateLimit},
    TableKeys{"listener.rate_limit.key", "[listener.rate_limit.key]", kRateLimitKey},
    TableKeys{"listener.route", "[[listener.route]]", kRoute},
    TableKeys{"listener.route.clusters", "an element of clusters", kRouteClusters},
    TableKeys{"listener.route.redirect", "[listener.route.redirect]", kRedirect},
    TableKeys{"listener.route.respond", "[listener.route.respond]", kRespond},
    TableKeys{"listener.route.hash", "[listener.route.hash]", kHash},
    TableKeys{"listener.route.request_headers", "[listener.route.request_headers]", kEdits},
    TableKeys{"listener.route.response_headers", "[listener.route.response_headers]", kEdits},
    TableKeys{"listener.route.retry", "[listener.route.retry]", kRouteRetry},
    TableKeys{"listener.route.retry.backoff", "[listener.route.retry.backoff]", kBackoff},
    TableKeys{"listener.route.retry.hedge", "[listener.route.retry.hedge]", kHedge},
    TableKeys{"listener.route.allow", "an element of allow", kAllow},
    TableKeys{"listener.route.rate_limit", "[listener.route.rate_limit]", kRateLimit},
    TableKeys{"listener.route.rate_limit.key", "[listener.route.rate_limit.key]", kRateLimitKey},
    TableKeys{"cluster", "[[cluster]]", kCluster},
    TableKeys{"cluster.endpoints", "an element of endpoints", kEndpoint},
    TableKeys{"cluster.discover", "[cluster.discover]", kDiscover},
    TableKeys{"cluster.timeouts", "[cluster.timeouts]", kClusterTimeouts},
    TableKeys{"cluster.tls", "[cluster.tls]", kClusterTls},
    TableKeys{"cluster.limits", "[cluster.limits]", kClusterLimits},
    TableKeys{"cluster.limits.per_endpoint", "[cluster.limits.per_endpoint]", kPerEndpoint},
    TableKeys{"cluster.breaker", "[cluster.breaker]", kBreaker},
    TableKeys{"cluster.breaker.slow_call", "[cluster.breaker.slow_call]", kSlowCall},
    TableKeys{"cluster.breaker.fallback", "[cluster.breaker.fallback]", kFallback},
    TableKeys{"cluster.outlier", "[cluster.outlier]", kOutlier},
    TableKeys{"cluster.health_check", "[cluster.health_check]", kHealthCheck},
    TableKeys{"cluster.retry", "[cluster.retry]", kRetry},
    TableKeys{"cluster.retry.backoff", "[cluster.retry.backoff]", kBackoff},
    TableKeys{"cluster.retry.hedge", "[cluster.retry.hedge]", kHedge},
    TableKeys{"cluster.retry.budget", "[cluster.retry.budget]", kBudget},
    TableKeys{"cluster.adaptive_concurrency", "[cluster.adaptive_concurrency]", kAdaptive},
    TableKeys{"mesh", "[mesh]", kMesh},
    TableKeys{"mesh.protocol", "[mesh.protocol]", kProtocol},
    TableKeys{"mesh.service", "[[mesh.service]]", kService},
};

constexpr std::size_t kMostPlaces = 3;
constexpr std::size_t kShort = 3;

// How near `other` is to `table`: inside it, below the same [[listener]] or [[cluster]], or anywhere.
enum class Place : std::uint8_t { kInside, kBeside, kAnywhere };

Place place_of(std::string_view other, std::string_view table) {
  if (table.empty()) return Place::kAnywhere;
  if (other.starts_with(table) && other.substr(table.size()).starts_with('.')) return Place::kInside;
  const auto family = [](std::string_view name) { return name.substr(0, name.find('.')); };
  return family(other) == family(table) ? Place::kBeside : Place::kAnywhere;
}

// "[cluster.timeouts]" or "[a] or [b]": where a key of that very name exists, as near as possible.
std::string belongs_in(std::string_view table, std::string_view key) {
  std::string out;
  for (const auto wanted : {Place::kInside, Place::kBeside, Place::kAnywhere}) {
    std::size_t places = 0;
    for (const auto& other : kTables) {
      if (other.table == table || place_of(other.table, table) != wanted) continue;
      if (std::ranges::find(other.keys, key) == other.keys.end() || places == kMostPlaces) continue;
      if (places++ > 0) out += " or ";
      out += other.written;
    }
    if (!out.empty()) break;
  }
  return out;
}

// The nearest key of any other table, for a key that is both misspelt and misplaced. Among so many keys, a
// short one is near to something by chance.
std::string misspelt_elsewhere(std::string_view table, std::string_view key) {
  if (key.size() <= kShort) return {};
  std::vector<std::string_view> all;
  for (const auto& other : kTables) {
    for (const auto name : other.keys) {
      const bool again = std::ranges::find(all, name) != all.end();
      if (other.table != table && !again) all.push_back(name);
    }
  }
  const auto near = nearest(key, all);
  if (!near || edit_distance(*near, key) > 1) return {};
  return fmt::format("unknown key, did you mean {} in {}?", in_quotes(*near), belongs_in(table, *near));
}

}  // namespace

std::span<const TableKeys> known_tables() { return kTables; }

const TableKeys& table_keys(std::string_view table) {
  const auto found = std::ranges::find(kTables, table, &TableKeys::table);
  return found == kTables.end() ? kTables.front() : *found;
}

std::string about_unknown_key(std::string_view table, std::string_view key) {
  const auto& here = table_keys(table);
  const auto near = nearest(key, here.keys);
  const auto elsewhere = belongs_in(table, key);
  if (near && (elsewhere.empty() || edit_distance(*near, key) <= 1)) {
    return fmt::format("unknown key, did you mean {}?", in_quotes(*near));
  }
  if (!elsewhere.empty()) return fmt::format("unknown key here, it belongs in {}", elsewhere);
  if (auto message = misspelt_elsewhere(table, key); !message.empty()) return message;
  return fmt::format("unknown key, {} {}", table.empty() ? "the tables are" : "the keys here are",
                     listed(here.keys));
}

}  // namespace remora::config
