#include <doctest/doctest.h>

#include <vector>

#include "tests/config/fixture.h"

using namespace remora::config::fixture;

namespace {

const std::vector<Mistake> kUnknownKeysAreReportedWith{
    {top, "[runtme]", R"(1: runtme: unknown key, did you mean "runtime"?)"},
    {top, "[runtime]\nworker = 1", R"(2: runtime.worker: unknown key, did you mean "workers"?)"},
    {top, R"([runtime]
drain_timout = "1s")",
     R"(2: runtime.drain_timout: unknown key, did you mean "drain_timeout"?)"},
    {top, R"([runtime]
listener = [])",
     "2: runtime.listener: unknown key here, it belongs in the top of the file"},
    {top, R"([admin]
level = "info")",
     "2: admin.level: unknown key here, it belongs in [log]"},
    {top, "[log.acess]", R"(1: log.acess: unknown key, did you mean "access"?)"},
    {top, "[runtime]\nfoobar = 1",
     "2: runtime.foobar: unknown key, the keys here are workers, drain_delay, "
     "drain_timeout, exit_with, zone, watch, resolvers, user, core_dumps"},
    {top, "nonsense = 1",
     "1: nonsense: unknown key, the tables are runtime, overload, admin, log, tracing, listener, cluster, "
     "mesh"},
    {top, R"("we ird\u001b[31m" = 1)",
     R"(1: "we ird\x1b[31m": unknown key, the tables are runtime, overload, admin, log, tracing, listener, cluster, mesh)"},
};

const std::vector<Mistake> kUnknownKeysOfListenersRoutes{
    {listener, R"(adress = "x")", R"(3: listener#1.adress: unknown key, did you mean "address"?)"},
    {listener, R"(connect = "1s")",
     "3: listener#1.connect: unknown key here, it belongs in [[listener.route]]"},
    {listener, R"(timeouts = { heeder = "1s" })",
     R"(3: listener#1.timeouts.heeder: unknown key, did you mean "header"?)"},
    {listener, "limits = { headers = 1 }",
     "3: listener#1.limits.headers: unknown key here, it belongs in [[listener.route]]"},
    {listener, R"(jitter = 0.1)",
     "3: listener#1.jitter: unknown key here, it belongs in [cluster.breaker] or [cluster.health_check]"},
    {listener, R"(certificate = "x")",
     "3: listener#1.certificate: unknown key here, it belongs in [listener.tls] or an element of "
     "certificates"},
    {listener, R"(colour = "x")",
     "3: listener#1.colour: unknown key, the keys here are name, address, protocol, direction, trusted, "
     "cluster, timeouts, limits, rate_limit, tls, allow, route, proxy_protocol, original_destination"},
    {listener, R"(balance = "random")", "3: listener#1.balance: unknown key here, it belongs in [[cluster]]"},
    {listener, "conections = 5",
     R"(3: listener#1.conections: unknown key, did you mean "connections" in [listener.limits]?)"},
    {route, R"(cluster = "app"
mirror = {})",
     "5: listener#1.route#1.mirror: unknown key, the keys here are host, path, prefix, regex, methods, "
     "headers, cluster, clusters, redirect, respond, rewrite, timeout, hash, retry, request_headers, "
     "response_headers, rate_limit, allow, connect"},
    {route, R"(cluster = "app"
weight = 1)",
     "5: listener#1.route#1.weight: unknown key here, it belongs in an element of clusters"},
    {route, R"(cluster = "app"
hash = { heder = "x" })",
     R"(5: listener#1.route#1.hash.heder: unknown key, did you mean "header"?
5: listener#1.route#1.hash: the hash has no key, add header, cookie, source, query or path)"},
    {route, R"(cluster = "app"
body = "x")",
     "5: listener#1.route#1.body: unknown key here, it belongs in [listener.route.respond] or "
     "[listener.route.retry]"},
    {cluster, R"(name = "app"
endpoints = ["a:1"]
discovery = { swim = "a" })",
     R"(8: cluster.app.discovery: unknown key, did you mean "discover"?)"},
    {cluster, R"(name = "app"
endpoints = ["a:1"]
locality = "x")",
     "8: cluster.app.locality: unknown key, the keys here are name, discover, endpoints, balance, "
     "bounded_load, timeouts, limits, breaker, outlier, health_check, slow_start, retry, "
     "adaptive_concurrency, tls, proxy_protocol"},
    {cluster, R"(name = "app"
endpoints = [{ address = "a:1", wieght = 2 }])",
     R"(7: cluster.app.endpoints#1.wieght: unknown key, did you mean "weight"?)"},
    {cluster, R"(name = "app"
endpoint = ["a:1"])",
     R"(5: cluster.app.endpoints: a cluster needs endpoints, write endpoints = ["127.0.0.1:3000"]
7: cluster.app.endpoint: unknown key, did you mean "endpoints"?)"},
};

const std::vector<Mistake> kUnknownKeysOfResilience{
    {top, "[overload]\nlag = \"1s\"",
     "2: overload.lag: unknown key, the keys here are loop_lag, memory, calm"},
    {listener, "rate_limit = { request = 5 }",
     R"(3: listener#1.rate_limit.request: unknown key, did you mean "requests"?
3: listener#1.rate_limit.requests: the limit has no number of requests, write requests = 100)"},
    {route, R"(cluster = "app"
retry = { budget = { ratio = 1 } })",
     "5: listener#1.route#1.retry.budget: unknown key here, it belongs in [cluster.retry]"},
    {route, R"(cluster = "app"
attempts = 3)",
     "5: listener#1.route#1.attempts: unknown key here, it belongs in [listener.route.retry]"},
    {route, R"(cluster = "app"
retry = { backof = { base = "1s" } })",
     R"(5: listener#1.route#1.retry.backof: unknown key, did you mean "backoff"?)"},
    {cluster, R"(name = "app"
endpoints = ["a:1"]
braker = { enabled = false })",
     R"(8: cluster.app.braker: unknown key, did you mean "breaker"?)"},
    {cluster, R"(name = "app"
endpoints = ["a:1"]
open_for = "1s")",
     "8: cluster.app.open_for: unknown key here, it belongs in [cluster.breaker]"},
    {cluster, R"(name = "app"
endpoints = ["a:1"]
max_requests = 5)",
     "8: cluster.app.max_requests: unknown key, the keys here are name, discover, endpoints, balance, "
     "bounded_load, timeouts, limits, breaker, outlier, health_check, slow_start, retry, "
     "adaptive_concurrency, tls, proxy_protocol"},
    {cluster, R"(name = "app"
endpoints = ["a:1"]
health_check = { url = "/" })",
     "8: cluster.app.health_check.url: unknown key, the keys here are protocol, path, method, host, expect, "
     "body_contains, send, receive, port, interval, failing_interval, timeout, rise, fall, jitter, "
     "reuse_connection, panic_below"},
    {cluster, R"(name = "app"
endpoints = ["a:1"]
breaker = { slow_call = { treshold = "1s" } })",
     R"(8: cluster.app.breaker.slow_call.treshold: unknown key, did you mean "threshold"?
8: cluster.app.breaker.slow_call.threshold: nothing says what is slow, write threshold = "1s")"},
    {cluster, R"(name = "app"
endpoints = ["a:1"]
limits = { per_endpoint = { pending = 1 } })",
     "8: cluster.app.limits.per_endpoint.pending: unknown key here, it belongs in [cluster.limits]"},
};

}  // namespace

TEST_CASE("unknown keys are reported with what was meant") { expect(kUnknownKeysAreReportedWith); }

TEST_CASE("unknown keys of listeners, routes and clusters are reported with what was meant") {
  expect(kUnknownKeysOfListenersRoutes);
}

TEST_CASE("unknown keys of the tables for resilience are reported with what was meant") {
  expect(kUnknownKeysOfResilience);
}
