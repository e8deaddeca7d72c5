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

// In the only route, which forwards, from line 5 on.
std::string forwarding(const std::string& lines) { return route("cluster = \"app\"\n" + lines); }

const std::vector<Mistake> kRetries{
    {app, "retry = 3",
     "8: cluster.app.retry: 3 is a number, write a table with attempts, on, per_try_timeout, backoff, "
     "retry_after_max, body, hedge, budget"},
    {forwarding, "retry = 3",
     "5: listener#1.route#1.retry: 3 is a number, write a table with attempts, on, per_try_timeout, "
     "backoff, retry_after_max, body, hedge"},
    {app, "retry = { attempts = 0 }",
     "8: cluster.app.retry.attempts: 0 is out of range, write a whole number from 1 to 10"},
    {app, "retry = { on = [] }",
     "8: cluster.app.retry.on: the list is empty, write attempts = 1 to switch retries off"},
    {app, R"(retry = { on = ["connect", "5x", "gateway_error", "retriable-4xx"] })",
     R"(8: cluster.app.retry.on#1: "connect" is not an outcome, did you mean "connect-failure"?
8: cluster.app.retry.on#2: "5x" is not a status, write statuses such as "503", "500-504" or "5xx"
8: cluster.app.retry.on#3: "gateway_error" is not an outcome, did you mean "gateway-error"?
8: cluster.app.retry.on#4: "retriable-4xx" is not an outcome, write one of connect-failure, refused, reset, timeout, gateway-error, or statuses such as "503", "500-504" or "5xx")"},
    {forwarding, R"(retry = { on = [503] })",
     R"(5: listener#1.route#1.retry.on#1: 503 is a number, write it in quotes: "503")"},
    {app, R"(retry = { backoff = "25ms" })",
     R"(8: cluster.app.retry.backoff: "25ms" is a string, write a table with base, max)"},
    {app, R"(retry = { backoff = { base = "1s", max = "100ms" } })",
     R"(8: cluster.app.retry.backoff.max: "100ms" is below base, which is "1s": write "1s" or more, or lower base)"},
    {forwarding, R"(retry = { backoff = { base = "1s", max = "100ms" } })",
     R"(5: listener#1.route#1.retry.backoff.max: "100ms" is below base, which is "1s": write "1s" or more, or lower base)"},
    {app, "retry = { body = 1000000 }",
     R"(8: cluster.app.retry.body: 1000000 is a number without a unit, write "1000000B")"},
    {app, R"(retry = { hedge = "50ms" })",
     R"(8: cluster.app.retry.hedge: "50ms" is a string, write a table with after, percentile)"},
    {app, "retry = { hedge = {} }",
     R"(8: cluster.app.retry.hedge: the hedge has no delay, add after = "50ms" or percentile = 0.95)"},
    {app, R"(retry = { hedge = { after = "50ms", percentile = 0.95 } })",
     "8: cluster.app.retry.hedge.percentile: after and percentile exclude each other, keep one"},
    {app, "retry = { budget = 0.2 }",
     "8: cluster.app.retry.budget: 0.2 is a number, write a table with ratio, min_per_second"},
    {app, "retry = { budget = { ratio = 20 } }",
     "8: cluster.app.retry.budget.ratio: 20 is out of range, write a number from 0 to 10"},
    {route, R"(respond = {}
retry = { attempts = 3 })",
     "5: listener#1.route#1.retry: this route does not forward but has respond, remove retry"},
};

const std::vector<Mistake> kRateLimits{
    {listener, "rate_limit = 100",
     "3: listener#1.rate_limit: 100 is a number, write a table with requests, per, burst, key, keys"},
    {listener, "rate_limit = {}",
     "3: listener#1.rate_limit.requests: the limit has no number of requests, write requests = 100"},
    {forwarding, R"(rate_limit = { per = "1m" })",
     "5: listener#1.route#1.rate_limit.requests: the limit has no number of requests, write requests = 100"},
    {listener, R"(rate_limit = { requests = "100/s" })",
     R"(3: listener#1.rate_limit.requests: "100/s" is a string, write a number from 0.001 to 1000000000)"},
    {listener, R"(rate_limit = { requests = 1001, per = "1ms" })",
     R"(3: listener#1.rate_limit.requests: 1001 in "1ms" are more than 1000000 a second, write fewer, or a longer per)"},
    {listener, R"(rate_limit = { requests = 1, per = "24h", burst = 366 })",
     R"(3: listener#1.rate_limit.burst: a burst of 366 takes more than a year to come back at 1 in "24h", write more requests, a shorter per, or a smaller burst)"},
    {listener, R"(rate_limit = { requests = 0.001, per = "24h" })",
     R"(3: listener#1.rate_limit.requests: a burst of 1 takes more than a year to come back at 0.001 in "24h", write more requests, a shorter per, or a smaller burst)"},
    {listener, "rate_limit = { requests = 1e9, per = 60 }",
     R"(3: listener#1.rate_limit.per: 60 is a number without a unit, write "1m")"},
    {listener, R"(rate_limit = { requests = 1, key = "ip" })",
     R"(3: listener#1.rate_limit.key: "ip" is not one of the choices, write "source", or { header = "X-Api-Key" })"},
    {listener, "rate_limit = { requests = 1, key = true }",
     R"(3: listener#1.rate_limit.key: true is a boolean, write "source", or { header = "X-Api-Key" })"},
    {forwarding, "rate_limit = { requests = 1, key = {} }",
     R"(5: listener#1.route#1.rate_limit.key.header: the key has no header, write header = "X-Api-Key")"},
    {forwarding, R"(rate_limit = { requests = 1, key = { heder = "X" } })",
     R"(5: listener#1.route#1.rate_limit.key.heder: unknown key, did you mean "header"?
5: listener#1.route#1.rate_limit.key.header: the key has no header, write header = "X-Api-Key")"},
    {forwarding, R"(rate_limit = { requests = 1, key = { header = "a b" } })",
     R"(5: listener#1.route#1.rate_limit.key.header: "a b" is not a header name, write letters, digits and -)"},
    {listener, "rate_limit = { requests = 1, keys = 100 }",
     R"(3: listener#1.rate_limit.keys: without a key there is one bucket for all, add key = "source" or remove keys)"},
};

const std::vector<Mistake> kLimitsAndOverload{
    {app, "limits = 5",
     "8: cluster.app.limits: 5 is a number, write a table with connections, requests, pending, "
     "pending_timeout, retries, per_endpoint"},
    {app, "limits = { per_endpoint = 5 }",
     "8: cluster.app.limits.per_endpoint: 5 is a number, write a table with connections, requests, retries"},
    {app, R"(limits = { requests = "unlimited" })",
     R"(8: cluster.app.limits.requests: "unlimited" is a string, write a whole number from 0 to 10000000)"},
    {app, "limits = { pending_timeout = 1 }",
     R"(8: cluster.app.limits.pending_timeout: 1 is a number without a unit, write "1s")"},
    {top, "overload = 1", "1: overload: 1 is a number, write a table with loop_lag, memory, calm"},
    {top, R"([overload]
loop_lag = "5ms"
memory = "1MiB")",
     R"(2: overload.loop_lag: "5ms" is out of range, write "10ms" to "1m", or 0 for no watermark
3: overload.memory: "1MiB" is out of range, write "16MiB" to "1048576GiB", or 0 for no watermark)"},
    {top, "[overload]\nmemory = 1073741824",
     R"(2: overload.memory: 1073741824 is a number without a unit, write "1GiB")"},
};

}  // namespace

TEST_CASE("mistakes in retries are reported") { expect(kRetries); }

TEST_CASE("mistakes in rate limits are reported") { expect(kRateLimits); }

TEST_CASE("mistakes in limits and overload watermarks are reported") { expect(kLimitsAndOverload); }
