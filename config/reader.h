// Reads the members of one TOML table by name and type. Everything that is not as it should be goes into the
// report with its line and what would be right; the caller just gets nothing and keeps its default, so that
// reading goes on and finds the other mistakes.
//
// Thread: any, one at a time per report. The nodes and the report must outlive the reader.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "config/node.h"
#include "config/report.h"

namespace remora::config {

// One value and where it stands.
struct Item {
  const Node* node = nullptr;
  Where where;
};

// Single values. nullopt: of the wrong type, and reported. `example` is a whole right value, with its quotes.
// A string that came from the environment may stand for a number or a boolean.
std::optional<std::string> read_string(const Item& item, std::string_view example, Report& report);
std::optional<std::int64_t> read_integer(const Item& item, std::int64_t least, std::int64_t most,
                                         Report& report);
std::optional<double> read_number(const Item& item, double least, double most, Report& report);
std::optional<bool> read_boolean(const Item& item, Report& report);
std::optional<Duration> read_duration(const Item& item, Duration least, Duration most, Report& report);
std::optional<std::uint64_t> read_size(const Item& item, std::uint64_t least, std::uint64_t most,
                                       Report& report);

class TableReader final {
 public:
  // `node` is a table, or nullptr for one that the file does not have. Reports every member that `table` (of
  // config/schema.h) does not know.
  TableReader(const Node* node, std::string_view table, Where where, Report& report);

  bool present() const { return node_ != nullptr; }
  bool has(std::string_view key) const { return find(key) != nullptr; }
  const Node* find(std::string_view key) const;
  // Where the member stands, or the table if it is not there.
  Where where(std::string_view key) const;
  const Where& where() const { return where_; }
  Report& report() const { return report_; }
  void problem(std::string_view key, std::string message) const {
    report_.add(where(key), std::move(message));
  }

  // Members of a type. nullopt: absent, or wrong and reported.
  std::optional<std::string> string(std::string_view key, std::string_view example) const;
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t least, std::int64_t most) const;
  std::optional<double> number(std::string_view key, double least, double most) const;
  std::optional<bool> boolean(std::string_view key) const;

  // Like these, but straight into `out`, which keeps its value if there is none.
  void duration(std::string_view key, Duration& out, Duration least, Duration most) const;
  template <typename Integer>
  void integer(std::string_view key, Integer& out, std::int64_t least, std::int64_t most) const {
    if (const auto value = integer(key, least, most)) out = static_cast<Integer>(*value);
  }
  template <typename Integer>
  void size(std::string_view key, Integer& out, std::uint64_t least, std::uint64_t most) const {
    const auto* node = find(key);
    if (node == nullptr) return;
    if (const auto value = read_size({node, where(key)}, least, most, report_))
      out = static_cast<Integer>(*value);
  }
  // One of a few words.
  template <typename Enum>
  void choice(std::string_view key, Enum& out,
              std::span<const std::pair<std::string_view, Enum>> words) const {
    std::vector<std::string_view> names;
    std::string_view example;
    for (const auto& [name, value] : words) {
      names.push_back(name);
      if (value == out) example = name;
    }
    const auto chosen = word(key, names, example);
    if (chosen) out = words[*chosen].second;
  }

  // The table that is this member; one that is not present() if it is missing or wrong.
  TableReader table(std::string_view key, std::string_view table) const;
  // The elements of the array that is this member; empty if it is missing or wrong.
  std::vector<Item> elements(std::string_view key, std::string_view example) const;
  // The tables of an array of tables, written [[key]].
  std::vector<Item> tables(std::string_view key, std::string_view table) const;
  // The members of a table whose keys are the operator's; empty if it is missing or wrong.
  std::vector<Item> entries(std::string_view key, std::string_view example) const;

 private:
  const Node* usable(std::string_view key) const;
  std::optional<std::size_t> word(std::string_view key, std::span<const std::string_view> words,
                                  std::string_view example) const;
  void report_unknown() const;

  const Node* node_;
  std::string_view table_;
  Where where_;
  Report& report_;
};

// What messages call an element of an array of tables: "cluster.app" if the table has a usable `name`, else
// "cluster#2".
Where named(const Item& item, std::string_view array);

// "15 is a number": what the file has instead.
std::string describe(const Node& node);

}  // namespace remora::config
