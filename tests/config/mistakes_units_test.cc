#include <doctest/doctest.h>

#include <vector>

#include "tests/config/fixture.h"

using namespace remora::config::fixture;

namespace {

const std::vector<Mistake> kUnitsAreCheckedAndCorrected{
    {top, "[runtime]\ndrain_timeout = 15",
     R"(2: runtime.drain_timeout: 15 is a number without a unit, write "15s")"},
    {top, "[runtime]\ndrain_timeout = 1.5",
     R"(2: runtime.drain_timeout: 1.5 is a number without a unit, write "1500ms")"},
    {top, "[runtime]\ndrain_timeout = -3",
     R"(2: runtime.drain_timeout: -3 is a number without a unit, write a whole number and ms, s, m or h, such as "250ms")"},
    {top, R"([runtime]
drain_timeout = "15")",
     R"(2: runtime.drain_timeout: "15" is not a duration, write "15s")"},
    {top, R"([runtime]
drain_timeout = "1.5s")",
     R"(2: runtime.drain_timeout: "1.5s" is not a duration, write "1500ms")"},
    {top, R"([runtime]
drain_timeout = "5 seconds")",
     R"(2: runtime.drain_timeout: "5 seconds" is not a duration, write "5s")"},
    {top, R"([runtime]
drain_timeout = "1m30s")",
     R"(2: runtime.drain_timeout: "1m30s" is not a duration, write "90s")"},
    {top, R"([runtime]
drain_timeout = "5S")",
     R"(2: runtime.drain_timeout: "5S" is not a duration, write "5s")"},
    {top, R"([runtime]
drain_timeout = "-5s")",
     R"(2: runtime.drain_timeout: "-5s" is not a duration, write a whole number and ms, s, m or h, such as "250ms")"},
    {top, R"([runtime]
drain_timeout = "soon")",
     R"(2: runtime.drain_timeout: "soon" is not a duration, write a whole number and ms, s, m or h, such as "250ms")"},
    {top, R"([runtime]
drain_timeout = "")",
     R"(2: runtime.drain_timeout: "" is not a duration, write a whole number and ms, s, m or h, such as "250ms")"},
    {top, R"([runtime]
drain_timeout = "5us")",
     R"(2: runtime.drain_timeout: "5us" is not a duration, write a whole number and ms, s, m or h, such as "250ms")"},
    {top, R"([runtime]
drain_timeout = "99999999999999999999s")",
     R"(2: runtime.drain_timeout: "99999999999999999999s" is not a duration, write a whole number and ms, s, m or h, such as "250ms")"},
    {top, "[runtime]\ndrain_timeout = true",
     R"(2: runtime.drain_timeout: true is a boolean, write a duration such as "5s")"},
    {top, R"([runtime]
drain_timeout = "2d")",
     R"(2: runtime.drain_timeout: "2d" is not a duration, write "48h")"},
    {listener, "limits = { body_bytes = 1048576 }",
     R"(3: listener#1.limits.body_bytes: 1048576 is a number without a unit, write "1MiB")"},
    {listener, R"(limits = { body_bytes = "64KB" })",
     R"(3: listener#1.limits.body_bytes: "64KB" is not a size, write "64KiB")"},
    {listener, R"(limits = { body_bytes = "1.5MiB" })",
     R"(3: listener#1.limits.body_bytes: "1.5MiB" is not a size, write "1536KiB")"},
    {listener, R"(limits = { body_bytes = "10m" })",
     R"(3: listener#1.limits.body_bytes: "10m" is not a size, write "10MiB")"},
    {listener, R"(limits = { body_bytes = "lots" })",
     R"(3: listener#1.limits.body_bytes: "lots" is not a size, write a whole number and B, KiB, MiB or GiB, such as "64KiB")"},
    {listener, "limits = { body_bytes = 0.5 }",
     R"(3: listener#1.limits.body_bytes: 0.5 is a number without a unit, write "1B")"},
    {listener, "limits = { body_bytes = true }",
     R"(3: listener#1.limits.body_bytes: true is a boolean, write a size such as "64KiB")"},
};

const std::vector<Mistake> kRangesAreChecked{
    {top, "[runtime]\nworkers = 0",
     "2: runtime.workers: 0 is out of range, write a whole number from 1 to 256"},
    {top, "[runtime]\nworkers = 257",
     "2: runtime.workers: 257 is out of range, write a whole number from 1 to 256"},
    {top, "[runtime]\nworkers = -1",
     "2: runtime.workers: -1 is out of range, write a whole number from 1 to 256"},
    {top, "[runtime]\nworkers = 99999999999999999999",
     "2: runtime.workers: number does not fit 64 bits, write a smaller one"},
    {top, "[runtime]\nworkers = -99999999999999999999",
     "2: runtime.workers: number does not fit 64 bits, write a smaller one"},
    {top, "[runtime]\nworkers = 9223372036854775807",
     "2: runtime.workers: number does not fit 64 bits, write a smaller one"},
    {top, R"([runtime]
drain_timeout = "25h")",
     R"(2: runtime.drain_timeout: "25h" is out of range, write "0s" to "24h")"},
    {top, "[log.access]\nsample = 1.01",
     "2: log.access.sample: 1.01 is out of range, write a number from 0 to 1"},
    {top, "[log.access]\nsample = -0.5",
     "2: log.access.sample: -0.5 is out of range, write a number from 0 to 1"},
    {top, "[log.access]\nsample = nan", "2: log.access.sample: number is not finite, write a plain one"},
    {top, "[log.access]\nsample = inf", "2: log.access.sample: number is not finite, write a plain one"},
    {top, R"([log.access]
path = "")",
     R"(2: log.access.path: the path is empty, write a file's path, "stdout", "stderr" or "off")"},
    {listener, R"(timeouts = { header = "0s" })",
     R"(3: listener#1.timeouts.header: "0s" is out of range, write "1ms" to "24h")"},
    {listener, "timeouts = { body_idle = 0 }",
     R"(3: listener#1.timeouts.body_idle: "0" is out of range, write "1ms" to "24h")"},
    {listener, R"(timeouts = { keep_alive = "25h" })",
     R"(3: listener#1.timeouts.keep_alive: "25h" is out of range, write "1ms" to "24h")"},
    {listener, R"(timeouts = { tunnel_idle = "8761h" })",
     R"(3: listener#1.timeouts.tunnel_idle: "8761h" is out of range, write "1ms" to "8760h")"},
    {listener, R"(protocol = "udp")",
     R"(3: listener#1.protocol: "udp" is not one of the choices, write one of http, tcp, detect)"},
    {listener, R"(cluster = "app")",
     R"(3: listener#1.cluster: requests have routes, write it in a [[listener.route]], or protocol = "tcp")"},
    {listener, R"(protocol = "tcp"
cluster = "app")",
     R"(4: listener#1.cluster: never reached: route at line 5 matches everything, move this one before it or remove it
5: listener#1.route#1: this route is for a name that TLS clients ask for, write host = "..."; the cluster for all others is the listener's own key)"},
    {listener, R"(timeouts = { detect = "1s" })",
     R"(3: listener#1.timeouts.detect: requests say by themselves where they go, this is for protocol = "tcp" and "detect")"},
    {listener, R"(protocol = "detect")",
     R"(1: listener#1.cluster: what is no HTTP needs a cluster to go to, write cluster = "...")"},
    {whole, kListener + "protocol = \"detect\"\ncluster = \"app\"\n" + kCluster,
     R"(1: listener#1.route: a listener needs a route, add [[listener.route]] with cluster = "...")"},
    {whole, kListener + R"(protocol = "tcp"
[[listener.route]]
host = "a.example"
path = "/x"
timeout = "1s"
hash = { path = true }
redirect = { to = "/" }
)" + kCluster,
     R"(6: listener#1.route#1.path: a listener with protocol = "tcp" sees no requests, remove this
7: listener#1.route#1.timeout: a listener with protocol = "tcp" sees no requests, remove this
7: listener#1.route#1.timeout: this route does not forward but has redirect, remove timeout
8: listener#1.route#1.hash: a listener with protocol = "tcp" sees no requests, remove this
8: listener#1.route#1.hash: this route does not forward but has redirect, remove hash
9: listener#1.route#1.redirect: a listener with protocol = "tcp" sees no requests, remove this)"},
    {whole, kListener + R"(protocol = "tcp"
tls = { certificate = "a.crt", key = "a.key" }
route = [{ host = "a.example", cluster = "app" }]
)" + kCluster,
     R"(5: listener#1.route: TLS ends at this listener, so nobody asks for a name behind it: remove tls or the routes)"},
    {whole, kListener + R"(protocol = "tcp"
route = [{ host = "*.example", cluster = "app" }, { host = "a.example", cluster = "app" }]
)" + kCluster,
     R"(4: listener#1.route#2: never reached: route at line 4 matches all that this one does, move this one before it or remove it)"},
    {whole, kListener + "protocol = \"tcp\"\n" + kCluster,
     R"(1: listener#1.cluster: a listener with protocol = "tcp" leads to a cluster, write cluster = "...")"},
    {whole, kListener + "protocol = \"tcp\"\ncluster = \"ap\"\n" + kCluster,
     R"(4: listener#1.cluster: there is no cluster "ap", did you mean "app"?)"},
    {whole, kListener + R"(protocol = "tcp"
cluster = "app"
trusted = []
timeouts = { header = "1s", body_idle = "1s", keep_alive = "1s", tunnel_idle = "1s" }
limits = { connections = 1, header_bytes = "1KiB", header_fields = 5, body_bytes = "7B" }
rate_limit = { requests = 1, key = { header = "X" } }
)" + kCluster,
     R"(5: listener#1.trusted: a listener with protocol = "tcp" sees no requests, remove this
6: listener#1.timeouts.header: a listener with protocol = "tcp" sees no requests, remove this
6: listener#1.timeouts.body_idle: a listener with protocol = "tcp" sees no requests, remove this
6: listener#1.timeouts.keep_alive: a listener with protocol = "tcp" sees no requests, remove this
7: listener#1.limits.header_bytes: a listener with protocol = "tcp" sees no requests, remove this
7: listener#1.limits.header_fields: a listener with protocol = "tcp" sees no requests, remove this
7: listener#1.limits.body_bytes: a listener with protocol = "tcp" sees no requests, remove this
8: listener#1.rate_limit: a listener with protocol = "tcp" sees no requests, so no header, write key = "source")"},
    {listener, "proxy_protocol = {}",
     R"(3: listener#1.proxy_protocol.from: nobody would be believed, write who sends the headers: from = ["10.0.0.0/8"])"},
    {listener, "proxy_protocol = { from = [] }",
     R"(3: listener#1.proxy_protocol.from: nobody would be believed, write who sends the headers: from = ["10.0.0.0/8"])"},
    {listener, R"(proxy_protocol = { from = ["10.0.0.0/33"] })",
     R"(3: listener#1.proxy_protocol.from#1: "10.0.0.0/33" is not an address range, write "10.0.0.0/8", "fc00::/7", one address, or "unix:")"},
    {listener, R"(proxy_protocol = { from = ["::1"], timeout = "9ms" })",
     R"(3: listener#1.proxy_protocol.timeout: "9ms" is out of range, write "10ms" to "1h")"},
    {cluster, "name = \"app\"\nendpoints = [\"a:1\"]\nproxy_protocol = \"v2\"",
     R"(3: listener#1.route#1: requests come to cluster "app", whose proxy_protocol is for listeners with protocol = "tcp": X-Forwarded-For says where requests come from, remove it)"},
    {cluster,
     "name = \"app\"\nendpoints = [\"a:1\"]\nbreaker = { fallback = { cluster = \"other\" } }\n"
     "[[cluster]]\nname = \"other\"\nendpoints = [\"a:1\"]\nproxy_protocol = \"v2\"",
     R"(3: listener#1.route#1: requests come to cluster "other", whose proxy_protocol is for listeners with protocol = "tcp": X-Forwarded-For says where requests come from, remove it)"},
    {listener, "limits = { connections = -1 }",
     "3: listener#1.limits.connections: -1 is out of range, write a whole number from 0 to 10000000"},
    {listener, R"(limits = { header_bytes = "255B" })",
     R"(3: listener#1.limits.header_bytes: "255B" is out of range, write "256B" to "1MiB")"},
    {listener, R"(limits = { header_bytes = "2MiB" })",
     R"(3: listener#1.limits.header_bytes: "2MiB" is out of range, write "256B" to "1MiB")"},
    {listener, "limits = { header_fields = 0 }",
     "3: listener#1.limits.header_fields: 0 is out of range, write a whole number from 1 to 10000"},
    {listener, R"(name = "")", "3: listener#1.name: the name is empty, write at least one character"},
    {listener, R"(name = "a\tb")",
     R"(3: listener."a\x09b".name: "a\x09b" has a control character, remove it)"},
    {route, R"(cluster = "app"
timeout = "25h")",
     R"(5: listener#1.route#1.timeout: "25h" is out of range, write "0s" to "24h")"},
    {route, "respond = { status = 199 }",
     "4: listener#1.route#1.respond.status: 199 is out of range, write a whole number from 200 to 599"},
    {route, "respond = { status = 600 }",
     "4: listener#1.route#1.respond.status: 600 is out of range, write a whole number from 200 to 599"},
    {route, R"(respond = { status = 204, body = "x" })",
     "4: listener#1.route#1.respond.body: a response with status 204 has no body, remove it"},
    {route, R"(respond = { content_type = "" })",
     R"(4: listener#1.route#1.respond.content_type: the type is empty, write one such as "text/plain")"},
    {route, R"(redirect = { to = "/x", status = 300 })",
     "4: listener#1.route#1.redirect.status: 300 is not a redirect, write 301, 302, 303, 307 or 308"},
    {route, R"(redirect = { to = "/x", status = 304 })",
     "4: listener#1.route#1.redirect.status: 304 is not a redirect, write 301, 302, 303, 307 or 308"},
    {route, R"(clusters = [{ name = "app", weight = -1 }])",
     "4: listener#1.route#1.clusters#1.weight: -1 is out of range, write a whole number from 0 to 65535"},
    {route, R"(clusters = [{ name = "app", weight = 65536 }])",
     "4: listener#1.route#1.clusters#1.weight: 65536 is out of range, write a whole number from 0 to 65535"},
    {route, R"(clusters = [{ name = "app", weight = 0 }])",
     "4: listener#1.route#1.clusters: the weights add up to 0, give at least one a weight of 1 or more"},
    {cluster, R"(name = "app"
endpoints = [{ address = "a:1", weight = 0 }])",
     "7: cluster.app.endpoints#1.weight: 0 is out of range, write a whole number from 1 to 65535"},
    {cluster, R"(name = "app"
endpoints = [{ address = "a:1", weight = 65536 }])",
     "7: cluster.app.endpoints#1.weight: 65536 is out of range, write a whole number from 1 to 65535"},
    {cluster, R"(name = "app"
endpoints = [{ address = "a:1", priority = 128 }])",
     "7: cluster.app.endpoints#1.priority: 128 is out of range, write a whole number from 0 to 127"},
    {cluster, R"(name = "app"
endpoints = ["a:1"]
balance = "ring_hash"
bounded_load = 1)",
     "9: cluster.app.bounded_load: 1 would leave no room, write a factor above 1 such as 1.25, or 0 for no "
     "bound"},
    {cluster, R"(name = "app"
endpoints = ["a:1"]
balance = "maglev"
bounded_load = 101)",
     "9: cluster.app.bounded_load: 101 is out of range, write a number from 0 to 100"},
    {cluster, R"(name = "app"
endpoints = ["a:1"]
timeouts = { connect = "0s" })",
     R"(8: cluster.app.timeouts.connect: "0s" is out of range, write "1ms" to "1h")"},
};

const std::vector<Mistake> kChoicesAreListedOrGuessed{
    {top, R"([log]
level = "warning")",
     R"(2: log.level: "warning" is not one of the choices, did you mean "warn"?)"},
    {top, R"([log]
level = "loud")",
     R"(2: log.level: "loud" is not one of the choices, write one of trace, debug, info, warn, error, off)"},
    {top, R"([log]
format = "JSON")",
     R"(2: log.format: "JSON" is not one of the choices, did you mean "json"?)"},
    {top, R"([log]
format = "xml")",
     R"(2: log.format: "xml" is not one of the choices, write one of text, json)"},
    {cluster, R"(name = "app"
endpoints = ["a:1"]
balance = "round-robin")",
     R"(8: cluster.app.balance: "round-robin" is not one of the choices, did you mean "round_robin"?)"},
    {cluster, R"(name = "app"
endpoints = ["a:1"]
balance = "best")",
     R"(8: cluster.app.balance: "best" is not one of the choices, write one of round_robin, least_request, random, peak_ewma, ring_hash, maglev)"},
    {cluster, R"(name = "app"
endpoints = ["a:1"]
bounded_load = 1.5)",
     "8: cluster.app.bounded_load: only ring_hash and maglev have a bound, remove it or change balance"},
    {cluster, R"(name = "app"
endpoints = ["a:1"]
balance = "random"
bounded_load = 2)",
     "9: cluster.app.bounded_load: only ring_hash and maglev have a bound, remove it or change balance"},
};

}  // namespace

TEST_CASE("units are checked and corrected") { expect(kUnitsAreCheckedAndCorrected); }

TEST_CASE("ranges are checked") { expect(kRangesAreChecked); }

TEST_CASE("choices are listed or guessed") { expect(kChoicesAreListedOrGuessed); }
