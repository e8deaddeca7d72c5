// Every key the parser knows: the default is the documented one, and another value has an effect.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "config/schema.h"
#include "tests/config/fixture.h"
#include "tests/config/keys_of_mesh.h"
#include "tests/config/keys_of_resilience.h"
#include "tests/config/keys_of_traffic.h"

using namespace remora::config;
using namespace remora::config::fixture;

namespace {

const std::vector<Row>& all_rows() {
  static const std::vector<Row> kRows = [] {
    auto rows = kKeysOfTraffic;
    rows.insert(rows.end(), kKeysOfResilience.begin(), kKeysOfResilience.end());
    rows.insert(rows.end(), kKeysOfMesh.begin(), kKeysOfMesh.end());
    return rows;
  }();
  return kRows;
}

}  // namespace

TEST_CASE("every key that is left out has its documented default") {
  for (const auto& row : all_rows()) {
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
  for (const auto& row : all_rows()) {
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
  for (const auto& row : all_rows()) tested.insert(row.table + "/" + row.key);
  CHECK(known == tested);
}

TEST_CASE("the access log takes the format of the log unless it has its own") {
  CHECK(load(top("[log]\nformat = \"json\""))->log.access.format == remora::LogFormat::kJson);
  CHECK(load(top("[log]\nformat = \"json\"\naccess = { format = \"text\" }"))->log.access.format ==
        remora::LogFormat::kText);
}
