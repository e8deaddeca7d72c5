#include "config/scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace remora::config {

namespace {

std::size_t line_of(std::string_view text, std::size_t offset) {
  const auto before = text.substr(0, offset);
  return 1 + static_cast<std::size_t>(std::ranges::count(before, '\n'));
}

// The length of the well-formed UTF-8 sequence at the start of `text`, 0 if there is none (RFC 3629 section
// 4).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : static_cast<unsigned char>(0);
  };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (first == 0xe0 && byte(1) < 0xa0) return 0;  // overlong
    if (first == 0xed && byte(1) > 0x9f) return 0;  // a surrogate
    return follows(1) && follows(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (first == 0xf0 && byte(1) < 0x90) return 0;
    if (first == 0xf4 && byte(1) > 0x8f) return 0;  // beyond U+10FFFF
    return follows(1) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

std::optional<ScanProblem> bad_bytes(std::string_view text) {
  std::size_t line_start = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte == 0) return ScanProblem{line_of(text, at), "a NUL byte is no text, is this a TOML file?"};
    const bool carriage = byte == '\r' && at + 1 < text.size() && text[at + 1] == '\n';
    if ((byte < 0x20 && byte != '\t' && byte != '\n' && !carriage) || byte == 0x7f) {
      return ScanProblem{line_of(text, at),
                         fmt::format("control character 0x{:02x} is not allowed here, remove it", byte)};
    }
    const auto length = utf8_length(text.substr(at));
    if (length == 0) {
      return ScanProblem{line_of(text, at),
                         fmt::format("byte 0x{:02x} is not UTF-8, save the file as UTF-8", byte)};
    }
    at += length;
    if (byte == '\n') line_start = at;
    if (at - line_start > kMostLineBytes) {
      return ScanProblem{line_of(text, line_start),
                         fmt::format("line is longer than {} bytes, break it into several", kMostLineBytes)};
    }
  }
  return std::nullopt;
}

// Just enough of a tokenizer to tell brackets and dots in keys from those in strings and comments. On
// malformed text it may be wrong in either direction about what a string is, but never counts a bracket less
// than the parser would descend: a parser that does not find a string's end stops there.
class Nesting final {
 public:
  explicit Nesting(std::string_view text) : text_(text) {}

  std::optional<ScanProblem> check() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"' || c == '\'') {
        at_ = string_end(text_, at_);
        continue;
      }
      if (c == '#') {
        at_ = line_end(text_, at_);
        continue;
      }
      count(c);
      if (depth_ > kMostDepth || dots_ > kMostDepth) {
        return ScanProblem{line_of(text_, at_),
                           fmt::format("nested deeper than {} levels, flatten it", kMostDepth)};
      }
      ++at_;
    }
    return std::nullopt;
  }

 private:
  void count(char c) {
    if (c == '[' || c == '{') {
      ++depth_;
    } else if ((c == ']' || c == '}') && depth_ > 0) {
      --depth_;
    }
    if (c == '.') {
      ++dots_;
    } else if (std::string_view("=,[]{}\n").find(c) != std::string_view::npos) {
      dots_ = 0;
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  std::size_t dots_ = 0;
};

}  // namespace

std::size_t line_end(std::string_view text, std::size_t at) {
  return std::min(text.find('\n', at), text.size());
}

std::size_t string_end(std::string_view text, std::size_t at) {
  const char quote = text[at];
  const std::string three(3, quote);
  const bool multi_line = text.substr(at).starts_with(three);
  at += multi_line ? 3 : 1;
  while (at < text.size()) {
    if (text[at] == '\\' && quote == '"') {
      at += 2;
      continue;
    }
    if (!multi_line && text[at] == '\n') return at;
    if (multi_line ? text.substr(at).starts_with(three) : text[at] == quote) {
      at += multi_line ? 3 : 1;
      // Up to two quotes may stand right before the closing three.
      for (int extra = 0; multi_line && extra < 2 && at < text.size() && text[at] == quote; ++extra) ++at;
      return at;
    }
    ++at;
  }
  return at;
}

std::optional<ScanProblem> scan(std::string_view text) {
  if (text.size() > kMostBytes) {
    return ScanProblem{0, fmt::format("file is larger than {} bytes, is this the right file?", kMostBytes)};
  }
  if (auto problem = bad_bytes(text)) return problem;
  return Nesting(text).check();
}

std::string with_literal_strings(std::string_view text) {
  std::string result(text);
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '#') {
      at = line_end(text, at);
      continue;
    }
    if (text[at] != '"' && text[at] != '\'') {
      ++at;
      continue;
    }
    const std::size_t end = std::min(string_end(text, at), text.size());
    const std::string_view string = text.substr(at, end - at);
    const bool plain = string.size() >= 2 && string.front() == '"' && string.back() == '"' &&
                       !string.starts_with(R"(""")") && string.find_first_of("\\'") == std::string_view::npos;
    if (plain) result[at] = result[end - 1] = '\'';
    at = end;
  }
  return result;
}

}  // namespace remora::config
