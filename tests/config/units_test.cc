#include "config/units.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

using namespace remora;
using namespace remora::config;

TEST_CASE("durations are a whole number and a unit") {
  const std::vector<std::pair<std::string, Duration>> rows{
      {"250ms", 250ms}, {"5s", 5s}, {"2m", 2min}, {"1h", 1h},   {"0s", 0s},
      {"0ms", 0s},      {"0", 0s},  {"01s", 1s},  {"90s", 90s}, {"1000000h", 1h * 1'000'000}};
  for (const auto& [text, duration] : rows) {
    CAPTURE(text);
    REQUIRE(parse_duration(text).has_value());
    CHECK(*parse_duration(text) == duration);
  }
}

TEST_CASE("what is nearly a duration is refused with the right one") {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"15", "15s"},      {"1.5s", "1500ms"},    {"5 s", "5s"},   {" 5s", "5s"}, {"5S", "5s"},
      {"1m30s", "90s"},   {"10 seconds", "10s"}, {"2 min", "2m"}, {"1d", "24h"}, {"1_000ms", "1s"},
      {"0.25s", "250ms"}, {"60000msec", "1m"},   {"3hours", "3h"}};
  for (const auto& [text, right] : rows) {
    CAPTURE(text);
    REQUIRE_FALSE(parse_duration(text).has_value());
    CHECK(parse_duration(text).error() == fmt::format("\"{}\" is not a duration, write \"{}\"", text, right));
  }
}

TEST_CASE("what is no duration at all is refused with an example") {
  for (const std::string text :
       {"", "s", "ms", "-5s", "+5s", "5x", "5us", "5ns", "0.0001ms", "1e3s", "infs", "nans",
        "99999999999999999999s", "1000001h", "5s5", "0x5s", "five seconds"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_duration(text).has_value());
  }
}

TEST_CASE("sizes are a whole number and a unit") {
  const std::vector<std::pair<std::string, std::uint64_t>> rows{
      {"512B", 512}, {"64KiB", 65536}, {"1MiB", 1 << 20}, {"2GiB", std::uint64_t{2} << 30},
      {"0B", 0},     {"0", 0}};
  for (const auto& [text, size] : rows) {
    CAPTURE(text);
    REQUIRE(parse_size(text).has_value());
    CHECK(*parse_size(text) == size);
  }
}

TEST_CASE("what is nearly a size is refused with the right one") {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"65536", "64KiB"}, {"1000", "1000B"},     {"64KB", "64KiB"}, {"64kb", "64KiB"}, {"64 KiB", "64KiB"},
      {"10m", "10MiB"},   {"1.5MiB", "1536KiB"}, {"1G", "1GiB"},    {"5 bytes", "5B"}, {"64kib", "64KiB"}};
  for (const auto& [text, right] : rows) {
    CAPTURE(text);
    REQUIRE_FALSE(parse_size(text).has_value());
    CHECK(parse_size(text).error() == fmt::format("\"{}\" is not a size, write \"{}\"", text, right));
  }
  for (const std::string text :
       {"", "KiB", "-1B", "1TiB", "99999999999999999999B", "9999999999GiB", "much"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_size(text).has_value());
  }
}

TEST_CASE("what is formatted reads back") {
  for (const Duration duration : {Duration(0ms), Duration(1ms), Duration(999ms), Duration(1s), Duration(75s),
                                  Duration(60s), Duration(90min), Duration(24h), Duration(86'399'999ms)}) {
    CHECK(*parse_duration(format_duration(duration)) == duration);
  }
  for (const std::uint64_t size :
       {0UL, 1UL, 1023UL, 1024UL, 61440UL, 1UL << 20, (1UL << 20) + 1, 1UL << 50}) {
    CHECK(*parse_size(format_size(size)) == size);
  }
  CHECK(format_duration(60s) == "1m");
  CHECK(format_duration(0s) == "0s");
  CHECK(format_size(61440) == "60KiB");
}
