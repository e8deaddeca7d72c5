// Every key a file may have. What is not listed here is an error, wherever it stands; what is listed is read
// by one of the read_*.cc, has an effect, and is in docs/configuration.md (tests/config holds all three
// against each other).
//
// Thread: any; constant.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace remora::config {

struct TableKeys {
  std::string_view table;    // "listener.timeouts"; "" is the top of the file
  std::string_view written;  // how an operator writes it: "[listener.timeouts]"
  std::span<const std::string_view> keys;
};

std::span<const TableKeys> known_tables();

// The table of that name. It must be one of known_tables().
const TableKeys& table_keys(std::string_view table);

// What to say about a key that `table` does not have: a near key of the same table, the table in which it
// belongs, or what the table has.
std::string about_unknown_key(std::string_view table, std::string_view key);

}  // namespace remora::config
