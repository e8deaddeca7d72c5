// What a reload says it changes: a table of pairs of files.
#include "config/diff.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"

using namespace remora;
using namespace remora::config;

namespace {

constexpr std::string_view kBase = R"(
[[listener]]
name = "in"
address = "127.0.0.1:1"
[[listener.route]]
cluster = "b"
[[cluster]]
name = "a"
endpoints = ["10.0.0.1:80", "10.0.0.2:80"]
[[cluster]]
name = "b"
endpoints = ["10.0.0.3:80"]
)";

Config load(std::string_view text) {
  auto config = load_text(text, "f.toml", [](const std::string&) { return std::nullopt; });
  if (!config) FAIL(config.error().front().to_string());
  return std::move(*config);
}

// kBase with a piece replaced, or with `to` before it if `from` is empty.
std::string with(std::string_view from, std::string_view to) {
  std::string text(kBase);
  if (from.empty()) return std::string(to) + text;
  const auto at = text.find(from);
  if (at == std::string::npos) FAIL(from);
  return text.replace(at, from.size(), to);
}

std::vector<std::string> lines(const Config& before, const Config& after) {
  std::vector<std::string> all;
  for (const Change& change : diff(before, after)) all.push_back(change.to_string());
  return all;
}

struct Row {
  std::string after;
  std::vector<std::string> lines;
};

}  // namespace

TEST_CASE("a file that says the same changes nothing") {
  CHECK(diff(load(kBase), load(kBase)).empty());
  CHECK(diff(load(kBase), load(with("", "[log]\nlevel = \"info\"\n"))).empty());
  // The same, in another order: routes mean clusters, not their places.
  const std::string turned = R"(
[[cluster]]
name = "b"
endpoints = ["10.0.0.3:80"]
[[cluster]]
name = "a"
endpoints = ["10.0.0.2:80", "10.0.0.1:80"]
[[listener]]
name = "in"
address = "127.0.0.1:1"
[[listener.route]]
cluster = "b"
)";
  CHECK(diff(load(kBase), load(turned)).empty());
}

TEST_CASE("what changes about tracing is named") {
  const std::string before = with("", "[tracing]\nendpoint = \"http://a:1\"\n");
  const std::string after =
      with("",
           "[tracing]\nendpoint = \"http://b:1\"\nsample = 1\nservice = \"s\"\npropagation = [\"b3\"]\n"
           "batch = 1\nqueue = 9\ninterval = \"2s\"\ntimeout = \"2s\"\nheaders = { A = \"b\" }\n");
  CHECK(diff(load(before), load(before)).empty());
  CHECK(lines(load(before), load(after)) ==
        std::vector<std::string>{
            "changed tracing: endpoint http://a:1 -> http://b:1, service remora -> s, sample, "
            "propagation, batch, queue, interval, timeout, headers"});
}

TEST_CASE("every kind of change is named, and so is its way back") {
  const std::vector<Row> rows{
      {with("",
            "[runtime]\nworkers = 2\ndrain_timeout = \"1s\"\nzone = \"z\"\nwatch = false\nuser = "
            "\"x\"\ncore_dumps = true\n"),
       {"changed runtime: drain_timeout, zone, watch, core_dumps",
        "changed runtime: user, workers 1 -> 2 (takes effect at restart)"}},
      {with("", "[overload]\nloop_lag = \"77ms\"\n"), {"changed overload: settings"}},
      {with("", "[admin]\naddress = \"127.0.0.1:7\"\n"),
       {"changed admin: address 127.0.0.1:9901 -> 127.0.0.1:7 (takes effect at restart)"}},
      {with("", "[admin]\nhosts = [\"h.example\"]\n"), {"changed admin: hosts"}},
      {with("", "[log]\nlevel = \"warn\"\nformat = \"json\"\naccess = { sample = 0.5, format = \"json\" }\n"),
       {"changed log: level, format, access.format, access.sample"}},
      {with("", "[log]\naccess = { path = \"off\" }\n"),
       {"changed log: access.path stdout -> off (takes effect at restart)"}},
      {with("", "[mesh]\nnode = \"a\"\n"), {"added mesh (takes effect at restart)"}},
      {with("", "[tracing]\nendpoint = \"http://a:1\"\n"), {"added tracing"}},
      {with("127.0.0.1:1\"", "127.0.0.1:2\"\nlimits = { connections = 3 }"),
       {"changed listener in: address 127.0.0.1:1 -> 127.0.0.1:2, limits"}},
      {with("cluster = \"b\"", "cluster = \"a\""), {"changed listener in: routes"}},
      {with("[[listener.route]]", "proxy_protocol = { from = [\"::1\"] }\n[[listener.route]]"),
       {"changed listener in: proxy_protocol"}},
      {with("name = \"a\"", "name = \"a\"\nproxy_protocol = \"v1\""), {"changed cluster a: proxy_protocol"}},
      {with("[[listener.route]]", "protocol = \"tcp\""), {"changed listener in: protocol, routes"}},
      {with("cluster = \"b\"", "cluster = \"b\"\ntimeout = \"3s\""), {"changed listener in: routes"}},
      {with("\"in\"", "\"other\""), {"added listener other", "removed listener in"}},
      {with("[\"10.0.0.3:80\"]",
            "[\"10.0.0.3:80\"]\nbalance = \"random\"\ntimeouts = { idle = \"9s\" }\n"
            "limits = { requests = 4 }\nbreaker = { window = \"9s\" }\n"
            "health_check = { path = \"/x\" }\nslow_start = \"1s\"\n"
            "retry = { attempts = 3 }"),
       {"changed cluster b: balance, timeouts, limits, breaker, health_check, slow_start, retry"}},
      {with("\"10.0.0.2:80\"",
            "{ address = \"10.0.0.2:80\", weight = 3, priority = 1, zone = \"z\" }, \"10.0.0.9:80\""),
       {"changed endpoint 10.0.0.2:80 of cluster a: weight 1 -> 3, zone, priority 0 -> 1",
        "added endpoint 10.0.0.9:80 of cluster a"}},
      {with("\"10.0.0.1:80\", ", ""), {"removed endpoint 10.0.0.1:80 of cluster a"}},
      {with("name = \"a\"", "name = \"c\""), {"added cluster c", "removed cluster a"}},
      {with("[\"10.0.0.3:80\"]", "[\"10.0.0.3:80\"]\nbreaker = { fallback = { cluster = \"a\" } }"),
       {"changed cluster b: breaker"}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.after);
    const Config after = load(row.after);
    CHECK(lines(load(kBase), after) == row.lines);
    CHECK(diff(after, load(kBase)).size() == row.lines.size());
  }
}

TEST_CASE("services and the search for them change without a restart") {
  const Config before = load(with("", "[mesh]\n"));
  const Config serving = load(with("", "[mesh]\n[[mesh.service]]\nname = \"s\"\nport = 1\n"));
  CHECK(lines(before, serving) == std::vector<std::string>{"changed mesh: service"});
  std::string text = with("endpoints = [\"10.0.0.3:80\"]", "discover = { swim = \"s\" }") + "[mesh]\n";
  const Config found = load(text);
  CHECK(lines(before, found) ==
        std::vector<std::string>{"changed cluster b: discover", "removed endpoint 10.0.0.3:80 of cluster b"});
}

TEST_CASE("another source of endpoints is a change of the cluster, other DNS servers take a restart") {
  const Config file = load(with("endpoints = [\"10.0.0.3:80\"]", "discover = { file = \"a.toml\" }"));
  const Config other = load(with("endpoints = [\"10.0.0.3:80\"]", "discover = { file = \"b.toml\" }"));
  CHECK(lines(file, other) == std::vector<std::string>{"changed cluster b: discover"});
  const Config asking = load(with("", "[runtime]\nresolvers = [\"10.0.0.53:53\"]\n"));
  CHECK(lines(load(with("", "")), asking) ==
        std::vector<std::string>{"changed runtime: resolvers (takes effect at restart)"});
}

TEST_CASE("what changes in the mesh takes a restart, and no key is told") {
  const Config before = load(with("", "[mesh]\nnode = \"a\"\n"));
  const Config after = load(with("", R"([mesh]
node = "b"
bind = "127.0.0.1:7946"
advertise = "10.0.0.1"
join = ["10.0.0.2:7946"]
key = "AAECAwQFBgcICQoLDA0ODw=="
label = "l"
snapshot = "/s"
profile = "wan"
)"));
  CHECK(lines(before, after) ==
        std::vector<std::string>{"changed mesh: node, bind, advertise, join, key, label, snapshot, profile, "
                                 "protocol (takes effect at restart)"});
  CHECK(lines(after, load(kBase)) == std::vector<std::string>{"removed mesh (takes effect at restart)"});
}
