// What a configuration takes up in a worker before its first request: the budget of docs/performance.md.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <string>

#include "tests/support/alloc_count.h"
#include "tests/support/world.h"

using namespace remora;
using namespace remora::testing;

namespace {

std::string clusters_of_two(int clusters) {
  std::string text = R"([[listener]]
address = "10.0.0.1:80"
[[listener.route]]
cluster = "c0"
)";
  for (int i = 0; i < clusters; ++i) {
    text += fmt::format(
        "[[cluster]]\nname = \"c{0}\"\nendpoints = [\"10.1.{0}.1:8080\", \"10.1.{0}.2:8080\"]\n", i);
  }
  return text;
}

std::int64_t held_by(int clusters) {
  const std::string text = clusters_of_two(clusters);
  const test::AllocCount count;
  const World world(text);
  return count.held();
}

}  // namespace

TEST_CASE("a cluster with two endpoints takes less than 4 KiB before anybody asks it") {
  held_by(1);  // what is made once
  const std::int64_t few = held_by(10);
  const std::int64_t many = held_by(210);
  const std::int64_t each = (many - few) / 200;
  CHECK(each > 1024);  // it was counted
  CHECK(each <= 4096);
}
