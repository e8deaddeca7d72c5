// Both ends of each range of the tables for resilience, and what stands next to them.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/config/fixture.h"

using namespace remora::config::fixture;

namespace {

struct Range {
  std::string key;
  std::string least;
  std::string most;
  std::string below;  // "" = there is no such value
  std::string above;
  std::string right;  // what the message says
  std::string more;   // lines without which the key means nothing
};

void expect(const std::vector<Range>& ranges, std::string (*file)(const std::string&),
            const std::string& before, const std::string& place) {
  for (const auto& range : ranges) {
    CAPTURE(range.key);
    const auto with = [&](const std::string& value) {
      return problems(file(before + range.key + " = " + value + "\n" + range.more));
    };
    CHECK(with(range.least) == "");
    CHECK(with(range.most) == "");
    for (const auto& value : {range.below, range.above}) {
      if (value.empty()) continue;
      CHECK(with(value) == place + range.key + ": " + value + " is out of range, write " + range.right);
    }
  }
}

const std::vector<Range> kOfLimits{
    {"limits.connections", "0", "10000000", "-1", "10000001", "a whole number from 0 to 10000000", ""},
    {"limits.requests", "0", "10000000", "-1", "10000001", "a whole number from 0 to 10000000", ""},
    {"limits.pending", "0", "1000000", "-1", "1000001", "a whole number from 0 to 1000000", ""},
    {"limits.pending_timeout", R"("1ms")", R"("1h")", R"("0s")", R"("61m")", R"("1ms" to "1h")", ""},
    {"limits.retries", "0", "1000000", "-1", "1000001", "a whole number from 0 to 1000000", ""},
    {"limits.per_endpoint.connections", "0", "10000000", "-1", "10000001",
     "a whole number from 0 to 10000000", ""},
    {"limits.per_endpoint.requests", "0", "10000000", "-1", "10000001", "a whole number from 0 to 10000000",
     ""},
    {"limits.per_endpoint.retries", "0", "1000000", "-1", "1000001", "a whole number from 0 to 1000000", ""},
    {"adaptive_concurrency.initial", "1", "1000000", "0", "1000001", "a whole number from 1 to 1000000", ""},
    {"adaptive_concurrency.min", "1", "1000000", "0", "1000001", "a whole number from 1 to 1000000", ""},
    {"adaptive_concurrency.max", "1", "1000000", "0", "1000001", "a whole number from 1 to 1000000", ""},
    {"adaptive_concurrency.interval", R"("10ms")", R"("1m")", R"("9ms")", R"("61s")", R"("10ms" to "1m")",
     ""},
    {"adaptive_concurrency.tolerance", "1", "10", "0.99", "10.1", "a number from 1 to 10", ""},
    {"adaptive_concurrency.smoothing", "0.01", "1", "0", "1.1", "a number from 0.01 to 1", ""},
};

const std::vector<Range> kOfBreakers{
    {"breaker.consecutive_failures", "0", "1000000", "-1", "1000001", "a whole number from 0 to 1000000", ""},
    {"breaker.failure_ratio", "0", "1", "-0.1", "1.1", "a number from 0 to 1", ""},
    {"breaker.window", R"("100ms")", R"("1h")", R"("99ms")", R"("61m")", R"("100ms" to "1h")", ""},
    {"breaker.min_requests", "1", "1000000", "0", "1000001", "a whole number from 1 to 1000000", ""},
    {"breaker.slow_call.threshold", R"("1ms")", R"("1h")", R"("0s")", R"("61m")", R"("1ms" to "1h")", ""},
    {"breaker.slow_call.ratio", "0.01", "1", "0", "1.1", "a number from 0.01 to 1",
     "breaker.slow_call.threshold = \"1s\""},
    {"breaker.open_for", R"("10ms")", R"("24h")", R"("9ms")", R"("25h")", R"("10ms" to "24h")", ""},
    {"breaker.max_open_for", R"("10ms")", R"("24h")", R"("9ms")", R"("25h")", R"("10ms" to "24h")", ""},
    {"breaker.jitter", "0", "0.9", "-0.1", "1", "a number from 0 to 0.9", ""},
    {"breaker.quiet_period", R"("0s")", R"("24h")", "", R"("25h")", R"("0s" to "24h")", ""},
    {"breaker.half_open_requests", "1", "65535", "0", "65536", "a whole number from 1 to 65535", ""},
    {"breaker.success_threshold", "1", "65535", "0", "65536", "a whole number from 1 to 65535", ""},
    {"breaker.fallback.status", "200", "599", "199", "600", "a whole number from 200 to 599", ""},
};

const std::vector<Range> kOfHealth{
    {"outlier.consecutive_failures", "0", "1000000", "-1", "1000001", "a whole number from 0 to 1000000", ""},
    {"outlier.interval", R"("100ms")", R"("1h")", R"("99ms")", R"("61m")", R"("100ms" to "1h")", ""},
    {"outlier.success_rate_deviations", "0", "10", "-1", "10.1", "a number from 0 to 10", ""},
    {"outlier.failure_percentage", "0", "100", "-1", "100.1", "a number from 0 to 100", ""},
    {"outlier.min_requests", "1", "1000000", "0", "1000001", "a whole number from 1 to 1000000", ""},
    {"outlier.min_endpoints", "1", "65535", "0", "65536", "a whole number from 1 to 65535", ""},
    {"outlier.base_ejection", R"("10ms")", R"("24h")", R"("9ms")", R"("25h")", R"("10ms" to "24h")", ""},
    {"outlier.max_ejection", R"("10ms")", R"("24h")", R"("9ms")", R"("25h")", R"("10ms" to "24h")", ""},
    {"outlier.keep_at_least", "0", "65535", "-1", "65536", "a whole number from 0 to 65535", ""},
    {"health_check.port", "0", "65535", "-1", "65536", "a whole number from 0 to 65535", ""},
    {"health_check.interval", R"("10ms")", R"("24h")", R"("9ms")", R"("25h")", R"("10ms" to "24h")", ""},
    {"health_check.failing_interval", R"("0s")", R"("24h")", "", R"("25h")", R"("0s" to "24h")", ""},
    {"health_check.timeout", R"("1ms")", R"("1h")", R"("0s")", R"("61m")", R"("1ms" to "1h")", ""},
    {"health_check.rise", "1", "1000", "0", "1001", "a whole number from 1 to 1000", ""},
    {"health_check.fall", "1", "1000", "0", "1001", "a whole number from 1 to 1000", ""},
    {"health_check.jitter", "0", "0.9", "-0.1", "1", "a number from 0 to 0.9", ""},
    {"health_check.panic_below", "0", "1", "-0.1", "1.1", "a number from 0 to 1", ""},
    {"slow_start", R"("0s")", R"("1h")", "", R"("61m")", R"("0s" to "1h")", ""},
};

const std::vector<Range> kOfRetries{
    {"retry.attempts", "1", "10", "0", "11", "a whole number from 1 to 10", ""},
    {"retry.per_try_timeout", R"("0s")", R"("24h")", "", R"("25h")", R"("0s" to "24h")", ""},
    {"retry.backoff.base", R"("0s")", R"("1m")", "", R"("61s")", R"("0s" to "1m")", ""},
    {"retry.backoff.max", R"("0s")", R"("1h")", "", R"("61m")", R"("0s" to "1h")", ""},
    {"retry.retry_after_max", R"("0s")", R"("1h")", "", R"("61m")", R"("0s" to "1h")", ""},
    {"retry.body", R"("0B")", R"("16MiB")", "", R"("17MiB")", R"("0B" to "16MiB")", ""},
    {"retry.hedge.after", R"("1ms")", R"("1h")", R"("0s")", R"("61m")", R"("1ms" to "1h")", ""},
    {"retry.hedge.percentile", "0.5", "0.999", "0.49", "95", "a number from 0.5 to 0.999", ""},
};

const std::vector<Range> kOfBudgets{
    {"retry.budget.ratio", "0", "10", "-0.1", "10.1", "a number from 0 to 10", ""},
    {"retry.budget.min_per_second", "0", "1000000", "-1", "1000001", "a whole number from 0 to 1000000", ""},
};

const std::vector<Range> kOfRateLimits{
    {"rate_limit.requests", "0.001", "1000000000", "0", "1000000001", "a number from 0.001 to 1000000000",
     "rate_limit.per = \"1h\"\nrate_limit.burst = 1"},
    {"rate_limit.per", R"("1ms")", R"("24h")", R"("0s")", R"("25h")", R"("1ms" to "24h")",
     "rate_limit.requests = 1"},
    {"rate_limit.burst", "0", "1000000000", "-1", "1000000001", "a whole number from 0 to 1000000000",
     "rate_limit.requests = 1000000"},
    {"rate_limit.keys", "16", "1048576", "15", "1048577", "a whole number from 16 to 1048576",
     "rate_limit.requests = 1\nrate_limit.key = \"source\""},
};

const std::vector<Range> kOfOverload{
    {"overload.loop_lag", R"("10ms")", R"("1m")", "", R"("61s")", R"("0s" to "1m")", ""},
    {"overload.loop_lag", R"("0s")", R"("1m")", "", "", "", ""},
    {"overload.memory", R"("16MiB")", R"("1048576GiB")", "", R"("1048577GiB")", R"("0B" to "1048576GiB")",
     ""},
    {"overload.memory", "0", R"("16MiB")", "", "", "", ""},
    {"overload.calm", R"("10ms")", R"("1h")", R"("9ms")", R"("61m")", R"("10ms" to "1h")", ""},
};

const std::vector<Range> kOfMesh{
    {"mesh.protocol.probe_interval", R"("500ms")", R"("1m")", "", R"("61s")", R"("100ms" to "1m")", ""},
    {"mesh.protocol.probe_timeout", R"("10ms")", R"("1s")", R"("9ms")", R"("61s")", R"("10ms" to "1m")", ""},
    {"mesh.protocol.indirect_checks", R"(0)", R"(10)", R"(-1)", R"(11)", R"(a whole number from 0 to 10)",
     ""},
    {"mesh.protocol.suspicion_mult", R"(1)", R"(20)", R"(0)", R"(21)", R"(a whole number from 1 to 20)", ""},
    {"mesh.protocol.suspicion_max_mult", R"(1)", R"(20)", R"(0)", R"(21)", R"(a whole number from 1 to 20)",
     ""},
    {"mesh.protocol.awareness_max", R"(1)", R"(32)", R"(0)", R"(33)", R"(a whole number from 1 to 32)", ""},
    {"mesh.protocol.retransmit_mult", R"(1)", R"(20)", R"(0)", R"(21)", R"(a whole number from 1 to 20)", ""},
    {"mesh.protocol.gossip_nodes", R"(1)", R"(20)", R"(0)", R"(21)", R"(a whole number from 1 to 20)", ""},
    {"mesh.protocol.gossip_interval", R"("10ms")", R"("1m")", R"("9ms")", R"("61s")", R"("10ms" to "1m")",
     ""},
    {"mesh.protocol.gossip_to_dead", R"("1s")", R"("24h")", R"("999ms")", R"("25h")", R"("1s" to "24h")", ""},
    {"mesh.protocol.push_pull_interval", R"("1s")", R"("24h")", R"("999ms")", R"("25h")", R"("1s" to "24h")",
     ""},
    {"mesh.protocol.stream_timeout", R"("100ms")", R"("5m")", R"("99ms")", R"("301s")", R"("100ms" to "5m")",
     ""},
    {"mesh.protocol.dead_reclaim", R"("0s")", R"("24h")", "", R"("25h")", R"("0s" to "24h")", ""},
    {"mesh.protocol.reconnect_interval", R"("1s")", R"("24h")", R"("999ms")", R"("25h")", R"("1s" to "24h")",
     ""},
    {"mesh.protocol.reconnect_timeout", R"("0s")", R"("8760h")", "", R"("8761h")", R"("0s" to "8760h")", ""},
    {"mesh.protocol.members_max", R"(2)", R"(16384)", R"(1)", R"(16385)", R"(a whole number from 2 to 16384)",
     ""},
    {"mesh.protocol.packets_per_second", R"(100)", R"(1000000)", R"(99)", R"(1000001)",
     R"(a whole number from 100 to 1000000)", ""},
    {"mesh.protocol.probe_interval", R"("1s")", R"("1m")", R"("99ms")", "", R"("100ms" to "1m")", ""},
};

const std::vector<Range> kOfTracing{
    {"sample", "0", "1", "-0.1", "1.1", "a number from 0 to 1", ""},
    {"batch", "1", "8192", "0", "8193", "a whole number from 1 to 8192", ""},
    {"queue", "1", "65536", "0", "65537", "a whole number from 1 to 65536", ""},
    {"interval", R"("100ms")", R"("1m")", R"("99ms")", R"("61s")", R"("100ms" to "1m")", ""},
    {"timeout", R"("100ms")", R"("1m")", R"("99ms")", R"("61s")", R"("100ms" to "1m")", ""},
};

}  // namespace

TEST_CASE("ranges of tracing are checked at both ends") {
  expect(kOfTracing, top, "[tracing]\nendpoint = \"http://a:1\"\n", "3: tracing.");
}

TEST_CASE("ranges of a cluster's resilience are checked at both ends") {
  const std::string before = "name = \"app\"\nendpoints = [\"a:1\"]\n";
  for (const auto& ranges : {kOfLimits, kOfBreakers, kOfHealth, kOfRetries, kOfBudgets}) {
    expect(ranges, cluster, before, "8: cluster.app.");
  }
}

TEST_CASE("ranges of a route's retries and rate limits are checked at both ends") {
  expect(kOfRetries, route, "cluster = \"app\"\n", "5: listener#1.route#1.");
  expect(kOfRateLimits, route, "cluster = \"app\"\n", "5: listener#1.route#1.");
}

TEST_CASE("ranges of a listener's rate limit are checked at both ends") {
  expect(kOfRateLimits, listener, "", "3: listener#1.");
}

TEST_CASE("ranges of the overload watermarks are checked at both ends") {
  expect(kOfOverload, top, "", "1: ");
}

TEST_CASE("ranges of the mesh's protocol are checked at both ends") { expect(kOfMesh, top, "", "1: "); }
