// Looks at the bytes of a file before the TOML library does, and refuses what would hurt it: it recurses as
// deep as brackets and dotted keys go, and takes time quadratic in the length of a line.
//
// Thread: any; pure. O(text).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace remora::config {

inline constexpr std::size_t kMostBytes = std::size_t{16} * 1024 * 1024;
inline constexpr std::size_t kMostLineBytes = std::size_t{16} * 1024;
inline constexpr std::size_t kMostDepth = 32;

struct ScanProblem {
  std::size_t line = 0;  // 0 = the file as a whole
  std::string message;
};

// What makes the text unfit to be parsed, or nullopt: size, bytes that are not UTF-8 text, lines that are too
// long, nesting that is too deep.
std::optional<ScanProblem> scan(std::string_view text);

// Behind the string that begins at `at` with a quote. One that is not closed ends with its line, or the text.
std::size_t string_end(std::string_view text, std::size_t at);

// Where the line that `at` is in ends: at its line feed, or with the text.
std::size_t line_end(std::string_view text, std::size_t at);

// The same text, with each basic string that has no need to be one written as a literal: "a" as 'a'. That
// means the same, at the same offsets, and costs the TOML library a quarter.
std::string with_literal_strings(std::string_view text);

}  // namespace remora::config
