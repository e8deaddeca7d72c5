#include "proxy/metrics.h"

#include <array>

#include "proxy/metric_families.h"
#include "proxy/metrics_resilience.h"
#include "proxy/report.h"

namespace remora::proxy {
namespace {

void add_requests(MetricFamilies& out, const WorkerReport& total) {
  constexpr std::array<std::string_view, 6> kCodes{"0", "1xx", "2xx", "3xx", "4xx", "5xx"};
  out.counter("remora_requests_total",
              "Finished requests by class of the status sent; 0: the client left before one was.");
  for (const ExchangeReport& exchange : total.exchanges) {
    for (std::size_t i = 0; i < kCodes.size(); ++i) {
      out.add({{"listener", exchange.listener}, {"cluster", exchange.cluster}, {"code", kCodes[i]}},
              exchange.stats.codes[i]);
    }
  }
  out.histogram("remora_request_seconds", "Time from a request's complete head to the end of its exchange.");
  for (const ExchangeReport& exchange : total.exchanges) {
    out.add({{"listener", exchange.listener}, {"cluster", exchange.cluster}}, exchange.stats.seconds);
  }
}

// One sample per listener.
template <typename Number>
void add_per_listener(MetricFamilies& out, const WorkerReport& total, Number number) {
  for (const ListenerReport& listener : total.listeners) {
    out.add({{"listener", listener.name}}, number(listener.stats));
  }
}

void add_listeners(MetricFamilies& out, const WorkerReport& total) {
  out.counter("remora_local_replies_total", "Responses that Remora made itself because of the flag.");
  for (const ListenerReport& listener : total.listeners) {
    for (std::size_t i = 1; i < kFlagCount; ++i) {  // 0 is no flag
      out.add({{"listener", listener.name}, {"flag", to_string(static_cast<Flag>(i))}},
              listener.stats.local_replies[i]);
    }
  }
  out.counter("remora_accept_paused_total", "Times that accepting paused because file descriptors ran out.");
  add_per_listener(out, total, [](const ListenerStats& s) { return s.accept_paused; });
  out.counter("remora_received_bytes_total", "Bytes received from clients.");
  add_per_listener(out, total, [](const ListenerStats& s) { return s.bytes.received; });
  out.counter("remora_sent_bytes_total", "Bytes sent to clients.");
  add_per_listener(out, total, [](const ListenerStats& s) { return s.bytes.sent; });
  out.counter("remora_spliced_bytes_total",
              "Of both, the bytes that the kernel moved from socket to socket.");
  add_per_listener(out, total, [](const ListenerStats& s) { return s.bytes.spliced; });
  out.counter("remora_splice_failures_total", "Times that they were copied, as there was no pipe to be had.");
  add_per_listener(out, total, [](const ListenerStats& s) { return s.bytes.pipes_missing; });
}

// One sample per endpoint.
void add_per_endpoint(MetricFamilies& out, const WorkerReport& total, std::uint64_t EndpointStats::* number) {
  for (const ClusterReport& cluster : total.clusters) {
    for (const EndpointReport& endpoint : cluster.endpoints) {
      out.add({{"cluster", cluster.name}, {"endpoint", endpoint.address}}, endpoint.stats.*number);
    }
  }
}

void add_connections(MetricFamilies& out, const WorkerReport& total) {
  out.gauge("remora_connections", "Open connections.");
  for (const ListenerReport& listener : total.listeners) {
    out.add({{"side", "downstream"}, {"listener", listener.name}}, listener.stats.connections_active);
  }
  for (const ClusterReport& cluster : total.clusters) {
    for (const EndpointReport& endpoint : cluster.endpoints) {
      const auto add = [&](std::string_view state, std::uint64_t number) {
        out.add({{"side", "upstream"},
                 {"cluster", cluster.name},
                 {"endpoint", endpoint.address},
                 {"state", state}},
                number);
      };
      add("active", endpoint.stats.connections_active);
      add("idle", endpoint.stats.connections_idle);
    }
  }
  out.counter("remora_connections_total", "Connections accepted from clients, or opened to endpoints.");
  for (const ListenerReport& listener : total.listeners) {
    out.add({{"side", "downstream"}, {"listener", listener.name}}, listener.stats.connections_total);
  }
  for (const ClusterReport& cluster : total.clusters) {
    for (const EndpointReport& endpoint : cluster.endpoints) {
      out.add({{"side", "upstream"}, {"cluster", cluster.name}, {"endpoint", endpoint.address}},
              endpoint.stats.connections_total);
    }
  }
}

void add_clusters(MetricFamilies& out, const WorkerReport& total) {
  out.counter("remora_upstream_requests_total", "Requests given to the endpoint.");
  add_per_endpoint(out, total, &EndpointStats::requests);
  out.counter("remora_upstream_failures_total",
              "Requests that ended without a complete response because of the endpoint.");
  add_per_endpoint(out, total, &EndpointStats::failures);
  out.counter("remora_upstream_connect_failures_total",
              "Connections to the endpoint that could not be opened.");
  add_per_endpoint(out, total, &EndpointStats::connect_failures);
  out.gauge("remora_endpoint_active_requests", "Requests in flight to the endpoint.");
  add_per_endpoint(out, total, &EndpointStats::requests_active);
  out.histogram("remora_upstream_connect_seconds",
                "Time to open a connection to an endpoint of the cluster.");
  for (const ClusterReport& cluster : total.clusters) {
    out.add({{"cluster", cluster.name}}, cluster.stats.connect_seconds);
  }
}

void add_tracing(MetricFamilies& out, const TracingStatus& tracing) {
  if (!tracing.configured) return;
  out.counter("remora_tracing_spans_delivered_total", "Spans that the collector has taken.");
  out.add({}, tracing.delivered);
  out.counter("remora_tracing_spans_dropped_total", "Spans that were lost, and why.");
  out.add({{"reason", "ring_full"}}, tracing.ring_full);
  out.add({{"reason", "queue_full"}}, tracing.queue_full);
  out.add({{"reason", "rejected"}}, tracing.rejected);
  out.counter("remora_tracing_exports_total", "Requests to the collector, and what came of them.");
  out.add({{"result", "success"}}, tracing.exports_succeeded);
  out.add({{"result", "failure"}}, tracing.exports_failed);
  out.add({{"result", "rejected"}}, tracing.exports_rejected);
  out.gauge("remora_tracing_queued_spans", "Spans that wait for the collector.");
  out.add({}, tracing.waiting);
}

// Only of those who speak TLS.
void add_tls(MetricFamilies& out, const WorkerReport& total, const TlsFiles& files) {
  out.counter("remora_tls_handshakes_total", "TLS handshakes, and how they ended.");
  const auto add = [&out](std::string_view side, std::string_view kind, std::string_view name,
                          const TlsStats& stats) {
    out.add({{"side", side}, {kind, name}, {"result", "full"}}, stats.full);
    out.add({{"side", side}, {kind, name}, {"result", "resumed"}}, stats.resumed);
    out.add({{"side", side}, {kind, name}, {"result", "failed"}}, stats.failed);
  };
  for (const ListenerReport& listener : total.listeners) {
    if (listener.tls) add("downstream", "listener", listener.name, listener.stats.tls);
  }
  for (const ClusterReport& cluster : total.clusters) {
    if (cluster.tls) add("upstream", "cluster", cluster.name, cluster.stats.tls);
  }
  if (!files.in_use) return;
  out.gauge("remora_tls_certificate_expiry_timestamp_seconds",
            "When the certificate in this file ends, in seconds since 1970.");
  for (const auto& [file, end] : files.expiries) out.add({{"file", file}}, end);
  out.counter("remora_tls_file_reads_total",
              "Reads of TLS files that had changed; rejected: those read before go on serving.");
  out.add({{"result", "success"}}, files.taken_over);
  out.add({{"result", "rejected"}}, files.rejected);
  out.gauge("remora_tls_files_rejected",
            "Listeners and clusters whose TLS files, as they are now, cannot be used.");
  out.add({}, files.bad);
}

void add_process(MetricFamilies& out, const std::vector<WorkerReport>& reports, const ProcessInfo& process) {
  out.counter("remora_access_log_dropped_total",
              "Access log lines lost because they could not be written in time.");
  out.add({}, process.access_log_dropped);
  out.gauge("remora_loop_lag_seconds",
            "The longest delay of the worker's event loop in the last 15 to 30 seconds.");
  for (const WorkerReport& report : reports) {
    out.add({{"worker", std::to_string(report.worker)}}, static_cast<double>(report.loop_lag.count()) / 1e6);
  }
  out.gauge("remora_load_level",
            "How far the worker sheds load: 0: not; 1: keep-alives end; 2: requests get 503; 3: nothing is "
            "accepted.");
  for (const WorkerReport& report : reports) {
    out.add({{"worker", std::to_string(report.worker)}}, static_cast<unsigned>(report.load));
  }
  out.counter("remora_config_reloads_total", "Reloads of the configuration, and how they ended.");
  out.add({{"result", "success"}}, process.reloads.succeeded);
  out.add({{"result", "rejected"}}, process.reloads.rejected);
  out.gauge("remora_config_last_reload_success_timestamp_seconds",
            "When the configuration that is running was read, in seconds since 1970.");
  out.add({}, process.reloads.last_success);
  out.gauge("remora_config_last_reload_rejected",
            "1: the last reload was rejected, and the configuration before it is running.");
  out.add({}, process.reloads.last_rejected ? 1 : 0);
  out.gauge("remora_build_info", "Always 1; the labels say which build this is.");
  out.add({{"version", process.version}}, 1);
  out.counter("process_cpu_seconds_total", "User and system processor time spent.");
  out.add({}, process.cpu_seconds);
  out.gauge("process_resident_memory_bytes", "Resident memory.");
  out.add({}, process.resident_bytes);
  out.gauge("process_virtual_memory_bytes", "Virtual memory.");
  out.add({}, process.virtual_bytes);
  out.gauge("process_open_fds", "Open file descriptors.");
  out.add({}, process.open_fds);
  out.gauge("process_max_fds", "Limit of open file descriptors.");
  out.add({}, process.max_fds);
  out.gauge("process_threads", "Operating system threads.");
  out.add({}, process.threads);
  out.gauge("process_start_time_seconds", "When the process started, in seconds since 1970.");
  out.add({}, process.start_time_seconds);
}

void add_mesh(MetricFamilies& out, const MeshNumbers& mesh) {
  using discovery::swim::State;
  out.gauge("remora_mesh_members", "Members of the mesh by state, this one included.");
  for (const State state : {State::kAlive, State::kSuspect, State::kDead, State::kLeft}) {
    out.add({{"state", std::string(to_string(state))}}, mesh.members[static_cast<std::size_t>(state)]);
  }
  out.counter("remora_mesh_suspicions_total", "Members of the mesh that became suspect.");
  out.add({}, mesh.suspicions);
  out.counter("remora_mesh_failures_total", "Members of the mesh that were declared dead.");
  out.add({}, mesh.failures);
  out.counter("remora_mesh_refutations_total", "Times that this process was suspected and contradicted.");
  out.add({}, mesh.wire.refutations);
  out.gauge("remora_mesh_health", "0: well; each more makes this process probe others more slowly.");
  out.add({}, mesh.health);
  out.counter("remora_mesh_probes_total", "Members probed by this process, and how that ended.");
  out.add({{"result", "ack"}}, mesh.wire.probes - mesh.wire.probes_failed);
  out.add({{"result", "silence"}}, mesh.wire.probes_failed);
  out.counter("remora_mesh_datagrams_total",
              "Datagrams of the mesh; dropped: received and refused; unread: beyond the rate.");
  out.add({{"direction", "sent"}}, mesh.wire.sent);
  out.add({{"direction", "received"}}, mesh.wire.received);
  out.add({{"direction", "dropped"}}, mesh.wire.dropped);
  out.add({{"direction", "unread"}}, mesh.wire.unread);
  out.counter("remora_mesh_stream_failures_total", "Connections of the mesh that came to nothing.");
  out.add({}, mesh.streams_failed);
}

}  // namespace

std::string exposition(const std::vector<WorkerReport>& reports, const std::vector<ClusterView>& views,
                       const ProcessInfo& process) {
  const WorkerReport total = merge_reports(reports);
  MetricFamilies out;
  add_requests(out, total);
  add_listeners(out, total);
  add_connections(out, total);
  add_clusters(out, total);
  add_resilience(out, total, views);
  add_tracing(out, process.tracing);
  add_tls(out, total, process.tls);
  add_process(out, reports, process);
  if (process.mesh) add_mesh(out, *process.mesh);
  return out.text();
}

}  // namespace remora::proxy
