#include "proxy/top_stats.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "proxy/admin_stats.h"

namespace remora::proxy {
namespace {

// What a Remora says of one cluster "app" with these numbers.
std::string said(std::uint64_t good, std::uint64_t bad, Duration uptime) {
  WorkerReport report;
  report.exchanges.push_back({.listener = "in", .cluster = "app", .stats = {}});
  for (std::uint64_t i = 0; i < good; ++i) report.exchanges[0].stats.count(200, 1ms);
  for (std::uint64_t i = 0; i < bad; ++i) report.exchanges[0].stats.count(503, 30ms);
  EndpointReport endpoint;
  endpoint.name = endpoint.address = "10.0.0.1:1";
  endpoint.stats.requests = good + bad;
  endpoint.stats.requests_active = 2;
  report.clusters.push_back({.name = "app", .stats = {}, .endpoints = {endpoint}});
  ClusterView view;
  view.name = "app";
  view.endpoints.emplace_back();
  view.endpoints[0].name = view.endpoints[0].address = "10.0.0.1:1";
  view.endpoints[0].why = health::Why::kBreaker;
  view.endpoints[0].breaker.phase = breaker::CircuitBreaker::Phase::kOpen;
  view.endpoints[0].breaker_changed_ago = 12s;
  view.endpoints[0].breaker_opens_for = 3s;
  view.endpoints[0].last_failure = {.outcome = {breaker::Result::kConnectFailure, 0}, .ago = 1s};
  view.sources.push_back({.kind = SourceView::Kind::kDns,
                          .name = "app.local",
                          .state = discovery::SourceRecord::State::kStale,
                          .answer_age = 90s,
                          .failed_ago = 1s,
                          .last_error = "not \x1b[1mfound"});
  view.sources.push_back(
      {.kind = SourceView::Kind::kFile,
       .name = "app.toml",
       .state = bad > 0 ? discovery::SourceRecord::State::kFailing : discovery::SourceRecord::State::kGood,
       .answer_age = {},
       .failed_ago = {},
       .last_error = "app.toml:1: no"});
  ProcessStatus status{
      .info = {}, .now = 1e9, .uptime = uptime, .not_ready_reason = {}, .last_event = 4, .pages = {}};
  status.info.version = "1.2.3";
  const ReloadReport rejected{.result = ReloadReport::Result::kRejected,
                              .changes = {},
                              .errors = {"f:1: a", "f:2: b"},
                              .at = 1e9 - 5};
  if (bad > 0) status.rejected = &rejected;
  return stats_json({report}, {view}, status);
}

TEST_CASE("what /stats says is understood") {
  const auto stats = parse_top_stats(said(3, 1, 90s));
  REQUIRE(stats.has_value());
  CHECK(stats->version == "1.2.3");
  CHECK(stats->uptime == 90.0);
  CHECK(stats->ready);
  CHECK(stats->workers == 1);
  CHECK(stats->loads.empty());
  CHECK(stats->last_event == 4);
  CHECK(stats->rejected_ago == 5.0);
  CHECK(stats->rejected_because == "f:1: a; and 1 more");
  CHECK_FALSE(parse_top_stats(said(3, 0, 90s))->rejected_ago);
  REQUIRE(stats->clusters.size() == 1);
  const std::string stale = "dns app.local fails, the endpoints are from 90 s ago: not \\x1b[1mfound";
  CHECK(stats->clusters[0].failing_sources ==
        std::vector<std::string>{stale, "file app.toml fails, there was no answer yet: app.toml:1: no"});
  CHECK(parse_top_stats(said(3, 0, 90s))->clusters[0].failing_sources == std::vector<std::string>{stale});
  REQUIRE(stats->clusters[0].endpoints.size() == 1);
  const TopEndpoint& endpoint = stats->clusters[0].endpoints[0];
  CHECK(endpoint.address == "10.0.0.1:1");
  CHECK(endpoint.why == "breaker");
  CHECK(endpoint.breaker.state == "open");
  CHECK(endpoint.breaker.for_seconds == 12.0);
  CHECK(endpoint.breaker.probes_in_seconds == 3.0);
  CHECK(endpoint.last_failure == "connect failure");
  CHECK(endpoint.active == 2);
  CHECK(endpoint.share == 1.0);
}

TEST_CASE("rates, shares and quantiles come from two answers") {
  const auto then = parse_top_stats(said(10, 0, 90s));
  const auto now = parse_top_stats(said(28, 2, 92s));
  REQUIRE((then && now));
  const std::string app = "app";
  const TopTraffic traffic = traffic_between(*then, *now, &app);
  CHECK(traffic.requests == 20);
  CHECK(traffic.rate() == 10.0);
  CHECK(traffic.error_share() == 0.1);
  const auto p50 = traffic.quantile(now->bounds_ms, 0.5);
  const auto p99 = traffic.quantile(now->bounds_ms, 0.99);
  REQUIRE((p50 && p99));
  CHECK(*p50 > 0.512);  // 1 ms is in the bucket up to 1.024 ms, 30 ms in the one up to 32.768 ms
  CHECK(*p50 <= 1.024);
  CHECK(*p99 > 16.384);
  CHECK(*p99 <= 32.768);
  CHECK(endpoint_rate(*then, *now, "app", now->clusters[0].endpoints[0]) == 10.0);
  const std::string other = "other";
  CHECK(traffic_between(*then, *now, &other).requests == 0);
  CHECK_FALSE(traffic_between(*then, *now, &other).error_share().has_value());
  CHECK_FALSE(traffic_between(*then, *now, &other).quantile(now->bounds_ms, 0.5).has_value());
}

TEST_CASE("a counter that is smaller, or new, began at 0") {
  const auto then = parse_top_stats(said(10, 0, 90s));
  const auto now = parse_top_stats(said(4, 0, 92s));
  REQUIRE((then && now));
  CHECK(traffic_between(*then, *now, nullptr).requests == 4);
  CHECK(traffic_between(TopStats{}, *now, nullptr).requests == 4);
  CHECK(traffic_between(*now, *now, nullptr).rate() == 0.0);
}

TEST_CASE("an answer that is no object is an error, and members of another type are as if missing") {
  for (const char* text : {"", "{", "[]", "null", "1", "\xff", "<html>", "{\"a\":1}x"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_top_stats(text).has_value());
    CHECK_FALSE(parse_top_events(text).has_value());
  }
  const auto odd = parse_top_stats(
      R"({"version":1,"uptime_seconds":"x","workers":[1,null,{"worker":-1,"load":"normal"}],"bounds_ms":"x",)"
      R"("exchanges":[{"codes":"x","buckets":{"a":1}},{"codes":[1]},5],"clusters":[{"endpoints":7},{"endpoints":[[],)"
      R"({"share":"x","breaker":3,"outlier":[],"address":{}}]}],"process":[]})");
  REQUIRE(odd.has_value());
  CHECK(odd->version.empty());
  CHECK(odd->clusters.size() == 2);
  CHECK(odd->clusters[1].endpoints.size() == 2);
}

TEST_CASE("nothing that a terminal would obey comes out of a text") {
  const auto stats = parse_top_stats(
      R"({"clusters":[{"name":"a\u001b[2Jb\n\u0007\u009b","endpoints":[{"address":"\u202ex"}]}]})");
  REQUIRE(stats.has_value());
  for (const std::string& text : {stats->clusters[0].name, stats->clusters[0].endpoints[0].address}) {
    for (const char c : text) CHECK(static_cast<unsigned char>(c) >= 0x20);
    CHECK(text.find("\xc2\x9b") == std::string::npos);
    CHECK(text.find("\xe2\x80\xae") == std::string::npos);
  }
  const auto events = parse_top_events(R"({"events":[{"id":1,"to":"x","reason":"\u001b]0;owned\u0007"}]})");
  REQUIRE(events.has_value());
  CHECK(events->at(0).what.find('\x1b') == std::string::npos);
}

TEST_CASE("events are told in words") {
  EventRing ring;
  ring.add({.id = 0,
            .at = TimePoint(100s),
            .kind = Event::Kind::kBreaker,
            .cluster = "app",
            .endpoint = "10.0.0.1:1",
            .from = "closed",
            .to = "open",
            .reason = "consecutive_failures"});
  ring.add({.id = 0,
            .at = TimePoint(101s),
            .kind = Event::Kind::kProcess,
            .cluster = {},
            .endpoint = {},
            .from = "ready",
            .to = "draining",
            .reason = {}});
  ring.add({.id = 0,
            .at = TimePoint(101s),
            .kind = Event::Kind::kOutlier,
            .cluster = "app",
            .endpoint = "10.0.0.1:1",
            .from = "in_use",
            .to = "ejected",
            .reason = "success_rate: 50 %"});
  ring.add({.id = 0,
            .at = TimePoint(101s),
            .kind = Event::Kind::kDns,
            .cluster = {},
            .endpoint = "app.internal",
            .from = {},
            .to = "resolved",
            .reason = "2 addresses"});
  ring.add({.id = 0,
            .at = TimePoint(101s),
            .kind = Event::Kind::kReload,
            .cluster = {},
            .endpoint = {},
            .from = {},
            .to = "applied",
            .reason = "added cluster b"});
  const auto events = parse_top_events(events_json(ring, 0, TimePoint(102s), 5000.0));
  REQUIRE(events.has_value());
  REQUIRE(events->size() == 5);
  CHECK(events->at(0).id == 1);
  CHECK(events->at(0).time == 4998.0);
  CHECK(events->at(0).what == "app 10.0.0.1:1 breaker closed -> open, failures in a row");
  CHECK(events->at(1).what == "remora ready -> draining");
  CHECK(events->at(2).what == "app 10.0.0.1:1 in_use -> ejected, success rate far below the others: 50 %");
  CHECK(events->at(3).what == "dns app.internal resolved, 2 addresses");
  CHECK(events->at(4).what == "configuration applied, added cluster b");
}

}  // namespace
}  // namespace remora::proxy
