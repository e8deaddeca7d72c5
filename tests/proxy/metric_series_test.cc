// Which series there are: those of the configuration, whatever clients send.
#include <doctest/doctest.h>

#include <initializer_list>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/metrics.h"
#include "tests/proxy/metrics_fixture.h"
#include "tests/support/world.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::testing;

namespace {

constexpr std::string_view kThreeClusters = R"(
[[listener]]
name = "in"
address = "127.0.0.1:8080"
[[listener.route]]
prefix = "/app"
cluster = "app"
[[listener]]
name = "out"
address = "127.0.0.1:8081"
[[listener.route]]
clusters = [{ name = "app", weight = 1 }, { name = "other", weight = 1 }]
[[listener]]
name = "page"
address = "127.0.0.1:8082"
[[listener.route]]
respond = { status = 200, body = "hello" }
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80"]
[cluster.breaker]
fallback = { cluster = "spare" }
[[cluster]]
name = "other"
endpoints = ["10.0.0.2:80"]
[[cluster]]
name = "spare"
endpoints = ["10.0.0.3:80"]
)";

std::string text_of(World& w) { return proxy::exposition({w.worker().report()}, {}, proxy::process()); }

// The series without their values.
std::set<std::string> series_of(World& w) {
  std::set<std::string> names;
  std::istringstream stream(text_of(w));
  for (std::string line; std::getline(stream, line);) {
    if (!line.starts_with('#')) names.insert(line.substr(0, line.rfind(' ')));
  }
  return names;
}

std::string joined(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) text += part;
  return text;
}

}  // namespace

TEST_CASE("no method, path, host, field or status makes a series") {
  World w(kThreeClusters);
  auto& backend = w.backend("10.0.0.1:80");
  const std::set<std::string> before = series_of(w);
  REQUIRE(before.size() > 100);
  for (int i = 0; i < 3000; ++i) {
    const std::string n = std::to_string(i);
    World::answer(backend, joined({"HTTP/1.1 ", std::to_string(200 + i % 800),
                                   " OK\r\nContent-Length: 0\r\nX-", n, ": y\r\n\r\n"}));
    const auto client = w.client(0);
    client->send(
        joined({"M", n, i % 3 == 0 ? " /" : " /app/", n, "?q", n, " HTTP/1.1\r\nHost: h", n,
                ".test\r\nX-Field-", n, ": ", n, "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"}));
    w.settle();
    REQUIRE(client->received().starts_with("HTTP/1.1 "));
  }
  CHECK(series_of(w) == before);
  CHECK(proxy::has_line(text_of(w), R"(remora_requests_total{listener="in",cluster="-",code="4xx"} 1000)"));
}

TEST_CASE(
    "a listener has series for the clusters that its routes and their fallbacks lead to, and no others") {
  World w(kThreeClusters);
  std::set<std::string> pairs;
  for (const auto& exchange : w.worker().report().exchanges)
    pairs.insert(exchange.listener + " " + exchange.cluster);
  CHECK(pairs == std::set<std::string>{"in app", "in spare", "in -", "out app", "out other", "out spare",
                                       "out -", "page -"});
}

TEST_CASE("the series of an endpoint go with it, those of the others stay and keep counting") {
  World w(kThreeClusters);
  World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
  const auto ask = [&] {
    const auto client = w.client(0);
    client->send("GET /app HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    w.settle();
  };
  ask();
  const auto endpoint = [](const char* address) {
    proxy::ResolvedEndpoint resolved;
    resolved.name = address;
    resolved.address = *Address::parse(address);
    return resolved;
  };
  const auto with = [&](const std::vector<const char*>& addresses) {
    std::vector<std::vector<proxy::ResolvedEndpoint>> endpoints{
        {}, {endpoint("10.0.0.2:80")}, {endpoint("10.0.0.3:80")}};
    for (const char* address : addresses) endpoints[0].push_back(endpoint(address));
    w.apply_endpoints(std::move(endpoints));
    w.settle();
  };
  const std::set<std::string> before = series_of(w);
  with({"10.0.0.1:80", "10.0.0.9:80"});
  CHECK(series_of(w).size() > before.size());
  CHECK(text_of(w).contains(R"(endpoint="10.0.0.9:80")"));
  with({"10.0.0.1:80"});
  CHECK(series_of(w) == before);
  ask();
  CHECK(proxy::has_line(text_of(w),
                        R"(remora_upstream_requests_total{cluster="app",endpoint="10.0.0.1:80"} 2)"));
}
