// A scan of a head's (or trailer section's) raw bytes, line by line, before any parser sees them. It refuses
// whatever two parsers could split into lines differently (RFC 9112 section 2.2): bare CR or LF, control
// characters, folded lines, lines without a name; and it bounds size and number of fields. Resumable: every
// byte is looked at once, however the bytes arrive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "proxy/http/h1.h"

namespace remora::http {

// Why bytes were refused. `detail` is a literal.
struct Fault {
  ErrorCode code = ErrorCode::kMalformedMessage;
  std::string_view detail;
};

class HeadScan final {
 public:
  enum class Kind : std::uint8_t { kRequest, kResponse, kTrailers };
  enum class Result : std::uint8_t { kMore, kDone, kFault };

  // `bytes` starts where the head starts and is what was given before, or more of it. After kDone or kFault
  // call reset() before the next. A request may have one empty line before it (RFC 9112 section 2.2).
  Result scan(std::string_view bytes, Kind kind, const H1Limits& limits);
  void reset() { *this = HeadScan(); }

  // After kDone: where the first line begins, where it ends (before its CRLF), and the size of the whole with
  // its empty line.
  std::size_t begin() const { return begin_; }
  std::size_t line_end() const { return line_end_; }
  std::size_t size() const { return at_; }
  // After kFault.
  const Fault& fault() const { return fault_; }

 private:
  Result refuse(ErrorCode code, std::string_view detail);
  Result take_field(char first, const H1Limits& limits);
  Result at_window_end(bool limited, Kind kind);

  Fault fault_;
  std::uint32_t at_ = 0;       // everything before was looked at
  std::uint32_t line_at_ = 0;  // where the current line begins
  std::uint32_t begin_ = 0;
  std::uint32_t line_end_ = 0;  // 0: the first line has not ended
  std::uint32_t fields_ = 0;
};

}  // namespace remora::http
