// What chaos is made of: configurations, and what clients and backends say. Its own file so that chaos.cc can
// be read.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "base/time.h"

namespace remora::testing {

// A script that begins so knows all operations and has everything on. Others are from the time before.
inline constexpr char kKnowsAll = '\xff';
inline constexpr std::size_t kMostClients = 8;

// Few features, and the configuration of the oldest scripts in the fuzzer's corpus.
inline constexpr std::string_view kPlainChaos = R"(
[[listener]]
name = "in"
address = "127.0.0.1:8080"
limits = { connections = 3, header_bytes = "2KiB" }
[[listener.route]]
path = "/static"
respond = { status = 200, body = "hello" }
[[listener.route]]
path = "/moved"
redirect = { scheme = "https" }
[[listener.route]]
prefix = "/two/"
cluster = "two"
rewrite = "/"
response_headers = { set = { X-Seen = "yes" } }
[[listener.route]]
prefix = "/hash"
cluster = "hashed"
timeout = "0s"
hash = { query = "k" }
[[listener.route]]
host = "h"
cluster = "app"
[[listener]]
name = "small"
address = "127.0.0.1:8081"
limits = { body_bytes = "1KiB" }
timeouts = { header = "1s", body_idle = "2s", keep_alive = "3s", tunnel_idle = "4s" }
[[listener.route]]
cluster = "app"
timeout = "1s"
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80"]
[[cluster]]
name = "two"
endpoints = ["10.0.0.1:80", "10.0.0.2:80"]
balance = "peak_ewma"
timeouts = { connect = "300ms", idle = "2s" }
[[cluster]]
name = "hashed"
endpoints = ["10.0.0.1:80", "10.0.0.2:80"]
balance = "ring_hash"
bounded_load = 1.25
)";

// Everything on. @WORD@ is what differs between the versions that reloads go to and fro between.
inline constexpr std::string_view kFullChaos = R"(
[tracing]
endpoint = "http://10.9.9.9:4318/v1/traces"
[[listener]]
name = "in"
address = "127.0.0.1:8080"
limits = { connections = @CONNECTIONS@, header_bytes = "2KiB" }
timeouts = { header = "3s", body_idle = "5s", keep_alive = "20s", tunnel_idle = "30s" }
[[listener.route]]
connect = true
host = "h"
cluster = "two"
[[listener.route]]
path = "/static"
respond = { status = 200, body = "hello" }
[[listener.route]]
path = "/limited"
cluster = "app"
rate_limit = { requests = 2, per = "1s", key = "source", keys = 16 }
[[listener.route]]
prefix = "/two/"
clusters = [{ name = "two", weight = 3 }, { name = "least", weight = 1 }]
rewrite = "/"
response_headers = { set = { X-Seen = "yes" } }
[[listener.route]]
prefix = "/hash"
cluster = "hashed"
timeout = "0s"
hash = { query = "k" }
[[listener.route]]
prefix = "/hedge"
cluster = "two"
retry = { attempts = 3, on = ["connect-failure", "refused", "reset", "timeout", "5xx"], per_try_timeout = "500ms", hedge = { after = "100ms" } }
[[listener.route]]
prefix = "/secure"
cluster = "secure"
[[listener.route]]
host = "h"
cluster = "app"
[[listener]]
name = "small"
address = "127.0.0.1:8081"
limits = { body_bytes = "1KiB" }
timeouts = { header = "1s", body_idle = "2s", keep_alive = "3s", tunnel_idle = "4s" }
rate_limit = { requests = 50, burst = 5 }
[[listener.route]]
cluster = "app"
timeout = "1s"
[[listener]]
name = "db"
address = "127.0.0.1:5432"
protocol = "tcp"
direction = "outbound"
cluster = "raw"
limits = { connections = 3 }
timeouts = { tunnel_idle = "20s" }
[[listener]]
name = "secure"
address = "127.0.0.1:8443"
tls = { certificate = "a.crt", key = "a.key", handshake_timeout = "2s", handshakes = 2 }
timeouts = { header = "3s", body_idle = "5s", keep_alive = "20s", tunnel_idle = "30s" }
[[listener.route]]
cluster = "@SECURE@"
[[listener]]
name = "detect"
address = "127.0.0.1:8082"
protocol = "detect"
cluster = "raw"
direction = "outbound"
timeouts = { detect = "1s", header = "3s", body_idle = "5s", keep_alive = "20s", tunnel_idle = "30s" }
[[listener.route]]
cluster = "@DETECT@"
[[listener]]
name = "behind"
address = "127.0.0.1:8083"
proxy_protocol = { from = ["192.0.2.0/24"], timeout = "3s" }
timeouts = { header = "3s", body_idle = "5s", keep_alive = "20s", tunnel_idle = "30s" }
[[listener.route]]
cluster = "least"
@LISTENER@
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]
balance = "@BALANCE@"
slow_start = "5s"
timeouts = { connect = "300ms", idle = "10s" }
[cluster.retry]
attempts = @ATTEMPTS@
on = ["connect-failure", "refused", "reset", "timeout", "5xx"]
per_try_timeout = "2s"
budget = { ratio = 0.5, min_per_second = 2 }
[cluster.breaker]
consecutive_failures = 3
open_for = "2s"
max_open_for = "8s"
success_threshold = 2
slow_call = { threshold = "1s", ratio = 0.5 }
fallback = { @FALLBACK@ }
[cluster.limits]
connections = 6
requests = @REQUESTS@
pending = 2
pending_timeout = "1s"
retries = 2
per_endpoint = { connections = 4, requests = 3, retries = 1 }
[cluster.outlier]
consecutive_failures = 4
interval = "2s"
base_ejection = "3s"
min_endpoints = 2
min_requests = 5
[cluster.health_check]
path = "/healthz"
interval = "1s"
timeout = "500ms"
rise = 1
fall = 2
panic_below = 0.4
[cluster.adaptive_concurrency]
initial = 4
min = 1
max = 10
[[cluster]]
name = "two"
endpoints = ["10.0.0.1:80", "10.0.0.2:80"]
balance = "peak_ewma"
timeouts = { connect = "300ms", idle = "2s" }
breaker = { scope = "cluster", consecutive_failures = 4, open_for = "1s" }
limits = { requests = 4, pending = 3, pending_timeout = "2s" }
[[cluster]]
name = "hashed"
endpoints = ["10.0.0.1:80", "10.0.0.2:80"]
balance = "ring_hash"
bounded_load = 1.25
timeouts = { idle = "10s" }
[[cluster]]
name = "least"
endpoints = [{ address = "10.0.0.1:80", weight = 2 }, { address = "10.0.0.3:80", priority = 1 }]
balance = "least_request"
timeouts = { idle = "10s" }
retry = { attempts = 2, on = ["503"], retry_after_max = "2s" }
[[cluster]]
name = "raw"
endpoints = ["10.0.0.2:80", "10.0.0.3:80"]
proxy_protocol = "v2"
timeouts = { connect = "1s" }
health_check = { protocol = "tcp", interval = "2s", timeout = "500ms" }
limits = { connections = 3, pending = 1 }
[[cluster]]
name = "secure"
endpoints = ["10.0.0.4:443"]
tls = { server_name = "localhost" }
timeouts = { connect = "2s", idle = "5s" }
@CLUSTER@
)";
inline constexpr std::array<std::pair<std::string_view, std::array<std::string_view, 2>>, 9> kChaosVersions{{
    {"@CONNECTIONS@", {"4", "2"}},
    {"@SECURE@", {"app", "secure"}},
    {"@DETECT@", {"two", "app"}},
    {"@BALANCE@", {"round_robin", "maglev"}},
    {"@ATTEMPTS@", {"3", "1"}},
    {"@FALLBACK@", {R"(cluster = "two")", R"(status = 503, body = "later")"}},
    {"@REQUESTS@", {"6", "2"}},
    {"@LISTENER@",
     {"",
      "[[listener]]\nname = \"extra\"\naddress = \"127.0.0.1:8084\"\n[[listener.route]]\ncluster = "
      "\"extra\"\n"}},
    {"@CLUSTER@",
     {"", "[[cluster]]\nname = \"extra\"\nendpoints = [\"10.0.0.1:80\"]\ntimeouts = { idle = \"5s\" }\n"}},
}};
inline constexpr std::string_view kComesAndGoes = "extra";  // the listener that only one version has

inline constexpr std::array<std::string_view, 20> kChaosRequests{
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /static HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /two/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /hash?k=1 HTTP/1.1\r\nHost: h\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n",
    "POST /two/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: h\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /static HTTP/1.1\r\nHost: h\r\n\r\nGET /two/ HTTP/1.1\r\nHost: "
    "h\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\nExpect: 100-continue\r\n\r\n",
    "TRACE / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n",
    "3\r\nabc\r\n",
    "0\r\n\r\n",
    "5\r\nZZZZZZZZZZ",
    "GET / HTTP/1.1\r\nHos",
};

// Behind those, of scripts that know more.
inline constexpr std::array<std::string_view, 10> kMoreChaosRequests{
    "GET /limited HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /hedge HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /secure HTTP/1.1\r\nHost: h\r\n\r\n",
    "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n",
    "PROXY TCP4 198.51.100.7 203.0.113.1 5555 80\r\n",
    "PROXY TCP4 198.51.100.7 203.0.113.1 5555 80\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "PUT /hedge HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "SSH-2.0-OpenSSH_9.2\r\n",
    "GET /limited HTTP/1.1\r\nHost: h\r\ntraceparent: "
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n",
};

inline constexpr std::array<std::string_view, 20> kChaosResponses{
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "3\r\nabc\r\n",
    "0\r\n\r\n",
    "0\r\nA: b\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\nuntil the end",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nglued",
    "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n",
    "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "nonsense\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Le",
    "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
};

inline constexpr std::array<std::string_view, 6> kMoreChaosResponses{
    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy",
    "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nshort",
    "HTTP/1.1 503 Service Unavailable\r\nx-remora-flag: SH\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n",
};

inline constexpr std::array<Duration, 6> kChaosSpans{10ms, 300ms, 1s, 5s, 16s, 61s};

}  // namespace remora::testing
