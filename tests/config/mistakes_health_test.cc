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

const std::vector<Mistake> kProtocols{
    {app, R"(health_check = { protocol = "grpc" })",
     R"(8: cluster.app.health_check.protocol: "grpc" is not one of the choices, write one of http, tcp)"},
    {app, R"(health_check = { protocol = "redis", send = "PING" })",
     R"(8: cluster.app.health_check.protocol: "redis" is not one of the choices, write one of http, tcp)"},
    {app, R"(health_check = { protocol = "HTTP" })",
     R"(8: cluster.app.health_check.protocol: "HTTP" is not one of the choices, did you mean "http"?)"},
    {app, R"(health_check = "/healthz")",
     "8: cluster.app.health_check: \"/healthz\" is a string, write a table with protocol, path, method, "
     "host, expect, body_contains, send, receive, port, interval, failing_interval, timeout, rise, fall, "
     "jitter, reuse_connection, panic_below"},
    {app, R"([cluster.health_check]
send = "PING"
receive = "PONG")",
     R"(9: cluster.app.health_check.send: only a check with protocol = "tcp" has this, remove it or change protocol
10: cluster.app.health_check.receive: only a check with protocol = "tcp" has this, remove it or change protocol)"},
    {app, R"([cluster.health_check]
protocol = "tcp"
path = "/"
method = "GET"
host = "a"
expect = ["200"]
body_contains = "ok"
reuse_connection = true
send = "PING")",
     R"(10: cluster.app.health_check.path: only a check with protocol = "http" has this, remove it or change protocol
11: cluster.app.health_check.method: only a check with protocol = "http" has this, remove it or change protocol
12: cluster.app.health_check.host: only a check with protocol = "http" has this, remove it or change protocol
13: cluster.app.health_check.expect: only a check with protocol = "http" has this, remove it or change protocol
14: cluster.app.health_check.body_contains: only a check with protocol = "http" has this, remove it or change protocol
15: cluster.app.health_check.reuse_connection: only a check with protocol = "http" has this, remove it or change protocol)"},
};

const std::vector<Mistake> kRequests{
    {app, R"(health_check = { path = "healthz" })",
     R"(8: cluster.app.health_check.path: "healthz" does not begin with a slash, write "/healthz")"},
    {app, R"(health_check = { path = "/a#b" })",
     R"(8: cluster.app.health_check.path: "/a#b" has a fragment, which is not sent: write "/a")"},
    {app, R"(health_check = { path = "/a b" })",
     R"(8: cluster.app.health_check.path: "/a b" has characters that no request path has, write them as %XX)"},
    {app, R"(health_check = { path = "/a\r\nX: y" })",
     R"(8: cluster.app.health_check.path: "/a\x0d\nX: y" has characters that no request path has, write them as %XX)"},
    {app, R"(health_check = { method = "get" })",
     R"(8: cluster.app.health_check.method: "get" is not a method, did you mean "GET"?)"},
    {app, R"(health_check = { method = "CONNECT" })",
     "8: cluster.app.health_check.method: CONNECT is not served, remove it"},
    {app, R"(health_check = { method = "HEAD", body_contains = "ok" })",
     R"(8: cluster.app.health_check.body_contains: the answer to HEAD has no body, remove this or write method = "GET")"},
    {app, R"(health_check = { host = "a b" })",
     R"(8: cluster.app.health_check.host: "a b" is not a host name, write letters, digits, - and dots)"},
    {app, "health_check = { expect = [] }",
     R"(8: cluster.app.health_check.expect: the list is empty and no answer would pass, write one such as ["200-399"])"},
    {app, "health_check = { expect = [200] }",
     R"(8: cluster.app.health_check.expect#1: 200 is a number, write it in quotes: "200")"},
    {app, "health_check = { expect = 200 }",
     R"(8: cluster.app.health_check.expect: 200 is a number, write an array such as ["200-399"])"},
    {app, R"(health_check = { expect = ["ok", "100"] })",
     R"(8: cluster.app.health_check.expect#1: "ok" is not a status, write statuses such as "503", "500-504" or "5xx"
8: cluster.app.health_check.expect#2: "100" is out of range, write statuses from 200 to 599)"},
    {app, "health_check = { reuse_connection = 1 }",
     "8: cluster.app.health_check.reuse_connection: 1 is a number, write true or false"},
    {app, "[cluster.health_check]\nbody_contains = \"\"\"" + std::string(65537, '\n') + "x\"\"\"",
     "9: cluster.app.health_check.body_contains: the text is longer than 64KiB, shorten it"},
    {app, "[cluster.health_check]\nprotocol = \"tcp\"\nsend = \"\"\"" + std::string(65537, '\n') + "x\"\"\"",
     "10: cluster.app.health_check.send: the text is longer than 64KiB, shorten it"},
};

const std::vector<Mistake> kSchedules{
    {app, R"(health_check = { interval = "1s", timeout = "2s" })",
     R"(8: cluster.app.health_check.interval: "1s" is below timeout, which is "2s": write "2s" or more, or lower timeout)"},
    {app, R"(health_check = { failing_interval = "500ms", timeout = "2s" })",
     R"(8: cluster.app.health_check.failing_interval: "500ms" is below timeout, which is "2s": write "2s" or more, or lower timeout)"},
    {app, R"(health_check = { interval = 5, timeout = "2s" })",
     R"(8: cluster.app.health_check.interval: 5 is a number without a unit, write "5s")"},
    {app, R"(health_check = { interval = "${NOPE}", timeout = "30s" })",
     "8: cluster#1.health_check.interval: environment variable NOPE is not set, set it or write "
     "${NOPE:-default}"},
    {app, "health_check = { failing_interval = \"5ms\" }",
     R"(8: cluster.app.health_check.failing_interval: "5ms" is out of range, write "10ms" to "24h", or 0 for the same as interval)"},
    {cluster, R"(name = "app"
endpoints = ["a:1", "unix:/run/app.sock"]
health_check = { port = 9000 })",
     R"(8: cluster.app.health_check.port: endpoint "unix:/run/app.sock" is a Unix socket and has no ports, remove port)"},
};

const std::vector<Mistake> kOutliers{
    {app, "outlier = true",
     "8: cluster.app.outlier: true is a boolean, write a table with enabled, consecutive_failures, interval, "
     "success_rate_deviations, failure_percentage, min_requests, min_endpoints, base_ejection, "
     "max_ejection, keep_at_least"},
    {app, R"(outlier = { base_ejection = "1m", max_ejection = "30s" })",
     R"(8: cluster.app.outlier.max_ejection: "30s" is below base_ejection, which is "1m": write "1m" or more, or lower base_ejection)"},
    {app, "outlier = { failure_percentage = 101 }",
     "8: cluster.app.outlier.failure_percentage: 101 is out of range, write a number from 0 to 100"},
    {app, "slow_start = true",
     R"(8: cluster.app.slow_start: true is a boolean, write a duration such as "5s")"},
};

}  // namespace

TEST_CASE("a health check has a protocol that exists, and only its keys") { expect(kProtocols); }

TEST_CASE("mistakes in what a health check sends and expects are reported") { expect(kRequests); }

TEST_CASE("mistakes in when a health check runs, and where, are reported") { expect(kSchedules); }

TEST_CASE("mistakes in outlier detection and slow start are reported") { expect(kOutliers); }
