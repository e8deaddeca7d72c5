#include "proxy/metrics.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/proxy/metrics_fixture.h"

namespace remora::proxy {
namespace {

std::set<std::string> metric_names(const std::string& text) {
  std::set<std::string> names;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with("# TYPE ")) names.insert(line.substr(7, line.find(' ', 7) - 7));
  }
  return names;
}

TEST_CASE("the numbers of all workers are added up by name") {
  const std::string text = exposition(two_workers(), two_clusters(), process());
  for (const char* const line : {
           R"(remora_requests_total{listener="in",cluster="app",code="2xx"} 4)",
           R"(remora_requests_total{listener="in",cluster="app",code="5xx"} 2)",
           R"(remora_requests_total{listener="in",cluster="app",code="4xx"} 0)",
           R"(remora_requests_total{listener="in",cluster="app",code="0"} 2)",
           R"(remora_connections{side="downstream",listener="in"} 6)",
           R"(remora_connections{side="upstream",cluster="app",endpoint="10.0.0.1:3000",state="active"} 2)",
           R"(remora_connections{side="upstream",cluster="app",endpoint="10.0.0.1:3000",state="idle"} 14)",
           R"(remora_connections_total{side="downstream",listener="in"} 21)",
           R"(remora_connections_total{side="upstream",cluster="app",endpoint="10.0.0.1:3000"} 8)",
           R"(remora_upstream_requests_total{cluster="app",endpoint="10.0.0.1:3000"} 10)",
           R"(remora_upstream_requests_total{cluster="app",endpoint="10.0.0.2:3000"} 0)",
           R"(remora_upstream_failures_total{cluster="app",endpoint="10.0.0.1:3000"} 2)",
           R"(remora_upstream_connect_failures_total{cluster="app",endpoint="10.0.0.1:3000"} 4)",
           R"(remora_endpoint_active_requests{cluster="app",endpoint="10.0.0.1:3000"} 2)",
           R"(remora_local_replies_total{listener="in",flag="NR"} 4)",
           R"(remora_limit_hits_total{listener="in",limit="connections"} 2)",
           R"(remora_accept_paused_total{listener="in"} 1)",
           R"(remora_received_bytes_total{listener="in"} 2000)",
           R"(remora_sent_bytes_total{listener="in"} 4000)",
           R"(remora_spliced_bytes_total{listener="in"} 1400)",
           R"(remora_splice_failures_total{listener="in"} 6)",
           R"(remora_access_log_dropped_total 9)",
           R"(remora_loop_lag_seconds{worker="1"} 0.003)",
           R"(remora_tracing_spans_delivered_total 31)",
           R"(remora_tracing_spans_dropped_total{reason="ring_full"} 32)",
           R"(remora_tracing_spans_dropped_total{reason="queue_full"} 33)",
           R"(remora_tracing_spans_dropped_total{reason="rejected"} 34)",
           R"(remora_tracing_exports_total{result="success"} 35)",
           R"(remora_tracing_exports_total{result="failure"} 36)",
           R"(remora_tracing_exports_total{result="rejected"} 37)",
           R"(remora_tracing_queued_spans 38)",
           R"(remora_tls_handshakes_total{side="downstream",listener="in",result="full"} 82)",
           R"(remora_tls_handshakes_total{side="downstream",listener="in",result="resumed"} 84)",
           R"(remora_tls_handshakes_total{side="downstream",listener="in",result="failed"} 86)",
           R"(remora_tls_handshakes_total{side="upstream",cluster="app",result="full"} 62)",
           R"(remora_tls_handshakes_total{side="upstream",cluster="app",result="resumed"} 64)",
           R"(remora_tls_handshakes_total{side="upstream",cluster="app",result="failed"} 66)",
           R"(remora_tls_certificate_expiry_timestamp_seconds{file="/etc/remora/tls.crt"} 1900000000)",
           R"(remora_tls_file_reads_total{result="success"} 51)",
           R"(remora_tls_file_reads_total{result="rejected"} 52)",
           R"(remora_tls_files_rejected 1)",
           R"(remora_load_level{worker="0"} 0)",
           R"(remora_load_level{worker="1"} 2)",
           R"(remora_build_info{version="1.2.3"} 1)",
       }) {
    CAPTURE(line);
    CHECK(has_line(text, line));
  }
}

TEST_CASE("no two series are the same") {
  std::istringstream stream(exposition(two_workers(), two_clusters(), process()));
  std::set<std::string> seen;
  for (std::string line; std::getline(stream, line);) {
    CAPTURE(line);
    CHECK(seen.insert(line.starts_with('#') ? line : line.substr(0, line.rfind(' '))).second);
  }
  CHECK(seen.size() > 100);
}

TEST_CASE("a histogram is cumulative, in seconds, and complete") {
  const std::string text = exposition(two_workers(), two_clusters(), process());
  for (const char* const line : {
           R"(remora_request_seconds_bucket{listener="in",cluster="app",le="6.4e-05"} 2)",
           R"(remora_request_seconds_bucket{listener="in",cluster="app",le="0.000128"} 4)",
           R"(remora_request_seconds_bucket{listener="in",cluster="app",le="0.002048"} 6)",
           R"(remora_request_seconds_bucket{listener="in",cluster="app",le="67.108864"} 6)",
           R"(remora_request_seconds_bucket{listener="in",cluster="app",le="+Inf"} 8)",
           R"(remora_request_seconds_count{listener="in",cluster="app"} 8)",
           R"(remora_request_seconds_sum{listener="in",cluster="app"} 200.004328)",
           R"(remora_upstream_connect_seconds_count{cluster="app"} 2)",
       }) {
    CAPTURE(line);
    CHECK(has_line(text, line));
  }
}

TEST_CASE("bucket bounds are inclusive and every duration has a bucket") {
  for (std::size_t i = 0; i < Histogram::kBounds; ++i) {
    Histogram at;
    at.observe(Histogram::bound(i));
    CHECK(at.buckets()[i] == 1);
    Histogram above;
    above.observe(Histogram::bound(i) + 1us);
    CHECK(above.buckets()[i + 1] == 1);
  }
  Histogram extremes;
  extremes.observe(Duration::max());
  extremes.observe(Duration::min());
  extremes.observe(0us);
  CHECK(extremes.buckets().front() == 2);
  CHECK(extremes.buckets().back() == 1);
  CHECK(extremes.count() == 3);
}

TEST_CASE("label values are escaped") {
  std::vector<WorkerReport> reports(1);
  reports[0].listeners.push_back({.name = "a\"b\\c\nd", .address = {}, .stats = {}});
  CHECK(
      has_line(exposition(reports, {}, process()), R"(remora_accept_paused_total{listener="a\"b\\c\nd"} 0)"));
}

TEST_CASE("without workers and clusters there are the process's own metrics only") {
  for (const std::string& name : metric_names(exposition({}, {}, process()))) {
    CAPTURE(name);
    const bool own = name.starts_with("process_") || name == "remora_build_info" ||
                     name == "remora_access_log_dropped_total" || name.starts_with("remora_config_") ||
                     name.starts_with("remora_mesh_") || name.starts_with("remora_tracing_") ||
                     name.starts_with("remora_tls_");
    CHECK(own);
  }
}

TEST_CASE("the process information is plausible") {
  const ProcessInfo info = ProcessFiles().read(3);
  CHECK_FALSE(info.version.empty());
  CHECK(info.resident_bytes > 100'000);
  CHECK(info.virtual_bytes >= info.resident_bytes);
  CHECK(info.open_fds >= 3);
  CHECK(info.open_fds < info.max_fds);
  CHECK(info.threads >= 1);
  CHECK(info.start_time_seconds > 1.7e9);
  CHECK(info.cpu_seconds >= 0.0);
  CHECK(info.access_log_dropped == 3);
}

TEST_CASE("promtool finds nothing to say about the exposition") {
  char path[] = "/tmp/remora-metrics-XXXXXX";
  const int file = ::mkstemp(path);
  REQUIRE(file >= 0);
  const std::string text = exposition(two_workers(), two_clusters(), process());
  REQUIRE(::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  ::close(file);
  const std::string command = "promtool check metrics < " + std::string(path) + " 2>&1";
  std::FILE* const promtool = ::popen(command.c_str(), "r");
  REQUIRE(promtool != nullptr);
  std::string said;
  for (int c = std::fgetc(promtool); c != EOF; c = std::fgetc(promtool)) said.push_back(static_cast<char>(c));
  const int status = ::pclose(promtool);
  ::unlink(path);
  INFO(said);
  CHECK(status == 0);
  CHECK(said.empty());
}

std::string documentation() {
  std::ifstream stream(REMORA_SOURCE_DIR "/docs/metrics.md");
  REQUIRE(stream);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST_CASE("docs/metrics.md describes exactly the metrics there are") {
  std::istringstream stream(documentation());
  std::set<std::string> documented;
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with("| `")) documented.insert(line.substr(3, line.find_first_of("`{", 3) - 3));
  }
  CHECK(documented == metric_names(exposition(two_workers(), two_clusters(), process())));
}

TEST_CASE("the queries and alerts in docs/metrics.md name metrics that exist") {
  const std::set<std::string> names = metric_names(exposition(two_workers(), two_clusters(), process()));
  const std::string text = documentation();
  const std::size_t begin = text.find("## Questions and queries");
  REQUIRE(begin != std::string::npos);
  const std::string queries = text.substr(begin);
  std::set<std::string> queried;
  for (std::size_t at = queries.find("remora_"); at != std::string::npos;
       at = queries.find("remora_", at + 1)) {
    std::string name = queries.substr(at, queries.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at) - at);
    if (name.ends_with("_bucket")) name.resize(name.size() - std::string("_bucket").size());
    CAPTURE(name);
    CHECK(names.contains(name));
    queried.insert(name);
  }
  CHECK(queried.size() > 15);
}

}  // namespace
TEST_CASE("a mesh is counted by the states of its members, and without one there is nothing") {
  const std::string text = exposition({}, {}, process());
  for (const char* line :
       {R"(remora_mesh_members{state="alive"} 5)", R"(remora_mesh_members{state="suspect"} 1)",
        R"(remora_mesh_members{state="dead"} 2)", R"(remora_mesh_members{state="left"} 3)",
        "remora_mesh_suspicions_total 4", "remora_mesh_failures_total 2", "remora_mesh_refutations_total 9",
        "remora_mesh_health 1", R"(remora_mesh_probes_total{result="ack"} 27)",
        R"(remora_mesh_probes_total{result="silence"} 3)",
        R"(remora_mesh_datagrams_total{direction="received"} 70)",
        R"(remora_mesh_datagrams_total{direction="unread"} 7)", "remora_mesh_stream_failures_total 6"}) {
    CAPTURE(line);
    CHECK(has_line(text, line));
  }
  ProcessInfo alone = process();
  alone.mesh.reset();
  CHECK(exposition({}, {}, alone).find("remora_mesh") == std::string::npos);
}

TEST_CASE("reloads are counted by how they ended, and whether the last one was rejected") {
  ProcessInfo info = process();
  info.reloads = {.succeeded = 3, .rejected = 2, .last_success = 1700000000, .last_rejected = true};
  const std::string text = exposition({}, {}, info);
  CHECK(has_line(text, R"(remora_config_reloads_total{result="success"} 3)"));
  CHECK(has_line(text, R"(remora_config_reloads_total{result="rejected"} 2)"));
  CHECK(has_line(text, "remora_config_last_reload_success_timestamp_seconds 1700000000"));
  CHECK(has_line(text, "remora_config_last_reload_rejected 1"));
}

}  // namespace remora::proxy
