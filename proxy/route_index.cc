#include "proxy/route_index.h"

namespace remora::proxy {

using config::Match;

RouteIndex::RouteIndex(std::span<const config::Route> routes) : size_(routes.size()) {
  for (std::uint32_t number = 0; number < routes.size(); ++number) {
    const Match& match = routes[number].match;
    const std::string_view host = match.host;
    Paths* paths = &any_;
    if (host.starts_with('*')) {
      paths = &suffixes_[host.substr(1)];
      suffix_lengths_.insert(host.size() - 1);
    } else if (!host.empty()) {
      paths = &exact_[host];
    }
    if (match.path_kind == Match::Path::kAny || match.path_kind == Match::Path::kRegex) {
      paths->others.push_back(number);
      continue;
    }
    if (!paths->named) paths->named = std::make_unique<Named>();
    if (match.path_kind == Match::Path::kExact) {
      paths->named->exact[match.path].push_back(number);
    } else {
      paths->named->prefixes[match.path].push_back(number);
      paths->named->prefix_lengths.insert(match.path.size());
    }
  }
}

}  // namespace remora::proxy
