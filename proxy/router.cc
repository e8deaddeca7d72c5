#include "proxy/router.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>

namespace remora::proxy {

using config::HashKey;
using config::Match;

namespace {

// The authority without its port, as the client spelt it.
std::string_view host_of(std::string_view authority) {
  if (authority.starts_with('[')) {
    const auto close = authority.find(']');
    return close == std::string_view::npos ? authority : authority.substr(0, close + 1);
  }
  return authority.substr(0, authority.rfind(':'));
}

bool host_matches(std::string_view pattern, std::string_view authority) {
  if (pattern.empty()) return true;
  std::string_view host = host_of(authority);
  if (pattern.starts_with('*')) {
    const auto suffix = pattern.substr(1);  // ".example.com": at least one label before it
    if (host.size() <= suffix.size()) return false;
    return http::equals_ignore_case(host.substr(host.size() - suffix.size()), suffix);
  }
  return http::equals_ignore_case(host, pattern);
}

// A prefix ends at a path segment: "/api" matches "/api" and "/api/x", not "/apix".
bool prefix_matches(std::string_view prefix, std::string_view path) {
  if (!path.starts_with(prefix)) return false;
  return prefix.ends_with('/') || path.size() == prefix.size() || path[prefix.size()] == '/';
}

bool fields_match(const std::vector<Match::FieldIs>& wanted, const http::FieldList& fields) {
  return std::ranges::all_of(wanted, [&](const Match::FieldIs& field) {
    const auto value = fields.get(field.name);
    return value && (!field.value || *value == *field.value);
  });
}

std::optional<std::string_view> query_parameter(std::string_view target, std::string_view name) {
  const auto question = target.find('?');
  if (question == std::string_view::npos) return std::nullopt;
  std::string_view rest = target.substr(question + 1);
  while (!rest.empty()) {
    const auto pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    const auto equals = pair.find('=');
    if (pair.substr(0, equals) == name) {
      return equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1);
    }
  }
  return std::nullopt;
}

std::optional<std::string_view> cookie(const http::FieldList& fields, std::string_view name) {
  for (const http::Field& field : fields.raw()) {
    if (field.removed || field.id != http::FieldId::kCookie) continue;
    std::string_view rest = fields.value(field);
    while (!rest.empty()) {
      const auto pair = http::trim_ows(rest.substr(0, rest.find(';')));
      const auto end = rest.find(';');
      rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
      const auto equals = pair.find('=');
      if (equals != std::string_view::npos && pair.substr(0, equals) == name) return pair.substr(equals + 1);
    }
  }
  return std::nullopt;
}

RE2::Options regex_options() {
  RE2::Options options;
  options.set_log_errors(false);
  return options;
}

}  // namespace

struct Router::Entry {
  const config::Route* route;
  std::unique_ptr<RE2> regex;

  // Host and path alone, without a regular expression's.
  bool is_at(std::string_view authority, std::string_view path) const {
    const Match& match = route->match;
    if (match.path_kind == Match::Path::kExact && path != match.path) return false;
    if (match.path_kind == Match::Path::kPrefix && !prefix_matches(match.path, path)) return false;
    return host_matches(match.host, authority);
  }
  // Everything else.
  bool fits(const http::RequestHead& head, std::string_view path) const {
    const Match& match = route->match;
    if (match.connect != (head.method == "CONNECT")) return false;
    if (regex && !RE2::FullMatch(re2::StringPiece(path.data(), path.size()), *regex)) return false;
    if (!match.methods.empty() && std::ranges::find(match.methods, head.method) == match.methods.end())
      return false;
    return fields_match(match.headers, head.fields);
  }
};

Router::Router(std::span<const config::Route> routes, std::size_t few) {
  entries_.reserve(routes.size());
  for (const auto& route : routes) {
    std::unique_ptr<RE2> regex;
    if (route.match.path_kind == Match::Path::kRegex) {
      regex = std::make_unique<RE2>(route.match.path, regex_options());
    }
    entries_.push_back({&route, std::move(regex)});
  }
  if (routes.size() > few) index_.emplace(routes);
}

Router::~Router() = default;

const config::Route* Router::match(const http::RequestHead& head) const {
  const std::string_view path = head.path();
  const std::string_view host = host_of(head.authority);
  if (index_ && host.size() <= RouteIndex::kLongestHost) {
    std::array<char, RouteIndex::kLongestHost> lower;
    std::ranges::transform(host, lower.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    const auto fits = [&](std::size_t number) { return entries_[number].fits(head, path); };
    const std::size_t found = index_->first({lower.data(), host.size()}, path, fits);
    return found < entries_.size() ? entries_[found].route : nullptr;
  }
  for (const Entry& entry : entries_) {
    if (entry.is_at(head.authority, path) && entry.fits(head, path)) return entry.route;
  }
  return nullptr;
}

std::optional<std::string> regex_problem(const std::string& pattern) {
  const RE2 regex(pattern, regex_options());
  if (regex.ok()) return std::nullopt;
  return regex.error();
}

std::string rewritten_target(const config::Route& route, const http::RequestHead& head) {
  const std::string_view path = head.path();
  const std::string_view query = std::string_view(head.target).substr(path.size());
  std::string_view rest;
  if (route.match.path_kind == Match::Path::kPrefix) rest = path.substr(route.match.path.size());
  std::string target = *route.rewrite;
  // One slash where the new prefix and the rest meet, whichever of them brought it.
  if (target.ends_with('/') && rest.starts_with('/')) {
    rest.remove_prefix(1);
  } else if (!rest.empty() && !target.ends_with('/') && !rest.starts_with('/')) {
    target += '/';
  }
  target.append(rest);
  if (target.empty()) target = "/";
  target.append(query);
  return target;
}

std::string redirect_location(const config::Redirect& redirect, const http::RequestHead& head,
                              std::string_view scheme) {
  if (!redirect.to.empty()) return redirect.to;
  // An HTTP/1.0 client without Host: a relative Location is all that can be said (RFC 9110 section 10.2.2).
  if (redirect.host.empty() && head.authority.empty())
    return redirect.path.empty() ? head.target : redirect.path;
  std::string location = redirect.scheme.empty() ? std::string(scheme) : redirect.scheme;
  location += "://";
  location += redirect.host.empty() ? head.authority : redirect.host;
  if (redirect.path.empty()) {
    location += head.target;
  } else {
    location += redirect.path;
    location += std::string_view(head.target).substr(head.path().size());
  }
  return location;
}

std::optional<std::uint64_t> request_key(const HashKey& hash, const http::RequestHead& head,
                                         std::string_view source_address) {
  std::optional<std::string_view> part;
  switch (hash.source) {
    case HashKey::Source::kNone: return std::nullopt;
    case HashKey::Source::kHeader: part = head.fields.get(hash.name); break;
    case HashKey::Source::kCookie: part = cookie(head.fields, hash.name); break;
    case HashKey::Source::kSourceAddress: part = source_address; break;
    case HashKey::Source::kQuery: part = query_parameter(head.target, hash.name); break;
    case HashKey::Source::kPath: part = head.path(); break;
  }
  if (!part) return std::nullopt;
  return lb::hash_key(*part);
}

void apply_edits(const config::FieldEdits& edits, http::FieldList& fields) {
  for (const auto& name : edits.remove) fields.remove(name);
  for (const auto& [name, value] : edits.set) fields.set(name, value);
  for (const auto& [name, value] : edits.add) fields.add(name, value);
}

}  // namespace remora::proxy
