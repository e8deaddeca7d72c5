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

Config loaded(const Row& row, const std::string& lines) {
  auto config = load(with(row, lines));
  CHECK(problems(config) == "");
  REQUIRE(config.has_value());
  return *std::move(config);
}

}  // namespace

TEST_CASE("every key has an effect, and its documented default when it is left out") {
  for (const auto& row : all_rows()) {
    CAPTURE(row.table);
    CAPTURE(row.key);
    const Config without = loaded(row, row.without);
    CHECK_FALSE(without == loaded(row, row.other));
    if (!row.standard.empty()) CHECK(without == loaded(row, row.standard));
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
