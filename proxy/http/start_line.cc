#include "proxy/http/start_line.h"

#include <algorithm>

namespace remora::http {
namespace {

constexpr std::size_t kVersionSize = 8;  // "HTTP/1.1"

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::optional<Fault> parse_version(std::string_view text, Version& version) {
  if (text == "HTTP/1.1") {
    version = {1, 1};
    return std::nullopt;
  }
  const bool shaped = text.size() == kVersionSize && text.starts_with("HTTP/") && is_digit(text[5]) &&
                      text[6] == '.' && is_digit(text[7]);
  if (!shaped) return Fault{ErrorCode::kMalformedMessage, "not an HTTP version"};
  if (text[5] != '1') return Fault{ErrorCode::kUnsupportedVersion, "HTTP major version is not 1"};
  version = {1, static_cast<std::uint8_t>(text[7] - '0')};
  return std::nullopt;
}

// Visible ASCII without '#': a target has no fragment (RFC 9112 section 3.2).
bool is_target(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f && c != '#'; });
}

}  // namespace

std::optional<Fault> parse_request_line(std::string_view line, RequestHead& head) {
  const std::size_t first = line.find(' ');
  if (first == std::string_view::npos) return Fault{ErrorCode::kMalformedMessage, "not a request line"};
  const std::size_t second = line.find(' ', first + 1);
  if (second == std::string_view::npos) return Fault{ErrorCode::kMalformedMessage, "not a request line"};
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, second - first - 1);
  if (!is_token(method)) return Fault{ErrorCode::kMalformedMessage, "method is not a token"};
  if (!is_target(target))
    return Fault{ErrorCode::kMalformedMessage, "character not allowed in a request target"};
  head.method = method;
  head.target = target;
  return parse_version(line.substr(second + 1), head.version);
}

std::optional<Fault> parse_status_line(std::string_view line, ResponseHead& head) {
  if (auto fault = parse_version(line.substr(0, kVersionSize), head.version)) return fault;
  const std::string_view rest = line.substr(kVersionSize);
  const bool shaped = rest.size() >= 4 && rest[0] == ' ' && is_digit(rest[1]) && is_digit(rest[2]) &&
                      is_digit(rest[3]) && (rest.size() == 4 || rest[4] == ' ');
  if (!shaped) return Fault{ErrorCode::kMalformedMessage, "not a status line"};
  const int status = (rest[1] - '0') * 100 + (rest[2] - '0') * 10 + (rest[3] - '0');
  if (status < 100 || status > 599) return Fault{ErrorCode::kMalformedMessage, "status out of range"};
  head.status = static_cast<std::uint16_t>(status);
  head.reason = rest.size() > 5 ? rest.substr(5) : std::string_view();
  return std::nullopt;
}

}  // namespace remora::http
