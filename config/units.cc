#include "config/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <span>

#include "config/report.h"

namespace remora::config {

namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;  // to milliseconds, or to bytes
};

constexpr std::uint64_t kMinute = 60'000;
constexpr std::uint64_t kHour = 60 * kMinute;
constexpr std::uint64_t kKiB = 1024;

constexpr std::array kDurationUnits{Unit{"ms", 1}, Unit{"s", 1000}, Unit{"m", kMinute}, Unit{"h", kHour}};
constexpr std::array kSizeUnits{Unit{"B", 1}, Unit{"KiB", kKiB}, Unit{"MiB", kKiB* kKiB},
                                Unit{"GiB", kKiB* kKiB* kKiB}};

// What people write instead, in lower case: good enough to guess the remedy, not to be accepted.
constexpr std::array kDurationGuesses{
    Unit{"ms", 1},           Unit{"msec", 1},         Unit{"millis", 1},        Unit{"milliseconds", 1},
    Unit{"s", 1000},         Unit{"sec", 1000},       Unit{"secs", 1000},       Unit{"second", 1000},
    Unit{"seconds", 1000},   Unit{"", 1000},          Unit{"m", kMinute},       Unit{"min", kMinute},
    Unit{"mins", kMinute},   Unit{"minute", kMinute}, Unit{"minutes", kMinute}, Unit{"h", kHour},
    Unit{"hr", kHour},       Unit{"hour", kHour},     Unit{"hours", kHour},     Unit{"d", 24 * kHour},
    Unit{"day", 24 * kHour}, Unit{"days", 24 * kHour}};
constexpr std::array kSizeGuesses{Unit{"b", 1},
                                  Unit{"byte", 1},
                                  Unit{"bytes", 1},
                                  Unit{"", 1},
                                  Unit{"k", kKiB},
                                  Unit{"kb", kKiB},
                                  Unit{"kib", kKiB},
                                  Unit{"m", kKiB* kKiB},
                                  Unit{"mb", kKiB* kKiB},
                                  Unit{"mib", kKiB* kKiB},
                                  Unit{"g", kKiB* kKiB* kKiB},
                                  Unit{"gb", kKiB* kKiB* kKiB},
                                  Unit{"gib", kKiB* kKiB* kKiB}};

constexpr std::uint64_t kMostMilliseconds = 1'000'000 * kHour;  // far beyond every range, far below overflow
constexpr std::uint64_t kLargestSize = std::uint64_t{1} << 60;

bool digit(char c) { return c >= '0' && c <= '9'; }

const Unit* find(std::span<const Unit> units, std::string_view name) {
  const auto found = std::ranges::find(units, name, &Unit::name);
  return found == units.end() ? nullptr : &*found;
}

// Digits, then exactly one of the units.
std::optional<std::uint64_t> strict(std::string_view text, std::span<const Unit> units, std::uint64_t most) {
  const auto split = std::ranges::find_if_not(text, digit);
  const auto count = static_cast<std::size_t>(split - text.begin());
  std::uint64_t number = 0;
  if (count == 0 || std::from_chars(text.data(), text.data() + count, number).ec != std::errc{})
    return std::nullopt;
  const auto* unit = find(units, text.substr(count));
  if (unit == nullptr)
    return number == 0 && count == text.size() ? std::optional<std::uint64_t>(0) : std::nullopt;
  if (number > most / unit->factor) return std::nullopt;
  return number * unit->factor;
}

std::string without_spaces_lower(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == ' ' || c == '\t' || c == '_') continue;
    out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

// What "1.5 Hours" or "1m30s" was meant to be.
std::optional<std::uint64_t> guess(std::string_view written, std::span<const Unit> units,
                                   std::uint64_t most) {
  if (written.size() > 64) return std::nullopt;
  const auto text = without_spaces_lower(written);
  double total = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    double number = 0;
    const auto [end, error] =
        std::from_chars(text.data() + at, text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc{} || !std::isfinite(number) || number < 0) return std::nullopt;
    at = static_cast<std::size_t>(end - text.data());
    auto stop = at;
    while (stop < text.size() && !digit(text[stop])) ++stop;
    const auto* unit = find(units, std::string_view(text).substr(at, stop - at));
    if (unit == nullptr) return std::nullopt;
    total += number * static_cast<double>(unit->factor);
    at = stop;
  }
  if (text.empty() || total > static_cast<double>(most)) return std::nullopt;
  return static_cast<std::uint64_t>(std::llround(total));
}

std::string format(std::uint64_t value, std::span<const Unit> units) {
  const Unit* best = &units.front();
  for (const auto& unit : units) {
    if (value % unit.factor == 0) best = &unit;
  }
  return fmt::format("{}{}", value / best->factor, best->name);
}

std::string format_milliseconds(std::uint64_t value) {
  return value == 0 ? "0s" : format(value, kDurationUnits);
}

}  // namespace

std::expected<Duration, std::string> parse_duration(std::string_view text) {
  if (const auto value = strict(text, kDurationUnits, kMostMilliseconds)) {
    return std::chrono::milliseconds(static_cast<std::int64_t>(*value));
  }
  const auto meant = guess(text, kDurationGuesses, kMostMilliseconds);
  if (meant && (*meant > 0 || text.starts_with('0'))) {
    return std::unexpected(
        fmt::format("{} is not a duration, write \"{}\"", in_quotes(text), format_milliseconds(*meant)));
  }
  return std::unexpected(fmt::format(
      "{} is not a duration, write a whole number and ms, s, m or h, such as \"250ms\"", in_quotes(text)));
}

std::expected<std::uint64_t, std::string> parse_size(std::string_view text) {
  if (const auto value = strict(text, kSizeUnits, kLargestSize)) return *value;
  if (const auto meant = guess(text, kSizeGuesses, kLargestSize)) {
    return std::unexpected(
        fmt::format("{} is not a size, write \"{}\"", in_quotes(text), format_size(*meant)));
  }
  return std::unexpected(fmt::format(
      "{} is not a size, write a whole number and B, KiB, MiB or GiB, such as \"64KiB\"", in_quotes(text)));
}

std::string format_duration(Duration duration) {
  return format_milliseconds(static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count() / 1000, 0)));
}

std::string format_size(std::uint64_t bytes) { return bytes == 0 ? "0B" : format(bytes, kSizeUnits); }

}  // namespace remora::config
