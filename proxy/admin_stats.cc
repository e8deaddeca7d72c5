#include "proxy/admin_stats.h"

#include <algorithm>
#include <map>
#include <optional>

#include "proxy/json_writer.h"
#include "proxy/report.h"

namespace remora::proxy {
namespace {

using breaker::CircuitBreaker;
using health::OutlierDetector;

double seconds(Duration duration) { return static_cast<double>(duration / 1ms) / 1e3; }

// Only what there is something to say about.
void add(JsonWriter& out, std::string_view key, std::optional<Duration> duration) {
  if (duration) out.pair(key, seconds(*duration));
}
void add(JsonWriter& out, std::string_view key, std::string_view text) {
  if (!text.empty()) out.pair(key, text);
}
void add(JsonWriter& out, std::string_view key, std::uint64_t count) {
  if (count != 0) out.pair(key, count);
}
void add_true(JsonWriter& out, std::string_view key, bool truth) {
  if (truth) out.pair(key, true);
}

std::string what_failed(const breaker::Outcome& outcome) {
  switch (outcome.result) {
    case breaker::Result::kResponse: return "status " + std::to_string(outcome.status);
    case breaker::Result::kConnectFailure: return "connect failure";
    case breaker::Result::kRefused: return "connection found closed";
    case breaker::Result::kReset: return "connection lost before the response was complete";
    case breaker::Result::kTimeout: return "no response in time";
    case breaker::Result::kIgnored: break;
  }
  return "ended by the client";
}

void add_breaker(JsonWriter& out, const CircuitBreaker::View& breaker, std::optional<Duration> changed_ago,
                 std::optional<Duration> opens_for) {
  const bool quiet = breaker.phase == CircuitBreaker::Phase::kClosed && breaker.consecutive_failures == 0 &&
                     breaker.last_reason == CircuitBreaker::Reason::kNone;
  if (quiet) return;
  out.key("breaker").object().pair("state", to_string(breaker.phase));
  add_true(out, "forced", breaker.forced);
  if (breaker.last_reason != CircuitBreaker::Reason::kNone) {
    out.pair("reason", to_string(breaker.last_reason));
  }
  add(out, "changed_seconds_ago", changed_ago);
  add(out, "probes_in_seconds", opens_for);
  add(out, "openings", breaker.openings);
  add(out, "consecutive_failures", breaker.consecutive_failures);
  out.end_object();
}

void add_check(JsonWriter& out, const EndpointView::ActiveCheck& check) {
  out.key("check").object().pair("state", to_string(check.state));
  add(out, "reason", check.last_reason);
  add(out, "failed_seconds_ago", check.failed_ago);
  out.end_object();
}

void add_outlier(JsonWriter& out, const EndpointView::Outlier& outlier) {
  if (!outlier.ejected && outlier.ejections == 0 && outlier.last_reason == OutlierDetector::Reason::kNone) {
    return;
  }
  out.key("outlier").object().pair("ejected", outlier.ejected);
  if (outlier.ejected) out.pair("for_seconds", seconds(outlier.ejected_for));
  out.pair("ejections", outlier.ejections);
  if (outlier.last_reason != OutlierDetector::Reason::kNone) {
    out.pair("reason", std::string(to_string(outlier.last_reason)) + ": " + outlier.last_detail);
  }
  out.end_object();
}

void add_view(JsonWriter& out, const EndpointView& view, bool cluster_breaker) {
  if (view.why != health::Why::kAvailable) out.pair("why", to_string(view.why));
  add_true(out, "draining", view.draining);
  if (view.share < 1.0) out.pair("share", view.share);
  if (!cluster_breaker) add_breaker(out, view.breaker, view.breaker_changed_ago, view.breaker_opens_for);
  if (view.check) add_check(out, *view.check);
  if (view.outlier) add_outlier(out, *view.outlier);
  if (!view.last_failure) return;
  out.key("last_failure").object().pair("what", what_failed(view.last_failure->outcome));
  out.pair("seconds_ago", seconds(view.last_failure->ago)).end_object();
}

void add_numbers(JsonWriter& out, const EndpointReport& report) {
  add(out, "zone", report.zone);
  out.pair("requests", report.stats.requests);
  add(out, "failures", report.stats.failures);
  add(out, "active", report.stats.requests_active);
  add(out, "connections", report.stats.connections_active + report.stats.connections_idle);
  if (report.latency_seconds > 0) out.pair("latency_ms", report.latency_seconds * 1e3);
}

// Of one cluster, by address.
using Endpoints = std::map<std::string_view, const EndpointReport*>;

void add_endpoints(JsonWriter& out, const ClusterView& view, Endpoints reported) {
  out.key("endpoints").array();
  for (const EndpointView& endpoint : view.endpoints) {
    out.object().pair("address", endpoint.address);
    if (endpoint.name != endpoint.address) out.pair("name", endpoint.name);
    add_view(out, endpoint, view.cluster_breaker);
    const auto numbers = reported.find(endpoint.address);
    if (numbers != reported.end()) {
      add_numbers(out, *numbers->second);
      reported.erase(numbers);
    }
    out.end_object();
  }
  // Removed, and busy to the end; or where connections are going.
  for (const auto& [address, report] : reported) {
    out.object().pair("address", address);
    if (!view.goes_anywhere()) out.pair("why", to_string(health::Why::kRemoved));
    add_numbers(out, *report);
    out.end_object();
  }
  out.end_array();
}

// Those that are not as they should be.
void add_sources(JsonWriter& out, const std::vector<SourceView>& sources) {
  const auto well = [](const SourceView& source) {
    return source.state == discovery::SourceRecord::State::kGood;
  };
  if (std::ranges::all_of(sources, well)) return;
  out.key("sources").array();
  for (const SourceView& source : sources) {
    if (well(source)) continue;
    out.object().pair("source", to_string(source.kind)).pair("name", source.name);
    out.pair("state", to_string(source.state));
    add(out, "answered_seconds_ago", source.answer_age);
    add(out, "error", source.last_error);
    out.end_object();
  }
  out.end_array();
}

void add_clusters(JsonWriter& out, const std::vector<ClusterReport>& reports,
                  const std::vector<ClusterView>& views) {
  std::map<std::string_view, const ClusterReport*> by_name;
  for (const ClusterReport& report : reports) by_name.emplace(report.name, &report);
  out.key("clusters").array();
  for (const ClusterView& view : views) {
    out.object().pair("name", view.name);
    add_true(out, "panic", view.panic);
    add_true(out, "anywhere", view.goes_anywhere());
    add_true(out, "shared_breaker", view.cluster_breaker);
    if (view.cluster_breaker) {
      add_breaker(out, view.breaker, view.breaker_changed_ago, view.breaker_opens_for);
    }
    Endpoints endpoints;
    if (const auto found = by_name.find(view.name); found != by_name.end()) {
      const ClusterReport& report = *found->second;
      add(out, "pending", report.stats.pending);
      add(out, "retries", report.stats.retries);
      for (const EndpointReport& endpoint : report.endpoints) endpoints.emplace(endpoint.address, &endpoint);
    }
    add_sources(out, view.sources);
    add_endpoints(out, view, std::move(endpoints));
    out.end_object();
  }
  out.end_array();
}

void add_listeners(JsonWriter& out, const std::vector<ListenerReport>& listeners) {
  out.key("listeners").array();
  for (const ListenerReport& listener : listeners) {
    const ListenerStats& stats = listener.stats;
    out.object().pair("name", listener.name).pair("address", listener.address);
    out.pair("connections", stats.connections_active).pair("connections_total", stats.connections_total);
    out.pair("connections_refused", stats.connections_refused);
    out.pair("received_bytes", stats.bytes.received).pair("sent_bytes", stats.bytes.sent);
    out.key("local_replies").object();
    for (std::size_t i = 1; i < kFlagCount; ++i) {
      add(out, to_string(static_cast<Flag>(i)), stats.local_replies[i]);
    }
    out.end_object().end_object();
  }
  out.end_array();
}

void add_exchanges(JsonWriter& out, const std::vector<ExchangeReport>& exchanges) {
  out.key("bounds_ms").array();
  for (std::size_t i = 0; i < Histogram::kBounds; ++i) {
    out.value(static_cast<double>(Histogram::bound(i).count()) / 1e3);
  }
  out.end_array().key("exchanges").array();
  for (const ExchangeReport& exchange : exchanges) {
    out.object().pair("listener", exchange.listener).pair("cluster", exchange.cluster);
    out.key("codes").array();
    for (const std::uint64_t count : exchange.stats.codes) out.value(count);
    out.end_array().pair("sum_seconds", exchange.stats.seconds.sum_seconds()).key("buckets").array();
    for (const std::uint64_t count : exchange.stats.seconds.buckets()) out.value(count);
    out.end_array().end_object();
  }
  out.end_array();
}

void add_rejected(JsonWriter& out, const ReloadReport& report, double now) {
  const std::string_view first = report.errors.empty() ? std::string_view() : report.errors.front();
  out.key("reload_rejected").object().pair("seconds_ago", std::max(now - report.at, 0.0));
  out.pair("errors", report.errors.size())
      .pair("first", first.substr(0, EventRing::kLongestText))
      .end_object();
}

void add_process(JsonWriter& out, const ProcessStatus& process) {
  out.pair("version", process.info.version).pair("time", process.now);
  out.pair("uptime_seconds", seconds(process.uptime)).pair("ready", process.not_ready_reason.empty());
  add(out, "not_ready_because", process.not_ready_reason);
  out.pair("last_event", process.last_event).key("pages").array();
  for (const std::string_view page : process.pages) out.value(page);
  out.end_array();
  if (process.rejected != nullptr) add_rejected(out, *process.rejected, process.now);
  out.key("process").object();
  out.pair("resident_bytes", process.info.resident_bytes).pair("cpu_seconds", process.info.cpu_seconds);
  out.pair("open_fds", process.info.open_fds).pair("max_fds", process.info.max_fds);
  out.pair("threads", process.info.threads).end_object();
}

}  // namespace

std::string stats_json(const std::vector<WorkerReport>& reports, const std::vector<ClusterView>& views,
                       const ProcessStatus& process) {
  const WorkerReport total = merge_reports(reports);
  JsonWriter out;
  out.object();
  add_process(out, process);
  out.key("workers").array();
  for (const WorkerReport& report : reports) {
    out.object().pair("worker", report.worker);
    out.pair("loop_lag_ms", static_cast<double>(report.loop_lag.count()) / 1e3);
    out.pair("load", to_string(report.load)).end_object();
  }
  out.end_array();
  if (process.workers > reports.size()) out.pair("workers_missing", process.workers - reports.size());
  add_listeners(out, total.listeners);
  add_exchanges(out, total.exchanges);
  add_clusters(out, total.clusters, views);
  out.end_object();
  return out.take() + '\n';
}

std::string events_json(const EventRing& events, std::uint64_t since, TimePoint now, double unix_seconds) {
  JsonWriter out;
  out.object().pair("last", events.last()).key("events").array();
  for (const Event* event : events.since(since)) {
    const double ago = seconds(std::max<Duration>(now - event->at, Duration::zero()));
    out.object().pair("id", event->id).pair("time", unix_seconds - ago).pair("seconds_ago", ago);
    out.pair("kind", to_string(event->kind));
    add(out, "cluster", event->cluster);
    add(out, "endpoint", event->endpoint);
    add(out, "from", event->from);
    out.pair("to", event->to);
    add(out, "reason", event->reason);
    out.end_object();
  }
  out.end_array().end_object();
  return out.take() + '\n';
}

}  // namespace remora::proxy
