// Every key the parser knows: the default is the documented one, and another value has an effect.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "config/schema.h"
#include "tests/config/fixture.h"

using namespace remora::config;
using namespace remora::config::fixture;

namespace {

// A file with a mark in each table; a row puts its line in the place of one.
const std::string kFile = R"([runtime]
#runtime
[admin]
#admin
[log]
#log
[log.access]
#log.access
[[listener]]
#name
address = "127.0.0.1:80"
#listener
[listener.timeouts]
#listener.timeouts
[listener.limits]
#listener.limits
[[listener.route]]
prefix = "/x"
#listener.route
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["127.0.0.1:3000"]
#cluster
[cluster.timeouts]
#cluster.timeouts
[[cluster]]
name = "ring"
balance = "ring_hash"
#ring
endpoints = ["127.0.0.1:3000"]
)";

struct Row {
  std::string table;
  std::string key;
  std::string mark;      // what the lines below stand in for
  std::string without;   // the key left out
  std::string standard;  // the key with its default; empty if it has none
  std::string other;     // the key with another value
};

const std::string kHere = R"(cluster = "app")";
const std::string kEndpoints = R"(endpoints = ["127.0.0.1:3000"])";
const std::string kRing = "#listener.route\ncluster = \"app\"";

const std::vector<Row> kRows{
    {"", "runtime", "#runtime", "", "", "workers = 2"},
    {"", "admin", "#admin", "", "", R"(address = "127.0.0.1:1")"},
    {"", "log", "#log", "", "", R"(level = "off")"},
    {"", "listener", "#listener", "", "", R"(trusted = [])"},
    {"", "cluster", "#cluster", "", "", R"(balance = "random")"},
    {"runtime", "workers", "#runtime", "", "workers = 1", R"(workers = "auto")"},
    {"runtime", "drain_timeout", "#runtime", "", R"(drain_timeout = "30s")", R"(drain_timeout = "0s")"},
    {"runtime", "zone", "#runtime", "", R"(zone = "")", R"(zone = "a")"},
    {"admin", "address", "#admin", "", R"(address = "127.0.0.1:9901")", R"(address = "unix:/run/a.sock")"},
    {"log", "level", "#log", "", R"(level = "info")", R"(level = "trace")"},
    {"log", "format", "#log", "", R"(format = "text")", R"(format = "json")"},
    {"log", "access", "#log.access", "", "", R"(path = "off")"},
    {"log.access", "format", "#log.access", "", R"(format = "text")", R"(format = "json")"},
    {"log.access", "path", "#log.access", "", R"(path = "stdout")", R"(path = "stderr")"},
    {"log.access", "sample", "#log.access", "", "sample = 1.0", "sample = 0.5"},
    {"listener", "name", "#name", "", R"(name = "127.0.0.1:80")", R"(name = "in")"},
    {"listener", "address", R"(address = "127.0.0.1:80")", R"(address = "127.0.0.1:80")", "",
     R"(address = "[::1]:80")"},
    {"listener", "trusted", "#listener", "",
     R"(trusted = ["unix:", "127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"])",
     R"(trusted = ["10.0.0.0/8"])"},
    {"listener", "timeouts", "#listener.timeouts", "", "", R"(header = "1s")"},
    {"listener", "limits", "#listener.limits", "", "", "connections = 1"},
    {"listener", "route", "[[listener.route]]", "[[listener.route]]", "",
     "[[listener.route]]\npath = \"/first\"\nrespond = {}\n[[listener.route]]"},
    {"listener.timeouts", "header", "#listener.timeouts", "", R"(header = "10s")", R"(header = "1ms")"},
    {"listener.timeouts", "body_idle", "#listener.timeouts", "", R"(body_idle = "60s")",
     R"(body_idle = "24h")"},
    {"listener.timeouts", "keep_alive", "#listener.timeouts", "", R"(keep_alive = "75s")",
     R"(keep_alive = "1s")"},
    {"listener.timeouts", "tunnel_idle", "#listener.timeouts", "", R"(tunnel_idle = "1h")",
     R"(tunnel_idle = "2h")"},
    {"listener.limits", "connections", "#listener.limits", "", "connections = 0", "connections = 10000000"},
    {"listener.limits", "header_bytes", "#listener.limits", "", R"(header_bytes = "60KiB")",
     R"(header_bytes = "1MiB")"},
    {"listener.limits", "header_fields", "#listener.limits", "", "header_fields = 100", "header_fields = 1"},
    {"listener.limits", "body_bytes", "#listener.limits", "", "body_bytes = 0", R"(body_bytes = "1GiB")"},
    {"listener.route", "host", "#listener.route", "", "", R"(host = "*.A.example")"},
    {"listener.route", "path", R"(prefix = "/x")", R"(prefix = "/x")", "", R"(path = "/x")"},
    {"listener.route", "prefix", R"(prefix = "/x")", R"(prefix = "/x")", "", R"(prefix = "/y")"},
    {"listener.route", "regex", R"(prefix = "/x")", R"(prefix = "/x")", "", R"(regex = "/x")"},
    {"listener.route", "methods", "#listener.route", "", "", R"(methods = ["GET", "M-SEARCH"])"},
    {"listener.route", "headers", "#listener.route", "", "", R"(headers = { "X-A" = "*" })"},
    {"listener.route", "cluster", kHere, kHere, "", R"(cluster = "ring")"},
    {"listener.route", "clusters", kHere, kHere, "", R"(clusters = [{ name = "ring" }])"},
    {"listener.route", "redirect", kHere, kHere, "", R"(redirect = { to = "/" })"},
    {"listener.route", "respond", kHere, kHere, "", "respond = {}"},
    {"listener.route", "rewrite", "#listener.route", "", "", R"(rewrite = "/y")"},
    {"listener.route", "request_headers", "#listener.route", "", "request_headers = {}",
     R"(request_headers = { remove = ["A"] })"},
    {"listener.route", "response_headers", "#listener.route", "", "response_headers = {}",
     R"(response_headers = { remove = ["A"] })"},
    {"listener.route", "timeout", "#listener.route", "", R"(timeout = "15s")", R"(timeout = "0s")"},
    {"listener.route", "hash", kRing, R"(cluster = "ring")", "",
     "cluster = \"ring\"\nhash = { path = true }"},
    {"listener.route.clusters", "name", kHere, R"(clusters = [{ name = "app" }])", "",
     R"(clusters = [{ name = "ring" }])"},
    {"listener.route.clusters", "weight", kHere, R"(clusters = [{ name = "app" }])",
     R"(clusters = [{ name = "app", weight = 1 }])", R"(clusters = [{ name = "app", weight = 2 }])"},
    {"listener.route.redirect", "to", kHere, R"(redirect = { path = "/" })", "",
     R"(redirect = { to = "https://a/" })"},
    {"listener.route.redirect", "status", kHere, R"(redirect = { to = "/" })",
     R"(redirect = { to = "/", status = 308 })", R"(redirect = { to = "/", status = 301 })"},
    {"listener.route.redirect", "scheme", kHere, R"(redirect = { path = "/" })", "",
     R"(redirect = { path = "/", scheme = "https" })"},
    {"listener.route.redirect", "host", kHere, R"(redirect = { path = "/" })", "",
     R"(redirect = { path = "/", host = "[::1]:8443" })"},
    {"listener.route.redirect", "path", kHere, R"(redirect = { scheme = "http" })", "",
     R"(redirect = { scheme = "http", path = "/" })"},
    {"listener.route.respond", "status", kHere, "respond = {}", "respond = { status = 200 }",
     "respond = { status = 599 }"},
    {"listener.route.respond", "body", kHere, "respond = {}", R"(respond = { body = "" })",
     R"(respond = { body = "x" })"},
    {"listener.route.respond", "content_type", kHere, "respond = {}",
     R"(respond = { content_type = "text/plain" })",
     R"(respond = { content_type = "text/html; charset=utf-8" })"},
    {"listener.route.hash", "header", kRing, R"(cluster = "ring")", "",
     "cluster = \"ring\"\nhash = { header = \"A\" }"},
    {"listener.route.hash", "cookie", kRing, R"(cluster = "ring")", "",
     "cluster = \"ring\"\nhash = { cookie = \"A\" }"},
    {"listener.route.hash", "source", kRing, R"(cluster = "ring")", "",
     "cluster = \"ring\"\nhash = { source = true }"},
    {"listener.route.hash", "query", kRing, R"(cluster = "ring")", "",
     "cluster = \"ring\"\nhash = { query = \"a\" }"},
    {"listener.route.hash", "path", kRing, R"(cluster = "ring")", "",
     "cluster = \"ring\"\nhash = { path = true }"},
    {"listener.route.request_headers", "set", "#listener.route", "", "request_headers.set = {}",
     R"(request_headers.set = { Host = "a" })"},
    {"listener.route.request_headers", "add", "#listener.route", "", "request_headers.add = {}",
     R"(request_headers.add = { A = ["1", "2"] })"},
    {"listener.route.request_headers", "remove", "#listener.route", "", "request_headers.remove = []",
     R"(request_headers.remove = ["A"])"},
    {"listener.route.response_headers", "set", "#listener.route", "", "response_headers.set = {}",
     R"(response_headers.set = { A = "1" })"},
    {"listener.route.response_headers", "add", "#listener.route", "", "response_headers.add = {}",
     R"(response_headers.add = { A = "1" })"},
    {"listener.route.response_headers", "remove", "#listener.route", "", "response_headers.remove = []",
     R"(response_headers.remove = ["A"])"},
    {"cluster", "name", R"(name = "ring")", R"(name = "ring")", "", R"(name = "other")"},
    {"cluster", "endpoints", kEndpoints, kEndpoints, "",
     R"(endpoints = ["app.internal:80", "unix:/run/a.sock"])"},
    {"cluster", "balance", "#cluster", "", R"(balance = "round_robin")", R"(balance = "peak_ewma")"},
    {"cluster", "bounded_load", "#ring", "", "bounded_load = 0", "bounded_load = 1.25"},
    {"cluster", "timeouts", "#cluster.timeouts", "", "", R"(idle = "1s")"},
    {"cluster.endpoints", "address", kEndpoints, R"(endpoints = [{ address = "127.0.0.1:3000" }])",
     kEndpoints, R"(endpoints = [{ address = "[::1]:3000" }])"},
    {"cluster.endpoints", "weight", kEndpoints, kEndpoints,
     R"(endpoints = [{ address = "127.0.0.1:3000", weight = 1 }])",
     R"(endpoints = [{ address = "127.0.0.1:3000", weight = 65535 }])"},
    {"cluster.endpoints", "zone", kEndpoints, kEndpoints,
     R"(endpoints = [{ address = "127.0.0.1:3000", zone = "" }])",
     R"(endpoints = [{ address = "127.0.0.1:3000", zone = "z" }])"},
    {"cluster.endpoints", "priority", kEndpoints, kEndpoints,
     R"(endpoints = [{ address = "127.0.0.1:3000", priority = 0 }])",
     R"(endpoints = [{ address = "127.0.0.1:3000", priority = 127 }])"},
    {"cluster.timeouts", "connect", "#cluster.timeouts", "", R"(connect = "1s")", R"(connect = "250ms")"},
    {"cluster.timeouts", "idle", "#cluster.timeouts", "", R"(idle = "30s")", R"(idle = "5m")"},
};

// The file with the first mark replaced; marks are whole lines.
std::string with(const Row& row, const std::string& lines) {
  const auto at = ("\n" + kFile).find("\n" + row.mark + "\n");
  REQUIRE(at != std::string::npos);
  return kFile.substr(0, at) + lines + kFile.substr(at + row.mark.size());
}

}  // namespace

TEST_CASE("every key that is left out has its documented default") {
  for (const auto& row : kRows) {
    if (row.standard.empty()) continue;
    CAPTURE(row.table);
    CAPTURE(row.key);
    CHECK(problems(with(row, row.standard)) == "");
    const auto without = load(with(row, row.without));
    const auto standard = load(with(row, row.standard));
    REQUIRE(without.has_value());
    REQUIRE(standard.has_value());
    CHECK(*without == *standard);
  }
}

TEST_CASE("every key has an effect") {
  for (const auto& row : kRows) {
    CAPTURE(row.table);
    CAPTURE(row.key);
    CHECK(problems(with(row, row.other)) == "");
    const auto without = load(with(row, row.without));
    const auto other = load(with(row, row.other));
    REQUIRE(without.has_value());
    REQUIRE(other.has_value());
    CHECK_FALSE(*without == *other);
  }
}

TEST_CASE("every key that the parser knows is in the table of this test, and the other way round") {
  std::set<std::string> known;
  for (const auto& table : known_tables()) {
    for (const auto key : table.keys) known.insert(std::string(table.table) + "/" + std::string(key));
  }
  std::set<std::string> tested;
  for (const auto& row : kRows) tested.insert(row.table + "/" + row.key);
  CHECK(known == tested);
}

TEST_CASE("the access log takes the format of the log unless it has its own") {
  CHECK(load(top("[log]\nformat = \"json\""))->log.access.format == remora::LogFormat::kJson);
  CHECK(load(top("[log]\nformat = \"json\"\naccess = { format = \"text\" }"))->log.access.format ==
        remora::LogFormat::kText);
}
