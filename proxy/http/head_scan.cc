#include "proxy/http/head_scan.h"

#include "proxy/http/control_bytes.h"

namespace remora::http {

HeadScan::Result HeadScan::refuse(ErrorCode code, std::string_view detail) {
  fault_ = Fault{code, detail};
  return Result::kFault;
}

// A complete line behind the first that is not empty. kMore: it is fine.
HeadScan::Result HeadScan::take_field(char first, const H1Limits& limits) {
  if (first == ' ' || first == '\t') return refuse(ErrorCode::kMalformedMessage, "folded field line");
  if (first == ':') return refuse(ErrorCode::kMalformedMessage, "empty field name");
  if (++fields_ > limits.header_fields) return refuse(ErrorCode::kHeadersTooLarge, "too many fields");
  return Result::kMore;
}

// There is no more of what may be looked at.
HeadScan::Result HeadScan::at_window_end(bool limited, Kind kind) {
  if (!limited) return Result::kMore;
  const bool first = kind == Kind::kRequest && line_end_ == 0;
  return first ? refuse(ErrorCode::kUriTooLong, "request line over the header limit")
               : refuse(ErrorCode::kHeadersTooLarge, "header section over its limit");
}

HeadScan::Result HeadScan::scan(std::string_view bytes, Kind kind, const H1Limits& limits) {
  // The limit is a position, so that the verdict does not depend on how the bytes were split.
  std::string_view window = bytes.substr(0, std::size_t{begin_} + limits.header_bytes);
  ControlBytes controls(window, at_);
  for (;;) {
    const std::size_t at = controls.next();
    at_ = static_cast<std::uint32_t>(at);
    // A CR at the end may be half of a line's end.
    if (at + 1 >= window.size() && (at == window.size() || window[at] == '\r')) {
      return at_window_end(window.size() < bytes.size(), kind);
    }
    if (window[at] != '\r') {
      if (window[at] == '\n') return refuse(ErrorCode::kMalformedMessage, "LF without CR");
      if (window[at] != '\t') return refuse(ErrorCode::kMalformedMessage, "control character");
      if (kind == Kind::kRequest && line_end_ == 0) {
        return refuse(ErrorCode::kMalformedMessage, "control character in the request line");
      }
      ++at_;
      continue;
    }
    if (window[at + 1] != '\n') return refuse(ErrorCode::kMalformedMessage, "CR without LF");
    controls.next();
    const std::uint32_t line_at = line_at_;
    at_ = line_at_ = static_cast<std::uint32_t>(at + 2);
    const bool fields = kind == Kind::kTrailers || line_end_ != 0;
    if (at > line_at) {
      if (!fields) {
        line_end_ = static_cast<std::uint32_t>(at);
      } else if (take_field(window[line_at], limits) == Result::kFault) {
        return Result::kFault;
      }
    } else if (fields) {
      return Result::kDone;
    } else if (kind == Kind::kRequest && begin_ == 0) {
      begin_ = at_;
      window = bytes.substr(0, std::size_t{begin_} + limits.header_bytes);
      controls = ControlBytes(window, at_);
    } else {
      return refuse(ErrorCode::kMalformedMessage, "empty line before the message");
    }
  }
}

}  // namespace remora::http
