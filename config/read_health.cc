// Who is well: [cluster.health_check] [cluster.outlier] and slow_start.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "config/draft.h"
#include "config/outcomes.h"
#include "config/units.h"
#include "config/values.h"

namespace remora::config {

namespace {

using Protocol = HealthCheck::Protocol;
using Words = std::pair<std::string_view, Protocol>;
constexpr std::array kProtocols{Words{"http", Protocol::kHttp}, Words{"tcp", Protocol::kTcp}};

constexpr std::array<std::string_view, 6> kHttpOnly{"path",   "method",        "host",
                                                    "expect", "body_contains", "reuse_connection"};
constexpr std::array<std::string_view, 2> kTcpOnly{"send", "receive"};

constexpr std::int64_t kMostCount = 1'000'000;
constexpr std::int64_t kMostEndpoints = 65'535;
constexpr std::int64_t kMostResults = 1000;
constexpr double kMostJitter = 0.9;
constexpr std::size_t kMostText = 65'536;  // of an answer that is looked at
constexpr Duration kLeastInterval = 10ms;  // a tick of the timers

void refuse(const TableReader& reader, std::span<const std::string_view> keys, std::string_view protocol) {
  for (const auto key : keys) {
    if (!reader.has(key)) continue;
    reader.problem(
        key,
        fmt::format("only a check with protocol = \"{}\" has this, remove it or change protocol", protocol));
  }
}

void read_text(const TableReader& reader, std::string_view key, std::string_view example, std::string& out) {
  const auto text = reader.string(key, example);
  if (!text) return;
  if (text->size() > kMostText) {
    reader.problem(key, fmt::format("the text is longer than {}, shorten it", format_size(kMostText)));
  }
  out = *text;
}

void read_request(const TableReader& reader, HealthCheck& check) {
  if (const auto path = reader.string("path", "\"/healthz\"")) {
    reader.complain("path", check_target(*path));
    check.path = *path;
  }
  if (const auto method = reader.string("method", "\"GET\"")) {
    reader.complain("method", check_method(*method));
    check.method = *method;
  }
  if (const auto host = reader.string("host", "\"app.example\"")) {
    if (!host->empty()) reader.complain("host", check_authority(*host));
    check.host = *host;
  }
  read_outcomes(reader, "expect", {}, check.expect,
                "the list is empty and no answer would pass, write one such as [\"200-399\"]");
  read_text(reader, "body_contains", "\"ok\"", check.body_contains);
  if (check.method == "HEAD" && !check.body_contains.empty()) {
    reader.problem("body_contains", "the answer to HEAD has no body, remove this or write method = \"GET\"");
  }
  reader.boolean("reuse_connection", check.reuse_connection);
}

void read_schedule(const TableReader& reader, health::Checker::Settings& schedule) {
  reader.duration("interval", schedule.interval, kLeastInterval, 24h);
  reader.duration_or_zero("failing_interval", schedule.failing_interval, kLeastInterval, 24h,
                          "the same as interval");
  reader.duration("timeout", schedule.timeout, 1ms, 1h);
  // A check ends before the next one begins.
  reader.ordered("timeout", schedule.timeout, "interval", schedule.interval);
  if (schedule.failing_interval > 0s) {
    reader.ordered("timeout", schedule.timeout, "failing_interval", schedule.failing_interval);
  }
  reader.integer("rise", schedule.rise, 1, kMostResults);
  reader.integer("fall", schedule.fall, 1, kMostResults);
  reader.number("jitter", schedule.jitter, 0, kMostJitter);
}

void read_port(const TableReader& reader, const SharedList<Endpoint>& endpoints, std::uint16_t& port) {
  reader.integer("port", port, 0, 65535);
  if (port == 0) return;
  const auto socket = std::ranges::find_if(endpoints, [](const Endpoint& endpoint) {
    return endpoint.address && endpoint.address->kind() == Address::Kind::kUnix;
  });
  if (socket == endpoints.end()) return;
  reader.problem("port", fmt::format("endpoint {} is a Unix socket and has no ports, remove port",
                                     in_quotes(socket->name)));
}

void read_check(const TableReader& reader, Cluster& cluster) {
  if (!reader.present()) return;
  HealthCheck check;
  reader.choice<Protocol>("protocol", check.protocol, kProtocols);
  if (!reader.wrong("protocol")) {
    if (check.protocol == Protocol::kHttp) refuse(reader, kTcpOnly, "tcp");
    if (check.protocol == Protocol::kTcp) refuse(reader, kHttpOnly, "http");
  }
  read_request(reader, check);
  read_text(reader, "send", "\"PING\\r\\n\"", check.send);
  read_text(reader, "receive", "\"PONG\"", check.receive);
  read_port(reader, cluster.endpoints, check.port);
  read_schedule(reader, check.schedule);
  reader.number("panic_below", check.panic_below, 0, 1);
  cluster.health_check = std::move(check);
}

void read_outlier(const TableReader& reader, health::OutlierDetector::Settings& outlier) {
  outlier.enabled = reader.present();
  reader.boolean("enabled", outlier.enabled);
  reader.integer("consecutive_failures", outlier.consecutive_failures, 0, kMostCount);
  reader.duration("interval", outlier.interval, 100ms, 1h);
  reader.number("success_rate_deviations", outlier.success_rate_deviations, 0, 10);
  reader.number("failure_percentage", outlier.failure_percentage, 0, 100);
  reader.integer("min_requests", outlier.min_requests, 1, kMostCount);
  reader.integer("min_endpoints", outlier.min_endpoints, 1, kMostEndpoints);
  reader.duration("base_ejection", outlier.base_ejection, 10ms, 24h);
  reader.duration("max_ejection", outlier.max_ejection, 10ms, 24h);
  reader.ordered("base_ejection", outlier.base_ejection, "max_ejection", outlier.max_ejection);
  reader.integer("keep_at_least", outlier.keep_at_least, 0, kMostEndpoints);
}

}  // namespace

void read_health(const TableReader& reader, Cluster& cluster) {
  read_outlier(reader.table("outlier"), cluster.outlier);
  read_check(reader.table("health_check"), cluster);
  reader.duration("slow_start", cluster.slow_start, 0s, 1h);
}

}  // namespace remora::config
