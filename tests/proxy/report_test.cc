#include "proxy/report.h"

#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

namespace remora::proxy {
namespace {

// Statistics as the 64-bit numbers they consist of.
template <typename Stats>
using Words = std::array<std::uint64_t, sizeof(Stats) / sizeof(std::uint64_t)>;

// Every number a different one.
template <typename Stats>
Stats numbered(std::uint64_t factor) {
  Words<Stats> words{};
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = (i + 1) * factor;
  return std::bit_cast<Stats>(words);
}

template <typename Stats>
void check_added(const Stats& total) {
  const auto words = std::bit_cast<Words<Stats>>(total);
  const auto wanted = std::bit_cast<Words<Stats>>(numbered<Stats>(11));
  for (std::size_t i = 0; i < words.size(); ++i) {
    CAPTURE(i);
    CHECK(words[i] == wanted[i]);
  }
}

WorkerReport numbered_report(std::uint64_t factor) {
  WorkerReport report;
  report.listeners.push_back({.name = "in", .address = {}, .stats = numbered<ListenerStats>(factor)});
  report.exchanges.push_back({.listener = "in", .cluster = "app", .stats = numbered<ExchangeStats>(factor)});
  EndpointReport endpoint;
  endpoint.address = "10.0.0.1:1";
  endpoint.stats = numbered<EndpointStats>(factor);
  report.clusters.push_back(
      {.name = "app", .stats = numbered<ClusterStats>(factor), .endpoints = {endpoint}});
  return report;
}

TEST_CASE("merging adds up every number there is") {
  const WorkerReport total = merge_reports({numbered_report(1), numbered_report(10)});
  REQUIRE(total.listeners.size() == 1);
  check_added(total.listeners[0].stats);
  REQUIRE(total.exchanges.size() == 1);
  check_added(total.exchanges[0].stats);
  REQUIRE(total.clusters.size() == 1);
  check_added(total.clusters[0].stats);
  REQUIRE(total.clusters[0].endpoints.size() == 1);
  check_added(total.clusters[0].endpoints[0].stats);
}

TEST_CASE("merged reports keep the worst lag, load and latency") {
  using Level = breaker::Overload::Level;
  for (const bool reversed : {false, true}) {
    CAPTURE(reversed);
    std::vector<WorkerReport> reports{numbered_report(1), numbered_report(1)};
    WorkerReport& bad = reports[reversed ? 0 : 1];
    WorkerReport& good = reports[reversed ? 1 : 0];
    bad.loop_lag = 5ms;
    good.loop_lag = 2ms;
    bad.load = Level::kShed;
    good.load = Level::kTrim;
    bad.clusters[0].endpoints[0].latency_seconds = 0.5;
    good.clusters[0].endpoints[0].latency_seconds = 0.25;
    const WorkerReport total = merge_reports(reports);
    CHECK(total.loop_lag == 5ms);
    CHECK(total.load == Level::kShed);
    CHECK(total.clusters[0].endpoints[0].latency_seconds == 0.5);
  }
}

TEST_CASE("merged reports are in the order of first sight") {
  WorkerReport a;
  a.exchanges = {{.listener = "b", .cluster = "x", .stats = {}},
                 {.listener = "a", .cluster = "x", .stats = {}}};
  WorkerReport b;
  b.exchanges = {{.listener = "a", .cluster = "x", .stats = {}},
                 {.listener = "a", .cluster = "-", .stats = {}}};
  b.exchanges[0].stats.count(200, 1ms);
  const WorkerReport total = merge_reports({a, b});
  REQUIRE(total.exchanges.size() == 3);
  CHECK(total.exchanges[0].listener == "b");
  CHECK(total.exchanges[1].stats.codes[2] == 1);
  CHECK(total.exchanges[2].cluster == "-");
}

}  // namespace
}  // namespace remora::proxy
