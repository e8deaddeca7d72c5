#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/config/fixture.h"

using namespace remora::config::fixture;

namespace {

// In the only cluster, from line 8 on.
std::string app(const std::string& lines) {
  return cluster("name = \"app\"\nendpoints = [\"a:1\"]\n" + lines);
}

const std::vector<Mistake> kBreakers{
    {app, "breaker = false",
     "8: cluster.app.breaker: false is a boolean, write a table with enabled, scope, consecutive_failures, "
     "failure_ratio, window, min_requests, slow_call, open_for, max_open_for, jitter, quiet_period, "
     "half_open_requests, success_threshold, failures, fallback"},
    {app, "[[cluster.breaker]]\nenabled = false",
     "8: cluster.app.breaker: there can be only one, write [cluster.breaker] with single brackets"},
    {app, R"(breaker = { enabled = "no" })",
     R"(8: cluster.app.breaker.enabled: "no" is a string, write true or false)"},
    {app, R"(breaker = { scope = "endpoints" })",
     R"(8: cluster.app.breaker.scope: "endpoints" is not one of the choices, did you mean "endpoint"?)"},
    {app, R"(breaker = { scope = "host" })",
     R"(8: cluster.app.breaker.scope: "host" is not one of the choices, write one of endpoint, cluster)"},
    {app, "breaker = { failure_ratio = 50 }",
     "8: cluster.app.breaker.failure_ratio: 50 is out of range, write a number from 0 to 1"},
    {app, "breaker = { open_for = 5 }",
     R"(8: cluster.app.breaker.open_for: 5 is a number without a unit, write "5s")"},
    {app, R"(breaker = { slow_call = "1s" })",
     R"(8: cluster.app.breaker.slow_call: "1s" is a string, write a table with threshold, ratio)"},
    {app, "breaker = { slow_call = { ratio = 0.5 } }",
     R"(8: cluster.app.breaker.slow_call.threshold: nothing says what is slow, write threshold = "1s")"},
    {app, R"([cluster.breaker]
open_for = "1m"
max_open_for = "30s")",
     R"(10: cluster.app.breaker.max_open_for: "30s" is below open_for, which is "1m": write "1m" or more, or lower open_for)"},
    {app, R"([cluster.breaker]
max_open_for = "30s"
open_for = "40m"
jitter = 5)",
     R"(9: cluster.app.breaker.max_open_for: "30s" is below open_for, which is "40m": write "40m" or more, or lower open_for
11: cluster.app.breaker.jitter: 5 is out of range, write a number from 0 to 0.9)"},
};

const std::vector<Mistake> kFailures{
    {app, R"(breaker = { failures = "5xx" })",
     R"(8: cluster.app.breaker.failures: "5xx" is a string, write an array such as ["5xx"])"},
    {app, "breaker = { failures = 503 }",
     R"(8: cluster.app.breaker.failures: 503 is a number, write an array such as ["5xx"])"},
    {app, "breaker = { failures = [] }",
     "8: cluster.app.breaker.failures: the list is empty and nothing would be a failure, write enabled = "
     "false to switch the breaker off"},
    {app, R"(breaker = { failures = ["5xx", 429, true] })",
     R"(8: cluster.app.breaker.failures#2: 429 is a number, write it in quotes: "429"
8: cluster.app.breaker.failures#3: true is a boolean, write a string such as "5xx")"},
    {app, R"(breaker = { failures = ["timout", "connect-failure", "gateway-error", "", "teapot"] })",
     R"(8: cluster.app.breaker.failures#1: "timout" is not an outcome, did you mean "timeout"?
8: cluster.app.breaker.failures#2: "connect-failure" is not an outcome, did you mean "connect"?
8: cluster.app.breaker.failures#3: "gateway-error" is not an outcome, write one of connect, reset, timeout, or statuses such as "503", "500-504" or "5xx"
8: cluster.app.breaker.failures#4: "" is not an outcome, write one of connect, reset, timeout, or statuses such as "503", "500-504" or "5xx"
8: cluster.app.breaker.failures#5: "teapot" is not an outcome, write one of connect, reset, timeout, or statuses such as "503", "500-504" or "5xx")"},
    {app, R"(breaker.failures = [
  "reset",
  "5XX",
  "599-500",
  "6xx",
  "100-199",
  "50",
])",
     R"(10: cluster.app.breaker.failures#2: "5XX" is not a status, did you mean "5xx"?
11: cluster.app.breaker.failures#3: "599-500" runs backwards, write "500-599"
12: cluster.app.breaker.failures#4: "6xx" is out of range, write statuses from 200 to 599
13: cluster.app.breaker.failures#5: "100-199" is out of range, write statuses from 200 to 599
14: cluster.app.breaker.failures#6: "50" is out of range, write statuses from 200 to 599)"},
    {app, R"(breaker = { failures = ["${NOPE}", "5xx"] })",
     "8: cluster#1.breaker.failures#1: environment variable NOPE is not set, set it or write "
     "${NOPE:-default}"},
};

const std::vector<Mistake> kFallbacks{
    {app, "breaker = { fallback = {} }",
     "8: cluster.app.breaker.fallback: the fallback is empty, add cluster, or a response with its status"},
    {app, R"(breaker = { fallback = "other" })",
     R"(8: cluster.app.breaker.fallback: "other" is a string, write a table with status, body, content_type, cluster)"},
    {app, R"(breaker = { fallback = { body = "later" } })",
     "8: cluster.app.breaker.fallback.status: the response has no status, write the one that clients are to "
     "see, as status = 503"},
    {app, R"(breaker = { fallback = { status = 503, cluster = "app" } })",
     R"(8: cluster.app.breaker.fallback.status: the other cluster answers, keep either cluster or the response
8: cluster.app.breaker.fallback.cluster: a cluster cannot fall back to itself, name another one or remove the fallback)"},
    {app, R"(breaker = { fallback = { status = 204, body = "x" } })",
     "8: cluster.app.breaker.fallback.body: a response with status 204 has no body, remove it"},
    {app, R"(breaker = { fallback = { status = 503, content_type = "a\nb" } })",
     R"(8: cluster.app.breaker.fallback.content_type: "a\nb" has a line break, write one line)"},
    {app, "breaker = { fallback = { cluster = 1 } }",
     R"(8: cluster.app.breaker.fallback.cluster: 1 is a number, write a string such as "spare")"},
    {app, R"(breaker = { fallback = { cluster = "app" } })",
     "8: cluster.app.breaker.fallback.cluster: a cluster cannot fall back to itself, name another one or "
     "remove the fallback"},
    {app, R"(breaker = { fallback = { cluster = "ap" } })",
     R"(8: cluster.app.breaker.fallback.cluster: there is no cluster "ap", did you mean "app"?)"},
    {app, R"(breaker = { fallback = { cluster = "" } })",
     R"(8: cluster.app.breaker.fallback.cluster: there is no cluster "", the clusters are "app")"},
    {app, R"([cluster.breaker.fallback]
cluster = "spare"
[[cluster]]
name = "other"
endpoints = ["b:1"])",
     R"(9: cluster.app.breaker.fallback.cluster: there is no cluster "spare", the clusters are "app", "other")"},
};

const std::vector<Mistake> kAdaptiveConcurrency{
    {app, "adaptive_concurrency = true",
     "8: cluster.app.adaptive_concurrency: true is a boolean, write a table with enabled, initial, min, max, "
     "interval, tolerance, smoothing"},
    {app, "adaptive_concurrency = { min = 10, max = 5 }",
     "8: cluster.app.adaptive_concurrency.max: 5 is below min, which is 10: write 10 or more, or lower min"},
    {app, "adaptive_concurrency = { min = 10, initial = 5 }",
     "8: cluster.app.adaptive_concurrency.initial: 5 is below min, which is 10: write 10 or more, or lower "
     "min"},
    {app, "adaptive_concurrency = { initial = 20, max = 10 }",
     "8: cluster.app.adaptive_concurrency.max: 10 is below initial, which is 20: write 20 or more, or lower "
     "initial"},
    {app, "adaptive_concurrency = { min = \"10\", max = 2 }",
     "8: cluster.app.adaptive_concurrency.min: \"10\" is a string, write it without quotes: 10"},
};

}  // namespace

TEST_CASE("mistakes in a breaker are reported") { expect(kBreakers); }

TEST_CASE("mistakes in what counts as a failure are reported") { expect(kFailures); }

TEST_CASE("mistakes in a fallback are reported") { expect(kFallbacks); }

TEST_CASE("mistakes in adaptive concurrency are reported") { expect(kAdaptiveConcurrency); }
