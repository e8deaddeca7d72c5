// docs/configuration.md is held against the parser: every key is in it. And every example of every document
// loads.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "config/schema.h"
#include "tests/config/fixture.h"

using namespace remora::config;
using namespace remora::config::fixture;

namespace {

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  REQUIRE_FALSE(text.empty());
  return text;
}

std::string document() { return read(REMORA_SOURCE_DIR "/docs/configuration.md"); }

// README.md and everything in docs/.
std::vector<std::filesystem::path> documents() {
  std::vector<std::filesystem::path> paths{REMORA_SOURCE_DIR "/README.md"};
  for (const auto& entry : std::filesystem::directory_iterator(REMORA_SOURCE_DIR "/docs"))
    if (entry.path().extension() == ".md") paths.push_back(entry.path());
  return paths;
}

// A document may show one table of a file, and this makes the file of it: what it leaves out is a listener
// that leads to the cluster "app", and that cluster.
std::string whole_file(const std::string& example) {
  const auto has = [&example](const std::string& header) {
    return example.starts_with(header) || example.find("\n" + header) != std::string::npos;
  };
  if (has("[[listener]]")) return example;
  const bool has_cluster = has("[[cluster]]");
  std::string file = example;
  if (!has_cluster && has("[cluster.")) {
    file = kCluster + example;
  } else if (!has_cluster) {
    file += kCluster;
  }
  const auto at = file.find("name = \"", file.find("[[cluster]]")) + 8;
  const auto name = file.substr(at, file.find('"', at) - at);
  return file + kListener + "[[listener.route]]\ncluster = \"" + name + "\"\n";
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

TEST_CASE("every example of every document loads") {
  std::size_t count = 0;
  for (const auto& path : documents()) {
    CAPTURE(path.string());
    for (const auto& block : examples(read(path))) {
      CAPTURE(block);
      CHECK(problems(whole_file(block)) == "");
      ++count;
    }
  }
  CHECK(count >= 35);
}

TEST_CASE("what an example leaves out is completed, and nothing else") {
  CHECK(problems(whole_file("[log]\nlevel = \"debug\"\n")) == "");
  CHECK(problems(whole_file("[cluster.timeouts]\nconnect = \"2s\"\n")) == "");
  CHECK(problems(whole_file("[[cluster]]\nname = \"other\"\nendpoints = [\"127.0.0.1:1\"]\n")) == "");
  CHECK(problems(whole_file("[log]\nlevle = \"debug\"\n")) != "");
  CHECK(problems(whole_file("[[listener]]\nname = \"x\"\n")) != "");
}
