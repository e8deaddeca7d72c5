// Lists of endpoints in files of their own, TOML and JSON.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "config/scan.h"
#include "tests/config/fixture.h"

using namespace remora;
using namespace remora::config;
using namespace remora::config::fixture;

namespace {

auto load_list(const std::string& text, const std::string& file) {
  return load_endpoints_text(text, file, environment);
}

// All problems, one per line; "" if there are none.
std::string list_problems(const std::string& text, const std::string& file) {
  const auto list = load_list(text, file);
  std::string out;
  if (list) return out;
  for (const auto& problem : list.error()) out += (out.empty() ? "" : "\n") + problem.to_string();
  return out;
}

struct Wrong {
  std::string text;
  std::string expected;
};

void expect(const std::vector<Wrong>& rows, const std::string& file) {
  for (const Wrong& row : rows) {
    CAPTURE(row.text);
    CHECK(list_problems(row.text, file) == row.expected);
  }
}

}  // namespace

TEST_CASE("a list is the same in TOML and in both shapes of JSON, and as in a cluster") {
  const auto in_config = load(cluster(R"(name = "app"
endpoints = ["10.0.0.1:80", { address = "b.test:81", weight = 2, zone = "z1", priority = 3 }])"));
  REQUIRE(in_config);
  const auto toml = load_list(R"(# who serves it
endpoints = [
  "10.0.0.1:80",
  { address = "b.test:81", weight = 2, zone = "z${ONE}", priority = 3 },
])",
                              "e.toml");
  REQUIRE(toml);
  CHECK(*toml == in_config->clusters[0].endpoints);
  const std::string array =
      R"(["10.0.0.1:80", {"address": "b.test:81", "weight": 2, "zone": "z${ONE}", "priority": 3}])";
  CHECK(load_list(array, "e.json").value() == *toml);
  CHECK(load_list("{\"endpoints\": " + array + "}\n", "e.json").value() == *toml);
}

TEST_CASE("an empty list is a list, and a file without one is none") {
  CHECK(load_list("endpoints = []", "e.toml").value().empty());
  CHECK(load_list("[]", "e.json").value().empty());
  CHECK(list_problems("", "e.toml") ==
        "e.toml: there is no list, write endpoints = [...], or [] if there is nobody");
  CHECK(list_problems("{}", "e.json") ==
        "e.json: there is no list, write endpoints = [...], or [] if there is nobody");
}

TEST_CASE("mistakes in a list are told with their lines") {
  expect({{"endpoints = [\n\"10.0.0.1\",\n{ address = \"a:1\", wieght = 2 },\n\"a:1\"]",
           R"(e.toml:2: endpoints#1: "10.0.0.1" has no port, write "10.0.0.1:80"
e.toml:3: endpoints#2.wieght: unknown key, did you mean "weight"?
e.toml:4: endpoints#3: endpoint "a:1" is used at line 3 already, remove one, or give it a higher weight)"},
          {"endpoint = [\"a:1\"]",
           "e.toml: there is no list, write endpoints = [...], or [] if there is nobody\n"
           "e.toml:1: endpoint: unknown key, the only one here is endpoints"},
          {"endpoints = \"a:1\"",
           R"(e.toml:1: endpoints: "a:1" is a string, write an array such as ["127.0.0.1:3000"])"},
          {"endpoints = [\"a:1\"", "e.toml:2: a comma or the closing ] is missing in an array, add it"}},
         "e.toml");
  expect({{"[\n\"10.0.0.1\",\n{\"address\": \"a:1\",\n\"weight\": 0\n},\n\"a:1\"\n]",
           R"(e.json:2: endpoints#1: "10.0.0.1" has no port, write "10.0.0.1:80"
e.json:4: endpoints#2.weight: 0 is out of range, write a whole number from 1 to 65535
e.json:6: endpoints#3: endpoint "a:1" is used at line 3 already, remove one, or give it a higher weight)"},
          {"{\"endpoints\": [\n{\"address\": null, \"address\": 1}]}",
           R"(e.json:2: endpoints#1.address: null is no value, leave the key out
e.json:2: endpoints#1.address: "address" is defined twice, remove one)"},
          {"7", R"(e.json:1: endpoints: 7 is a number, write an array such as ["127.0.0.1:3000"])"},
          {"[18446744073709551615]", "e.json:1: #1: number does not fit 64 bits, write a smaller one"},
          {"[\"a\\u0000b:1\"]", "e.json:1: #1: a NUL character is not allowed, remove it"},
          {"[\"${NONE}:1\"]",
           "e.json:1: #1: environment variable NONE is not set, set it or write ${NONE:-default}"}},
         "e.json");
}

TEST_CASE("what is not JSON is told with its line, whatever it is") {
  for (const std::string text : {"", "[\n\"a:1\"", "[\n\"a:1\",\n]", "{\n\"endpoints\" [\n]}", "[\"a:1\"]\n]",
                                 "[\n\"\xff\"]", "[\n1e999]", "endpoints = []"}) {
    CAPTURE(text);
    const std::string problem = list_problems(text, "e.json");
    CHECK(problem.starts_with("e.json:"));
    CHECK(problem.find("this is not JSON: ") != std::string::npos);
  }
  CHECK(list_problems("[\n\"a:1\",\n]", "e.json") ==
        "e.json:3: this is not JSON: unexpected ']'; expected '[', '{', or a literal, mend this line or the "
        "one "
        "before");
  const std::string deep(100'000, '[');
  CHECK(list_problems(deep, "e.json") == "e.json:1: nested more than 32 levels deep, simplify it");
  CHECK(list_problems(std::string(kMostBytes + 1, ' '), "e.json") ==
        "e.json: the file is larger than 16 MiB, split it");
}

TEST_CASE("a list that is cut off anywhere is a mistake, never a shorter list") {
  const std::string json = R"({"endpoints": ["10.0.0.1:80", {"address": "10.0.0.2:80", "weight": 2}]})";
  for (std::size_t size = 0; size < json.size(); ++size)
    CHECK_FALSE(load_list(json.substr(0, size), "e.json"));
  const std::string toml = "endpoints = [\"10.0.0.1:80\", { address = \"10.0.0.2:80\", weight = 2 }]";
  for (std::size_t size = 0; size < toml.size(); ++size)
    CHECK_FALSE(load_list(toml.substr(0, size), "e.toml"));
}

TEST_CASE("files that cannot be read are told") {
  const auto problem = [](const char* path) { return load_endpoints(path).error().front().to_string(); };
  CHECK(problem("/nowhere/e.json") == "/nowhere/e.json: there is no such file, give the path of a JSON file");
  CHECK(problem("/nowhere/e.toml") == "/nowhere/e.toml: there is no such file, give the path of a TOML file");
}
