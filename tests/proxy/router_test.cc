#include "proxy/router.h"

#include <doctest/doctest.h>

#include <array>

#include "base/random.h"

using namespace remora;
using namespace remora::proxy;
using config::HashKey;
using config::Match;
using config::Route;

namespace {

http::RequestHead request(std::string_view target, std::string_view authority = "example.com",
                          std::string_view method = "GET") {
  http::RequestHead head;
  head.method = method;
  head.target = target;
  head.authority = authority;
  return head;
}

Route route(Match match) {
  Route r;
  r.match = std::move(match);
  r.action = config::Respond{};
  return r;
}

bool matches(const Match& match, const http::RequestHead& head) {
  const std::vector<Route> routes{route(match)};
  return Router(routes).match(head) == routes.data();
}

}  // namespace

TEST_CASE("a host matches whatever its case and port, exactly or by suffix") {
  struct Row {
    const char* pattern;
    const char* authority;
    bool matches;
  };
  const std::array<Row, 21> rows{{
      {"", "anything", true},
      {"", "", true},
      {"example.com", "example.com", true},
      {"example.com", "EXAMPLE.Com", true},
      {"example.com", "example.com:8080", true},
      {"example.com", "example.com:", true},
      {"example.com", "example.org", false},
      {"example.com", "www.example.com", false},
      {"example.com", "", false},
      {"*.example.com", "www.example.com", true},
      {"*.example.com", "a.b.EXAMPLE.com:80", true},
      {"*.example.com", "example.com", false},
      {"*.example.com", ".example.com", false},
      {"*.example.com", "wwwexample.com", false},
      {"*.example.com", "www.example.com.evil.org", false},
      {"[::1]", "[::1]", true},
      {"[::1]", "[::1]:8080", true},
      {"[::1]", "[::2]:8080", false},
      {"[2001:db8::1]", "[2001:DB8::1]:443", true},
      {"10.0.0.1", "10.0.0.1:80", true},
      {"10.0.0.1", "10.0.0.12", false},
  }};
  for (const Row& row : rows) {
    CAPTURE(row.pattern);
    CAPTURE(row.authority);
    CHECK(matches({.host = row.pattern, .path = {}, .methods = {}, .headers = {}},
                  request("/", row.authority)) == row.matches);
  }
}

TEST_CASE("a path matches by its kind, without the query and as it was sent") {
  struct Row {
    Match::Path kind;
    const char* pattern;
    const char* target;
    bool matches;
  };
  using enum Match::Path;
  const std::array<Row, 26> rows{{
      {kAny, "", "/anything?x", true},
      {kAny, "", "*", true},
      {kExact, "/a", "/a", true},
      {kExact, "/a", "/a?b=c", true},
      {kExact, "/a", "/a/", false},
      {kExact, "/a", "/A", false},
      {kExact, "/a", "/%61", false},
      {kExact, "*", "*", true},
      {kPrefix, "/api", "/api", true},
      {kPrefix, "/api", "/api?x", true},
      {kPrefix, "/api", "/api/", true},
      {kPrefix, "/api", "/api/x/y", true},
      {kPrefix, "/api", "/apix", false},
      {kPrefix, "/api", "/ap", false},
      {kPrefix, "/api/", "/api/x", true},
      {kPrefix, "/api/", "/api/", true},
      {kPrefix, "/api/", "/api", false},
      {kPrefix, "/", "/", true},
      {kPrefix, "/", "/x", true},
      {kPrefix, "/", "*", false},
      {kPrefix, "/api", "/?/api", false},
      {kRegex, "/v[0-9]+/.*", "/v12/x", true},
      {kRegex, "/v[0-9]+", "/v12/x", false},
      {kRegex, "v[0-9]+", "/v12", false},
      {kRegex, "/a", "/a?b", true},
      {kRegex, "(a+)+", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", false},
  }};
  for (const Row& row : rows) {
    CAPTURE(row.pattern);
    CAPTURE(row.target);
    const Match match{.host = {}, .path_kind = row.kind, .path = row.pattern, .methods = {}, .headers = {}};
    CHECK(matches(match, request(row.target)) == row.matches);
  }
}

TEST_CASE("methods are compared exactly, any of the listed ones") {
  const Match match{.host = {}, .path = {}, .methods = {"GET", "PUT"}, .headers = {}};
  CHECK(matches(match, request("/", "h", "GET")));
  CHECK(matches(match, request("/", "h", "PUT")));
  CHECK_FALSE(matches(match, request("/", "h", "POST")));
  CHECK_FALSE(matches(match, request("/", "h", "get")));
  CHECK_FALSE(matches(match, request("/", "h", "GETS")));
}

TEST_CASE("a header condition asks for a value or only for presence, and all must hold") {
  auto head = request("/");
  head.fields.add("X-Env", "canary");
  head.fields.add("X-Empty", "");
  const auto with = [&](std::vector<Match::FieldIs> fields) {
    return matches({.host = {}, .path = {}, .methods = {}, .headers = std::move(fields)}, head);
  };
  CHECK(with({{"X-Env", "canary"}}));
  CHECK(with({{"x-env", "canary"}}));
  CHECK_FALSE(with({{"X-Env", "Canary"}}));
  CHECK_FALSE(with({{"X-Env", "canary2"}}));
  CHECK(with({{"X-Env", std::nullopt}}));
  CHECK(with({{"X-Empty", std::nullopt}}));
  CHECK(with({{"X-Empty", ""}}));
  CHECK_FALSE(with({{"X-Other", std::nullopt}}));
  CHECK(with({{"X-Env", "canary"}, {"X-Empty", std::nullopt}}));
  CHECK_FALSE(with({{"X-Env", "canary"}, {"X-Other", std::nullopt}}));
}

TEST_CASE("the first route that matches wins, and none is null") {
  const std::vector<Route> routes{
      route({.host = "a.example",
             .path_kind = Match::Path::kPrefix,
             .path = "/x",
             .methods = {},
             .headers = {}}),
      route({.host = "", .path_kind = Match::Path::kPrefix, .path = "/x", .methods = {}, .headers = {}}),
      route({.host = "a.example", .path = {}, .methods = {}, .headers = {}}),
  };
  const Router router(routes);
  CHECK(router.match(request("/x/y", "a.example")) == &routes[0]);
  CHECK(router.match(request("/x/y", "b.example")) == &routes[1]);
  CHECK(router.match(request("/y", "a.example")) == &routes[2]);
  CHECK(router.match(request("/y", "b.example")) == nullptr);
  const std::vector<Route> none;
  CHECK(Router(none).match(request("/")) == nullptr);
}

TEST_CASE("a regex that RE2 does not take is told with its reason") {
  CHECK_FALSE(regex_problem("/v[0-9]+").has_value());
  REQUIRE(regex_problem("/v[0-9+").has_value());
  CHECK_FALSE(regex_problem("/v[0-9+")->empty());
  CHECK(regex_problem("(?=lookahead)").has_value());
}

TEST_CASE("a rewrite replaces the matched prefix or path, keeps the query and joins with one slash") {
  struct Row {
    Match::Path kind;
    const char* pattern;
    const char* rewrite;
    const char* target;
    const char* result;
  };
  using enum Match::Path;
  const std::array<Row, 15> rows{{
      {kPrefix, "/api", "/v2", "/api/x", "/v2/x"},
      {kPrefix, "/api", "/v2", "/api", "/v2"},
      {kPrefix, "/api", "/v2", "/api?q=/api", "/v2?q=/api"},
      {kPrefix, "/api", "/", "/api/x", "/x"},
      {kPrefix, "/api", "/", "/api", "/"},
      {kPrefix, "/api/", "/", "/api/x?y", "/x?y"},
      {kPrefix, "/api/", "/v2", "/api/x", "/v2/x"},
      {kPrefix, "/api/", "/v2/", "/api/x", "/v2/x"},
      {kPrefix, "/api", "/v2/", "/api/x", "/v2/x"},
      {kPrefix, "/", "/v2", "/x", "/v2/x"},
      {kPrefix, "/api", "/v2", "/api//x", "/v2//x"},
      {kExact, "/old", "/new", "/old?a=b", "/new?a=b"},
      {kExact, "/old", "/new/", "/old", "/new/"},
      {kRegex, "/v[0-9]+/.*", "/all", "/v1/x?y", "/all?y"},
      {kAny, "", "/all", "/v1/x?y", "/all?y"},
  }};
  for (const Row& row : rows) {
    Route r = route({.host = {}, .path_kind = row.kind, .path = row.pattern, .methods = {}, .headers = {}});
    r.rewrite = row.rewrite;
    CAPTURE(row.pattern);
    CAPTURE(row.rewrite);
    CAPTURE(row.target);
    CHECK(rewritten_target(r, request(row.target)) == row.result);
  }
}

TEST_CASE("a redirect goes to a whole location, or replaces parts of the request's") {
  const auto head = request("/a/b?c=d", "example.com:8080");
  const auto location = [&](config::Redirect redirect) { return redirect_location(redirect, head, "http"); };
  CHECK(location({.to = "https://other.example/", .scheme = {}, .host = {}, .path = {}}) ==
        "https://other.example/");
  CHECK(location({.to = {}, .scheme = {}, .host = "other.example", .path = {}}) ==
        "http://other.example/a/b?c=d");
  CHECK(location({.to = {}, .scheme = {}, .host = {}, .path = "/new"}) == "http://example.com:8080/new?c=d");
  CHECK(location({.to = {}, .scheme = "https", .host = "h.example:444", .path = "/n"}) ==
        "https://h.example:444/n?c=d");
}

TEST_CASE("a request's key is the hash of the part that the route names") {
  auto head = request("/path?a=1&user=joe&empty=&flag&user=second", "h");
  head.fields.add("X-User", "ann");
  head.fields.add("Cookie", "a=b; session=s1;other=x");
  head.fields.add("Cookie", "late=yes");
  const auto key = [&](HashKey::Source source, const char* name = "") {
    return request_key({.source = source, .name = name}, head, "10.1.2.3");
  };
  using enum HashKey::Source;
  CHECK_FALSE(key(kNone).has_value());
  CHECK(key(kHeader, "x-user") == lb::hash_key("ann"));
  CHECK_FALSE(key(kHeader, "X-Other").has_value());
  CHECK(key(kCookie, "session") == lb::hash_key("s1"));
  CHECK(key(kCookie, "a") == lb::hash_key("b"));
  CHECK(key(kCookie, "other") == lb::hash_key("x"));
  CHECK(key(kCookie, "late") == lb::hash_key("yes"));
  CHECK_FALSE(key(kCookie, "sess").has_value());
  CHECK_FALSE(key(kCookie, "Session").has_value());
  CHECK(key(kSourceAddress) == lb::hash_key("10.1.2.3"));
  CHECK(key(kQuery, "a") == lb::hash_key("1"));
  CHECK(key(kQuery, "user") == lb::hash_key("joe"));
  CHECK(key(kQuery, "empty") == lb::hash_key(""));
  CHECK(key(kQuery, "flag") == lb::hash_key(""));
  CHECK_FALSE(key(kQuery, "use").has_value());
  CHECK(key(kPath) == lb::hash_key("/path"));
  CHECK_FALSE(request_key({.source = kQuery, .name = "a"}, request("/path"), "").has_value());
  CHECK_FALSE(request_key({.source = kQuery, .name = "a"}, request("/path?"), "").has_value());
}

TEST_CASE("a cookie field without values, or full of separators, has no key") {
  for (const char* value : {"", ";", ";;;  ; ", "session", "=session", " ; session "}) {
    auto head = request("/");
    head.fields.add("Cookie", value);
    CAPTURE(value);
    CHECK_FALSE(request_key({.source = HashKey::Source::kCookie, .name = "session"}, head, "").has_value());
  }
}

TEST_CASE("edits remove, then set, then add") {
  http::FieldList fields;
  fields.add("X-Gone", "1");
  fields.add("X-Set", "old");
  fields.add("x-set", "older");
  fields.add("X-Add", "first");
  fields.add("X-Gone", "2");
  apply_edits({.remove = {"x-gone", "X-Both"},
               .set = {{"X-Set", "new"}, {"X-New", "n"}},
               .add = {{"X-Add", "second"}, {"X-Both", "b"}}},
              fields);
  std::string all;
  fields.for_each([&](std::string_view name, std::string_view value, http::FieldId) {
    all.append(name).append("=").append(value).append(" ");
  });
  CHECK_FALSE(fields.get("X-Gone").has_value());
  CHECK(fields.get("X-Set") == "new");
  CHECK(fields.get("X-New") == "n");
  CHECK(fields.get("X-Both") == "b");
  CHECK(all.find("X-Add=first") < all.find("X-Add=second"));
  CHECK(all.find("old") == std::string::npos);
}

// Texts that meet often: of few letters, with few labels and segments.
std::string joined(Random& random, char separator, std::uint32_t most) {
  std::string text;
  for (std::size_t i = 0, parts = 1 + random.below(most); i < parts; ++i) {
    if (i > 0) text += separator;
    text += static_cast<char>('a' + random.below(2));
    if (random.below(4) == 0) text += 'b';
  }
  return text;
}

Match some_match(Random& random) {
  Match match;
  const auto host = random.below(4);
  if (host == 1) match.host = joined(random, '.', 3);
  if (host == 2) match.host = "*." + joined(random, '.', 2);
  match.path_kind = static_cast<Match::Path>(random.below(4));
  if (match.path_kind == Match::Path::kRegex) match.path = "/" + joined(random, '/', 2) + ".*";
  if (match.path_kind == Match::Path::kExact) match.path = "/" + joined(random, '/', 3);
  if (match.path_kind == Match::Path::kPrefix) {
    match.path = "/" + joined(random, '/', 3);
    if (random.below(3) == 0) match.path += '/';
    if (random.below(8) == 0) match.path = "/";
  }
  if (random.below(5) == 0) match.methods = {"POST"};
  match.connect = random.below(20) == 0;
  if (random.below(5) == 0) match.headers = {{.name = "Accept", .value = "x"}};
  return match;
}

TEST_CASE("many routes are looked up with the result of looking at one after the other") {
  Random random(20);
  std::size_t found = 0;
  std::size_t not_found = 0;
  for (int round = 0; round < 60; ++round) {
    std::vector<Route> routes;
    for (std::size_t i = 0, count = 1 + random.below(80); i < count; ++i) {
      routes.push_back(route(some_match(random)));
    }
    const Router plain(routes, routes.size());
    const Router indexed(routes, 0);
    for (int i = 0; i < 200; ++i) {
      std::string host = joined(random, '.', 4);
      if (random.below(3) == 0) host[0] = 'A';
      if (random.below(3) == 0) host += ":80";
      if (random.below(50) == 0) host = std::string(300, 'x') + ".a";
      std::string target = "/" + joined(random, '/', 4);
      if (random.below(4) == 0) target += '/';
      if (random.below(4) == 0) target += "?a/b";
      if (random.below(30) == 0) target = random.below(2) == 0 ? "*" : "";
      auto head = request(target, random.below(30) == 0 ? "" : host,
                          random.below(3) == 0    ? "POST"
                          : random.below(20) == 0 ? "CONNECT"
                                                  : "GET");
      if (random.below(3) == 0) head.fields.add(http::FieldId::kAccept, "x");
      const Route* const expected = plain.match(head);
      REQUIRE(indexed.match(head) == expected);
      ++(expected != nullptr ? found : not_found);
    }
  }
  CHECK(found > 2000);
  CHECK(not_found > 500);
}
