#include "config/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

#include "config/report.h"
#include "config/suggest.h"

namespace remora::config {

namespace {

constexpr std::size_t kLongestName = 128;
constexpr std::size_t kLongestHost = 253;
constexpr std::size_t kLongestLabel = 63;
constexpr std::size_t kLongestField = 256;
constexpr std::string_view kUnix = "unix:";

bool digit(char c) { return c >= '0' && c <= '9'; }
bool alphanumeric(char c) { return digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}
bool visible_ascii(char c) { return c > 0x20 && c < 0x7f; }

// A DNS name; the underscore is not a letter of host names, but common in the names of containers.
Complaint check_dns_name(std::string_view host) {
  if (host.empty() || host.size() > kLongestHost) {
    return fmt::format("{} is not a host name, write 1 to {} characters", in_quotes(host), kLongestHost);
  }
  if (host.ends_with('.')) {
    return fmt::format("{} ends in a dot, write {}", in_quotes(host),
                       in_quotes(host.substr(0, host.size() - 1)));
  }
  std::size_t label = 0;
  for (const char c : host) {
    label = c == '.' ? 0 : label + 1;
    if (label > kLongestLabel)
      return fmt::format("{} has a part of more than 63 characters, shorten it", in_quotes(host));
    if (static_cast<unsigned char>(c) >= 0x80) {
      return fmt::format("{} is not ASCII, write the xn-- form of the name", in_quotes(host));
    }
    if (!alphanumeric(c) && c != '-' && c != '.' && c != '_') {
      return fmt::format("{} is not a host name, write letters, digits, - and dots", in_quotes(host));
    }
  }
  if (host.starts_with('.') || host.find("..") != std::string_view::npos) {
    return fmt::format("{} has an empty part, write one dot between parts", in_quotes(host));
  }
  return std::nullopt;
}

// All digits and dots, but not an address: nobody's host name.
bool looks_like_ipv4(std::string_view host) {
  return std::ranges::all_of(host, [](char c) { return digit(c) || c == '.'; });
}

std::expected<Address, std::string> parse_unix(std::string_view text) {
  const auto path = text.substr(kUnix.size());
  if (path.empty()) return std::unexpected("\"unix:\" has no path, write \"unix:/run/app.sock\"");
  if (std::ranges::any_of(path, control)) {
    return std::unexpected(in_quotes(text) + " has a control character, remove it");
  }
  auto address = Address::unix_path(path);
  sockaddr_storage storage{};
  socklen_t length = 0;
  if (!address.to_sockaddr(storage, length)) {
    return std::unexpected(
        fmt::format("the path of a Unix socket of {} bytes is too long, at most 107 fit", path.size()));
  }
  return address;
}

// Why "host:port" does not come apart, for listeners and endpoints alike.
std::string not_host_port(std::string_view text) {
  if (text.find("://") != std::string_view::npos) {
    auto rest = text.substr(text.find("://") + 3);
    rest = rest.substr(0, rest.find('/'));
    const bool port = parse_host_port(rest).has_value();
    return fmt::format("{} is a URL, write {}", in_quotes(text),
                       in_quotes(std::string(rest) + (port ? "" : ":80")));
  }
  if (std::ranges::count(text, ':') > 1 && !text.starts_with('[')) {
    return fmt::format("{} is not host:port, an IPv6 address needs brackets, as in \"[::1]:8080\"",
                       in_quotes(text));
  }
  if (!text.empty() && std::ranges::all_of(text, digit)) {
    return fmt::format("{} is only a port, write {}", in_quotes(text),
                       in_quotes("127.0.0.1:" + std::string(text)));
  }
  if (text.starts_with(':') && text.size() > 1) {
    return fmt::format("{} has no host, write {}", in_quotes(text), in_quotes("0.0.0.0" + std::string(text)));
  }
  if (text.starts_with('/')) {
    return fmt::format("{} is a path, write {} for a Unix socket", in_quotes(text),
                       in_quotes("unix:" + std::string(text)));
  }
  const auto colon = text.rfind(':');
  if (colon != std::string_view::npos && !text.ends_with(']')) {
    return fmt::format("{} has no valid port, write a number from 1 to 65535 after the colon",
                       in_quotes(text));
  }
  if (text.empty()) return "the address is empty, write \"host:port\" or \"unix:/path\"";
  return fmt::format("{} has no port, write {}", in_quotes(text), in_quotes(std::string(text) + ":80"));
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

Complaint check_name(std::string_view text) {
  if (text.empty()) return "the name is empty, write at least one character";
  if (text.size() > kLongestName)
    return fmt::format("the name is longer than {} bytes, shorten it", kLongestName);
  if (std::ranges::any_of(text, control)) return in_quotes(text) + " has a control character, remove it";
  return std::nullopt;
}

Complaint check_service_word(std::string_view text) {
  if (!text.empty() && text.size() <= kLongestName &&
      std::ranges::all_of(text, discovery::swim::fits_service)) {
    return std::nullopt;
  }
  return fmt::format("{} does not fit into gossip, write 1 to {} visible ASCII characters without , and ;",
                     in_quotes(text), kLongestName);
}

std::expected<Address, std::string> parse_listen_address(std::string_view text) {
  if (text.starts_with(kUnix)) return parse_unix(text);
  const auto parts = parse_host_port(text);
  if (!parts) return std::unexpected(not_host_port(text));
  // Address::parse would stop at a NUL; none gets here, the parser refuses them.
  if (auto address = Address::parse_ip(parts->host, parts->port)) return *address;
  const auto port = std::to_string(parts->port);
  if (parts->host == "localhost") {
    return std::unexpected(fmt::format("{} is a name, write \"127.0.0.1:{}\"", in_quotes(text), port));
  }
  if (parts->host == "*") {
    return std::unexpected(
        fmt::format("{} is not an IP address, write \"0.0.0.0:{}\"", in_quotes(text), port));
  }
  return std::unexpected(
      fmt::format("{} is not an IP address, write the address of one of this machine's "
                  "interfaces, or \"0.0.0.0:{}\" for all",
                  in_quotes(text), port));
}

std::expected<Endpoint, std::string> parse_endpoint(std::string_view text) {
  Endpoint endpoint;
  endpoint.name = text;
  if (text.starts_with(kUnix)) {
    auto address = parse_unix(text);
    if (!address) return std::unexpected(std::move(address.error()));
    endpoint.address = *std::move(address);
    return endpoint;
  }
  const auto parts = parse_host_port(text);
  if (!parts) return std::unexpected(not_host_port(text));
  if (parts->port == 0) {
    return std::unexpected(
        fmt::format("{} has port 0, write the port the service listens on", in_quotes(text)));
  }
  endpoint.address = Address::parse_ip(parts->host, parts->port);
  if (endpoint.address) return endpoint;
  if (parts->host.find(':') != std::string::npos || looks_like_ipv4(parts->host)) {
    return std::unexpected(
        fmt::format("{} is not an IP address, write \"10.0.0.1:80\", \"[2001:db8::1]:80\" "
                    "or a host name",
                    in_quotes(text)));
  }
  if (auto complaint = check_dns_name(parts->host)) return std::unexpected(*std::move(complaint));
  endpoint.host = *parts;
  return endpoint;
}

Complaint check_srv_name(std::string_view text) {
  if (text.find(':') != std::string_view::npos) {
    return fmt::format("{} has a port, which SRV records have themselves, write {}, or dns instead of srv",
                       in_quotes(text), in_quotes(text.substr(0, text.find(':'))));
  }
  if (text.ends_with('.')) text.remove_suffix(1);
  return check_dns_name(text);
}

std::expected<std::string, std::string> parse_host_pattern(std::string_view text) {
  if (text == "*" || text.empty()) {
    return std::unexpected(fmt::format("{} matches every host, leave the key out for that", in_quotes(text)));
  }
  auto host = text;
  const bool wildcard = host.starts_with("*.");
  if (wildcard) host.remove_prefix(2);
  if (!wildcard && host.starts_with('[') && host.ends_with(']') && Address::parse_ip(host, 0))
    return lower_case(text);
  if (const auto port = parse_host_port(host)) {
    return std::unexpected(fmt::format("{} has a port, hosts are compared without one: write {}",
                                       in_quotes(text), in_quotes(text.substr(0, text.rfind(':')))));
  }
  if (host.find('*') != std::string_view::npos) {
    return std::unexpected(
        fmt::format("{} has a * in the wrong place, write an exact host or \"*.suffix\"", in_quotes(text)));
  }
  if (auto complaint = check_dns_name(host)) return std::unexpected(*std::move(complaint));
  return lower_case(text);
}

Complaint check_path(std::string_view text) {
  const auto end = text.starts_with('/') ? text.find_first_of("?#") : std::string_view::npos;
  if (end == std::string_view::npos) return check_target(text);
  return fmt::format("{} has a {}, paths stand without query and fragment: write {}", in_quotes(text),
                     text[end], in_quotes(text.substr(0, end)));
}

Complaint check_target(std::string_view text) {
  if (!text.starts_with('/')) {
    return fmt::format("{} does not begin with a slash, write {}", in_quotes(text),
                       in_quotes("/" + std::string(text)));
  }
  if (const auto end = text.find('#'); end != std::string_view::npos) {
    return fmt::format("{} has a fragment, which is not sent: write {}", in_quotes(text),
                       in_quotes(text.substr(0, end)));
  }
  if (!std::ranges::all_of(text, visible_ascii)) {
    return fmt::format("{} has characters that no request path has, write them as %XX", in_quotes(text));
  }
  return std::nullopt;
}

Complaint check_location(std::string_view text) {
  const bool usable = text.starts_with('/') || text.find("://") != std::string_view::npos;
  if (usable && std::ranges::all_of(text, visible_ascii)) return std::nullopt;
  return fmt::format("{} is not a URL, write \"https://host/path\" or \"/path\"", in_quotes(text));
}

Complaint check_authority(std::string_view text) {
  const auto parts = parse_host_port(text);
  const auto host = parts ? std::string_view(parts->host) : text;
  if (Address::parse_ip(host, 0) && (host.find(':') == std::string_view::npos || text.starts_with('['))) {
    return std::nullopt;
  }
  return check_dns_name(host);
}

Complaint check_field_name(std::string_view text) {
  if (text.empty() || text.size() > kLongestField) {
    return fmt::format("{} is not a header name, write 1 to {} characters", in_quotes(text), kLongestField);
  }
  const auto token = [](char c) {
    return alphanumeric(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  };
  if (std::ranges::all_of(text, token)) return std::nullopt;
  return fmt::format("{} is not a header name, write letters, digits and -", in_quotes(text));
}

Complaint check_field_value(std::string_view text) {
  for (const char c : text) {
    if (c == '\r' || c == '\n') return in_quotes(text) + " has a line break, write one line";
    if (control(c) && c != '\t') return in_quotes(text) + " has a control character, remove it";
  }
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  if (!text.empty() && (blank(text.front()) || blank(text.back()))) {
    return in_quotes(text) + " begins or ends with a blank, which is no part of a header value: remove it";
  }
  return std::nullopt;
}

Complaint check_edited_field(std::string_view name, bool request, Edit edit) {
  if (auto complaint = check_field_name(name)) return complaint;
  static constexpr std::array<std::string_view, 9> kHop{
      "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
      "te",         "trailer",    "upgrade",          "http2-settings"};
  const auto lower = lower_case(name);
  if (lower == "content-length" || lower == "transfer-encoding") {
    return fmt::format("{} frames the message and is Remora's to write, remove this", in_quotes(name));
  }
  if (std::ranges::find(kHop, lower) != kHop.end()) {
    return fmt::format("{} belongs to one connection and is Remora's to write, remove this", in_quotes(name));
  }
  if (lower == "via") return fmt::format("{} is how Remora finds loops, remove this", in_quotes(name));
  if (lower == "host" && !(request && edit == Edit::kSet)) {
    return fmt::format("{} must be there exactly once in a request, write it in request_headers.set",
                       in_quotes(name));
  }
  return std::nullopt;
}

Complaint check_method(std::string_view text) {
  static constexpr std::array<std::string_view, 33> kMethods{
      "GET",       "HEAD",       "POST",       "PUT",      "DELETE",     "OPTIONS",  "PATCH",
      "TRACE",     "ACL",        "BIND",       "CHECKOUT", "COPY",       "LINK",     "LOCK",
      "MERGE",     "MKACTIVITY", "MKCALENDAR", "MKCOL",    "MOVE",       "M-SEARCH", "NOTIFY",
      "PROPFIND",  "PROPPATCH",  "PURGE",      "REBIND",   "REPORT",     "SEARCH",   "SOURCE",
      "SUBSCRIBE", "UNBIND",     "UNLINK",     "UNLOCK",   "UNSUBSCRIBE"};
  if (std::ranges::find(kMethods, text) != kMethods.end()) return std::nullopt;
  if (text == "CONNECT") return "CONNECT is not served, remove it";
  return fmt::format("{} is not a method{}", in_quotes(text),
                     did_you_mean(text, kMethods, ", write one such as \"GET\""));
}

}  // namespace remora::config
