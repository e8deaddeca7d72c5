#include "proxy/probe_reason.h"

#include <algorithm>

#include "config/units.h"

namespace remora::proxy {

namespace {

constexpr std::size_t kQuoted = 60;  // bytes of a text that are shown

// The beginning of a UTF-8 text, without a part of a character at its end.
std::string_view beginning(std::string_view text) {
  if (text.size() <= kQuoted) return text;
  std::size_t end = kQuoted;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
  return text.substr(0, end);
}

}  // namespace

std::string connect_failure(const Error& error) {
  if (error.code == ErrorCode::kConnectionRefused) return "connection refused";
  return error.detail.empty() ? std::string(to_string(error.code)) : error.detail;
}

std::string too_late(std::string_view what, Duration timeout) {
  return "no " + std::string(what) + " within " + config::format_duration(timeout);
}

std::string not_found(std::string_view where, std::string_view text, const ProbeSearch& search) {
  std::string line(where);
  line += " does not contain \"";
  line += beginning(text);
  line += text.size() > kQuoted ? "...\"" : "\"";
  // A log line and a page are one line each, whatever is looked for.
  std::ranges::replace_if(
      line, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  if (search.overflowed()) line += " in its first 64 KiB";
  return line;
}

}  // namespace remora::proxy
