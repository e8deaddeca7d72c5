#include "proxy/http/head_scan.h"

#include "proxy/http/control_bytes.h"

namespace remora::http {

HeadScan::Result HeadScan::refuse(ErrorCode code, std::string_view detail) {
  fault_ = Fault{code, detail};
  return Result::kFault;
}

// A complete line that is not empty. kMore: it is fine.
HeadScan::Result HeadScan::refuse_line(std::string_view line, Kind kind, const H1Limits& limits) {
  if (kind != Kind::kTrailers && line_end_ == 0) {
    line_end_ = line_at_ + static_cast<std::uint32_t>(line.size());
    return Result::kMore;
  }
  if (line.front() == ' ' || line.front() == '\t') {
    return refuse(ErrorCode::kMalformedMessage, "folded field line");
  }
  if (line.front() == ':') return refuse(ErrorCode::kMalformedMessage, "empty field name");
  if (++fields_ > limits.header_fields) return refuse(ErrorCode::kHeadersTooLarge, "too many fields");
  return Result::kMore;
}

HeadScan::Result HeadScan::scan(std::string_view bytes, Kind kind, const H1Limits& limits) {
  // The limit is a position, so that the verdict does not depend on how the bytes were split.
  std::string_view window = bytes.substr(0, std::size_t{begin_} + limits.header_bytes);
  ControlBytes controls(window, at_);
  for (;;) {
    const std::size_t at = controls.next();
    at_ = static_cast<std::uint32_t>(at);
    const bool crlf_cut = at + 1 == window.size() && window[at] == '\r';
    if (at == window.size() || crlf_cut) {
      if (window.size() == bytes.size()) return Result::kMore;
      const bool first = kind == Kind::kRequest && line_end_ == 0;
      return first ? refuse(ErrorCode::kUriTooLong, "request line over the header limit")
                   : refuse(ErrorCode::kHeadersTooLarge, "header section over its limit");
    }
    if (window[at] == '\t') {
      if (kind == Kind::kRequest && line_end_ == 0) {
        return refuse(ErrorCode::kMalformedMessage, "control character in the request line");
      }
      ++at_;
      continue;
    }
    if (window[at] == '\n') return refuse(ErrorCode::kMalformedMessage, "LF without CR");
    if (window[at] != '\r') return refuse(ErrorCode::kMalformedMessage, "control character");
    if (window[at + 1] != '\n') return refuse(ErrorCode::kMalformedMessage, "CR without LF");
    controls.next();
    at_ += 2;
    const std::string_view line = window.substr(line_at_, at - line_at_);
    if (!line.empty()) {
      if (refuse_line(line, kind, limits) == Result::kFault) return Result::kFault;
    } else if (kind == Kind::kTrailers || line_end_ != 0) {
      return Result::kDone;
    } else if (kind == Kind::kRequest && begin_ == 0) {
      begin_ = at_;
      window = bytes.substr(0, std::size_t{begin_} + limits.header_bytes);
      controls = ControlBytes(window, at_);
    } else {
      return refuse(ErrorCode::kMalformedMessage, "empty line before the message");
    }
    line_at_ = at_;
  }
}

}  // namespace remora::http
