// Cuts a file at the headers of its clusters, which are most of a large one, so that each can be parsed by
// itself.
//
// Thread: any; pure. O(text).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace remora::config {

struct Pieces {
  // From a line that begins with [[cluster]] to the next header of anything but a part of it. In the text.
  std::vector<std::string_view> clusters;
  // All else, in its order.
  std::string rest;
};

// Of any text. What is no TOML stays so in one of the pieces at least; headers spelled in other ways stay in
// the rest. If each piece is a document with one cluster in it, and the rest is one with none, then the text
// is the document with all of them.
Pieces cut(std::string_view text);

}  // namespace remora::config
