// ${VAR} in string values.
#include <doctest/doctest.h>

#include <string>

#include "config/substitute.h"
#include "tests/config/fixture.h"

using namespace remora::config;
using namespace remora::config::fixture;

namespace {

std::string filled(const std::string& text) {
  const Environment variables = environment;
  auto result = Substitution(variables).fill(text);
  return result ? result->text : "error: " + result.error();
}

}  // namespace

TEST_CASE("variables are filled in, with defaults where they are unset or empty") {
  CHECK(filled("plain") == "plain");
  CHECK(filled("") == "");
  CHECK(filled("${ONE}") == "1");
  CHECK(filled("a${ONE}b${ONE}c") == "a1b1c");
  CHECK(filled("${ONE:-2}") == "1");
  CHECK(filled("${UNSET:-2}") == "2");
  CHECK(filled("${UNSET:-}") == "");
  CHECK(filled("${EMPTY:-2}") == "2");
  CHECK(filled("${EMPTY}") == "");
  CHECK(filled("${UNSET:-a:-b}") == "a:-b");
}

TEST_CASE("two dollars are one, and a dollar without a brace is itself") {
  CHECK(filled("$$") == "$");
  CHECK(filled("$${ONE}") == "${ONE}");
  CHECK(filled("$$$") == "$$");
  CHECK(filled("/a$") == "/a$");
  CHECK(filled("$ONE") == "$ONE");
  CHECK(filled("}") == "}");
}

TEST_CASE("what a variable holds is not filled in again") { CHECK(filled("${DOLLARS}") == "${ONE}$$"); }

TEST_CASE("a variable that is not set is an error that names it") {
  CHECK(filled("${UNSET}") ==
        "error: environment variable UNSET is not set, set it or write ${UNSET:-default}");
  CHECK(filled("${1X}").starts_with("error: \"1X\" is not the name of a variable"));
  CHECK(filled("${ONE").starts_with("error: \"${ONE\" has a ${ without a }"));
}

TEST_CASE("variables together may fill in only so much") {
  const Environment large = [](const std::string&) { return std::optional(std::string(3 << 20, 'x')); };
  Substitution substitution(large);
  CHECK(substitution.fill("${A}").has_value());
  CHECK_FALSE(substitution.fill("${A}").has_value());
}

TEST_CASE("a variable with a NUL byte is refused") {
  const Environment odd = [](const std::string&) { return std::optional(std::string("a\0b", 3)); };
  CHECK_FALSE(Substitution(odd).fill("${A}").has_value());
}

TEST_CASE("a variable may stand where a number is wanted") {
  CHECK(load(top("[runtime]\nworkers = \"${ONE}6\""))->runtime.workers == 16);
  CHECK(load(top("[log.access]\nsample = \"0.${ONE}\""))->log.access.sample == doctest::Approx(0.1));
  CHECK(problems(top("[runtime]\nworkers = \"1\"")) ==
        "2: runtime.workers: \"1\" is a string, write a whole number from 1 to 256, or \"auto\"");
  CHECK(load(listener("limits = { connections = \"${ONE}\" }"))->listeners[0].limits.connections == 1);
}

TEST_CASE("variables work in addresses, durations and sizes, but not in keys") {
  const auto config =
      load(listener("timeouts = { header = \"${ONE}s\" }\nlimits = { body_bytes = \"${ONE}KiB\" }"));
  REQUIRE(config.has_value());
  CHECK(config->listeners[0].timeouts.header == remora::Duration(1'000'000));
  CHECK(config->listeners[0].limits.body_bytes == 1024);
  CHECK(load(cluster("name = \"app\"\nendpoints = [\"10.0.0.${ONE}:80\"]"))->clusters[0].endpoints[0].name ==
        "10.0.0.1:80");
  const auto keys = load(route("cluster = \"app\"\nheaders = { \"$ONE\" = \"${ONE}\" }"));
  REQUIRE(keys.has_value());
  CHECK(keys->listeners[0].routes[0].match.headers[0] == Match::FieldIs{"$ONE", "1"});
}
