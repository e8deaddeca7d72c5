// The effective configuration is a file that loads to the same configuration.
#include "config/effective.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/config/fixture.h"

using namespace remora::config;
using namespace remora::config::fixture;

namespace {

void round_trip(const std::string& text) {
  CAPTURE(text);
  CHECK(problems(text) == "");
  const auto config = load(text);
  REQUIRE(config.has_value());
  const auto printed = effective_toml(*config, Secrets::kShow);
  CAPTURE(printed);
  CHECK(problems(printed) == "");
  const auto again = load(printed);
  REQUIRE(again.has_value());
  CHECK(*again == *config);
  CHECK(effective_toml(*again, Secrets::kShow) == printed);
}

// Everything that may stand in a file, and each of it different from the default.
const std::string kEverything = R"(
[runtime]
workers = 7
drain_delay = "700ms"
drain_timeout = "1500ms"
exit_with = "/run/app.pid"
zone = "eu-1a"
user = "65532:65532"
core_dumps = true
[admin]
address = "[::1]:9902"
hosts = ["Admin.example", "*.internal"]
[log]
level = "off"
format = "json"
access = { format = "text", path = "/var/log/a b.log", sample = 0.125 }
[tracing]
endpoint = "http://[::1]:4318/a/b"
sample = 0.25
service = "shop \"1\""
propagation = ["b3", "w3c"]
batch = 7
queue = 70
interval = "250ms"
timeout = "2s"
headers = { "X-Team" = "hush $$" }
[[listener]]
name = "in \"quoted\" \\ é"
address = "0.0.0.0:8080"
direction = "outbound"
trusted = []
timeouts = { header = "3s", body_idle = "20s", keep_alive = "30ms", tunnel_idle = "2h" }
proxy_protocol = { from = ["10.0.0.0/8"] }
limits = { connections = 1000, header_bytes = "16KiB", header_fields = 50, body_bytes = "1025B" }
allow = [{ identity = "spiffe://a.example/ns/*" }, { identity = "CN=app,O=\\\"A\\\"" }]
[listener.tls]
certificate = "a \"b\".crt"
key = "a.key"
certificates = [{ certificate = "b.crt", key = "b.key" }]
client_ca = "ca.crt"
client_crl = "ca.crl"
require_client_certificate = false
min_version = "1.3"
handshake_timeout = "3s"
handshakes = 5
[[listener.route]]
allow = [{ identity = "*.Example" }]
host = "*.example.org"
path = "/exact"
methods = ["GET", "HEAD"]
headers = { "X-Canary" = "$$ \"q\" \t $${ONE}", "X-Any" = "*" }
clusters = [{ name = "ring", weight = 9 }, { name = "maglev", weight = 0 }, { name = "least" }]
rewrite = "/new"
timeout = "0s"
hash = { header = "X-User" }
request_headers = { set = { Host = "a", Authorization = "${DOLLARS}" }, add = { "X-Many" = ["1", "2"], A = "" }, remove = ["X", "Y"] }
response_headers = { add = { Server = "remora" } }
[[listener.route]]
prefix = "/a"
cluster = "ring"
hash = { cookie = "c" }
[[listener.route]]
regex = "/v[0-9]+\\.x$"
cluster = "maglev"
hash = { source = true }
[[listener.route]]
prefix = "/b"
clusters = [{ name = "maglev", weight = 3 }]
hash = { query = "q\"'" }
[[listener.route]]
prefix = "/c"
cluster = "maglev"
hash = { path = true }
[[listener.route]]
path = "/old"
redirect = { scheme = "https", host = "www.example.org:8443", path = "/new", status = 301 }
[[listener.route]]
path = "/away"
redirect = { to = "https://example.org/?a=$$b" }
[[listener.route]]
respond = { status = 503, body = "two\r\nlines\u0001 \u007f \t ü", content_type = "text/html" }
[[listener]]
address = "unix:/tmp/remora.sock"
route = [{ cluster = "random" }]
[[listener]]
name = "db"
address = "127.0.0.1:5432"
protocol = "tcp"
cluster = "bytes"
direction = "outbound"
timeouts = { tunnel_idle = "3h" }
limits = { connections = 9 }
rate_limit = { requests = 5, per = "2s", key = "source" }
allow = [{ identity = "spiffe://a.example/db" }]
proxy_protocol = { from = ["unix:", "2001:db8::/32"], timeout = "2s" }
tls = { certificate = "a.crt", key = "a.key", client_ca = "ca.crt" }
[[listener]]
name = "names"
address = "127.0.0.1:443"
protocol = "tcp"
cluster = "bytes"
timeouts = { detect = "2s" }
[[listener.route]]
host = "*.Example.org"
clusters = [{ name = "bytes", weight = 2 }, { name = "maglev" }]
retry = { attempts = 3 }
[[listener.route]]
host = "a.example"
cluster = "bytes"
rate_limit = { requests = 3 }
[[listener]]
name = "all"
address = "127.0.0.1:445"
protocol = "detect"
cluster = "bytes"
timeouts = { detect = "1s", header = "7s" }
route = [{ prefix = "/x", cluster = "maglev", hash = { path = true } }, { cluster = "ring" }]
[[listener]]
name = "only names"
address = "127.0.0.1:444"
protocol = "tcp"
route = [{ host = "a.example", cluster = "bytes" }]
[[cluster]]
name = "ring"
balance = "ring_hash"
bounded_load = 1.3
endpoints = ["127.0.0.1:3000", { address = "app.internal:3000", weight = 3, zone = "z \"1\"", priority = 1 }, "unix:/run/a b"]
timeouts = { connect = "250ms", idle = "10s" }
[[cluster]]
name = "maglev"
balance = "maglev"
endpoints = ["[2001:db8::1]:80"]
[[cluster]]
name = "bytes"
endpoints = ["a:1"]
proxy_protocol = "v2"
[[cluster]]
name = "least"
balance = "least_request"
endpoints = ["a:1"]
[[cluster]]
name = "random"
balance = "random"
endpoints = ["a:1"]
[[cluster]]
name = "ewma"
balance = "peak_ewma"
endpoints = ["a:1"]
)";

const std::string kMesh = R"(
[mesh]
node = "a"
bind = "127.0.0.1:0"
advertise = "[2001:db8::1]:7"
join = ["mesh.internal:7946", "10.0.0.1:7946"]
key = "AAECAwQFBgcICQoLDA0ODw=="
label = "l"
snapshot = "/run/m"
profile = "local"
protocol = { probe_interval = "3s", probe_timeout = "250ms", indirect_checks = 2, suspicion_mult = 5, suspicion_max_mult = 4, awareness_max = 3, retransmit_mult = 6, gossip_nodes = 7, gossip_interval = "150ms", gossip_to_dead = "16s", push_pull_interval = "17s", stream_timeout = "2s", dead_reclaim = "1s", reconnect_interval = "18s", reconnect_timeout = "19h", members_max = 99, packets_per_second = 999 }
)";

// What is there for when something goes wrong, and again each of it different from the default.
const std::string kResilience = R"(
[overload]
loop_lag = "100ms"
memory = "512MiB"
calm = "2s"
[[listener]]
address = "127.0.0.1:80"
rate_limit = { requests = 1000, per = "1m", burst = 50 }
[[listener.route]]
prefix = "/a"
cluster = "one"
rate_limit = { requests = 0.5, key = "source", keys = 16 }
retry = { attempts = 5, on = ["timeout", "5xx", "409", "429"], per_try_timeout = "250ms", backoff = { base = "0s", max = "1s" }, retry_after_max = "0s", body = "1MiB", hedge = { after = "50ms" } }
[listener.route.request_headers.set]
Host = "a"
[[listener.route]]
prefix = "/b"
cluster = "two"
rate_limit = { requests = 3.25, per = "100ms", key = { header = "X-Api-Key" } }
retry = { on = [], hedge = { percentile = 0.95 } }
[[listener.route]]
respond = { status = 204 }
rate_limit = { requests = 1e6 }
[[cluster]]
name = "one"
endpoints = ["a:1"]
slow_start = "1m"
limits = { connections = 100, requests = 200, pending = 0, pending_timeout = "50ms", retries = 5, per_endpoint = { connections = 10, requests = 20 } }
[cluster.breaker]
enabled = false
scope = "cluster"
consecutive_failures = 0
failure_ratio = 0.1
window = "1m"
min_requests = 7
slow_call = { threshold = "750ms", ratio = 0.9 }
open_for = "1s"
max_open_for = "1h"
jitter = 0.25
quiet_period = "0s"
half_open_requests = 3
success_threshold = 4
failures = ["reset", "5xx", "404", "408-409", "429"]
fallback = { status = 200, body = "[]", content_type = "application/json" }
[cluster.outlier]
consecutive_failures = 0
interval = "1s"
success_rate_deviations = 3
failure_percentage = 12.5
min_requests = 100
min_endpoints = 5
base_ejection = "10s"
max_ejection = "1h"
keep_at_least = 0
[cluster.health_check]
method = "POST"
path = "/healthz?deep=1"
host = "app.example:8080"
expect = ["2xx", "404"]
body_contains = "\"ok\" $${ONE}"
reuse_connection = false
port = 9000
interval = "30s"
failing_interval = "2s"
timeout = "500ms"
rise = 1
fall = 5
jitter = 0
panic_below = 0.3
[cluster.retry]
attempts = 10
on = ["connect-failure", "refused", "gateway-error", "200-299"]
body = "0B"
budget = { ratio = 0.05, min_per_second = 0 }
[cluster.adaptive_concurrency]
initial = 50
min = 10
max = 200
interval = "1s"
tolerance = 2
smoothing = 0.5
[[cluster]]
name = "two"
endpoints = ["a:1"]
outlier = { enabled = false, interval = "5s" }
adaptive_concurrency = { enabled = false, min = 1 }
health_check = { protocol = "tcp", send = "PING\r\n\u0001", receive = "+PONG\r\n" }
[cluster.breaker]
fallback = { cluster = "one" }
)";

}  // namespace

TEST_CASE("the effective configuration loads to an equal configuration") {
  round_trip(top(""));
  round_trip(kEverything);
  round_trip(kResilience);
  round_trip(top("[log.access]\nsample = 1e-9"));
  round_trip(top("[log.access]\nsample = 0"));
  round_trip(top("[runtime]\nworkers = \"auto\""));
}

TEST_CASE("a long string is printed in several lines and keeps every byte") {
  std::string body;
  for (int i = 0; i < 5000; ++i) body += i % 3 == 0 ? "ü" : i % 7 == 0 ? "  " : "x";
  round_trip(route("respond = { body = \"" + body + "\" }"));
  round_trip(route("respond = { body = \"" + std::string(5000, ' ') + "\" }"));
  round_trip(route("[listener.route.respond]\nbody = \"\"\"" + std::string(20000, '\n') + "\"\"\""));
  round_trip(route("respond = { body = \"" + std::string(1000, 'x') + "\" }"));
  round_trip(route("respond = { body = \"" + std::string(1001, 'x') + "\" }"));
}

TEST_CASE("credentials are masked unless they are asked for") {
  const auto config = load(route(R"(cluster = "app"
headers = { "X-Api-Key" = "hush", "X-Plain" = "seen" }
request_headers.set = { Authorization = "Bearer hush", "X-Plain" = "seen" }
request_headers.add = { "X-Auth-Token" = ["hush", "hush"] }
response_headers.set = { "Set-Cookie" = "hush" })"));
  REQUIRE(config.has_value());
  const auto masked = effective_toml(*config);
  CHECK(masked.find("hush") == std::string::npos);
  CHECK(masked.find("seen") != std::string::npos);
  CHECK(problems(masked) == "");
  CHECK(effective_toml(*config, Secrets::kShow).find("Bearer hush") != std::string::npos);
}

TEST_CASE("every header for the collector may be a credential and is masked") {
  const auto config = load(top("[tracing]\nendpoint = \"http://a:1\"\nheaders = { \"X-Team\" = \"hush\" }"));
  REQUIRE(config.has_value());
  const auto masked = effective_toml(*config);
  CHECK(masked.find("hush") == std::string::npos);
  CHECK(masked.find("\"X-Team\" = \"***\"") != std::string::npos);
  CHECK(problems(masked) == "");
}

TEST_CASE("what health checks send may be a credential and is masked") {
  const auto tcp =
      load(cluster("name = \"app\"\nendpoints = [\"a:1\"]\n"
                   "health_check = { protocol = \"tcp\", send = \"AUTH hush\", receive = \"OK\" }"));
  REQUIRE(tcp.has_value());
  const auto masked = effective_toml(*tcp);
  CHECK(masked.find("hush") == std::string::npos);
  CHECK(masked.find("receive = \"OK\"") != std::string::npos);
  CHECK(problems(masked) == "");
  CHECK(effective_toml(*tcp, Secrets::kShow).find("AUTH hush") != std::string::npos);

  const auto path = [](const std::string& query) {
    const auto config = load(
        cluster("name = \"app\"\nendpoints = [\"a:1\"]\nhealth_check = { path = \"/ready" + query + "\" }"));
    REQUIRE(config.has_value());
    const auto printed = effective_toml(*config);
    CHECK(problems(printed) == "");
    const auto at = printed.find("path = \"/ready");
    REQUIRE(at != std::string::npos);
    return printed.substr(at, printed.find('\n', at) - at);
  };
  CHECK(path("?token=hush") == "path = \"/ready?***\"");
  CHECK(path("?deep=1") == "path = \"/ready?deep=1\"");
  CHECK(path("") == "path = \"/ready\"");
}

TEST_CASE("services, and clusters that discover them, are a part of the effective configuration") {
  round_trip(
      listener("") +
      "health_check = {}\n[[cluster]]\nname = \"orders\"\ndiscover = { swim = \"orders\", tags = [\"a\", "
      "\"b\"], role_tag = \"r\", port_tag = \"p\", port = 7 }\n[mesh]\n[[mesh.service]]\nname = \"s\"\nport "
      "= "
      "1\n[[mesh.service]]\nname = \"t\"\nport = 2\nweight = 3\nzone = \"z\"\ntags = [\"x\"]\ncluster = "
      "\"app\"\n");
}

TEST_CASE("other places where endpoints are found are a part of the effective configuration") {
  for (const std::string found :
       {"file = \"/e.toml\"", "dns = \"orders.test:80\"", "srv = \"_o._tcp.test\""}) {
    round_trip("[runtime]\nresolvers = [\"[::1]:53\"]\n" + listener("") +
               "[[cluster]]\nname = \"orders\"\ndiscover = { " + found + " }\n");
  }
}

TEST_CASE("the mesh is a part of the effective configuration, and its key is not") {
  round_trip(top(kMesh));
  round_trip(top("[mesh]\nkey_file = \"/k\"\nadvertise = \"10.0.0.1\"\nprofile = \"wan\""));
  const auto config = load(top(kMesh));
  REQUIRE(config.has_value());
  const auto masked = effective_toml(*config);
  CHECK(masked.find("AAECAwQF") == std::string::npos);
  CHECK(masked.find("# key = ") != std::string::npos);
  CHECK(problems(masked) == "");
  CHECK(effective_toml(*load(top(""))).find("[mesh]") == std::string::npos);
}
