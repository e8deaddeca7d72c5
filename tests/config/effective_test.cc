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
drain_timeout = "1500ms"
zone = "eu-1a"
[admin]
address = "[::1]:9902"
[log]
level = "off"
format = "json"
access = { format = "text", path = "/var/log/a b.log", sample = 0.125 }
[[listener]]
name = "in \"quoted\" \\ é"
address = "0.0.0.0:8080"
trusted = []
timeouts = { header = "3s", body_idle = "20s", keep_alive = "30ms", tunnel_idle = "2h" }
limits = { connections = 1000, header_bytes = "16KiB", header_fields = 50, body_bytes = "1025B" }
[[listener.route]]
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

}  // namespace

TEST_CASE("the effective configuration loads to an equal configuration") {
  round_trip(top(""));
  round_trip(kEverything);
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
