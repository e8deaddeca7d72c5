#include "proxy/admin_stats.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "proxy/shared_state.h"

namespace remora::proxy {
namespace {

using breaker::CircuitBreaker;
using nlohmann::json;

EndpointReport reported(std::string address, std::uint64_t requests) {
  EndpointReport report;
  report.name = report.address = std::move(address);
  report.stats.requests = requests;
  return report;
}

EndpointView known(std::string address) {
  EndpointView view;
  view.name = view.address = std::move(address);
  return view;
}

ClusterView cluster(std::vector<EndpointView> endpoints) {
  ClusterView view;
  view.name = "app";
  view.endpoints = std::move(endpoints);
  return view;
}

WorkerReport worker(unsigned index, std::vector<EndpointReport> endpoints) {
  WorkerReport report;
  report.worker = index;
  report.clusters.push_back({.name = "app", .stats = {}, .endpoints = std::move(endpoints)});
  return report;
}

json page(const std::vector<WorkerReport>& reports, const std::vector<ClusterView>& views,
          const ProcessStatus& process = {}) {
  return json::parse(stats_json(reports, views, process));
}

// What the page says of the only endpoint of the only cluster.
json shown(const EndpointView& view) {
  return page({}, {cluster({view})})["clusters"].at(0)["endpoints"].at(0);
}

TEST_CASE("an endpoint that is well says no more than its numbers") {
  CHECK(shown(known("10.0.0.1:1")) == json{{"address", "10.0.0.1:1"}});
  const json endpoint = page({worker(0, {reported("10.0.0.1:1", 3)}), worker(1, {reported("10.0.0.1:1", 4)})},
                             {cluster({known("10.0.0.1:1")})})["clusters"][0]["endpoints"][0];
  CHECK(endpoint == json{{"address", "10.0.0.1:1"}, {"requests", 7}});
}

TEST_CASE("an endpoint that is not well says what is wrong") {
  EndpointView view = known("10.0.0.1:1");
  view.name = "app:3000";
  view.why = health::Why::kBreaker;
  view.draining = true;
  view.share = 0.25;
  view.breaker.phase = CircuitBreaker::Phase::kOpen;
  view.breaker.last_reason = CircuitBreaker::Reason::kConsecutiveFailures;
  view.breaker.openings = 2;
  view.breaker_changed_ago = 1500ms;
  view.breaker_opens_for = 3s;
  view.check = EndpointView::ActiveCheck{.state = health::Checker::State::kFailing,
                                         .last_reason = "status 500",
                                         .failed_ago = 250ms,
                                         .changed_ago = 1s,
                                         .passes = 0,
                                         .failures = 3};
  view.outlier = EndpointView::Outlier{.ejected = true,
                                       .ejected_for = 30s,
                                       .ejections = 2,
                                       .last_reason = health::OutlierDetector::Reason::kSuccessRate,
                                       .last_detail = "50.0 % of 100"};
  view.last_failure = {.outcome = {breaker::Result::kConnectFailure, 0}, .ago = 2s};
  CHECK(shown(view) ==
        json{{"address", "10.0.0.1:1"},
             {"name", "app:3000"},
             {"why", "breaker"},
             {"draining", true},
             {"share", 0.25},
             {"breaker",
              {{"state", "open"},
               {"reason", "consecutive_failures"},
               {"changed_seconds_ago", 1.5},
               {"probes_in_seconds", 3.0},
               {"openings", 2}}},
             {"check", {{"state", "failing"}, {"reason", "status 500"}, {"failed_seconds_ago", 0.25}}},
             {"outlier",
              {{"ejected", true},
               {"for_seconds", 30.0},
               {"ejections", 2},
               {"reason", "success_rate: 50.0 % of 100"}}},
             {"last_failure", {{"what", "connect failure"}, {"seconds_ago", 2.0}}}});
}

TEST_CASE("every kind of failure has its words") {
  using breaker::Result;
  const std::vector<std::pair<breaker::Outcome, std::string>> rows{
      {{Result::kResponse, 503}, "status 503"},
      {{Result::kConnectFailure, 0}, "connect failure"},
      {{Result::kRefused, 0}, "connection found closed"},
      {{Result::kReset, 200}, "connection lost before the response was complete"},
      {{Result::kTimeout, 0}, "no response in time"},
      {{Result::kIgnored, 0}, "ended by the client"}};
  for (const auto& [outcome, words] : rows) {
    EndpointView view = known("10.0.0.1:1");
    view.last_failure = {.outcome = outcome, .ago = 1s};
    CHECK(shown(view)["last_failure"]["what"] == words);
  }
}

TEST_CASE("a failure is kept as a word and comes out as it went in") {
  LastFailure last;
  CHECK_FALSE(last.load().has_value());
  for (const auto result :
       {breaker::Result::kResponse, breaker::Result::kTimeout, breaker::Result::kIgnored}) {
    last.store({result, 599}, TimePoint(123456789ms));
    const auto seen = last.load();
    REQUIRE(seen.has_value());
    CHECK(seen->outcome.result == result);
    CHECK(seen->outcome.status == 599);
    CHECK(seen->at == TimePoint(123456789ms));
  }
}

TEST_CASE("a breaker of the whole cluster is shown once") {
  ClusterView view = cluster({known("10.0.0.1:1")});
  view.endpoints[0].breaker.consecutive_failures = 1;
  view.cluster_breaker = true;
  view.panic = true;
  view.breaker.phase = CircuitBreaker::Phase::kHalfOpen;
  view.breaker.forced = true;
  const json app = page({}, {view})["clusters"][0];
  CHECK(app["shared_breaker"] == true);
  CHECK(app["panic"] == true);
  CHECK(app["breaker"] == json{{"state", "half_open"}, {"forced", true}});
  CHECK_FALSE(app["endpoints"][0].contains("breaker"));
  CHECK_FALSE(page({}, {cluster({})})["clusters"][0].contains("shared_breaker"));
}

TEST_CASE("an endpoint that only workers still know is removed, and a cluster is not shown") {
  WorkerReport report = worker(0, {reported("10.0.0.9:1", 4)});
  report.clusters.push_back({.name = "gone", .stats = {}, .endpoints = {}});
  const json clusters = page({report}, {cluster({known("10.0.0.1:1")})})["clusters"];
  REQUIRE(clusters.size() == 1);
  CHECK(clusters[0]["endpoints"][1] == json{{"address", "10.0.0.9:1"}, {"why", "removed"}, {"requests", 4}});
}

TEST_CASE("listeners and exchanges have their counters, added up") {
  WorkerReport report;
  ListenerStats stats;
  stats.connections_active = 2;
  stats.connections_total = 5;
  stats.local_replies[static_cast<std::size_t>(Flag::kNoHealthyEndpoint)] = 3;
  report.listeners.push_back({.name = "in", .address = "127.0.0.1:80", .stats = stats});
  report.exchanges.push_back({.listener = "in", .cluster = "app", .stats = {}});
  report.exchanges[0].stats.count(200, 100us);
  report.exchanges[0].stats.count(503, 100s);
  const json stats_page = page({report, report}, {});
  CHECK(stats_page["listeners"] == json::array({{{"name", "in"},
                                                 {"address", "127.0.0.1:80"},
                                                 {"connections", 4},
                                                 {"connections_total", 10},
                                                 {"connections_refused", 0},
                                                 {"received_bytes", 0},
                                                 {"sent_bytes", 0},
                                                 {"local_replies", {{"UH", 6}}}}}));
  const json& exchange = stats_page["exchanges"][0];
  CHECK(exchange["codes"] == json{0, 0, 2, 0, 0, 2});
  CHECK(exchange["sum_seconds"] == doctest::Approx(200.0002));
  REQUIRE(exchange["buckets"].size() == Histogram::kBounds + 1);
  REQUIRE(stats_page["bounds_ms"].size() == Histogram::kBounds);
  CHECK(exchange["buckets"][1] == 2);
  CHECK(exchange["buckets"].back() == 2);
  CHECK(stats_page["bounds_ms"][1] == 0.128);
}

TEST_CASE("the process is described, and why it is not ready") {
  ProcessStatus status{.info = {},
                       .now = 1e9,
                       .uptime = 90s,
                       .not_ready_reason = {},
                       .last_event = 7,
                       .pages = {"/", "/stats"}};
  status.info.version = "1.2.3";
  json process = page({worker(0, {})}, {}, status);
  CHECK(process["version"] == "1.2.3");
  CHECK(process["time"] == 1e9);
  CHECK(process["uptime_seconds"] == 90.0);
  CHECK(process["ready"] == true);
  CHECK_FALSE(process.contains("not_ready_because"));
  CHECK(process["last_event"] == 7);
  CHECK(process["pages"] == json{"/", "/stats"});
  CHECK(process["workers"] == json::array({{{"worker", 0}, {"loop_lag_ms", 0.0}, {"load", "normal"}}}));
  CHECK_FALSE(process.contains("workers_missing"));
  CHECK_FALSE(process.contains("reload_rejected"));
  const ReloadReport rejected{.result = ReloadReport::Result::kRejected,
                              .changes = {},
                              .errors = {"remora.toml:3: " + std::string(10'000, 'x'), "another"},
                              .at = 1e9 - 5};
  status.rejected = &rejected;
  process = page({}, {}, status)["reload_rejected"];
  CHECK(process["seconds_ago"] == 5.0);
  CHECK(process["errors"] == 2);
  CHECK(process["first"] == rejected.errors[0].substr(0, EventRing::kLongestText));
  status.workers = 3;
  CHECK(page({worker(0, {})}, {}, status)["workers_missing"] == 2);
  status.not_ready_reason = "draining";
  process = page({}, {}, status);
  CHECK(process["ready"] == false);
  CHECK(process["not_ready_because"] == "draining");
}

TEST_CASE("events are shown with their time, and without what they do not say") {
  EventRing ring;
  ring.add({.id = 0,
            .at = TimePoint(100s),
            .kind = Event::Kind::kProcess,
            .cluster = {},
            .endpoint = {},
            .from = "starting",
            .to = "ready",
            .reason = {}});
  ring.add({.id = 0,
            .at = TimePoint(101s),
            .kind = Event::Kind::kHealthCheck,
            .cluster = "app",
            .endpoint = "10.0.0.1:1",
            .from = {},
            .to = "failing",
            .reason = "got \xff\"<b>"});
  const json page = json::parse(events_json(ring, 0, TimePoint(102s), 5000.0));
  CHECK(page["last"] == 2);
  CHECK(page["events"][0] == json{{"id", 1},
                                  {"time", 4998.0},
                                  {"seconds_ago", 2.0},
                                  {"kind", "process"},
                                  {"from", "starting"},
                                  {"to", "ready"}});
  CHECK(page["events"][1] == json{{"id", 2},
                                  {"time", 4999.0},
                                  {"seconds_ago", 1.0},
                                  {"kind", "health_check"},
                                  {"cluster", "app"},
                                  {"endpoint", "10.0.0.1:1"},
                                  {"to", "failing"},
                                  {"reason", "got \xef\xbf\xbd\"<b>"}});
  CHECK(json::parse(events_json(ring, 1, TimePoint(102s), 5000.0))["events"].size() == 1);
}

}  // namespace
}  // namespace remora::proxy
