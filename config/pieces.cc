#include "config/pieces.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "config/scan.h"

namespace remora::config {

namespace {

// Where a value can begin or end, or a line.
constexpr auto kMarks = [] {
  std::array<bool, 256> marks{};
  for (const char c : std::string_view("\"'#[]{}\n")) marks[static_cast<unsigned char>(c)] = true;
  return marks;
}();

// Behind the line that begins at `at`, and those over which its value extends.
std::size_t statement_end(std::string_view text, std::size_t at) {
  std::size_t depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (!kMarks[static_cast<unsigned char>(c)]) {
      ++at;
    } else if (c == '"' || c == '\'') {
      at = string_end(text, at);
    } else if (c == '#') {
      at = line_end(text, at);
    } else {
      ++at;
      if (c == '\n' && depth == 0) return at;
      if (c == '[' || c == '{') ++depth;
      if ((c == ']' || c == '}') && depth > 0) --depth;
    }
  }
  return text.size();
}

}  // namespace

Pieces cut(std::string_view text) {
  Pieces pieces;
  bool in_cluster = false;
  std::size_t begin = 0;  // of the piece
  const auto end_piece = [&](std::size_t end) {
    const std::string_view piece = text.substr(begin, end - begin);
    if (in_cluster) {
      pieces.clusters.push_back(piece);
    } else {
      pieces.rest += piece;
    }
    begin = end;
  };
  for (std::size_t at = 0; at < text.size(); at = statement_end(text, at)) {
    const std::size_t first = std::min(text.find_first_not_of(" \t", at), text.size());
    const std::string_view line = text.substr(first);
    if (!line.starts_with('[')) continue;
    const bool cluster = line.starts_with("[[cluster]]");
    const bool part = line.starts_with("[cluster.") || line.starts_with("[[cluster.");
    if (in_cluster && part) continue;
    if (!in_cluster && !cluster) continue;
    end_piece(at);
    in_cluster = cluster;
  }
  end_piece(text.size());
  return pieces;
}

}  // namespace remora::config
