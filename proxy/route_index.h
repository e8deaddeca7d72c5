// Finds routes by host and path without a look at each: hash tables by host, and in each by the path or
// prefix that a route names.
//
// Thread: the worker's. Owner: Router. It refers to the routes' texts, which outlive it. Memory: some hundred
// bytes a route.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/config.h"

namespace remora::proxy {

class RouteIndex final {
 public:
  static constexpr std::size_t kLongestHost = 255;

  explicit RouteIndex(std::span<const config::Route> routes);

  // The lowest number of a route whose host and path match and for which fits(number) is true, or the number
  // of routes if there is none. Of a route with a regular expression only the host has been looked at.
  // `host`: lower case, without a port, at most kLongestHost. Does not allocate. O(path + prefix lengths that
  // occur), plus the routes that share host and path.
  template <typename Fits>
  std::size_t first(std::string_view host, std::string_view path, Fits&& fits) const {
    std::size_t best = size_;
    if (const auto exact = exact_.find(host); exact != exact_.end()) exact->second.first(path, fits, best);
    for (const std::size_t length : suffix_lengths_) {
      if (length >= host.size()) break;
      const auto suffix = suffixes_.find(host.substr(host.size() - length));
      if (suffix != suffixes_.end()) suffix->second.first(path, fits, best);
    }
    any_.first(path, fits, best);
    return best;
  }

 private:
  using Numbers = std::vector<std::uint32_t>;  // ascending

  template <typename Fits>
  static void consider(const Numbers& numbers, Fits& fits, std::size_t& best) {
    for (const std::uint32_t number : numbers) {
      if (number >= best) return;
      if (!fits(number)) continue;
      best = number;
      return;
    }
  }

  // Those routes of one host that name a path or a prefix.
  struct Named {
    template <typename Fits>
    void first(std::string_view path, Fits& fits, std::size_t& best) const {
      if (!exact.empty()) {
        if (const auto found = exact.find(path); found != exact.end()) consider(found->second, fits, best);
      }
      for (const std::size_t length : prefix_lengths) {
        if (length > path.size()) break;
        // As prefix_matches() of router.cc says: it ends where a segment does.
        const bool ends = length > 0 && path[length - 1] == '/';
        if (!ends && length < path.size() && path[length] != '/') continue;
        const auto found = prefixes.find(path.substr(0, length));
        if (found != prefixes.end()) consider(found->second, fits, best);
      }
    }

    std::unordered_map<std::string_view, Numbers> exact;
    std::unordered_map<std::string_view, Numbers> prefixes;
    std::set<std::size_t> prefix_lengths;
  };

  // The routes of one host.
  struct Paths {
    template <typename Fits>
    void first(std::string_view path, Fits& fits, std::size_t& best) const {
      if (named) named->first(path, fits, best);
      consider(others, fits, best);
    }
    std::unique_ptr<Named> named;  // null: no route of this host names a path
    Numbers others;                // with any path, or a regular expression
  };

  std::unordered_map<std::string_view, Paths> exact_;
  std::unordered_map<std::string_view, Paths> suffixes_;  // of "*.example.com": ".example.com"
  std::set<std::size_t> suffix_lengths_;
  Paths any_;
  std::size_t size_;
};

}  // namespace remora::proxy
