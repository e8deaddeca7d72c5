#include "config/outcomes.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace remora;
using namespace remora::config;

TEST_CASE("statuses are a code, a range or a class") {
  const std::vector<std::pair<std::string, std::pair<unsigned, unsigned>>> rows{
      {"200", {200, 200}},     {"503", {503, 503}},     {"599", {599, 599}}, {"500-504", {500, 504}},
      {"200-599", {200, 599}}, {"404-404", {404, 404}}, {"2xx", {200, 299}}, {"5xx", {500, 599}}};
  for (const auto& [text, range] : rows) {
    CAPTURE(text);
    const auto parsed = parse_statuses(text);
    REQUIRE(parsed.has_value());
    CHECK(parsed->first == range.first);
    CHECK(parsed->last == range.second);
  }
}

TEST_CASE("what are no statuses is refused with what would be right") {
  const std::string such = ", write statuses such as \"503\", \"500-504\" or \"5xx\"";
  const std::string range = " is out of range, write statuses from 200 to 599";
  const std::vector<std::pair<std::string, std::string>> rows{
      {"", "\"\" is not a status" + such},
      {"x", "\"x\" is not a status" + such},
      {"50x", "\"50x\" is not a status" + such},
      {"5x", "\"5x\" is not a status" + such},
      {"-503", "\"-503\" is not a status" + such},
      {"+503", "\"+503\" is not a status" + such},
      {"503-", "\"503-\" is not a status" + such},
      {"500-504-509", "\"500-504-509\" is not a status" + such},
      {"4xx-5xx", "\"4xx-5xx\" is not a status" + such},
      {"5000000000", "\"5000000000\" is not a status" + such},
      {"5XX", "\"5XX\" is not a status, did you mean \"5xx\"?"},
      {"500 - 504", "\"500 - 504\" is not a status, did you mean \"500-504\"?"},
      {"504-500", "\"504-500\" runs backwards, write \"500-504\""},
      {"199", "\"199\"" + range},
      {"1xx", "\"1xx\"" + range},
      {"100-599", "\"100-599\"" + range},
      {"600", "\"600\"" + range},
      {"6xx", "\"6xx\"" + range},
      {"500-600", "\"500-600\"" + range},
      {"0", "\"0\"" + range},
  };
  for (const auto& [text, expected] : rows) {
    CAPTURE(text);
    const auto parsed = parse_statuses(text);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error() == expected);
  }
}

TEST_CASE("a set of statuses prints as the shortest list that reads back") {
  using List = std::vector<std::string>;
  const auto printed = [](std::initializer_list<std::pair<unsigned, unsigned>> ranges) {
    StatusSet set;
    for (const auto& [first, last] : ranges) set.add(first, last);
    StatusSet again;
    const auto list = format_statuses(set);
    for (const auto& text : list) {
      const auto parsed = parse_statuses(text);
      REQUIRE(parsed.has_value());
      again.add(parsed->first, parsed->last);
    }
    CHECK(again == set);
    return list;
  };
  CHECK(printed({}) == List{});
  CHECK(printed({{503, 503}}) == List{"503"});
  CHECK(printed({{500, 599}}) == List{"5xx"});
  CHECK(printed({{200, 399}}) == List{"200-399"});
  CHECK(printed({{500, 598}}) == List{"500-598"});
  CHECK(printed({{204, 204}, {404, 405}, {500, 599}}) == List{"204", "404-405", "5xx"});
  CHECK(printed({{200, 299}, {250, 310}}) == List{"200-310"});
  CHECK(printed({{200, 599}}) == List{"200-599"});
}
