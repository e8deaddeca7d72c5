// The pieces of a log line: timestamps and values that cannot break out of their place, whatever bytes a peer
// sent. What is written is always one line of valid UTF-8 without control characters, C1 ones and those that
// reorder or split text (U+2028, U+2029, the bidirectional overrides) included.
//
// Everything writes to a raw pointer and returns the new end, because the access log formats straight into
// its ring; the caller provides the room stated. Nothing allocates. Thread: any; a UtcStamp belongs to one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace remora {

// No byte of a value takes more than this when escaped.
inline constexpr std::size_t kMaxEscape = 6;

// Room needed by any of the functions below for a value of `size` bytes, quotes included.
constexpr std::size_t escaped_room(std::size_t size) { return size * kMaxEscape + 8; }

// The inside of a JSON string (RFC 8259 section 7). Bytes that are not UTF-8 become U+FFFD, one for each.
char* escape_json(char* out, std::string_view text);

// The inside of a quoted text value: `\"`, `\\`, `\n`, `\r`, `\t`, and `\xHH` for every other byte that may
// not stand as it is.
char* escape_text(char* out, std::string_view text);

// A logfmt value: as it is when it is not empty and made of visible ASCII without space, quote, backslash and
// `=`; else quoted.
char* write_value(char* out, std::string_view text);

// Microseconds, and milliseconds, since 1970 (UTC).
std::int64_t wall_clock_us();
std::int64_t wall_clock_ms();

// Writes "2026-11-20T12:00:00.123Z" (RFC 3339); remembers the second, so that most calls write three digits
// only.
class UtcStamp final {
 public:
  static constexpr std::size_t kSize = 24;

  // Years 0 to 9999; anything else is written as the nearest of them.
  char* write(char* out, std::int64_t unix_ms);

 private:
  void render(std::int64_t unix_second);

  std::int64_t second_ = INT64_MIN;
  char text_[kSize];
};

}  // namespace remora
