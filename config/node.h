// A TOML document as plain values with their lines: what is left of it once the library that read it is gone.
//
// Thread: any. Owner: load_text, for the time of one file; readers keep pointers into it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace remora::config {

struct Node {
  // kBroken: a value that is of no use, which has been reported already: readers pass over it in silence.
  enum class Kind : std::uint8_t { kTable, kArray, kString, kInteger, kFloat, kBoolean, kDate, kBroken };

  Kind kind = Kind::kTable;
  std::size_t line = 0;        // 1-based
  std::size_t offset = 0;      // in bytes, of the value or of its table's header
  std::string key;             // its name, if its parent is a table
  std::vector<Node> children;  // of a table or an array, in the order of the file

  std::string text;  // kString: with the environment filled in. Other scalars: as it would be written
  bool from_environment = false;  // kString: a variable is part of it
  std::int64_t integer = 0;
  double number = 0;
  bool boolean = false;

  // The member of that name; nullptr if there is none. O(members).
  const Node* find(std::string_view name) const {
    for (const auto& child : children) {
      if (child.key == name) return &child;
    }
    return nullptr;
  }
};

}  // namespace remora::config
