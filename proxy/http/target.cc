#include "proxy/http/target.h"

#include <algorithm>
#include <array>

namespace remora::http {
namespace {

Fault malformed(std::string_view detail) { return Fault{ErrorCode::kMalformedMessage, detail}; }

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// RFC 3986 section 3.2.2: unreserved and sub-delims; "%" is looked at apart.
constexpr std::array<bool, 256> kNameCharacters = [] {
  std::array<bool, 256> table{};
  for (const char c :
       std::string_view("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=")) {
    table[static_cast<unsigned char>(c)] = true;
  }
  return table;
}();

bool is_port(std::string_view text) {
  unsigned value = 0;
  for (const char c : text) {
    if (!is_digit(c)) return false;
    value = value * 10 + static_cast<unsigned>(c - '0');
    if (value > 65535) return false;
  }
  return text.size() <= 5;
}

bool is_registered_name(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (kNameCharacters[static_cast<unsigned char>(text[i])]) continue;
    if (text[i] != '%' || i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) return false;
    i += 2;
  }
  return !text.empty();
}

// The characters of an IPv6 address; whether it is one is for whoever connects to it.
bool is_ip_literal(std::string_view text) {
  return text.size() >= 2 && text.find(':') != std::string_view::npos &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_hex(c) || c == ':' || c == '.'; });
}

// What follows the head belongs to the tunnel (RFC 9110 section 9.3.6): two readers must not differ on where
// that begins.
std::optional<Fault> resolve_connect(RequestHead& head) {
  const std::size_t colon = head.target.rfind(':');
  if (!is_authority(head.target) || colon == std::string::npos || colon + 1 == head.target.size() ||
      head.target.back() == ']') {
    return malformed("CONNECT needs host:port");
  }
  if (head.fields.has(FieldId::kContentLength) || head.fields.has(FieldId::kTransferEncoding)) {
    return malformed("CONNECT has no body");
  }
  head.authority = head.target;
  return std::nullopt;
}

std::optional<Fault> resolve_absolute(RequestHead& head) {
  const std::string_view target = head.target;
  const std::size_t colon = target.find("://");
  if (colon == std::string_view::npos) return malformed("request target has no known form");
  if (!equals_ignore_case(target.substr(0, colon), "http"))
    return malformed("scheme does not match the connection");
  const std::string_view rest = target.substr(colon + 3);
  const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
  const std::string_view authority = rest.substr(0, end);
  if (!is_authority(authority)) return malformed("invalid authority in the request target");
  head.authority = authority;
  head.fields.set(FieldId::kHost, head.authority);
  std::string path(rest.substr(end));
  if (path.empty()) {
    // RFC 9112 section 3.2.4: the last proxy of a chain turns this into asterisk-form.
    path = head.method == "OPTIONS" ? "*" : "/";
  } else if (path.front() == '?') {
    path.insert(path.begin(), '/');
  }
  head.target = std::move(path);
  return std::nullopt;
}

std::optional<Fault> check_host(RequestHead& head) {
  const std::optional<std::string_view> host = head.fields.get(FieldId::kHost);
  if (!host) {
    if (head.version.at_least_1_1()) return malformed("Host is missing");
    head.authority.clear();
    return std::nullopt;
  }
  if (head.fields.count(FieldId::kHost) > 1) return malformed("more than one Host");
  if (!is_authority(*host)) return malformed("invalid Host");
  head.authority = *host;
  return std::nullopt;
}

}  // namespace

bool is_authority(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || !is_ip_literal(text.substr(1, end - 1))) return false;
    text.remove_prefix(end + 1);
    return text.empty() || (text.front() == ':' && is_port(text.substr(1)));
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return is_registered_name(text);
  return is_registered_name(text.substr(0, colon)) && is_port(text.substr(colon + 1));
}

std::optional<Fault> resolve_target(RequestHead& head) {
  if (auto fault = check_host(head)) return fault;
  if (head.method == "CONNECT") return resolve_connect(head);
  if (head.target.front() == '/') return std::nullopt;
  if (head.target == "*") {
    if (head.method == "OPTIONS") return std::nullopt;
    return malformed("asterisk-form is for OPTIONS only");
  }
  return resolve_absolute(head);
}

}  // namespace remora::http
