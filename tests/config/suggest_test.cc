#include "config/suggest.h"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <string_view>

using namespace remora::config;

TEST_CASE("the edit distance counts insertions, deletions, replacements and swaps of neighbours") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "abc") == 0);
  CHECK(edit_distance("adress", "address") == 1);
  CHECK(edit_distance("address", "adress") == 1);
  CHECK(edit_distance("nmae", "name") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("ca", "abc") == 3);
}

TEST_CASE("the nearest word is found only when it is near") {
  static constexpr std::array<std::string_view, 4> kWords{"address", "name", "warn", "timeouts"};
  CHECK(nearest("adress", kWords) == "address");
  CHECK(nearest("Name", kWords) == "name");
  CHECK(nearest("warning", kWords) == "warn");
  CHECK(nearest("time", kWords) == "timeouts");
  CHECK(nearest("xyz", kWords) == std::nullopt);
  CHECK(nearest("", kWords) == std::nullopt);
  CHECK(nearest(std::string(65, 'a'), kWords) == std::nullopt);
}

TEST_CASE("words of one letter are not near each other") {
  static constexpr std::array<std::string_view, 1> kWords{"a"};
  CHECK(nearest("b", kWords) == std::nullopt);
}
