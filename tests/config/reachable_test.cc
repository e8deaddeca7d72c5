#include "config/reachable.h"

#include <doctest/doctest.h>

#include <array>
#include <string>

#include "base/random.h"

using namespace remora;
using namespace remora::config;

namespace {

// What find_unreachable() says, the long way.
std::vector<Unreachable> pair_by_pair(const std::vector<Route>& routes, std::size_t count) {
  std::vector<Unreachable> found;
  for (std::size_t later = 1; later < count; ++later) {
    for (std::size_t earlier = 0; earlier < later; ++earlier) {
      if (!covers(routes[earlier].match, routes[later].match)) continue;
      found.push_back({.route = later, .covered_by = earlier});
      break;
    }
  }
  return found;
}

template <std::size_t N>
std::string one_of(const std::array<const char*, N>& words, Random& random) {
  return words[random.below(static_cast<std::uint32_t>(N))];
}

Route any_route(Random& random) {
  static constexpr std::array kHosts{"",          "*.c",     "*.b.c",  "b.c",   "a.b.c",
                                     "x.y.a.b.c", "*.a.b.c", "a.xb.c", "[::1]", "[::ffff:1.b.c]"};
  static constexpr std::array kPaths{"/",      "/a",  "/a/",   "/a/b",      "/a/b/", "/ab",
                                     "/a/b/c", "//a", "/a//b", "/a/b/c/d/", "/.*",   "/a/.*"};
  Route route;
  Match& match = route.match;
  match.host = one_of(kHosts, random);
  match.path_kind = static_cast<Match::Path>(random.below(4));
  if (match.path_kind != Match::Path::kAny) match.path = one_of(kPaths, random);
  if (random.below(4) == 0) match.methods = {random.below(2) == 0 ? "GET" : "POST"};
  if (random.below(4) == 0)
    match.headers = {{"X-A", random.below(2) == 0 ? std::optional("1") : std::nullopt}};
  match.connect = random.below(8) == 0;
  return route;
}

Route route_to(Match::Path kind, std::string path) {
  Route route;
  route.match.path_kind = kind;
  route.match.path = std::move(path);
  return route;
}

}  // namespace

TEST_SUITE("reachable") {
  TEST_CASE("routes are found by host and path as they are found one by one") {
    Random random(7);
    std::size_t unreachable = 0;
    for (int round = 0; round < 2000; ++round) {
      CAPTURE(round);
      std::vector<Route> routes(1 + random.below(40));
      for (Route& route : routes) route = any_route(random);
      const std::size_t count = random.below(static_cast<std::uint32_t>(routes.size()) + 1);
      const auto found = find_unreachable(routes, count);
      unreachable += found.size();
      REQUIRE(found == pair_by_pair(routes, count));
    }
    CHECK(unreachable > 4000);
  }

  TEST_CASE("a path of many slashes is covered by each of its prefixes") {
    std::string path;
    for (int i = 0; i < 200; ++i) path += "/a";
    std::vector<Route> routes{route_to(Match::Path::kPrefix, path.substr(0, 101)),
                              route_to(Match::Path::kPrefix, path.substr(0, 100)),
                              route_to(Match::Path::kExact, path)};
    CHECK(find_unreachable(routes, 3) == std::vector<Unreachable>{{.route = 2, .covered_by = 0}});
    routes[0].match.path = path.substr(0, 98) + "b";
    CHECK(find_unreachable(routes, 3) == std::vector<Unreachable>{{.route = 2, .covered_by = 1}});
  }
}
