#include "proxy/admin_pages.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/proxy/metrics_fixture.h"

namespace remora::proxy {
namespace {

using breaker::CircuitBreaker;
using nlohmann::json;

EndpointReport reported(std::string address, std::uint64_t requests) {
  EndpointReport report;
  report.name = "app:3000";
  report.address = std::move(address);
  report.zone = "a";
  report.weight = 3;
  report.priority = 1;
  report.stats.requests = requests;
  report.stats.requests_active = 1;
  report.stats.connections_active = 1;
  report.stats.connections_idle = 2;
  return report;
}

WorkerReport worker(unsigned index, std::vector<EndpointReport> endpoints) {
  WorkerReport report;
  report.worker = index;
  report.clusters.push_back({.name = "app", .stats = {}, .endpoints = std::move(endpoints)});
  return report;
}

EndpointView known(std::string address) {
  EndpointView view;
  view.name = "app:3000";
  view.address = std::move(address);
  return view;
}

ClusterView cluster(std::vector<EndpointView> endpoints) {
  ClusterView view;
  view.name = "app";
  view.endpoints = std::move(endpoints);
  return view;
}

json page(const std::vector<WorkerReport>& reports, const std::vector<ClusterView>& views) {
  return json::parse(clusters_json(reports, views))["clusters"];
}

// What the page says of the only endpoint of the only cluster.
json shown(EndpointView view) {
  const json clusters = page({worker(0, {reported(view.address, 1)})}, {cluster({view})});
  REQUIRE(clusters.size() == 1);
  REQUIRE(clusters[0]["endpoints"].size() == 1);
  return clusters[0]["endpoints"][0];
}

const json kClosedBreaker{{"state", "closed"},
                          {"forced", false},
                          {"reason", nullptr},
                          {"changed_seconds_ago", nullptr},
                          {"probes_in_seconds", nullptr},
                          {"openings", 0},
                          {"consecutive_failures", 0},
                          {"probes_in_flight", 0},
                          {"window", {{"total", 0}, {"failed", 0}, {"slow", 0}}}};

TEST_CASE("an endpoint is shown with what the workers counted, added up, and what is known of it") {
  WorkerReport second = worker(1, {reported("10.0.0.2:1", 5), reported("10.0.0.1:1", 7)});
  second.clusters[0].endpoints[1].latency_seconds = 0.25;
  const json clusters = page({worker(0, {reported("10.0.0.1:1", 3)}), second},
                             {cluster({known("10.0.0.1:1"), known("10.0.0.2:1")})});
  REQUIRE(clusters.size() == 1);
  CHECK(clusters[0]["name"] == "app");
  const json& endpoints = clusters[0]["endpoints"];
  REQUIRE(endpoints.size() == 2);
  CHECK(endpoints[0] == json{{"name", "app:3000"},
                             {"address", "10.0.0.1:1"},
                             {"zone", "a"},
                             {"weight", 3},
                             {"priority", 1},
                             {"available", true},
                             {"unavailable_because", nullptr},
                             {"share", 1.0},
                             {"draining", false},
                             {"member", nullptr},
                             {"breaker", kClosedBreaker},
                             {"health_check", nullptr},
                             {"outlier", nullptr},
                             {"latency_ms", 250.0},
                             {"active_requests", 2},
                             {"active_connections", 2},
                             {"idle_connections", 4},
                             {"connections", 0},
                             {"connect_failures", 0},
                             {"requests", 10},
                             {"failures", 0}});
  CHECK(endpoints[1]["address"] == "10.0.0.2:1");
  CHECK(endpoints[1]["requests"] == 5);
}

TEST_CASE("whatever keeps requests from an endpoint is named") {
  using health::Why;
  for (const Why why :
       {Why::kDraining, Why::kRemoved, Why::kMember, Why::kActiveCheck, Why::kEjected, Why::kBreaker}) {
    EndpointView view = known("10.0.0.1:1");
    view.why = why;
    view.draining = why == Why::kDraining;
    view.share = 0.1;
    const json endpoint = shown(view);
    CHECK(endpoint["available"] == false);
    CHECK(endpoint["unavailable_because"] == to_string(why));
    CHECK(endpoint["draining"] == (why == Why::kDraining));
    CHECK(endpoint["share"] == 0.1);
  }
}

TEST_CASE("a breaker is shown with its state, its reason, and when it lets a probe through") {
  EndpointView view = known("10.0.0.1:1");
  view.breaker.phase = CircuitBreaker::Phase::kOpen;
  view.breaker.last_reason = CircuitBreaker::Reason::kFailureRatio;
  view.breaker.openings = 3;
  view.breaker.window = {.total = 40, .failed = 30, .slow = 2};
  view.breaker_changed_ago = 1500ms;
  view.breaker_opens_for = 18250ms;
  const json open{{"state", "open"},
                  {"forced", false},
                  {"reason", "failure_ratio"},
                  {"changed_seconds_ago", 1.5},
                  {"probes_in_seconds", 18.25},
                  {"openings", 3},
                  {"consecutive_failures", 0},
                  {"probes_in_flight", 0},
                  {"window", {{"total", 40}, {"failed", 30}, {"slow", 2}}}};
  CHECK(shown(view)["breaker"] == open);

  SUBCASE("its time is over and nobody has come") {
    view.breaker_opens_for = Duration::zero();
    CHECK(shown(view)["breaker"]["probes_in_seconds"] == 0.0);
  }
  SUBCASE("opened by the operator") {
    view.breaker.forced = true;
    view.breaker.last_reason = CircuitBreaker::Reason::kManual;
    view.breaker_opens_for.reset();
    const json forced = shown(view)["breaker"];
    CHECK(forced["forced"] == true);
    CHECK(forced["reason"] == "manual");
    CHECK(forced["probes_in_seconds"] == nullptr);
  }
  SUBCASE("half_open") {
    view.breaker.phase = CircuitBreaker::Phase::kHalfOpen;
    view.breaker.probes_in_flight = 1;
    view.breaker_opens_for.reset();
    const json half = shown(view)["breaker"];
    CHECK(half["state"] == to_string(CircuitBreaker::Phase::kHalfOpen));
    CHECK(half["probes_in_flight"] == 1);
    CHECK(half["probes_in_seconds"] == nullptr);
  }
  SUBCASE("closed, and failing") {
    view.breaker.phase = CircuitBreaker::Phase::kClosed;
    view.breaker.consecutive_failures = 4;
    CHECK(shown(view)["breaker"]["consecutive_failures"] == 4);
  }
}

TEST_CASE("a breaker of the whole cluster is shown once") {
  ClusterView view = cluster({known("10.0.0.1:1")});
  CHECK(page({}, {view})[0]["breaker"] == nullptr);
  view.cluster_breaker = true;
  view.breaker.phase = CircuitBreaker::Phase::kOpen;
  view.breaker.last_reason = CircuitBreaker::Reason::kProbeFailed;
  view.breaker_changed_ago = 2s;
  view.breaker_opens_for = 3s;
  const json app = page({}, {view})[0];
  CHECK(app["breaker"]["state"] == "open");
  CHECK(app["breaker"]["reason"] == "probe_failed");
  CHECK(app["breaker"]["changed_seconds_ago"] == 2.0);
  CHECK(app["breaker"]["probes_in_seconds"] == 3.0);
  CHECK(app["endpoints"][0]["breaker"] == nullptr);
}

TEST_CASE("an active check is shown with its last reason") {
  EndpointView view = known("10.0.0.1:1");
  view.check = EndpointView::ActiveCheck{};
  CHECK(shown(view)["health_check"] == json{{"state", "unknown"},
                                            {"last_reason", nullptr},
                                            {"failed_seconds_ago", nullptr},
                                            {"changed_seconds_ago", nullptr},
                                            {"passes", 0},
                                            {"failures", 0}});
  view.check = {.state = health::Checker::State::kFailing,
                .last_reason = "status 500, expected 200-399",
                .failed_ago = 250ms,
                .changed_ago = 10s,
                .passes = 12,
                .failures = 3};
  CHECK(shown(view)["health_check"] == json{{"state", "failing"},
                                            {"last_reason", "status 500, expected 200-399"},
                                            {"failed_seconds_ago", 0.25},
                                            {"changed_seconds_ago", 10.0},
                                            {"passes", 12},
                                            {"failures", 3}});
}

TEST_CASE("an outlier is shown with the numbers that decided") {
  using Reason = health::OutlierDetector::Reason;
  EndpointView view = known("10.0.0.1:1");
  view.outlier = EndpointView::Outlier{};
  json outlier{{"ejected", false},
               {"for_seconds", nullptr},
               {"ejections", 0},
               {"last_reason", nullptr},
               {"last_detail", nullptr}};
  CHECK(shown(view)["outlier"] == outlier);
  view.outlier = {.ejected = true,
                  .ejected_for = 30s,
                  .ejections = 2,
                  .last_reason = Reason::kSuccessRate,
                  .last_detail = "50.0 % of 100 requests succeeded"};
  outlier = {{"ejected", true},
             {"for_seconds", 30.0},
             {"ejections", 2},
             {"last_reason", "success_rate"},
             {"last_detail", "50.0 % of 100 requests succeeded"}};
  CHECK(shown(view)["outlier"] == outlier);
  // Back, and the reason is kept.
  view.outlier->ejected = false;
  outlier["ejected"] = false;
  outlier["for_seconds"] = nullptr;
  CHECK(shown(view)["outlier"] == outlier);
}

TEST_CASE("a limit that is set shows what it has let through, another one what the workers count") {
  ClusterView view = cluster({known("10.0.0.1:1"), known("10.0.0.2:1")});
  view.pending = {.most = 1024, .in_use = 3};
  const std::vector<WorkerReport> reports{worker(0, {reported("10.0.0.1:1", 1), reported("10.0.0.2:1", 1)})};
  CHECK(page(reports, {view})[0]["limits"] == json{{"requests", {{"limit", nullptr}, {"in_use", 2}}},
                                                   {"connections", {{"limit", nullptr}, {"in_use", 6}}},
                                                   {"pending", {{"limit", 1024}, {"in_use", 3}}},
                                                   {"retries", {{"limit", nullptr}, {"in_use", nullptr}}},
                                                   {"adaptive", nullptr}});
  view.requests = {.most = 100, .in_use = 90};
  view.connections = {.most = 50, .in_use = 40};
  view.pending = {.most = 0, .in_use = 0};  // nobody may wait
  view.retries = {.most = 10, .in_use = 5};
  view.adaptive = {.most = 20, .in_use = 19};
  CHECK(page(reports, {view})[0]["limits"] == json{{"requests", {{"limit", 100}, {"in_use", 90}}},
                                                   {"connections", {{"limit", 50}, {"in_use", 40}}},
                                                   {"pending", {{"limit", 0}, {"in_use", 0}}},
                                                   {"retries", {{"limit", 10}, {"in_use", 5}}},
                                                   {"adaptive", {{"limit", 20}, {"in_use", 19}}}});
}

TEST_CASE("a cluster is shown with its retries and what was held back") {
  WorkerReport first = worker(0, {});
  ClusterStats& stats = first.clusters[0].stats;
  stats.retries = 1;
  stats.retry_successes = 2;
  stats.retry_failures = 3;
  stats.hedges = 4;
  stats.hedge_wins = 5;
  stats.budget_exhausted = 6;
  stats.transparent_retries = 7;
  stats.fallbacks = 8;
  stats.pending_timeouts = 9;
  WorkerReport second = worker(1, {});
  second.clusters[0].stats.fallbacks = 10;
  ClusterView view = cluster({});
  view.panic = true;
  view.retry_budget_left = 30;
  view.ejections_suppressed = 11;
  const json app = page({first, second}, {view})[0];
  CHECK(app["panic"] == true);
  CHECK(app["retry_budget_left"] == 30);
  CHECK(app["retries"] == json{{"made", 1},
                               {"succeeded", 2},
                               {"failed", 3},
                               {"hedges", 4},
                               {"hedge_wins", 5},
                               {"budget_exhausted", 6},
                               {"transparent", 7}});
  CHECK(app["fallbacks"] == 18);
  CHECK(app["pending_timeouts"] == 9);
  CHECK(app["ejections_suppressed"] == 11);
}

TEST_CASE("what no worker has reported is shown without numbers") {
  EndpointView view = known("10.0.0.2:1");
  view.why = health::Why::kBreaker;
  ClusterView late = cluster({});
  late.name = "late";
  const json clusters =
      page({worker(0, {reported("10.0.0.1:1", 3)})}, {cluster({known("10.0.0.1:1"), view}), late});
  REQUIRE(clusters.size() == 2);
  REQUIRE(clusters[0]["endpoints"].size() == 2);
  const json& endpoint = clusters[0]["endpoints"][1];
  CHECK(endpoint["address"] == "10.0.0.2:1");
  CHECK(endpoint["unavailable_because"] == "breaker");
  CHECK(endpoint["breaker"] == kClosedBreaker);
  for (const char* const key :
       {"zone", "weight", "priority", "latency_ms", "active_requests", "active_connections",
        "idle_connections", "connections", "connect_failures", "requests", "failures"}) {
    CAPTURE(key);
    CHECK(endpoint.at(key) == nullptr);
    CHECK(clusters[0]["endpoints"][0].at(key) != nullptr);
  }
  CHECK(clusters[1]["name"] == "late");
  CHECK(clusters[1]["panic"] == false);
  CHECK(clusters[1]["retries"].at("made") == nullptr);
  CHECK(clusters[1].at("fallbacks") == nullptr);
  CHECK(clusters[1]["limits"]["requests"] == json{{"limit", nullptr}, {"in_use", nullptr}});
}

TEST_CASE("what only workers still know comes last and is removed") {
  WorkerReport report = worker(0, {reported("10.0.0.9:1", 4), reported("10.0.0.1:1", 3)});
  report.clusters.insert(report.clusters.begin(),
                         {.name = "gone", .stats = {}, .endpoints = {reported("10.0.0.3:1", 1)}});
  const json clusters = page({report}, {cluster({known("10.0.0.1:1")})});
  REQUIRE(clusters.size() == 2);
  const json& app = clusters[0];
  REQUIRE(app["endpoints"].size() == 2);
  CHECK(app["endpoints"][0]["address"] == "10.0.0.1:1");
  const json& endpoint = app["endpoints"][1];
  CHECK(endpoint["address"] == "10.0.0.9:1");
  CHECK(endpoint["requests"] == 4);
  CHECK(endpoint["available"] == false);
  CHECK(endpoint["unavailable_because"] == "removed");
  for (const char* const key : {"share", "draining", "breaker", "health_check", "outlier"}) {
    CAPTURE(key);
    CHECK(endpoint.at(key) == nullptr);
  }
  const json& gone = clusters[1];
  CHECK(gone["name"] == "gone");
  CHECK(gone["retries"]["made"] == 0);
  for (const char* const key : {"panic", "limits", "retry_budget_left", "ejections_suppressed", "breaker"}) {
    CAPTURE(key);
    CHECK(gone.at(key) == nullptr);
  }
  CHECK(gone["endpoints"][0]["unavailable_because"] == "removed");
}

TEST_CASE("a cluster is shown with the sources of its endpoints, their age and errors") {
  const std::vector<ClusterView> views = two_clusters();
  const json sources = page({}, views)[0]["sources"];
  REQUIRE(sources.size() == 2);
  CHECK(sources[0]["source"] == "static");
  CHECK(sources[0]["name"] == nullptr);
  CHECK(sources[0]["answered_seconds_ago"] == nullptr);
  CHECK(sources[1] == json{{"source", "dns"},
                           {"name", "app.local"},
                           {"state", "stale"},
                           {"endpoints", 1},
                           {"answered_seconds_ago", 90.0},
                           {"failures", 4},
                           {"last_error", "Domain name \x1bnot found"},
                           {"failed_seconds_ago", 2.5}});
  CHECK(clusters_text(views).starts_with(
      "app\n"
      "  static: good, 1 endpoint\n"
      "  dns app.local: stale, 1 endpoint, answered 90s ago; failed 2s ago: Domain name ?not found\n"
      "    10.0.0.1:3000  available\n"
      "    10.0.0.2:3000  active_check\n"
      "other\n"));
}

TEST_CASE("without clusters the page is an empty list") {
  CHECK(json::parse(clusters_json({}, {})) == json{{"clusters", json::array()}});
}

TEST_CASE("bytes that are not UTF-8 do not break the clusters page") {
  EndpointView view = known("\xff\"\n");
  view.check = EndpointView::ActiveCheck{};
  view.check->last_reason = "got \"\xc3\x28\", expected \"PONG\"";
  view.outlier = EndpointView::Outlier{};
  view.outlier->last_detail = "\x80";
  const std::string text = clusters_json({worker(0, {reported("\xff\"\n", 1)})}, {cluster({view})});
  REQUIRE(json::accept(text));
  CHECK(json::parse(text)["clusters"][0]["endpoints"][0]["health_check"]["last_reason"] ==
        "got \"\xef\xbf\xbd(\", expected \"PONG\"");
}

}  // namespace
}  // namespace remora::proxy
