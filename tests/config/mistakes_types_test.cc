#include <doctest/doctest.h>

#include <vector>

#include "tests/config/fixture.h"

using namespace remora::config::fixture;

namespace {

const std::vector<Mistake> kWrongTypesSayWhatWas{
    {top, R"([runtime]
workers = "4")",
     R"(2: runtime.workers: "4" is a string, write a whole number from 1 to 256, or "auto")"},
    {top, R"([runtime]
workers = "many")",
     R"(2: runtime.workers: "many" is a string, write a whole number from 1 to 256, or "auto")"},
    {top, "[runtime]\nworkers = 1.5",
     R"(2: runtime.workers: 1.5 is a number, write a whole number from 1 to 256, or "auto")"},
    {top, "[runtime]\nworkers = true",
     R"(2: runtime.workers: true is a boolean, write a whole number from 1 to 256, or "auto")"},
    {top, "[runtime]\nworkers = [1]",
     R"(2: runtime.workers: an array is here, write a whole number from 1 to 256, or "auto")"},
    {top, "[runtime]\nworkers = 2026-11-20",
     R"(2: runtime.workers: a date is here, write a whole number from 1 to 256, or "auto")"},
    {top, "[runtime]\nzone = 1", R"(2: runtime.zone: 1 is a number, write a string such as "eu-1a")"},
    {top, R"([runtime]
zone = ["a"])",
     R"(2: runtime.zone: an array is here, write just "a")"},
    {top, "[runtime]\nzone = {}", R"(2: runtime.zone: a table is here, write a string such as "eu-1a")"},
    {top, R"([log.access]
sample = "0.5")",
     R"(2: log.access.sample: "0.5" is a string, write it without quotes: 0.5)"},
    {top, R"([log.access]
sample = "half")",
     R"(2: log.access.sample: "half" is a string, write a number from 0 to 1)"},
    {top, "[log]\nlevel = 3", R"(2: log.level: 3 is a number, write a string such as "info")"},
    {top, "runtime = 1",
     "1: runtime: 1 is a number, write a table with workers, drain_delay, drain_timeout, exit_with, zone, "
     "watch, resolvers, user, core_dumps"},
    {top, "[runtime]\nexit_with = 42",
     R"(2: runtime.exit_with: 42 is a number, write a string such as "/run/app.pid")"},
    {top, "[runtime]\nexit_with = \"app.pid\"",
     R"(2: runtime.exit_with: "app.pid" is neither, write a pid such as "42", or the absolute path of a file that has it, such as "/run/app.pid")"},
    {top, "[runtime]\nexit_with = \"0\"",
     R"(2: runtime.exit_with: "0" is neither, write a pid such as "42", or the absolute path of a file that has it, such as "/run/app.pid")"},
    {top, "[runtime]\nuser = 65532",
     R"(2: runtime.user: 65532 is a number, write a string such as "remora")"},
    {top, "[runtime]\nuser = \"a:b\"",
     R"(2: runtime.user: "a:b" is neither, write a name such as "remora", or the numbers of a user and a group such as "65532:65532")"},
    {top, "[runtime]\nuser = \"7:\"",
     R"(2: runtime.user: "7:" is neither, write a name such as "remora", or the numbers of a user and a group such as "65532:65532")"},
    {top, "[runtime]\nuser = \"a b\"",
     R"(2: runtime.user: "a b" is neither, write a name such as "remora", or the numbers of a user and a group such as "65532:65532")"},
    {top, "[runtime]\ndrain_delay = \"10s\"\ndrain_timeout = \"5s\"",
     R"(3: runtime.drain_timeout: "5s" is below drain_delay, which is "10s": write "10s" or more, or lower drain_delay)"},
    {listener, "direction = \"in\"",
     R"(3: listener#1.direction: "in" is not one of the choices, write one of inbound, outbound)"},
    {top, "[[runtime]]\nworkers = 1",
     "1: runtime: there can be only one, write [runtime] with single brackets"},
    {top, R"([log]
access = "off")",
     R"(2: log.access: "off" is a string, write a table with format, path, sample)"},
    {listener, R"(trusted = "10.0.0.0/8")",
     R"(3: listener#1.trusted: "10.0.0.0/8" is a string, write an array such as ["10.0.0.0/8"])"},
    {listener, "trusted = [10]",
     R"(3: listener#1.trusted#1: 10 is a number, write a string such as "10.0.0.0/8")"},
    {listener, R"(timeouts = "5s")",
     R"(3: listener#1.timeouts: "5s" is a string, write a table with header, body_idle, keep_alive, tunnel_idle, detect)"},
    {listener, R"(limits = { connections = "5" })",
     R"(3: listener#1.limits.connections: "5" is a string, write it without quotes: 5)"},
    {listener, R"(limits = { header_fields = "${WORD}" })",
     R"(3: listener#1.limits.header_fields: "four" is a string, write a whole number from 1 to 10000)"},
    {route, R"(cluster = ["app"])", R"(4: listener#1.route#1.cluster: an array is here, write just "app")"},
    {route, "cluster = 1", R"(4: listener#1.route#1.cluster: 1 is a number, write a string such as "app")"},
    {route, R"(cluster = "app"
methods = "GET")",
     R"(5: listener#1.route#1.methods: "GET" is a string, write an array such as ["GET"])"},
    {route, R"(cluster = "app"
headers = ["X"])",
     R"(5: listener#1.route#1.headers: an array is here, write a table such as { "X-Canary" = "yes" })"},
    {route, R"(cluster = "app"
headers = { X = 1 })",
     R"(5: listener#1.route#1.headers.X: 1 is a number, write a string such as "yes")"},
    {route, R"(clusters = "app")",
     R"(4: listener#1.route#1.clusters: "app" is a string, write an array such as ["app"])"},
    {route, R"(clusters = ["app"])",
     R"(4: listener#1.route#1.clusters#1: "app" is a string, write a table such as { name = "a", weight = 1 })"},
    {route, R"(redirect = "https://x/")",
     R"(4: listener#1.route#1.redirect: "https://x/" is a string, write a table with to, status, scheme, host, path)"},
    {route, "respond = 404",
     "4: listener#1.route#1.respond: 404 is a number, write a table with status, body, content_type"},
    {route, R"(cluster = "app"
hash = "header")",
     R"(5: listener#1.route#1.hash: "header" is a string, write a table with header, cookie, source, query, path)"},
    {route, R"(cluster = "app"
hash = { source = "true" })",
     R"(5: listener#1.route#1.hash.source: "true" is a string, write it without quotes: true)"},
    {route, R"(cluster = "app"
hash = { path = 1 })",
     "5: listener#1.route#1.hash.path: 1 is a number, write true or false"},
    {route, R"(cluster = "app"
request_headers = { set = "X" })",
     R"(5: listener#1.route#1.request_headers.set: "X" is a string, write a table such as { "X-Proxy" = "remora" })"},
    {route, R"(cluster = "app"
request_headers = { set = { X = ["a", "b"] } })",
     R"(5: listener#1.route#1.request_headers.set.X: an array is here, write a string such as "remora")"},
    {route, R"(cluster = "app"
request_headers = { remove = "X" })",
     R"(5: listener#1.route#1.request_headers.remove: "X" is a string, write an array such as ["X"])"},
    {cluster, R"(name = "app"
endpoints = "127.0.0.1:3000")",
     R"(7: cluster.app.endpoints: "127.0.0.1:3000" is a string, write an array such as ["127.0.0.1:3000"])"},
    {cluster, R"(name = "app"
endpoints = 3000)",
     R"(7: cluster.app.endpoints: 3000 is a number, write an array such as ["127.0.0.1:3000"])"},
    {cluster, R"(name = "app"
endpoints = [3000])",
     R"(7: cluster.app.endpoints#1: 3000 is a number, write a string such as "127.0.0.1:3000")"},
    {cluster, R"(name = 1
endpoints = ["a:1"])",
     R"(6: cluster#1.name: 1 is a number, write a string such as "app")"},
};

const std::vector<Mistake> kTablesWithTheWrongNumber{
    {whole, R"([listener]
address = "127.0.0.1:80"
)",
     "1: listener: there can be several, write [[listener]] with double brackets"},
    {whole, R"([[listener]]
address = "127.0.0.1:80"
[listener.route]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["127.0.0.1:3000"]
)",
     "3: listener#1.route: there can be several, write [[listener.route]] with double brackets"},
    {whole, "listener = 5\n", "1: listener: 5 is a number, write a table [[listener]]"},
    {whole, "listener = [1]\n", "1: listener#1: 1 is a number, write a table [[listener]]"},
    {whole, R"(cluster = ["x"]
[[listener]]
address = "127.0.0.1:80"
route = [{ respond = {} }]
)",
     R"(1: cluster#1: "x" is a string, write a table [[cluster]])"},
};

}  // namespace

TEST_CASE("wrong types say what was found and what is right") { expect(kWrongTypesSayWhatWas); }

TEST_CASE("tables with the wrong number of brackets are named") { expect(kTablesWithTheWrongNumber); }
