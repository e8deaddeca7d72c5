#include "proxy/admin_guard.h"

#include <algorithm>
#include <string_view>

#include "base/address.h"

namespace remora::proxy {

namespace {

// "name:80", "name", "[::1]:80": without the port, the brackets and a root's dot.
std::string_view host_of(std::string_view authority) {
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) return {};
    const bool whole = end + 1 == authority.size() || authority[end + 1] == ':';
    return whole ? authority.substr(1, end - 1) : std::string_view();
  }
  std::string_view host = authority.substr(0, authority.find(':'));
  if (host.ends_with('.')) host.remove_suffix(1);
  return host;
}

// A name, or "*.name" for every name below it.
bool matches(std::string_view host, std::string_view pattern) {
  if (!pattern.starts_with('*')) return http::equals_ignore_case(host, pattern);
  const std::string_view domain = pattern.substr(1);
  return host.size() > domain.size() &&
         http::equals_ignore_case(host.substr(host.size() - domain.size()), domain);
}

}  // namespace

std::optional<std::string> refuse_host(const http::RequestHead& head, std::span<const std::string> hosts) {
  if (head.authority.empty()) return std::nullopt;  // HTTP/1.0: no browser
  const std::string_view host = host_of(head.authority);
  if (Address::parse_ip(host, 1) || matches(host, "localhost") || matches(host, "*.localhost"))
    return std::nullopt;
  if (std::ranges::any_of(hosts, [host](const std::string& allowed) { return matches(host, allowed); })) {
    return std::nullopt;
  }
  return "this Host is not known: use an IP address or localhost, or add the name to admin.hosts";
}

std::optional<std::string> refuse_change(const http::RequestHead& head) {
  const auto site = head.fields.get("Sec-Fetch-Site");
  if (site && *site != "same-origin" && *site != "none") return "a page of another site may not do this";
  const auto origin = head.fields.get("Origin");
  if (!origin) return std::nullopt;
  // The admin server speaks plain HTTP; before a TLS terminator its pages have another scheme.
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (origin->starts_with(scheme) &&
        http::equals_ignore_case(origin->substr(scheme.size()), head.authority)) {
      return std::nullopt;
    }
  }
  return "a page of another origin may not do this";
}

}  // namespace remora::proxy
