#include "config/reachable.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <unordered_map>

#include "config/values.h"

namespace remora::config {

namespace {

using Path = Match::Path;
constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

bool host_covers(std::string_view earlier, std::string_view later) {
  if (earlier.empty() || earlier == later) return true;
  if (!earlier.starts_with('*') || later.empty()) return false;
  if (later.starts_with('*')) later.remove_prefix(1);
  const auto suffix = earlier.substr(1);
  return later.size() > suffix.size() && later.ends_with(suffix);
}

// As the router matches: a prefix ends where a segment does.
bool prefix_covers(std::string_view prefix, std::string_view path) {
  if (!path.starts_with(prefix)) return false;
  return prefix.ends_with('/') || path.size() == prefix.size() || path[prefix.size()] == '/';
}

bool path_covers(const Match& earlier, const Match& later) {
  if (earlier.path_kind == Path::kAny) return true;
  // Every path begins with a slash, but for that of OPTIONS *, which is not worth a route of its own.
  if (earlier.path_kind == Path::kPrefix && earlier.path == "/") return true;
  if (later.path_kind == Path::kAny) return false;
  if (earlier.path_kind == later.path_kind && earlier.path == later.path) return true;
  return earlier.path_kind == Path::kPrefix && later.path_kind != Path::kRegex &&
         prefix_covers(earlier.path, later.path);
}

bool condition_holds(const Match::FieldIs& wanted, const std::vector<Match::FieldIs>& given) {
  return std::ranges::any_of(given, [&](const Match::FieldIs& field) {
    return lower_case(field.name) == lower_case(wanted.name) &&
           (!wanted.value || wanted.value == field.value);
  });
}

// Whether it matches every path.
bool any_path(const Match& match) {
  return match.path_kind == Path::kAny || (match.path_kind == Path::kPrefix && match.path == "/");
}

// The routes with one pattern for the host, by their paths; those of one path in ascending order.
struct OfHost {
  std::vector<std::size_t> any;
  std::unordered_map<std::string_view, std::vector<std::size_t>> by_path;  // of any kind
};

// Finds the first of the routes added so far that covers another one. Which they can be follows from host and
// path: few, however many there are.
class Earlier final {
 public:
  explicit Earlier(const std::vector<Route>& routes) : routes_(routes) {}

  void add(std::size_t route) {
    const Match& match = routes_[route].match;
    OfHost& host = hosts_[match.host];
    (any_path(match) ? host.any : host.by_path[match.path]).push_back(route);
  }

  // kNone: there is none.
  std::size_t first_that_covers(const Match& later) const {
    std::size_t first = kNone;
    look_at("", later, first);
    if (later.host.empty()) return first;
    look_at(later.host, later, first);
    // "a.b.example" and "*.a.b.example" are among "*.b.example", and so on.
    std::string wider = later.host;
    for (std::size_t dot = wider.find('.'); dot != std::string::npos; dot = wider.find('.', 2)) {
      wider.replace(0, dot, "*");
      look_at(wider, later, first);
    }
    return first;
  }

 private:
  void look_at(std::string_view host, const Match& later, std::size_t& first) const {
    const auto found = hosts_.find(host);
    if (found == hosts_.end()) return;
    const OfHost& of_host = found->second;
    look_at(of_host.any, later, first);
    if (later.path_kind == Path::kAny || of_host.by_path.empty()) return;
    const std::string_view path = later.path;
    look_at(of_host, path, later, first);
    if (later.path_kind == Path::kRegex) return;
    // Its prefixes up to a slash, without and with it; of a path with very many, what there is.
    const auto slashes = static_cast<std::size_t>(std::ranges::count(path, '/'));
    if (2 * slashes > of_host.by_path.size()) {
      for (const auto& [other, routes] : of_host.by_path) look_at(routes, later, first);
      return;
    }
    for (auto slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/', slash + 1)) {
      look_at(of_host, path.substr(0, slash), later, first);
      look_at(of_host, path.substr(0, slash + 1), later, first);
    }
  }

  void look_at(const OfHost& host, std::string_view path, const Match& later, std::size_t& first) const {
    const auto found = host.by_path.find(path);
    if (found != host.by_path.end()) look_at(found->second, later, first);
  }

  void look_at(const std::vector<std::size_t>& routes, const Match& later, std::size_t& first) const {
    for (const std::size_t route : routes) {
      if (route >= first) return;
      if (covers(routes_[route].match, later)) first = route;
    }
  }

  const std::vector<Route>& routes_;
  std::unordered_map<std::string_view, OfHost> hosts_;
};

}  // namespace

bool covers(const Match& earlier, const Match& later) {
  if (earlier.connect != later.connect) return false;
  if (!path_covers(earlier, later) || !host_covers(earlier.host, later.host)) return false;
  const auto& methods = earlier.methods;
  const bool all_methods =
      methods.empty() || (!later.methods.empty() && std::ranges::all_of(later.methods, [&](const auto& m) {
        return std::ranges::find(methods, m) != methods.end();
      }));
  return all_methods && std::ranges::all_of(earlier.headers, [&](const Match::FieldIs& wanted) {
           return condition_holds(wanted, later.headers);
         });
}

std::vector<Unreachable> find_unreachable(const std::vector<Route>& routes, std::size_t count) {
  std::vector<Unreachable> found;
  Earlier earlier(routes);
  for (std::size_t route = 0; route < count; ++route) {
    const std::size_t by = earlier.first_that_covers(routes[route].match);
    if (by != kNone) found.push_back({.route = route, .covered_by = by});
    earlier.add(route);
  }
  return found;
}

}  // namespace remora::config
