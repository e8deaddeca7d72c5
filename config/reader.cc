#include "config/reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/schema.h"
#include "config/suggest.h"
#include "config/units.h"

namespace remora::config {

namespace {

using Kind = Node::Kind;

}  // namespace

TableReader::TableReader(const Node* node, std::string_view table, Where where, Report& report)
    : node_(node), table_(table), where_(std::move(where)), report_(report) {
  if (node_ != nullptr) where_.line = node_->line;
  report_unknown();
}

void TableReader::report_unknown() const {
  if (node_ == nullptr) return;
  const auto& known = table_keys(table_).keys;
  for (const auto& child : node_->children) {
    if (std::ranges::find(known, child.key) != known.end()) continue;
    auto place = where_.member(child.key);
    place.line = child.line;
    report_.add(place, report_.full() ? std::string() : about_unknown_key(table_, child.key));
  }
}

Where TableReader::where(std::string_view key) const {
  auto place = where_.member(key);
  if (const auto* node = find(key)) place.line = node->line;
  return place;
}

const Node* TableReader::find(std::string_view key) const {
  return node_ == nullptr ? nullptr : node_->find(key);
}

// The member, unless it is missing or has been reported already.
const Node* TableReader::usable(std::string_view key) const {
  const auto* node = find(key);
  return node == nullptr || node->kind == Kind::kBroken ? nullptr : node;
}

bool TableReader::wrong(std::string_view key) const {
  const auto* node = find(key);
  return node != nullptr && (node->kind == Kind::kBroken || report_.mentions(where(key)));
}

std::optional<std::string> TableReader::string(std::string_view key, std::string_view example) const {
  const auto* node = find(key);
  return node == nullptr ? std::nullopt : read_string({node, where(key)}, example, report_);
}

std::optional<std::int64_t> TableReader::integer(std::string_view key, std::int64_t least,
                                                 std::int64_t most) const {
  const auto* node = find(key);
  return node == nullptr ? std::nullopt : read_integer({node, where(key)}, least, most, report_);
}

std::optional<double> TableReader::number(std::string_view key, double least, double most) const {
  const auto* node = find(key);
  return node == nullptr ? std::nullopt : read_number({node, where(key)}, least, most, report_);
}

std::optional<bool> TableReader::boolean(std::string_view key) const {
  const auto* node = find(key);
  return node == nullptr ? std::nullopt : read_boolean({node, where(key)}, report_);
}

void TableReader::duration(std::string_view key, Duration& out, Duration least, Duration most) const {
  const auto* node = find(key);
  if (node == nullptr) return;
  if (const auto value = read_duration({node, where(key)}, least, most, report_)) out = *value;
}

void TableReader::duration_or_zero(std::string_view key, Duration& out, Duration least, Duration most,
                                   std::string_view zero) const {
  duration(key, out, Duration::zero(), most);
  if (out == Duration::zero() || out >= least) return;
  problem(key,
          fmt::format("{} is out of range, write \"{}\" to \"{}\", or 0 for {}",
                      in_quotes(format_duration(out)), format_duration(least), format_duration(most), zero));
}

void TableReader::size_or_zero(std::string_view key, std::uint64_t& out, std::uint64_t least,
                               std::uint64_t most, std::string_view zero) const {
  size(key, out, 0, most);
  if (out == 0 || out >= least) return;
  problem(key, fmt::format("{} is out of range, write \"{}\" to \"{}\", or 0 for {}",
                           in_quotes(format_size(out)), format_size(least), format_size(most), zero));
}

std::optional<std::size_t> TableReader::word(std::string_view key, std::span<const std::string_view> words,
                                             std::string_view example) const {
  const auto chosen = string(key, in_quotes(example));
  if (!chosen) return std::nullopt;
  const auto found = std::ranges::find(words, *chosen);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  problem(key, fmt::format("{} is not one of the choices{}", in_quotes(*chosen),
                           did_you_mean(*chosen, words, ", write one of " + listed(words))));
  return std::nullopt;
}

std::string_view TableReader::only_one(std::span<const std::string_view> keys) const {
  std::string_view first;
  for (const auto key : keys) {
    if (!has(key)) continue;
    if (first.empty()) {
      first = key;
    } else {
      problem(key, fmt::format("{} and {} exclude each other, keep one", first, key));
    }
  }
  return first;
}

// `written`: how a value stands in a file.
template <typename Value, typename Written>
void TableReader::order(std::string_view low_key, Value& low, std::string_view high_key, Value& high,
                        Written written) const {
  if (low <= high) return;
  if (!has(high_key)) {
    high = low;
  } else if (!has(low_key)) {
    low = high;
  } else if (!wrong(low_key) && !wrong(high_key)) {
    problem(high_key, fmt::format("{} is below {}, which is {}: write {} or more, or lower {}", written(high),
                                  low_key, written(low), written(low), low_key));
  }
}

void TableReader::ordered(std::string_view low_key, Duration& low, std::string_view high_key,
                          Duration& high) const {
  order(low_key, low, high_key, high, [](Duration value) { return in_quotes(format_duration(value)); });
}

void TableReader::ordered(std::string_view low_key, std::uint32_t& low, std::string_view high_key,
                          std::uint32_t& high) const {
  order(low_key, low, high_key, high, [](std::uint32_t value) { return std::to_string(value); });
}

TableReader TableReader::table(std::string_view key) const {
  return table(key, table_keys(fmt::format("{}.{}", table_, key)).table);
}

TableReader TableReader::table(std::string_view key, std::string_view table) const {
  const auto* node = usable(key);
  if (node != nullptr && node->kind != Kind::kTable) {
    const bool doubled =
        node->kind == Kind::kArray && !node->children.empty() && node->children.front().kind == Kind::kTable;
    problem(key, doubled ? fmt::format("there can be only one, write {} with single brackets",
                                       table_keys(table).written)
                         : fmt::format("{}, write a table with {}", describe(*node),
                                       listed(table_keys(table).keys)));
    node = nullptr;
  }
  return {node, table, where(key), report_};
}

std::vector<Item> TableReader::elements(std::string_view key, std::string_view example) const {
  const auto* node = usable(key);
  if (node == nullptr) return {};
  if (node->kind != Kind::kArray) {
    const auto right =
        node->kind == Kind::kString ? fmt::format("[{}]", in_quotes(node->text)) : std::string(example);
    problem(key, fmt::format("{}, write an array such as {}", describe(*node), right));
    return {};
  }
  std::vector<Item> items;
  for (std::size_t i = 0; i < node->children.size(); ++i) {
    auto place = where_.element(key, i);
    place.line = node->children[i].line;
    items.push_back({&node->children[i], std::move(place)});
  }
  return items;
}

std::vector<Item> TableReader::tables(std::string_view key, std::string_view table) const {
  const auto* node = usable(key);
  if (node != nullptr && node->kind == Kind::kTable) {
    problem(key,
            fmt::format("there can be several, write {} with double brackets", table_keys(table).written));
    return {};
  }
  if (node != nullptr && node->kind != Kind::kArray) {
    problem(key, fmt::format("{}, write a table {}", describe(*node), table_keys(table).written));
    return {};
  }
  auto items = elements(key, "");
  std::erase_if(items, [&](const Item& item) {
    if (item.node->kind == Kind::kTable) return false;
    report_.add(item.where,
                fmt::format("{}, write a table {}", describe(*item.node), table_keys(table).written));
    return true;
  });
  return items;
}

std::vector<Item> TableReader::entries(std::string_view key, std::string_view example) const {
  const auto* node = usable(key);
  if (node == nullptr) return {};
  if (node->kind != Kind::kTable) {
    problem(key, fmt::format("{}, write a table such as {}", describe(*node), example));
    return {};
  }
  std::vector<Item> items;
  for (const auto& child : node->children) {
    auto place = where(key).member(child.key);
    place.line = child.line;
    items.push_back({&child, std::move(place)});
  }
  return items;
}

}  // namespace remora::config
