#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "breaker/retry_policy.h"

using namespace remora;
using namespace remora::breaker;

namespace {

// Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110 section 5.6.7.
constexpr std::int64_t kNov1994 = 784'111'777;

constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<const char*, 7> kDays = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
constexpr std::array<const char*, 7> kLongDays = {"Thursday", "Friday",  "Saturday", "Sunday",
                                                  "Monday",   "Tuesday", "Wednesday"};

bool is_leap(int year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

int days_in(int year, std::size_t month) {
  constexpr std::array<int, 12> kDaysIn = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return kDaysIn[month] + (month == 1 && is_leap(year) ? 1 : 0);
}

std::string two(int value, char pad = '0') {
  return (value < 10 ? std::string(1, pad) : "") + std::to_string(value);
}

// A day, counted from 1970-01-01 one by one, in the three forms.
struct Day {
  int year = 1970;
  std::size_t month = 0;
  int day = 1;
  std::size_t since_1970 = 0;

  void advance() {
    ++since_1970;
    if (++day <= days_in(year, month)) return;
    day = 1;
    if (++month < 12) return;
    month = 0;
    ++year;
  }
  std::string fixed(std::string_view time) const {
    return std::string(kDays[since_1970 % 7]) + ", " + two(day) + " " + kMonths[month] + " " +
           std::to_string(year) + " " + std::string(time) + " GMT";
  }
  std::string rfc850(std::string_view time) const {
    return std::string(kLongDays[since_1970 % 7]) + ", " + two(day) + "-" + kMonths[month] + "-" +
           two(year % 100) + " " + std::string(time) + " GMT";
  }
  std::string asctime(std::string_view time) const {
    return std::string(kDays[since_1970 % 7]) + " " + kMonths[month] + " " + two(day, ' ') + " " +
           std::string(time) + " " + std::to_string(year);
  }
};

}  // namespace

TEST_CASE("a delay in seconds") {
  struct Row {
    const char* value;
    Duration delay;
  };
  for (const Row& row :
       {Row{"0", 0s}, Row{"1", 1s}, Row{"120", 120s}, Row{"0000000000000000000000007", 7s},
        Row{"2147483647", 2'147'483'647s}, Row{"2147483648", kLongestRetryAfter},
        Row{"2147483649", kLongestRetryAfter}, Row{"9223372036854775807", kLongestRetryAfter},
        Row{"9223372036854775808", kLongestRetryAfter}, Row{"18446744073709551617", kLongestRetryAfter},
        Row{"99999999999999999999999999999999999999", kLongestRetryAfter}}) {
    CAPTURE(row.value);
    CHECK(parse_retry_after(row.value, kNov1994) == row.delay);
  }
}

TEST_CASE("the three forms of the same date") {
  for (const char* value :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"}) {
    CAPTURE(value);
    CHECK(parse_retry_after(value, kNov1994 - 90) == 90s);
    CHECK(parse_retry_after(value, kNov1994) == 0s);
    CHECK(parse_retry_after(value, kNov1994 + 1) == 0s);  // past
    CHECK(parse_retry_after(value, 0) == std::chrono::seconds{kNov1994});
  }
}

TEST_CASE("every day of 230 years is found in every form that can write it") {
  Day day;
  for (; day.year < 2200; day.advance()) {
    const std::int64_t date = static_cast<std::int64_t>(day.since_1970) * 86'400 + 49'062;
    const std::int64_t now = date - 1'000'000;
    REQUIRE(parse_retry_after(day.fixed("13:37:42"), now) == 1'000'000s);
    REQUIRE(parse_retry_after(day.asctime("13:37:42"), now) == 1'000'000s);
    REQUIRE(parse_retry_after(day.rfc850("13:37:42"), now) == 1'000'000s);
  }
  CHECK(day.since_1970 == 84'006);
}

TEST_CASE("a year of two digits is the latest one that is not more than 50 years ahead") {
  constexpr std::int64_t kMid2026 = 1'782'864'000;  // 2026-07-01 00:00:00
  const auto from_2026 = [&](const char* value) { return parse_retry_after(value, kMid2026); };
  CHECK(from_2026("Wednesday, 01-Jul-26 00:00:10 GMT") == 10s);
  CHECK(from_2026("Thursday, 01-Jul-27 00:00:00 GMT") == 24h * 365);
  // Exactly 50 years ahead, and a second more: that is 1976.
  CHECK(from_2026("Wednesday, 01-Jul-76 00:00:00 GMT") == 24h * 18'263);
  CHECK(from_2026("Wednesday, 01-Jul-76 00:00:01 GMT") == 0s);
  CHECK(from_2026("Friday, 31-Dec-99 23:59:59 GMT") == 0s);  // 1999
  CHECK(from_2026("Saturday, 01-Jan-00 00:00:00 GMT") == 0s);
  // Over the turn of a century, in both directions.
  constexpr std::int64_t kEnd2099 = 4'102'444'799;  // 2099-12-31 23:59:59
  CHECK(parse_retry_after("Friday, 01-Jan-00 00:00:00 GMT", kEnd2099) == 1s);
  CHECK(parse_retry_after("Friday, 01-Jan-00 00:00:00 GMT", kEnd2099 + 1) == 0s);
  CHECK(parse_retry_after("Thursday, 31-Dec-99 23:59:59 GMT", kEnd2099 + 1) == 0s);
  // 2000 has a 29th of February, 2100 has none.
  CHECK(parse_retry_after("Tuesday, 29-Feb-00 00:00:00 GMT", 951'782'400 - 5) == 5s);
  CHECK_FALSE(parse_retry_after("Tuesday, 29-Feb-00 00:00:00 GMT", kEnd2099).has_value());
}

TEST_CASE("a leap second and a wrong day of the week are taken as they are") {
  CHECK(parse_retry_after("Sun, 06 Nov 1994 23:59:60 GMT", kNov1994) == 24h - 8h - 49min - 37s);
  CHECK(parse_retry_after("Mon, 06 Nov 1994 08:49:37 GMT", kNov1994 - 5) == 5s);
}

TEST_CASE("what is no date and no delay is not guessed at") {
  for (const char* value : {"",
                            " ",
                            "-1",
                            "+1",
                            "1.5",
                            "1s",
                            " 1",
                            "1 ",
                            "0x10",
                            "soon",
                            "1,2",
                            "Sun, 06 Nov 1994 08:49:37",
                            "Sun, 06 Nov 1994 08:49:37 UTC",
                            "Sun, 06 Nov 1994 08:49:37 gmt",
                            "sun, 06 nov 1994 08:49:37 GMT",
                            "Sun, 06 Nov 1994 08:49:37 GMT ",
                            " Sun, 06 Nov 1994 08:49:37 GMT",
                            "Sun, 6 Nov 1994 08:49:37 GMT",
                            "Sun,  6 Nov 1994 08:49:37 GMT",
                            "Sun, 06 Nov 94 08:49:37 GMT",
                            "Sun, 06-Nov-94 08:49:37 GMT",
                            "Sunday, 06 Nov 1994 08:49:37 GMT",
                            "Sunday, 06-Nov-1994 08:49:37 GMT",
                            "Xyz, 06 Nov 1994 08:49:37 GMT",
                            "Sun, 06 Xyz 1994 08:49:37 GMT",
                            "Sun, 00 Nov 1994 08:49:37 GMT",
                            "Sun, 31 Nov 1994 08:49:37 GMT",
                            "Sun, 32 Jan 1994 08:49:37 GMT",
                            "Tue, 29 Feb 1994 08:49:37 GMT",
                            "Thu, 29 Feb 1900 08:49:37 GMT",
                            "Sun, 06 Nov 1994 24:00:00 GMT",
                            "Sun, 06 Nov 1994 08:60:00 GMT",
                            "Sun, 06 Nov 1994 08:49:61 GMT",
                            "Sun, 06 Nov 1994 8:49:37 GMT",
                            "Sun, 06 Nov 1994 08.49.37 GMT",
                            "Sun, 06 Nov -994 08:49:37 GMT",
                            "Sun, 06 Nov 19945 08:49:37 GMT",
                            "Sun Nov 6 08:49:37 1994",
                            "Sun Nov  6 08:49:37 94",
                            "Sun Nov  6 08:49:37 1994 GMT",
                            "Sun Nov 06 08:49:37",
                            "Sun Nov    08:49:37 1994",
                            "Sun Nov -6 08:49:37 1994"}) {
    CAPTURE(value);
    CHECK_FALSE(parse_retry_after(value, kNov1994).has_value());
  }
  CHECK_FALSE(parse_retry_after(std::string_view("1\0", 2), kNov1994).has_value());
  CHECK(parse_retry_after("Sun Nov 06 08:49:37 1994", kNov1994 - 5) == 5s);  // a zero instead of the space
}

TEST_CASE("no date can be cut short anywhere") {
  for (const std::string_view value :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"}) {
    for (std::size_t size = 0; size < value.size(); ++size) {
      CAPTURE(value.substr(0, size));
      CHECK_FALSE(parse_retry_after(value.substr(0, size), kNov1994).has_value());
    }
  }
}

TEST_CASE("no clock is too wrong, and no date too far, to overflow") {
  using Limits = std::numeric_limits<std::int64_t>;
  const std::array<std::int64_t, 8> clocks = {
      Limits::min(),   Limits::min() + 1, -1,           0, 253'402'300'799,
      253'402'300'800, Limits::max() - 1, Limits::max()};
  for (const std::int64_t now : clocks) {
    for (const char* value :
         {"Sat, 01 Jan 0000 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:60 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
          "Sunday, 06-Nov-00 08:49:37 GMT", "Fri Dec 31 23:59:59 9999"}) {
      CAPTURE(now);
      CAPTURE(value);
      const auto delay = parse_retry_after(value, now);
      REQUIRE(delay.has_value());
      CHECK(*delay >= 0s);
      CHECK(*delay <= kLongestRetryAfter);
    }
  }
  CHECK(parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", 0) == kLongestRetryAfter);
  CHECK(parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", Limits::min()) == kLongestRetryAfter);
  CHECK(parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", Limits::max()) == 0s);
}

TEST_CASE("any bytes are read without harm, and what is accepted is within bounds") {
  Random random(23);
  const std::vector<std::string> seeds = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                          "Sun Nov  6 08:49:37 1994", "120"};
  int accepted = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text = seeds[random.below(4)];
    for (std::uint32_t edits = 1 + random.below(2); edits > 0; --edits) {
      const std::size_t at = random.below(static_cast<std::uint32_t>(text.size()));
      switch (random.below(3)) {
        case 0: text[at] = static_cast<char>(random.below(256)); break;
        case 1: text[at] = static_cast<char>('0' + random.below(10)); break;
        default: text.insert(at, 1, static_cast<char>('0' + random.below(10)));
      }
    }
    const auto delay = parse_retry_after(text, kNov1994);
    if (!delay) continue;
    ++accepted;
    REQUIRE(*delay >= 0s);
    REQUIRE(*delay <= kLongestRetryAfter);
  }
  CHECK(accepted > 1000);
}

TEST_CASE("a timeout is one to ten digits of milliseconds, at most a day") {
  struct Row {
    const char* value;
    std::optional<Duration> timeout;
  };
  const std::vector<Row> rows = {
      {"0", 0ms},
      {"1", 1ms},
      {"250", 250ms},
      {"0000000250", 250ms},
      {"86399999", 24h - 1ms},
      {"86400000", 24h},
      {"86400001", 24h},
      {"9999999999", 24h},
      {"10000000000", std::nullopt},
      {"00000000250", std::nullopt},
      {"", std::nullopt},
      {" 1", std::nullopt},
      {"1 ", std::nullopt},
      {"-1", std::nullopt},
      {"+1", std::nullopt},
      {"1.0", std::nullopt},
      {"1e3", std::nullopt},
      {"5s", std::nullopt},
      {"0x1", std::nullopt},
      {"1,2", std::nullopt},
      {"99999999999999999999999999", std::nullopt},
  };
  for (const Row& row : rows) {
    CAPTURE(row.value);
    CHECK(parse_timeout_ms(row.value) == row.timeout);
  }
  CHECK_FALSE(parse_timeout_ms(std::string_view("1\0", 2)).has_value());
}
