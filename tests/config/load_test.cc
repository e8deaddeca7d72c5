// What the values of a file become.
#include <doctest/doctest.h>

#include <chrono>

#include "tests/config/fixture.h"

using namespace remora;
using namespace remora::config;
using namespace remora::config::fixture;

TEST_CASE("the five-line file is enough") {
  const auto config = load(R"([[listener]]
address = "0.0.0.0:8080"
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["127.0.0.1:3000"]
)");
  REQUIRE(config.has_value());
  CHECK(config->file == "t");
  CHECK(config->runtime == Runtime{});
  CHECK(config->admin.address == *Address::parse("127.0.0.1:9901"));
  REQUIRE(config->listeners.size() == 1);
  const auto& listener = config->listeners[0];
  CHECK(listener.name == "0.0.0.0:8080");
  CHECK(listener.address == *Address::parse("0.0.0.0:8080"));
  CHECK(listener.timeouts == ListenerTimeouts{});
  CHECK(listener.limits == ListenerLimits{});
  REQUIRE(listener.routes.size() == 1);
  CHECK(listener.routes[0].match == Match{});
  CHECK(std::get<Forward>(listener.routes[0].action).clusters == std::vector<WeightedCluster>{{0, 1}});
  CHECK(listener.routes[0].timeout == 15s);
  REQUIRE(config->clusters.size() == 1);
  REQUIRE(config->clusters[0].endpoints.size() == 1);
  CHECK(config->clusters[0].endpoints[0].name == "127.0.0.1:3000");
  CHECK(config->clusters[0].endpoints[0].address == Address::parse("127.0.0.1:3000"));
}

TEST_CASE("routes hold the indices of the clusters they name, wherever those stand") {
  const auto config =
      load("[[cluster]]\nname = \"first\"\nendpoints = [\"a:1\"]\n" +
           route("clusters = [{ name = \"app\", weight = 9 }, { name = \"first\", weight = 0 }]"));
  REQUIRE(config.has_value());
  const auto& forward = std::get<Forward>(config->listeners[0].routes[0].action);
  CHECK(forward.clusters == std::vector<WeightedCluster>{{1, 9}, {0, 0}});
}

TEST_CASE("an endpoint is a literal address, a Unix socket or a name to resolve") {
  const auto config =
      load(cluster("name = \"app\"\nendpoints = [\"[::1]:1\", \"unix:/run/x\", \"App_1.internal:80\"]"));
  REQUIRE(config.has_value());
  const auto& endpoints = config->clusters[0].endpoints;
  CHECK(endpoints[0].address == Address::parse("[::1]:1"));
  CHECK(endpoints[1].address == Address::unix_path("/run/x"));
  CHECK_FALSE(endpoints[2].address.has_value());
  CHECK(endpoints[2].host == HostPort{"App_1.internal", 80});
  CHECK(endpoints[2].name == "App_1.internal:80");
}

TEST_CASE("hosts are lower case, methods and paths stay as they are") {
  const auto config =
      load(route("cluster = \"app\"\nhost = \"*.EXAMPLE.org\"\npath = \"/A%2f\"\nmethods = [\"PUT\"]"));
  REQUIRE(config.has_value());
  const auto& match = config->listeners[0].routes[0].match;
  CHECK(match.host == "*.example.org");
  CHECK(match.path == "/A%2f");
  CHECK(match.path_kind == Match::Path::kExact);
  CHECK(match.methods == std::vector<std::string>{"PUT"});
  CHECK(load(route("cluster = \"app\"\nhost = \"[::1]\""))->listeners[0].routes[0].match.host == "[::1]");
}

TEST_CASE("header edits keep the order of the file and the spelling of the names") {
  const auto config = load(route(R"(cluster = "app"
request_headers.set = { Z-Last = "1", A-First = "2" }
request_headers.add = { B = ["x", "y"], A = "z" }
request_headers.remove = ["Q"])"));
  REQUIRE(config.has_value());
  const auto& edits = *config->listeners[0].routes[0].request_headers;
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  CHECK(edits.set == Pairs{{"Z-Last", "1"}, {"A-First", "2"}});
  CHECK(edits.add == Pairs{{"B", "x"}, {"B", "y"}, {"A", "z"}});
  CHECK(edits.remove == std::vector<std::string>{"Q"});
}

TEST_CASE("headers may be matched by value or by presence, connection fields included") {
  const auto config =
      load(route("cluster = \"app\"\nheaders = { Upgrade = \"websocket\", X = \"*\", Y = \"\" }"));
  REQUIRE(config.has_value());
  const auto& fields = config->listeners[0].routes[0].match.headers;
  CHECK(fields == std::vector<Match::FieldIs>{{"Upgrade", "websocket"}, {"X", std::nullopt}, {"Y", ""}});
}

TEST_CASE("workers = auto asks how many cores there are") {
  CHECK(load(top("[runtime]\nworkers = \"auto\""))->runtime.workers == 3);
  const auto real = load_text(top("[runtime]\nworkers = \"auto\""), "t", environment);
  REQUIRE(real.has_value());
  CHECK(real->runtime.workers >= 1);
  CHECK(real->runtime.workers <= 256);
}

TEST_CASE("two listeners may both ask for any port, if they have names") {
  const std::string two =
      "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:0\"\nroute = [{ respond = {} }]\n"
      "[[listener]]\nname = \"b\"\naddress = \"127.0.0.1:0\"\nroute = [{ respond = {} }]\n";
  CHECK(problems(two) == "");
}

TEST_CASE("a cluster that no route uses is no mistake") {
  CHECK(problems(top("") + "[[cluster]]\nname = \"spare\"\nendpoints = [\"a:1\"]\n") == "");
}

TEST_CASE("without a check of patterns any pattern passes") {
  CHECK(load_text(route("cluster = \"app\"\nregex = \"/(\""), "t", environment).has_value());
}

TEST_CASE("a problem prints as file, line, key and message") {
  CHECK(Problem{"a.toml", 3, "log.level", "bad, write better"}.to_string() ==
        "a.toml:3: log.level: bad, write better");
  CHECK(Problem{"a.toml", 3, "", "bad, write better"}.to_string() == "a.toml:3: bad, write better");
  CHECK(Problem{"a.toml", 0, "", "bad, write better"}.to_string() == "a.toml: bad, write better");
}

TEST_CASE("all mistakes of a file are reported at once, in order of line") {
  const std::string file = R"([[cluster]]
name = "app"
endpoints = ["127.0.0.1:0"]
[log]
level = "loud"
[[listener]]
address = "127.0.0.1:80"
timeouts = { header = 5 }
[[listener.route]]
cluster = "ap"
[runtime]
workers = 0
)";
  CHECK(problems(file) ==
        R"(3: cluster.app.endpoints#1: "127.0.0.1:0" has port 0, write the port the service listens on
5: log.level: "loud" is not one of the choices, write one of trace, debug, info, warn, error, off
8: listener#1.timeouts.header: 5 is a number without a unit, write "5s"
10: listener#1.route#1.cluster: there is no cluster "ap", did you mean "app"?
12: runtime.workers: 0 is out of range, write a whole number from 1 to 256)");
}

TEST_CASE("so many mistakes that nobody reads them are counted") {
  std::string file;
  for (int i = 0; i < 1500; ++i) file += "key" + std::to_string(i) + " = 1\n";
  const auto config = load(file + top(""));
  REQUIRE_FALSE(config.has_value());
  CHECK(config.error().size() == 1001);
  CHECK(config.error().back().message == "and 500 more problems, mend these first");
}
