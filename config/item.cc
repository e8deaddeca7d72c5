#include "config/item.h"

#include <fmt/format.h>

#include <charconv>
#include <expected>

#include "config/units.h"

namespace remora::config {

namespace {

using Kind = Node::Kind;

template <typename Number>
std::optional<Number> parsed(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

std::string describe(const Node& node) {
  switch (node.kind) {
    case Kind::kTable: return "a table is here";
    case Kind::kArray: return "an array is here";
    case Kind::kString: return in_quotes(node.text) + " is a string";
    case Kind::kInteger:
    case Kind::kFloat: return node.text + " is a number";
    case Kind::kBoolean: return node.text + " is a boolean";
    case Kind::kDate: return "a date is here";
    case Kind::kBroken: break;
  }
  return {};
}

std::optional<std::string> read_string(const Item& item, std::string_view example, Report& report) {
  const auto& node = *item.node;
  if (node.kind == Kind::kBroken) return std::nullopt;
  if (node.kind == Kind::kString) return node.text;
  if (node.kind == Kind::kArray && node.children.size() == 1 && node.children.front().kind == Kind::kString) {
    report.add(item.where,
               fmt::format("an array is here, write just {}", in_quotes(node.children.front().text)));
  } else {
    report.add(item.where, fmt::format("{}, write a string such as {}", describe(node), example));
  }
  return std::nullopt;
}

std::optional<std::int64_t> read_integer(const Item& item, std::int64_t least, std::int64_t most,
                                         Report& report) {
  const auto& node = *item.node;
  if (node.kind == Kind::kBroken) return std::nullopt;
  std::optional<std::int64_t> value;
  if (node.kind == Kind::kInteger) value = node.integer;
  const auto text = node.kind == Kind::kString ? parsed<std::int64_t>(node.text) : std::nullopt;
  if (node.from_environment) value = text;
  if (!value) {
    const auto right = text && !node.from_environment
                           ? fmt::format("write it without quotes: {}", *text)
                           : fmt::format("write a whole number from {} to {}", least, most);
    report.add(item.where, fmt::format("{}, {}", describe(node), right));
    return std::nullopt;
  }
  if (*value >= least && *value <= most) return value;
  report.add(item.where,
             fmt::format("{} is out of range, write a whole number from {} to {}", *value, least, most));
  return std::nullopt;
}

std::optional<double> read_number(const Item& item, double least, double most, Report& report) {
  const auto& node = *item.node;
  if (node.kind == Kind::kBroken) return std::nullopt;
  std::optional<double> value;
  if (node.kind == Kind::kInteger) value = static_cast<double>(node.integer);
  if (node.kind == Kind::kFloat) value = node.number;
  const auto text = node.kind == Kind::kString ? parsed<double>(node.text) : std::nullopt;
  if (node.from_environment) value = text;
  if (!value) {
    const auto right = text && !node.from_environment
                           ? "write it without quotes: " + node.text
                           : fmt::format("write a number from {} to {}", least, most);
    report.add(item.where, fmt::format("{}, {}", describe(node), right));
    return std::nullopt;
  }
  if (*value >= least && *value <= most) return value;  // false for NaN too
  report.add(item.where,
             fmt::format("{} is out of range, write a number from {} to {}", *value, least, most));
  return std::nullopt;
}

std::optional<bool> read_boolean(const Item& item, Report& report) {
  const auto& node = *item.node;
  if (node.kind == Kind::kBroken) return std::nullopt;
  if (node.kind == Kind::kBoolean) return node.boolean;
  const bool word = node.kind == Kind::kString && (node.text == "true" || node.text == "false");
  if (word && node.from_environment) return node.text == "true";
  report.add(item.where,
             fmt::format("{}, write {}", describe(node),
                         word ? "it without quotes: " + node.text : std::string("true or false")));
  return std::nullopt;
}

std::optional<Duration> read_duration(const Item& item, Duration least, Duration most, Report& report) {
  const auto& node = *item.node;
  if (node.kind == Kind::kBroken) return std::nullopt;
  std::expected<Duration, std::string> value;
  if (node.kind == Kind::kString || (node.kind == Kind::kInteger && node.integer == 0)) {
    value = parse_duration(node.text);
  } else if (node.kind == Kind::kInteger || node.kind == Kind::kFloat) {
    const auto meant = parse_duration(node.text);  // its message has the remedy
    const auto comma = meant ? std::string::npos : meant.error().find(", write");
    value = std::unexpected(
        fmt::format("{} is a number without a unit{}", node.text,
                    comma == std::string::npos ? ", write \"5s\"" : meant.error().substr(comma)));
  } else {
    value = std::unexpected(describe(node) + ", write a duration such as \"5s\"");
  }
  if (value && *value >= least && *value <= most) return *value;
  if (value) {
    value = std::unexpected(fmt::format("{} is out of range, write \"{}\" to \"{}\"", in_quotes(node.text),
                                        format_duration(least), format_duration(most)));
  }
  report.add(item.where, value.error());
  return std::nullopt;
}

std::optional<std::uint64_t> read_size(const Item& item, std::uint64_t least, std::uint64_t most,
                                       Report& report) {
  const auto& node = *item.node;
  if (node.kind == Kind::kBroken) return std::nullopt;
  std::expected<std::uint64_t, std::string> value;
  if (node.kind == Kind::kString || (node.kind == Kind::kInteger && node.integer == 0)) {
    value = parse_size(node.text);
  } else if (node.kind == Kind::kInteger || node.kind == Kind::kFloat) {
    const auto meant = parse_size(node.text);
    const auto comma = meant ? std::string::npos : meant.error().find(", write");
    value = std::unexpected(
        fmt::format("{} is a number without a unit{}", node.text,
                    comma == std::string::npos ? ", write \"64KiB\"" : meant.error().substr(comma)));
  } else {
    value = std::unexpected(describe(node) + ", write a size such as \"64KiB\"");
  }
  if (value && *value >= least && *value <= most) return *value;
  if (value) {
    value = std::unexpected(fmt::format("{} is out of range, write \"{}\" to \"{}\"", in_quotes(node.text),
                                        format_size(least), format_size(most)));
  }
  report.add(item.where, value.error());
  return std::nullopt;
}

Where named(const Item& item, std::string_view array) {
  const auto* name = item.node->find("name");
  if (name == nullptr || name->kind != Kind::kString || name->text.empty()) return item.where;
  return {item.where.line, Where{0, std::string(array)}.member(name->text).key};
}

}  // namespace remora::config
