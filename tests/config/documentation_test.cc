// docs/configuration.md is held against the parser: every key is in it, and every example loads.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "config/schema.h"
#include "tests/config/fixture.h"

using namespace remora::config;
using namespace remora::config::fixture;

namespace {

std::string document() {
  std::ifstream file(REMORA_SOURCE_DIR "/docs/configuration.md");
  std::string text{std::istreambuf_iterator<char>(file), {}};
  REQUIRE_FALSE(text.empty());
  return text;
}

// The blocks between "```toml" and "```".
std::vector<std::string> examples(const std::string& text) {
  static const std::string kOpen = "\n```toml\n";
  std::vector<std::string> blocks;
  for (auto at = text.find(kOpen); at != std::string::npos; at = text.find(kOpen, at)) {
    at += kOpen.size();
    const auto end = text.find("\n```", at);
    REQUIRE(end != std::string::npos);
    blocks.push_back(text.substr(at, end - at + 1));
    at = end;
  }
  return blocks;
}

// The part of the document under the heading "`table`", up to the next heading.
std::string section(const std::string& text, const std::string& heading) {
  const auto at = text.find("## `" + heading + "`");
  if (at == std::string::npos) return {};
  const auto end = text.find("\n## ", at);
  const auto sub = text.find("\n### ", at);
  return text.substr(at, std::min(end, sub) - at);
}

}  // namespace

TEST_CASE("every key has a row in its table's section of the document") {
  const auto text = document();
  for (const auto& table : known_tables()) {
    if (table.table.empty()) continue;
    const auto part = section(text, std::string(table.table));
    CAPTURE(table.table);
    REQUIRE_FALSE(part.empty());
    for (const auto key : table.keys) {
      CAPTURE(key);
      CHECK(part.find("\n| `" + std::string(key) + "` |") != std::string::npos);
    }
  }
}

TEST_CASE("the document has no row for a key that the parser does not know") {
  const auto text = document();
  for (const auto& table : known_tables()) {
    const auto part = section(text, std::string(table.table));
    for (auto at = part.find("\n| `"); at != std::string::npos; at = part.find("\n| `", at + 1)) {
      const auto start = at + 4;
      const auto key = part.substr(start, part.find('`', start) - start);
      CAPTURE(table.table);
      CAPTURE(key);
      CHECK(std::ranges::find(table.keys, key) != table.keys.end());
    }
  }
}

TEST_CASE("every example of the document loads") {
  const auto blocks = examples(document());
  CHECK(blocks.size() >= 10);
  for (const auto& block : blocks) {
    CAPTURE(block);
    CHECK(problems(block) == "");
  }
}
