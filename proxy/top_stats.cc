#include "proxy/top_stats.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/log_format.h"

namespace remora::proxy {
namespace {

using Json = nlohmann::json;

// A member, whatever it is; null when it is missing or `from` is no object.
const Json& member(const Json& from, const char* key) {
  static const Json kNull;
  if (!from.is_object()) return kNull;
  const auto found = from.find(key);
  return found != from.end() ? *found : kNull;
}

// Names and reasons may hold anything: a terminal would obey some of it.
std::string text(const Json& from, const char* key) {
  const Json& value = member(from, key);
  if (!value.is_string()) return {};
  const auto& raw = value.get_ref<const std::string&>();
  std::string safe(escaped_room(raw.size()), '\0');
  safe.resize(static_cast<std::size_t>(escape_text(safe.data(), raw) - safe.data()));
  return safe;
}

std::uint64_t count_of(const Json& value) {
  return value.is_number_unsigned() ? value.get<std::uint64_t>() : 0;
}
std::uint64_t count(const Json& from, const char* key) { return count_of(member(from, key)); }

double number_of(const Json& value) { return value.is_number() ? value.get<double>() : 0.0; }
double number(const Json& from, const char* key) { return number_of(member(from, key)); }

std::optional<double> seconds(const Json& from, const char* key) {
  const Json& value = member(from, key);
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

bool is_true(const Json& from, const char* key) {
  const Json& value = member(from, key);
  return value.is_boolean() && value.get<bool>();
}

TopBreaker breaker_of(const Json& json) {
  TopBreaker breaker;
  if (!json.is_object()) return breaker;
  breaker.state = text(json, "state");
  breaker.forced = is_true(json, "forced");
  breaker.for_seconds = seconds(json, "changed_seconds_ago");
  breaker.probes_in_seconds = seconds(json, "probes_in_seconds");
  return breaker;
}

TopEndpoint endpoint_of(const Json& json) {
  TopEndpoint endpoint;
  endpoint.address = text(json, "address");
  endpoint.why = text(json, "why");
  endpoint.draining = is_true(json, "draining");
  if (member(json, "share").is_number()) endpoint.share = number(json, "share");
  endpoint.requests = count(json, "requests");
  endpoint.failures = count(json, "failures");
  endpoint.active = count(json, "active");
  endpoint.breaker = breaker_of(member(json, "breaker"));
  const Json& check = member(json, "check");
  endpoint.check_state = text(check, "state");
  endpoint.check_reason = text(check, "reason");
  endpoint.ejected_for = seconds(member(json, "outlier"), "for_seconds");
  endpoint.last_failure = text(member(json, "last_failure"), "what");
  return endpoint;
}

// "dns app.internal fails, the endpoints are from 90 s ago: no answer"; "" when there is nothing to say.
std::string failing_source(const Json& json) {
  const std::string state = text(json, "state");
  if (state != "stale" && state != "failing") return {};
  const auto age = static_cast<std::uint64_t>(number(json, "answered_seconds_ago"));
  std::string words = text(json, "source") + ' ' + text(json, "name") + " fails, ";
  words += state == "stale" ? "the endpoints are from " + std::to_string(age) + " s ago"
                            : "there was no answer yet";
  return words + ": " + text(json, "error");
}

TopCluster cluster_of(const Json& json) {
  TopCluster cluster;
  cluster.name = text(json, "name");
  cluster.panic = is_true(json, "panic");
  cluster.anywhere = is_true(json, "anywhere");
  cluster.pending = count(json, "pending");
  if (is_true(json, "shared_breaker")) cluster.shared_breaker = breaker_of(member(json, "breaker"));
  for (const Json& endpoint : member(json, "endpoints")) cluster.endpoints.push_back(endpoint_of(endpoint));
  for (const Json& source : member(json, "sources")) {
    if (std::string words = failing_source(source); !words.empty()) {
      cluster.failing_sources.push_back(std::move(words));
    }
  }
  return cluster;
}

TopExchange exchange_of(const Json& json) {
  TopExchange exchange;
  exchange.cluster = text(json, "cluster");
  exchange.key = text(json, "listener") + '\n' + exchange.cluster;
  const Json& codes = member(json, "codes");
  for (std::size_t i = 0; i < exchange.codes.size() && i < codes.size(); ++i) {
    if (codes.is_array()) exchange.codes[i] = count_of(codes[i]);
  }
  for (const Json& bucket : member(json, "buckets")) exchange.buckets.push_back(count_of(bucket));
  return exchange;
}

// An answer as an object; an error when it is none.
Result<Json> parse(std::string_view json) {
  Json parsed = Json::parse(json, nullptr, false);
  if (parsed.is_object()) return parsed;
  return std::unexpected(Error(ErrorCode::kMalformedMessage, Side::kUpstream, Retry::kNo,
                               "this is not what the admin server of a Remora answers"));
}

// "success_rate: 50 % of ..." has a code, then numbers.
std::string reason_words(const std::string& reason) {
  static const std::map<std::string_view, std::string_view> kWords{
      {"consecutive_failures", "failures in a row"},
      {"failure_ratio", "too many failures"},
      {"failure_percentage", "too many failures"},
      {"slow_ratio", "too many slow responses"},
      {"success_rate", "success rate far below the others"},
      {"probe_failed", "the probe failed"},
      {"probes_succeeded", "probes succeeded"},
      {"time_to_probe", "time for a probe"},
      {"manual", "by order"}};
  const std::size_t end = std::min(reason.find(':'), reason.size());
  const auto found = kWords.find(std::string_view(reason).substr(0, end));
  return found == kWords.end() ? reason : std::string(found->second) + reason.substr(end);
}

std::string event_words(const Json& json) {
  const std::string kind = text(json, "kind");
  const std::string cluster = text(json, "cluster");
  const std::string endpoint = text(json, "endpoint");
  std::string words = cluster;
  if (cluster.empty()) words = kind == "process" ? "remora" : kind == "reload" ? "configuration" : kind;
  if (!endpoint.empty()) words += ' ' + endpoint;
  if (kind == "breaker") words += " breaker";
  if (kind == "health_check") words += " check";
  const std::string from = text(json, "from");
  words += ' ' + (from.empty() ? "" : from + " -> ") + text(json, "to");
  const std::string reason = text(json, "reason");
  return reason.empty() ? words : words + ", " + reason_words(reason);
}

std::uint64_t growth(std::uint64_t now, std::uint64_t then) { return now < then ? now : now - then; }

}  // namespace

Result<TopStats> parse_top_stats(std::string_view json) {
  const auto parsed = parse(json);
  if (!parsed) return std::unexpected(parsed.error());
  TopStats stats;
  stats.version = text(*parsed, "version");
  stats.uptime = number(*parsed, "uptime_seconds");
  stats.ready = is_true(*parsed, "ready");
  stats.not_ready_because = text(*parsed, "not_ready_because");
  const Json& rejected = member(*parsed, "reload_rejected");
  stats.rejected_ago = seconds(rejected, "seconds_ago");
  stats.rejected_because = text(rejected, "first");
  if (const std::uint64_t errors = count(rejected, "errors"); errors > 1) {
    stats.rejected_because += "; and " + std::to_string(errors - 1) + " more";
  }
  stats.resident_bytes = count(member(*parsed, "process"), "resident_bytes");
  stats.last_event = count(*parsed, "last_event");
  stats.workers_missing = count(*parsed, "workers_missing");
  for (const Json& worker : member(*parsed, "workers")) {
    ++stats.workers;
    stats.worker_ids += std::to_string(count(worker, "worker")) + ' ';
    stats.loop_lag_ms = std::max(stats.loop_lag_ms, number(worker, "loop_lag_ms"));
    const std::string load = text(worker, "load");
    if (load != "normal") stats.loads.push_back(std::to_string(count(worker, "worker")) + ": " + load);
  }
  for (const Json& bound : member(*parsed, "bounds_ms")) stats.bounds_ms.push_back(number_of(bound));
  for (const Json& exchange : member(*parsed, "exchanges")) stats.exchanges.push_back(exchange_of(exchange));
  for (const Json& cluster : member(*parsed, "clusters")) stats.clusters.push_back(cluster_of(cluster));
  return stats;
}

Result<std::vector<TopEvent>> parse_top_events(std::string_view json) {
  const auto parsed = parse(json);
  if (!parsed) return std::unexpected(parsed.error());
  std::vector<TopEvent> events;
  for (const Json& event : member(*parsed, "events")) {
    events.push_back({.id = count(event, "id"), .time = number(event, "time"), .what = event_words(event)});
  }
  return events;
}

std::optional<double> TopTraffic::error_share() const {
  if (requests == 0) return std::nullopt;
  return static_cast<double>(errors) / static_cast<double>(requests);
}

std::optional<double> TopTraffic::quantile(const std::vector<double>& bounds_ms, double q) const {
  std::uint64_t total = 0;
  for (const std::uint64_t n : buckets) total += n;
  if (total == 0 || bounds_ms.empty()) return std::nullopt;
  double rank = q * static_cast<double>(total);
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    const auto here = static_cast<double>(buckets[i]);
    if (rank > here || buckets[i] == 0) {
      rank -= here;
      continue;
    }
    if (i >= bounds_ms.size()) break;
    const double low = i == 0 ? 0.0 : bounds_ms[i - 1];
    return low + (bounds_ms[i] - low) * std::max(rank, 0.0) / here;
  }
  return bounds_ms.back();
}

double endpoint_rate(const TopStats& then, const TopStats& now, const std::string& cluster,
                     const TopEndpoint& endpoint) {
  const double seconds = now.uptime - then.uptime;
  const auto before = std::ranges::find(then.clusters, cluster, &TopCluster::name);
  std::uint64_t counted = 0;
  if (before != then.clusters.end()) {
    const auto same = std::ranges::find(before->endpoints, endpoint.address, &TopEndpoint::address);
    if (same != before->endpoints.end()) counted = same->requests;
  }
  return seconds > 0 ? static_cast<double>(growth(endpoint.requests, counted)) / seconds : 0.0;
}

TopTraffic traffic_between(const TopStats& then, const TopStats& now, const std::string* cluster) {
  TopTraffic traffic{.seconds = now.uptime - then.uptime, .requests = 0, .errors = 0, .buckets = {}};
  for (const TopExchange& exchange : now.exchanges) {
    if (cluster != nullptr && exchange.cluster != *cluster) continue;
    const auto before = std::ranges::find(then.exchanges, exchange.key, &TopExchange::key);
    const bool known = before != then.exchanges.end();
    for (std::size_t i = 0; i < exchange.codes.size(); ++i) {
      const std::uint64_t grown = growth(exchange.codes[i], known ? before->codes[i] : 0);
      traffic.requests += grown;
      if (i == 5) traffic.errors += grown;
    }
    traffic.buckets.resize(std::max(traffic.buckets.size(), exchange.buckets.size()));
    for (std::size_t i = 0; i < exchange.buckets.size(); ++i) {
      const bool counted = known && i < before->buckets.size();
      traffic.buckets[i] += growth(exchange.buckets[i], counted ? before->buckets[i] : 0);
    }
  }
  return traffic;
}

}  // namespace remora::proxy
