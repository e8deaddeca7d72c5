// What pages for people are made of: text that is safe on a terminal, and spans of time as one reads them.
//
// Pure; any thread.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "base/time.h"

namespace remora::proxy {

// A terminal obeys control characters, and some bytes that are no text.
inline std::string printable(std::string_view text) {
  std::string out(text);
  std::ranges::replace_if(out, [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return out;
}

// "90s", "15m", "3h".
inline std::string show_whole(Duration duration) {
  const auto whole = duration / 1s;
  if (whole < 120) return std::to_string(whole) + "s";
  if (whole < 7200) return std::to_string(whole / 60) + "m";
  return std::to_string(whole / 3600) + "h";
}

}  // namespace remora::proxy
