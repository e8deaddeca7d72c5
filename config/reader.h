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
#include "config/item.h"
#include "config/node.h"
#include "config/report.h"

namespace remora::config {

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
  // The same for what a check of config/values.h has to say, if anything.
  void complain(std::string_view key, const std::optional<std::string>& complaint) const {
    if (complaint) problem(key, *complaint);
  }
  // The member is there, and its value is of no use: that has been reported.
  bool wrong(std::string_view key) const;

  // Members of a type. nullopt: absent, or wrong and reported.
  std::optional<std::string> string(std::string_view key, std::string_view example) const;
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t least, std::int64_t most) const;
  std::optional<double> number(std::string_view key, double least, double most) const;
  std::optional<bool> boolean(std::string_view key) const;

  // Like these, but straight into `out`, which keeps its value if there is none.
  void number(std::string_view key, double& out, double least, double most) const {
    if (const auto value = number(key, least, most)) out = *value;
  }
  void boolean(std::string_view key, bool& out) const {
    if (const auto value = boolean(key)) out = *value;
  }
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
  // From `least` to `most`, or zero, which stands for what `zero` says.
  void duration_or_zero(std::string_view key, Duration& out, Duration least, Duration most,
                        std::string_view zero) const;
  void size_or_zero(std::string_view key, std::uint64_t& out, std::uint64_t least, std::uint64_t most,
                    std::string_view zero) const;
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

  // Which of the keys the table has, "" if none. More than one is reported at the second.
  std::string_view only_one(std::span<const std::string_view> keys) const;

  // Two members that have been read, of which `low` may not be above `high`. A default gives way to what the
  // file has; if it has both, `high` is wrong.
  void ordered(std::string_view low_key, Duration& low, std::string_view high_key, Duration& high) const;
  void ordered(std::string_view low_key, std::uint32_t& low, std::string_view high_key,
               std::uint32_t& high) const;

  // The table that is this member; one that is not present() if it is missing or wrong. `table` is its name
  // in config/schema.h: that of this table and the key, unless given.
  TableReader table(std::string_view key, std::string_view table) const;
  TableReader table(std::string_view key) const;
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
  template <typename Value, typename Written>
  void order(std::string_view low_key, Value& low, std::string_view high_key, Value& high,
             Written written) const;

  const Node* node_;
  std::string_view table_;
  Where where_;
  Report& report_;
};

}  // namespace remora::config
