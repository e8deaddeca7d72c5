// What the values of the tables for resilience become.
#include <doctest/doctest.h>

#include <string>

#include "tests/config/fixture.h"

using namespace remora;
using namespace remora::config;
using namespace remora::config::fixture;

namespace {

std::string app(const std::string& lines) {
  return cluster("name = \"app\"\nendpoints = [\"a:1\"]\n" + lines);
}

Cluster read(const std::string& lines) {
  CAPTURE(lines);
  CHECK(problems(app(lines)) == "");
  const auto config = load(app(lines));
  REQUIRE(config.has_value());
  return config->clusters[0];
}

StatusSet statuses(std::initializer_list<std::pair<unsigned, unsigned>> ranges) {
  StatusSet set;
  for (const auto& [first, last] : ranges) set.add(first, last);
  return set;
}

}  // namespace

TEST_CASE("a file that says nothing about resilience gets what the policies declare") {
  const auto config = load(top(""));
  REQUIRE(config.has_value());
  CHECK(config->overload == breaker::Overload::Settings{});
  CHECK_FALSE(config->listeners[0].rate_limit.has_value());
  CHECK_FALSE(config->listeners[0].routes[0].rate_limit.has_value());
  CHECK_FALSE(config->listeners[0].routes[0].retry.has_value());
  const auto& cluster = config->clusters[0];
  CHECK(cluster.limits == ClusterLimits{});
  CHECK(cluster.breaker == breaker::CircuitBreaker::Settings{});
  CHECK(cluster.breaker.enabled);
  CHECK(cluster.breaker_scope == BreakerScope::kEndpoint);
  CHECK(std::holds_alternative<std::monostate>(cluster.fallback));
  CHECK(cluster.outlier == health::OutlierDetector::Settings{});
  CHECK_FALSE(cluster.outlier.enabled);
  CHECK_FALSE(cluster.health_check.has_value());
  CHECK(cluster.slow_start == 10s);
  CHECK(cluster.retry == breaker::RetrySettings{});
  CHECK(cluster.retry_budget == breaker::RetryBudget::Settings{});
  CHECK_FALSE(cluster.adaptive.enabled);
}

TEST_CASE("tables that are off by default are on when they are there, and off when they say so") {
  CHECK(read("outlier = {}").outlier.enabled);
  CHECK(read("[cluster.outlier]").outlier.enabled);
  CHECK_FALSE(read("outlier = { enabled = false }").outlier.enabled);
  CHECK(read("adaptive_concurrency = {}").adaptive.enabled);
  CHECK_FALSE(read("adaptive_concurrency = { enabled = false }").adaptive.enabled);
  CHECK(read("health_check = {}").health_check == HealthCheck{});
  CHECK(read("breaker = {}").breaker.enabled);
  CHECK_FALSE(read("breaker = { enabled = false }").breaker.enabled);
}

TEST_CASE("every number of a breaker arrives in its place") {
  const auto cluster = read(R"([cluster.breaker]
scope = "cluster"
consecutive_failures = 3
failure_ratio = 0.25
window = "20s"
min_requests = 50
slow_call = { threshold = "750ms", ratio = 0.75 }
open_for = "2s"
max_open_for = "40s"
jitter = 0.2
quiet_period = "2m"
half_open_requests = 4
success_threshold = 6)");
  const auto& breaker = cluster.breaker;
  CHECK(cluster.breaker_scope == BreakerScope::kCluster);
  CHECK(breaker.consecutive_failures == 3);
  CHECK(breaker.failure_ratio == 0.25);
  CHECK(breaker.window == 20s);
  CHECK(breaker.min_requests == 50);
  CHECK(breaker.slow_call == 750ms);
  CHECK(breaker.slow_ratio == 0.75);
  CHECK(breaker.open_for == 2s);
  CHECK(breaker.max_open_for == 40s);
  CHECK(breaker.jitter == 0.2);
  CHECK(breaker.quiet_period == 2min);
  CHECK(breaker.half_open_requests == 4);
  CHECK(breaker.success_threshold == 6);
}

TEST_CASE("the failures that are listed count, and no others") {
  const auto failures = [](const std::string& list) {
    return read("breaker = { failures = " + list + " }").breaker.failures;
  };
  const auto some = failures(R"(["timeout", "429", "500-502"])");
  CHECK_FALSE(some.connect);
  CHECK_FALSE(some.reset);
  CHECK(some.timeout);
  CHECK(some.statuses == statuses({{429, 429}, {500, 502}}));
  const auto words = failures(R"(["connect", "reset"])");
  CHECK(words.connect);
  CHECK(words.reset);
  CHECK_FALSE(words.timeout);
  CHECK(words.statuses.empty());
  CHECK(failures(R"(["connect", "reset", "timeout", "5xx"])") == breaker::FailureClasses{});
}

TEST_CASE("a fallback is a response, or another cluster wherever it stands") {
  const auto respond =
      read(R"(breaker = { fallback = { status = 200, body = "[]", content_type = "a/b" } })");
  CHECK(*std::get<remora::Rare<Respond>>(respond.fallback) == Respond{200, "[]", "a/b"});

  const std::string spare = "[[cluster]]\nname = \"spare\"\nendpoints = [\"s:1\"]\n";
  const std::string lines = "breaker.fallback.cluster = \"spare\"\n";
  const auto after = load(app(lines + spare));
  REQUIRE(after.has_value());
  CHECK(std::get<WeightedCluster>(after->clusters[0].fallback) == WeightedCluster{1, 1});
  const auto before = load(spare + app(lines));
  REQUIRE(before.has_value());
  CHECK(std::get<WeightedCluster>(before->clusters[1].fallback) == WeightedCluster{0, 1});
}

TEST_CASE("two clusters may fall back to each other") {
  const auto config = load(app(R"(breaker = { fallback = { cluster = "spare" } }
[[cluster]]
name = "spare"
endpoints = ["s:1"]
breaker = { fallback = { cluster = "app" } })"));
  REQUIRE(config.has_value());
  CHECK(std::get<WeightedCluster>(config->clusters[0].fallback).cluster == 1);
  CHECK(std::get<WeightedCluster>(config->clusters[1].fallback).cluster == 0);
}

TEST_CASE("every limit of a cluster arrives in its place") {
  const auto limits = read(R"([cluster.limits]
connections = 1
requests = 2
pending = 3
pending_timeout = "4ms"
retries = 5
per_endpoint = { connections = 6, requests = 7 })")
                          .limits;
  CHECK(limits == ClusterLimits{1, 2, 3, 4ms, 5, 6, 7});
  CHECK(read("limits = { pending = 100 }").limits.pending == 100);
}

TEST_CASE("every part of a health check arrives in its place") {
  const auto http = read(R"([cluster.health_check]
path = "/healthz?deep=1"
method = "HEAD"
host = "app.example"
expect = ["2xx", "404"]
port = 9000
interval = "30s"
failing_interval = "2s"
timeout = "500ms"
rise = 4
fall = 5
jitter = 0.25
reuse_connection = false
panic_below = 0.75)")
                        .health_check;
  REQUIRE(http.has_value());
  CHECK(http->protocol == HealthCheck::Protocol::kHttp);
  CHECK(http->path == "/healthz?deep=1");
  CHECK(http->method == "HEAD");
  CHECK(http->host == "app.example");
  CHECK(http->expect == statuses({{200, 299}, {404, 404}}));
  CHECK(http->port == 9000);
  CHECK(http->schedule.interval == 30s);
  CHECK(http->schedule.failing_interval == 2s);
  CHECK(http->schedule.timeout == 500ms);
  CHECK(http->schedule.rise == 4);
  CHECK(http->schedule.fall == 5);
  CHECK(http->schedule.jitter == 0.25);
  CHECK_FALSE(http->reuse_connection);
  CHECK(http->panic_below == 0.75);
  CHECK(read("health_check = { body_contains = \"ok\" }").health_check->body_contains == "ok");

  const auto tcp =
      read(R"(health_check = { protocol = "tcp", send = "PING\r\n", receive = "+PONG" })").health_check;
  REQUIRE(tcp.has_value());
  CHECK(tcp->protocol == HealthCheck::Protocol::kTcp);
  CHECK(tcp->send == "PING\r\n");
  CHECK(tcp->receive == "+PONG");
}

TEST_CASE("every number of outlier detection arrives in its place") {
  const auto cluster = read(R"(slow_start = "20s"
[cluster.outlier]
consecutive_failures = 2
interval = "3s"
success_rate_deviations = 2.5
failure_percentage = 60
min_requests = 6
min_endpoints = 7
base_ejection = "8s"
max_ejection = "90s"
keep_at_least = 10)");
  health::OutlierDetector::Settings expected;
  expected.enabled = true;
  expected.consecutive_failures = 2;
  expected.interval = 3s;
  expected.success_rate_deviations = 2.5;
  expected.failure_percentage = 60;
  expected.min_requests = 6;
  expected.min_endpoints = 7;
  expected.base_ejection = 8s;
  expected.max_ejection = 90s;
  expected.keep_at_least = 10;
  CHECK(cluster.outlier == expected);
  CHECK(cluster.slow_start == 20s);
}

TEST_CASE("every part of a retry arrives in its place") {
  const auto cluster = read(R"([cluster.retry]
attempts = 4
on = ["timeout", "gateway-error", "429"]
per_try_timeout = "250ms"
backoff = { base = "10ms", max = "2s" }
retry_after_max = "3s"
body = "1MiB"
hedge = { after = "40ms" }
budget = { ratio = 0.5, min_per_second = 10 })");
  breaker::RetrySettings expected;
  expected.attempts = 4;
  expected.on = {.connect_failure = false,
                 .refused = false,
                 .reset = false,
                 .timeout = true,
                 .statuses = statuses({{429, 429}, {502, 504}})};
  expected.per_try_timeout = 250ms;
  expected.backoff_base = 10ms;
  expected.backoff_max = 2s;
  expected.retry_after_max = 3s;
  expected.body_bytes = 1 << 20;
  expected.hedge_after = 40ms;
  CHECK(cluster.retry == expected);
  CHECK(cluster.retry_budget.ratio == 0.5);
  CHECK(cluster.retry_budget.min_per_second == 10);
  CHECK(read("retry.hedge.percentile = 0.9").retry.hedge_percentile == 0.9);
}

TEST_CASE("what a route's retry leaves out has its default, not what the cluster says") {
  const auto config = load(kListener + kRoute + "retry = { attempts = 3 }\n" + kCluster +
                           "retry = { attempts = 5, per_try_timeout = \"1s\", on = [\"5xx\"] }\n");
  REQUIRE(config.has_value());
  breaker::RetrySettings expected;
  expected.attempts = 3;
  CHECK(config->listeners[0].routes[0].retry == expected);
  CHECK(config->clusters[0].retry.attempts == 5);
}

TEST_CASE("one attempt with conditions or a hedge is odd but allowed, a hedge needs no conditions") {
  CHECK(read("retry = { attempts = 1, on = [\"5xx\"], hedge = { after = \"1s\" } }").retry.attempts == 1);
  const auto hedged = read("retry = { on = [], hedge = { after = \"1s\" } }").retry;
  CHECK_FALSE(hedged.on.connect_failure);
  CHECK_FALSE(hedged.on.refused);
  CHECK_FALSE(hedged.on.reset);
  CHECK(hedged.on.statuses.empty());
}

TEST_CASE("a rate limit is for all, for each source or for each value of a header") {
  const auto limit = [](const std::string& lines) {
    CAPTURE(lines);
    const auto config = load(listener("rate_limit = " + lines));
    REQUIRE(config.has_value());
    const auto same = load(route("respond = {}\nrate_limit = " + lines));
    REQUIRE(same.has_value());
    CHECK(config->listeners[0].rate_limit == same->listeners[0].routes[0].rate_limit);
    return *config->listeners[0].rate_limit;
  };
  const auto all = limit(R"({ requests = 0.5, per = "1m", burst = 7 })");
  CHECK(all.bucket == breaker::TokenBucket::Settings{0.5, 1min, 7});
  CHECK(all.key == RateLimit::Key::kAll);
  const auto source = limit(R"({ requests = 10, key = "source", keys = 32 })");
  CHECK(source.bucket == breaker::TokenBucket::Settings{10, 1s, 0});
  CHECK(source.key == RateLimit::Key::kSourceAddress);
  CHECK(source.keys == 32);
  const auto header = limit(R"({ requests = 10, key = { header = "X-Api-Key" } })");
  CHECK(header.key == RateLimit::Key::kHeader);
  CHECK(header.header == "X-Api-Key");
  CHECK(header.keys == 16384);
}

TEST_CASE("a rate may be the fastest and the slowest that makes sense, and no more") {
  CHECK(problems(listener(R"(rate_limit = { requests = 1000, per = "1ms" })")) == "");
  CHECK(problems(listener(R"(rate_limit = { requests = 1, per = "24h", burst = 365 })")) == "");
}

TEST_CASE("every watermark arrives in its place") {
  const auto config = load(top("[overload]\nloop_lag = \"100ms\"\nmemory = \"1GiB\"\ncalm = \"3s\""));
  REQUIRE(config.has_value());
  CHECK(config->overload.loop_lag == 100ms);
  CHECK(config->overload.memory == std::uint64_t{1} << 30);
  CHECK(config->overload.calm == 3s);
}

TEST_CASE("of two values that limit each other, a default gives way to what the file has") {
  CHECK(read("breaker = { open_for = \"5m\" }").breaker.max_open_for == 5min);
  CHECK(read("breaker = { max_open_for = \"1s\" }").breaker.open_for == 1s);
  CHECK(read("retry.backoff.base = \"1s\"").retry.backoff_max == 1s);
  CHECK(read("retry.backoff.max = \"10ms\"").retry.backoff_base == 10ms);
  CHECK(read("outlier = { base_ejection = \"10m\" }").outlier.max_ejection == 10min);
  CHECK(read("outlier = { max_ejection = \"10s\" }").outlier.base_ejection == 10s);
  CHECK(read("health_check = { interval = \"200ms\" }").health_check->schedule.timeout == 200ms);
  CHECK(read("health_check = { timeout = \"8s\" }").health_check->schedule.interval == 8s);
  CHECK(read("health_check = { failing_interval = \"300ms\" }").health_check->schedule.timeout == 300ms);
  CHECK(read("health_check = { failing_interval = \"1m\" }").health_check->schedule.timeout == 1s);
  const auto adaptive = [](const std::string& lines) {
    const auto settings = read("adaptive_concurrency = { " + lines + " }").adaptive;
    CHECK(settings.min <= settings.initial);
    CHECK(settings.initial <= settings.max);
    return settings;
  };
  CHECK(adaptive("min = 50").initial == 50);
  CHECK(adaptive("max = 10").initial == 10);
  CHECK(adaptive("max = 2").min == 2);
  CHECK(adaptive("initial = 2").min == 2);
  CHECK(adaptive("initial = 5000").max == 5000);
  CHECK(adaptive("min = 5000").max == 5000);
}

TEST_CASE("equal values that limit each other are in order") {
  CHECK(read("breaker = { open_for = \"2s\", max_open_for = \"2s\" }").breaker.open_for == 2s);
  CHECK(read("health_check = { interval = \"2s\", timeout = \"2s\" }").health_check.has_value());
  CHECK(read("adaptive_concurrency = { min = 7, initial = 7, max = 7 }").adaptive.max == 7);
}
