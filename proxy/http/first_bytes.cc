#include "proxy/http/first_bytes.h"

#include <algorithm>

#include "proxy/http/client_hello.h"

namespace remora::http {
namespace {

constexpr std::size_t kLongestMethod = 32;

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

// RFC 9112 section 3: nothing but visible ASCII stands in a request line, between single spaces.
bool in_line(char c) { return c >= ' ' && c < '\x7f'; }

}  // namespace

FirstBytes look_at(std::string_view bytes) {
  if (bytes.empty()) return FirstBytes::kMore;
  bytes = bytes.substr(0, kLongestFirstLine);
  if (begins_tls(bytes.front())) {
    if (bytes.size() == 1) return FirstBytes::kMore;
    return bytes[1] == '\x03' ? FirstBytes::kTls : FirstBytes::kOther;
  }
  const auto method = static_cast<std::size_t>(std::ranges::find_if_not(bytes, is_upper) - bytes.begin());
  if (method > kLongestMethod) return FirstBytes::kOther;
  if (method == bytes.size()) return FirstBytes::kMore;
  if (method == 0 || bytes[method] != ' ') return FirstBytes::kOther;
  const std::string_view rest = bytes.substr(method);
  const auto end = static_cast<std::size_t>(std::ranges::find_if_not(rest, in_line) - rest.begin());
  if (end == rest.size()) return bytes.size() < kLongestFirstLine ? FirstBytes::kMore : FirstBytes::kHttp;
  if (rest[end] == '\r') {
    if (end + 1 == rest.size()) return FirstBytes::kMore;
    if (rest[end + 1] != '\n') return FirstBytes::kOther;
  } else if (rest[end] != '\n') {
    return FirstBytes::kOther;
  }
  // "HTTP/1." and a digit
  const std::string_view line = rest.substr(0, end);
  const auto space = line.rfind(' ');
  const std::string_view version = line.substr(space + 1);
  const bool http = space > 1 && version.size() == 8 && version.starts_with("HTTP/1.") &&
                    version.back() >= '0' && version.back() <= '9';
  return http ? FirstBytes::kHttp : FirstBytes::kOther;
}

}  // namespace remora::http
