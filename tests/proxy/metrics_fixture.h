// What the tests of the exposition show: something of everything, in every metric.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "proxy/cluster_view.h"
#include "proxy/process_files.h"
#include "proxy/process_info.h"
#include "proxy/stats.h"

namespace remora::proxy {

inline EndpointReport endpoint_report(std::string address, const EndpointStats& stats) {
  EndpointReport report;
  report.name = "app.local:3000";
  report.address = std::move(address);
  report.stats = stats;
  return report;
}

inline ClusterStats cluster_stats() {
  ClusterStats stats;
  stats.connect_seconds.observe(300us);
  stats.transparent_retries = 6;
  stats.retries = 7;
  stats.retry_successes = 8;
  stats.retry_failures = 9;
  stats.hedges = 10;
  stats.hedge_wins = 4;
  stats.budget_exhausted = 11;
  stats.fallbacks = 12;
  stats.pending = 13;
  stats.pending_timeouts = 14;
  stats.limit_hits = {21, 22, 23, 24, 25};
  stats.tls = {.full = 31, .resumed = 32, .failed = 33};
  return stats;
}

// Two workers that have seen the same listener, cluster and endpoint, and one thing each of its own.
inline std::vector<WorkerReport> two_workers() {
  std::vector<WorkerReport> reports(2);
  for (unsigned i = 0; i < 2; ++i) {
    WorkerReport& report = reports[i];
    report.worker = i;
    report.loop_lag = Duration{1500 * (i + 1)};
    report.load = i == 0 ? breaker::Overload::Level::kNormal : breaker::Overload::Level::kShed;
    ListenerStats listener;
    listener.connections_total = 10 + i;
    listener.connections_active = 3;
    listener.connections_refused = 1;
    listener.accept_paused = i;
    listener.bytes.received = 1000;
    listener.bytes.sent = 2000;
    listener.bytes.spliced = 700;
    listener.bytes.pipes_missing = 3;
    listener.local_replies[static_cast<std::size_t>(Flag::kNoRoute)] = 2;
    listener.tls = {.full = 41, .resumed = 42, .failed = 43};
    report.listeners.push_back({.name = "in", .address = "127.0.0.1:8080", .tls = true, .stats = listener});
    ExchangeStats exchange;
    exchange.count(200, 100us);
    exchange.count(204, 64us);
    exchange.count(503, 2ms);
    exchange.count(0, 100s);
    report.exchanges.push_back({.listener = "in", .cluster = "app", .stats = exchange});
    EndpointStats endpoint;
    endpoint.requests = 5;
    endpoint.failures = 1;
    endpoint.connections_total = 4;
    endpoint.connect_failures = 2;
    endpoint.connections_active = 1;
    endpoint.connections_idle = 7;
    endpoint.requests_active = 1;
    ClusterReport cluster{.name = "app", .tls = true, .stats = cluster_stats(), .endpoints = {}};
    cluster.endpoints.push_back(endpoint_report("10.0.0.1:3000", endpoint));
    if (i == 1) cluster.endpoints.push_back(endpoint_report("10.0.0.2:3000", {}));
    report.clusters.push_back(std::move(cluster));
  }
  return reports;
}

// One endpoint that is well, and one against which everything speaks; a cluster with a breaker of its own.
inline std::vector<ClusterView> two_clusters() {
  EndpointView good;
  good.name = good.address = "10.0.0.1:3000";
  good.check = EndpointView::ActiveCheck{.state = health::Checker::State::kPassing,
                                         .last_reason = {},
                                         .failed_ago = {},
                                         .changed_ago = {},
                                         .passes = 100,
                                         .failures = 2};
  good.outlier = EndpointView::Outlier{};
  EndpointView bad;
  bad.name = bad.address = "10.0.0.2:3000";
  bad.why = health::Why::kActiveCheck;
  bad.check = good.check;
  bad.check->state = health::Checker::State::kFailing;
  bad.outlier = EndpointView::Outlier{};
  bad.outlier->ejected = true;
  bad.breaker.phase = breaker::CircuitBreaker::Phase::kOpen;
  bad.breaker.transitions_to[0] = 4;
  bad.breaker.transitions_to[1] = 5;
  bad.breaker.transitions_to[2] = 6;
  ClusterView app;
  app.name = "app";
  app.panic = true;
  app.requests = {.most = 100, .in_use = 90};
  app.connections = {.most = 50, .in_use = 40};
  app.pending = {.most = 1024, .in_use = 26};
  app.retries = {.most = 10, .in_use = 5};
  app.adaptive = {.most = 20, .in_use = 19};
  app.retry_budget_left = 30;
  app.ejections_suppressed = 3;
  app.endpoints = {good, bad};
  app.sources = {SourceView{.kind = SourceView::Kind::kStatic,
                            .name = {},
                            .endpoints = 1,
                            .answer_age = {},
                            .failed_ago = {},
                            .last_error = {}},
                 SourceView{.kind = SourceView::Kind::kDns,
                            .name = "app.local",
                            .state = discovery::SourceRecord::State::kStale,
                            .endpoints = 1,
                            .answer_age = 90s,
                            .failed_ago = 2500ms,
                            .last_error = "Domain name \x1bnot found",
                            .failures = 4}};

  ClusterView other;
  other.name = "other";
  other.cluster_breaker = true;
  other.breaker.phase = breaker::CircuitBreaker::Phase::kHalfOpen;
  other.breaker.transitions_to[1] = 1;
  EndpointView plain;
  plain.address = "10.0.0.3:3000";
  other.endpoints = {plain};
  return {app, other};
}

inline ProcessInfo process() {
  ProcessInfo info = ProcessFiles().read(9);
  info.version = "1.2.3";
  info.mesh = MeshNumbers{.members = {5, 1, 2, 3},
                          .suspicions = 4,
                          .failures = 2,
                          .streams_failed = 6,
                          .health = 1,
                          .wire = {.received = 70,
                                   .unread = 7,
                                   .dropped = 8,
                                   .sent = 90,
                                   .sent_bytes = 900,
                                   .probes = 30,
                                   .probes_failed = 3,
                                   .refutations = 9}};
  info.tracing = {.configured = true,
                  .delivered = 31,
                  .ring_full = 32,
                  .queue_full = 33,
                  .rejected = 34,
                  .exports_succeeded = 35,
                  .exports_failed = 36,
                  .exports_rejected = 37,
                  .waiting = 38};
  info.tls = {.expiries = {{"/etc/remora/tls.crt", 1'900'000'000}},
              .taken_over = 51,
              .rejected = 52,
              .bad = 1,
              .in_use = true};
  return info;
}

inline bool has_line(const std::string& text, const std::string& line) {
  return text.starts_with(line + "\n") || text.find("\n" + line + "\n") != std::string::npos;
}

}  // namespace remora::proxy
