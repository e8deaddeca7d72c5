#include <doctest/doctest.h>

#include <vector>

#include "tests/config/fixture.h"

using namespace remora::config::fixture;

namespace {

void expect(const std::vector<Mistake>& mistakes) {
  for (const auto& mistake : mistakes) {
    CAPTURE(mistake.lines);
    CHECK(problems(mistake.file(mistake.lines)) == mistake.expected);
  }
}

const std::vector<Mistake> kUnknownKeysAreReportedWith{
    {top, "[runtme]", R"(1: runtme: unknown key, did you mean "runtime"?)"},
    {top, "[runtime]\nworker = 1", R"(2: runtime.worker: unknown key, did you mean "workers"?)"},
    {top, R"([runtime]
drain_timout = "1s")",
     R"(2: runtime.drain_timout: unknown key, did you mean "drain_timeout"?)"},
    {top, R"([admin]
level = "info")",
     "2: admin.level: unknown key here, it belongs in [log]"},
    {top, "[log.acess]", R"(1: log.acess: unknown key, did you mean "access"?)"},
    {top, "[runtime]\nfoobar = 1",
     "2: runtime.foobar: unknown key, the keys here are workers, drain_timeout, zone"},
    {top, "nonsense = 1", "1: nonsense: unknown key, the tables are runtime, admin, log, listener, cluster"},
    {top, R"("we ird\u001b[31m" = 1)",
     R"(1: "we ird\x1b[31m": unknown key, the tables are runtime, admin, log, listener, cluster)"},
};

const std::vector<Mistake> kUnknownKeysOfListenersRoutes{
    {listener, R"(adress = "x")", R"(3: listener#1.adress: unknown key, did you mean "address"?)"},
    {listener, R"(connect = "1s")",
     "3: listener#1.connect: unknown key here, it belongs in [cluster.timeouts]"},
    {listener, R"(timeouts = { heeder = "1s" })",
     R"(3: listener#1.timeouts.heeder: unknown key, did you mean "header"?)"},
    {listener, "limits = { headers = 1 }",
     "3: listener#1.limits.headers: unknown key here, it belongs in [[listener.route]]"},
    {listener, R"(protocol = "tcp")",
     "3: listener#1.protocol: unknown key, the keys here are name, address, trusted, timeouts, limits, "
     "route"},
    {listener, R"(balance = "random")", "3: listener#1.balance: unknown key here, it belongs in [[cluster]]"},
    {listener, "conections = 5",
     R"(3: listener#1.conections: unknown key, did you mean "connections" in [listener.limits]?)"},
    {route, R"(cluster = "app"
retry = {})",
     "5: listener#1.route#1.retry: unknown key, the keys here are host, path, prefix, regex, methods, "
     "headers, cluster, clusters, redirect, respond, rewrite, request_headers, response_headers, timeout, "
     "hash"},
    {route, R"(cluster = "app"
weight = 1)",
     "5: listener#1.route#1.weight: unknown key here, it belongs in an element of clusters or an element of "
     "endpoints"},
    {route, R"(cluster = "app"
hash = { heder = "x" })",
     R"(5: listener#1.route#1.hash.heder: unknown key, did you mean "header"?
5: listener#1.route#1.hash: the hash has no key, add header, cookie, source, query or path)"},
    {route, R"(cluster = "app"
body = "x")",
     "5: listener#1.route#1.body: unknown key here, it belongs in [listener.route.respond]"},
    {cluster, R"(name = "app"
endpoints = ["a:1"]
discover = "dns")",
     "8: cluster.app.discover: unknown key, the keys here are name, endpoints, balance, bounded_load, "
     "timeouts"},
    {cluster, R"(name = "app"
endpoints = [{ address = "a:1", wieght = 2 }])",
     R"(7: cluster.app.endpoints#1.wieght: unknown key, did you mean "weight"?)"},
    {cluster, R"(name = "app"
endpoint = ["a:1"])",
     R"(5: cluster.app.endpoints: a cluster needs endpoints, write endpoints = ["127.0.0.1:3000"]
7: cluster.app.endpoint: unknown key, did you mean "endpoints"?)"},
};

}  // namespace

TEST_CASE("unknown keys are reported with what was meant") { expect(kUnknownKeysAreReportedWith); }

TEST_CASE("unknown keys of listeners, routes and clusters are reported with what was meant") {
  expect(kUnknownKeysOfListenersRoutes);
}
