// Writes TOML that loads to the same values: tables, and keys with values of each type.
//
// Thread: any, one at a time. Owner: effective_toml, for one text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"

namespace remora::config {

// A string and a number as the file writes them; the number without an exponent.
std::string toml_string(std::string_view value);
std::string toml_number(double value);

class TomlWriter final {
 public:
  // "[name]" or "[[name]]", after an empty line.
  void table(std::string_view name);
  void element(std::string_view name);
  // A line as it is.
  void line(std::string_view text);

  // key = value.
  void text(std::string_view key, std::string_view value);
  void number(std::string_view key, double value);
  void integer(std::string_view key, std::uint64_t value);
  void boolean(std::string_view key, bool value);
  void duration(std::string_view key, Duration value);
  void size(std::string_view key, std::uint64_t bytes);
  // Elements on lines of their own, as lines have a limit. `list` quotes them, `values` leaves them as they
  // are.
  void list(std::string_view key, const std::vector<std::string>& elements);
  void values(std::string_view key, const std::vector<std::string>& elements);

  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

}  // namespace remora::config
