#include "config/parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <limits>
#include <map>
#include <ranges>
#include <sstream>
#include <string>
#include <toml.hpp>
#include <tuple>
#include <vector>

#include "config/scan.h"

namespace remora::config {

namespace {

struct EmptyArray final : std::exception {};

// The library adds a table to the last one of an array (`[cluster.tls]` behind `[[cluster]]`) without looking
// whether there is any (behind `cluster = []`).
template <typename... Words>
class Array final : public std::vector<Words...> {
 public:
  using std::vector<Words...>::vector;
  auto& back() { return this->empty() ? throw EmptyArray() : std::vector<Words...>::back(); }
  const auto& back() const { return this->empty() ? throw EmptyArray() : std::vector<Words...>::back(); }
};

using Value = toml::basic_value<toml::discard_comments, std::map, Array>;

Value parse(const std::string& text) {
  std::istringstream stream(text);
  return toml::parse<toml::discard_comments, std::map, Array>(stream, "file");
}

constexpr std::string_view kBlank = " \t\r";

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// Turns the library's tree into ours. Its own location() counts lines from the start of the file for each
// value; with the offset and an index of the lines this is linear instead.
class Converter final {
 public:
  Converter(std::string_view text, Substitution& substitution, Report& report)
      : substitution_(substitution), report_(report) {
    for (std::size_t at = 0; at < text.size(); ++at) {
      if (text[at] == '\n') line_ends_.push_back(at);
    }
  }

  void convert(const Value& value, const Where& parent, Node& node) {
    node.offset = offset_of(value);
    const auto line = std::ranges::lower_bound(line_ends_, node.offset);
    node.line = 1 + static_cast<std::size_t>(line - line_ends_.begin());
    const Where where{node.line, parent.key};
    switch (value.type()) {
      case toml::value_t::table: return convert_table(value, where, node);
      case toml::value_t::array: return convert_array(value, where, node);
      case toml::value_t::string: return convert_string(value, where, node);
      case toml::value_t::integer: return convert_integer(value, where, node);
      case toml::value_t::floating: return convert_float(value, where, node);
      case toml::value_t::boolean:
        node.kind = Node::Kind::kBoolean;
        node.boolean = value.as_boolean();
        node.text = node.boolean ? "true" : "false";
        return;
      default: node.kind = Node::Kind::kDate; return;
    }
  }

 private:
  static std::size_t offset_of(const Value& value) {
    const auto* region = dynamic_cast<const toml::detail::region*>(toml::detail::get_region(value));
    return region == nullptr ? 0 : static_cast<std::size_t>(region->first() - region->begin());
  }

  void convert_table(const Value& value, const Where& where, Node& node) {
    node.kind = Node::Kind::kTable;
    for (const auto& [key, member] : value.as_table()) {
      Node child;
      child.key = key;
      convert(member, where.member(key), child);
      node.children.push_back(std::move(child));
    }
    std::ranges::sort(node.children, {}, [](const Node& child) { return std::tie(child.offset, child.key); });
  }

  void convert_array(const Value& value, const Where& where, Node& node) {
    node.kind = Node::Kind::kArray;
    const auto& elements = value.as_array();
    for (std::size_t i = 0; i < elements.size(); ++i) {
      Node child;
      Where element = where;
      element.key += "#" + std::to_string(i + 1);
      convert(elements[i], element, child);
      node.children.push_back(std::move(child));
    }
  }

  void convert_string(const Value& value, const Where& where, Node& node) {
    node.kind = Node::Kind::kString;
    const auto& text = value.as_string().str;
    if (text.find('\0') != std::string::npos)
      return broken(where, "a NUL character is not allowed, remove it", node);
    auto filled = substitution_.fill(text);
    if (!filled) return broken(where, std::move(filled.error()), node);
    node.text = std::move(filled->text);
    node.from_environment = filled->from_environment;
  }

  // The library saturates what does not fit, without a word.
  void convert_integer(const Value& value, const Where& where, Node& node) {
    node.kind = Node::Kind::kInteger;
    node.integer = value.as_integer();
    node.text = std::to_string(node.integer);
    using Limits = std::numeric_limits<std::int64_t>;
    if (node.integer == Limits::max() || node.integer == Limits::min()) {
      broken(where, "number does not fit 64 bits, write a smaller one", node);
    }
  }

  void convert_float(const Value& value, const Where& where, Node& node) {
    node.kind = Node::Kind::kFloat;
    node.number = value.as_floating();
    node.text = fmt::format("{}", node.number);
    if (!std::isfinite(node.number)) broken(where, "number is not finite, write a plain one", node);
  }

  void broken(const Where& where, std::string message, Node& node) {
    report_.add(where, std::move(message));
    node.kind = Node::Kind::kBroken;
  }

  Substitution& substitution_;
  Report& report_;
  std::vector<std::size_t> line_ends_;
};

// What the value on a line that does not parse was meant to be, judged by how it begins.
std::optional<std::string> about_value(std::string_view line) {
  const auto equals = line.find('=');
  if (equals == std::string_view::npos) return std::nullopt;
  auto value = trimmed(line.substr(equals + 1, line.find('#', equals) - equals - 1));
  if (value.empty()) return "there is no value after the =, write one or remove the line";
  if (value == "True" || value == "TRUE" || value == "yes" || value == "on") {
    return fmt::format("{} is not a value, write true", value);
  }
  if (value == "False" || value == "FALSE" || value == "no" || value == "off") {
    return fmt::format("{} is not a value, write false", value);
  }
  const char first = value.front();
  if (first == '"' || first == '\'') {
    return "the string has no closing quote or an unknown escape, close it, and write \\\\ for a backslash";
  }
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./:*$%+@").find(c) != std::string_view::npos;
  };
  if (std::ranges::all_of(value, plain) && value.find_first_not_of("0123456789") != std::string_view::npos) {
    return fmt::format("{} needs quotes, write {}", value.substr(0, 60), in_quotes(value));
  }
  return std::nullopt;
}

struct Rewording {
  std::string_view part;     // of the library's message
  std::string_view message;  // ours
};

constexpr std::array kRewordings{
    Rewording{"missing key-value separator", "there is no = after the key, write key = value"},
    Rewording{"missing array separator", "a comma or the closing ] is missing in an array, add it"},
    Rewording{"value having invalid format appeared in an array",
              "an element of an array is not a value, quote text and use one comma between elements"},
    Rewording{"trailing comma is not allowed", "an inline table must not end in a comma, remove it"},
    Rewording{"newline required after", "something follows the ] of a table's header, start a new line"},
    Rewording{"inline tables are immutable",
              "a table written in { } cannot be added to, put everything inside the braces"},
    Rewording{"\") collides with existing",
              "a list is written both as name = [...] and as [[name]], use one of them"},
    Rewording{"cannot be defined", "a table is written both as [name] and as [[name]], use one of them"},
    Rewording{"empty key is not allowed", "there is no key before the =, write key = value"},
    Rewording{"invalid format for key", "this is not a key, a key consists of letters, digits, _ and -"},
    Rewording{"invalid date", "this is not a date, text needs quotes"},
    Rewording{"leading zero", "a number must not begin with 0, remove the zero or quote it"},
};

// One line, without the library's drawings.
std::string plain_message(std::string_view what, std::string_view line) {
  auto first = what.substr(0, what.find('\n'));
  if (first.starts_with("[error] ")) first.remove_prefix(8);
  for (const std::string_view kind : {"value (\"", "table (\""}) {
    const auto found = first.find(kind);
    const auto end = first.find("\") already exists");
    if (found == std::string_view::npos || end == std::string_view::npos) continue;
    const auto name = first.substr(found + kind.size(), end - found - kind.size());
    return fmt::format("{} is defined twice, remove one", in_quotes(name));
  }
  for (const auto& [part, message] : kRewordings) {
    if (first.find(part) != std::string_view::npos) return std::string(message);
  }
  const auto start = trimmed(line);
  if (start.starts_with('[') && start.find('=') == std::string_view::npos) {
    return "this is not a table's header, write [name] or [[name]]";
  }
  if (line.find('{') != std::string_view::npos && line.find('}') == std::string_view::npos) {
    return "a table in { } must close on the line it begins on, put it on one line";
  }
  if (auto message = about_value(line)) return *message;
  if (first.find("an invalid key appeared") != std::string_view::npos) {
    return "this is not a key, a key consists of letters, digits, _ and -";
  }
  if (first.find("invalid line format") != std::string_view::npos) {
    return "something follows the value, start a new line";
  }
  if (const auto colon = first.find(": "); first.starts_with("toml::") && colon != std::string_view::npos) {
    first.remove_prefix(colon + 2);
  }
  const auto text = in_quotes(first);
  return fmt::format("this is not TOML: {}, write key = value or [table]", text.substr(1, text.size() - 2));
}

std::string_view line_at(std::string_view text, std::size_t line) {
  for (std::size_t i = 1; i < line && !text.empty(); ++i) {
    const auto end = text.find('\n');
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return text.substr(0, text.find('\n'));
}

enum class Outcome : std::uint8_t { kFine, kBroken, kEmptyArray };

Outcome outcome_of(const std::string& text) {
  try {
    parse(text);
    return Outcome::kFine;
  } catch (const EmptyArray&) {
    return Outcome::kEmptyArray;
  } catch (const std::exception&) {
    return Outcome::kBroken;
  }
}

// Where a table is added to an empty array: the text to the end of that line fails in this way. What is
// behind it, in the same table, may be cut within something (kBroken), so that a header before it is looked
// for.
std::size_t line_of_empty_array(const std::string& text) {
  std::vector<std::size_t> starts{0};
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos;) starts.push_back(++at);
  const auto until = [&](std::size_t line) {
    return outcome_of(text.substr(0, line < starts.size() ? starts[line] : text.size()));
  };
  const auto lines = std::views::iota(std::size_t{1}, starts.size() + 1);
  const std::size_t found = *std::ranges::partition_point(
      lines, [&](std::size_t line) { return until(line) != Outcome::kEmptyArray; });
  for (std::size_t line = found; line > 0; --line) {
    if (!trimmed(line_at(text, line)).starts_with('[')) continue;
    const Outcome outcome = until(line);
    if (outcome == Outcome::kEmptyArray) return line;
    if (outcome == Outcome::kFine) break;
  }
  return found;
}

}  // namespace

std::optional<Node> parse_toml(std::string_view text, Substitution& substitution, Report& report) {
  const std::string plain = with_literal_strings(text);
  try {
    const Value value = parse(plain);
    Node root;
    Converter(text, substitution, report).convert(value, {}, root);
    return root;
  } catch (const EmptyArray&) {
    report.add({line_of_empty_array(plain), ""},
               "this belongs to a list that is empty, write [[name]] instead of name = [] before it");
  } catch (const toml::exception& error) {
    const std::size_t line = error.location().line();
    report.add({line, ""}, plain_message(error.what(), line_at(text, line)));
  } catch (const std::exception& error) {
    const auto message = plain_message(error.what(), "");
    report.add({}, message);
  }
  return std::nullopt;
}

}  // namespace remora::config
