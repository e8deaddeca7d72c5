#include "proxy/admin_pages.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "proxy/report.h"

namespace remora::proxy {
namespace {

using nlohmann::json;

EndpointReport endpoint(std::string address, std::uint64_t requests) {
  EndpointReport report;
  report.name = "app:3000";
  report.address = std::move(address);
  report.zone = "a";
  report.weight = 3;
  report.priority = 1;
  report.stats.requests = requests;
  report.stats.requests_active = 1;
  report.stats.connections_idle = 2;
  return report;
}

WorkerReport worker(unsigned index, std::vector<EndpointReport> endpoints) {
  WorkerReport report{.worker = index, .listeners = {}, .exchanges = {}, .clusters = {}, .loop_lag = {}};
  report.clusters.push_back({.name = "app", .stats = {}, .endpoints = std::move(endpoints)});
  return report;
}

TEST_CASE("the clusters page adds the workers up") {
  WorkerReport second = worker(1, {endpoint("10.0.0.2:1", 5), endpoint("10.0.0.1:1", 7)});
  second.clusters.push_back({.name = "other", .stats = {}, .endpoints = {}});
  second.clusters[0].endpoints[1].available = false;
  second.clusters[0].endpoints[1].latency_seconds = 0.25;
  const json page = json::parse(clusters_json({worker(0, {endpoint("10.0.0.1:1", 3)}), second}));
  REQUIRE(page["clusters"].size() == 2);
  CHECK(page["clusters"][1]["name"] == "other");
  CHECK(page["clusters"][1]["endpoints"] == json::array());
  const json& app = page["clusters"][0];
  CHECK(app["name"] == "app");
  REQUIRE(app["endpoints"].size() == 2);
  CHECK(app["endpoints"][0] == json{{"name", "app:3000"},
                                    {"address", "10.0.0.1:1"},
                                    {"zone", "a"},
                                    {"weight", 3},
                                    {"priority", 1},
                                    {"available", false},
                                    {"latency_ms", 250.0},
                                    {"active_requests", 2},
                                    {"active_connections", 0},
                                    {"idle_connections", 4},
                                    {"connections", 0},
                                    {"connect_failures", 0},
                                    {"requests", 10},
                                    {"failures", 0}});
  CHECK(app["endpoints"][1]["address"] == "10.0.0.2:1");
  CHECK(app["endpoints"][1]["available"] == true);
}

TEST_CASE("without workers the clusters page is an empty list") {
  CHECK(json::parse(clusters_json({})) == json{{"clusters", json::array()}});
}

TEST_CASE("a name of any bytes does not break the clusters page") {
  CHECK(json::accept(clusters_json({worker(0, {endpoint("\xff\"\n", 1)})})));
}

TEST_CASE("merged reports keep the worst lag and the order of first sight") {
  WorkerReport a;
  a.loop_lag = 5ms;
  a.exchanges = {{.listener = "b", .cluster = "x", .stats = {}},
                 {.listener = "a", .cluster = "x", .stats = {}}};
  WorkerReport b;
  b.loop_lag = 2ms;
  b.exchanges = {{.listener = "a", .cluster = "x", .stats = {}},
                 {.listener = "a", .cluster = "-", .stats = {}}};
  b.exchanges[0].stats.count(200, 1ms);
  const WorkerReport total = merge_reports({a, b});
  CHECK(total.loop_lag == 5ms);
  REQUIRE(total.exchanges.size() == 3);
  CHECK(total.exchanges[0].listener == "b");
  CHECK(total.exchanges[1].stats.codes[2] == 1);
  CHECK(total.exchanges[2].cluster == "-");
}

}  // namespace
}  // namespace remora::proxy
