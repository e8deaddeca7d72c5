#include "proxy/top_frame.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace remora::proxy {
namespace {

TopEndpoint endpoint(std::string address, std::string why = {}) {
  TopEndpoint made;
  made.address = std::move(address);
  made.why = std::move(why);
  return made;
}

TopStats one_cluster(std::vector<TopEndpoint> endpoints) {
  TopStats stats;
  stats.version = "1.2.3";
  stats.ready = true;
  stats.uptime = 3725;
  stats.workers = 2;
  stats.clusters.push_back(
      {.name = "app", .panic = false, .shared_breaker = {}, .pending = 0, .endpoints = std::move(endpoints)});
  return stats;
}

TopInput input_of(const TopStats& now) { return {.server = "here:1", .now = &now}; }

std::vector<std::string> lines_of(const std::string& frame) {
  std::vector<std::string> lines(1);
  for (const char c : frame) {
    if (c == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += c;
    }
  }
  return lines;
}

std::vector<std::string> texts(const TopStats& now) {
  std::vector<std::string> found;
  for (const TopProblem& problem : top_problems(input_of(now))) found.push_back(problem.text);
  return found;
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST_CASE("when all is well the second line says so") {
  const TopStats now = one_cluster({endpoint("10.0.0.1:1"), endpoint("10.0.0.2:1")});
  const auto lines = lines_of(top_frame(input_of(now), {}));
  REQUIRE(lines.size() > 5);
  CHECK(lines[0] == "remora 1.2.3  here:1  ready  up 1 h 2 min  2 workers  lag 0.0 ms  0.0 MiB");
  CHECK(lines[1] == "OK  Everything is well");
  CHECK(contains(lines[5], "app"));
  CHECK(contains(lines[5], "2/2"));
}

TEST_CASE("what keeps endpoints from requests is said in words, with the first reason") {
  TopEndpoint open = endpoint("10.0.0.1:1", "breaker");
  open.breaker = {.state = "open", .forced = false, .for_seconds = 12, .probes_in_seconds = 3};
  open.last_failure = "connect failure";
  CHECK(texts(one_cluster({open, endpoint("10.0.0.2:1"), endpoint("10.0.0.3:1")})) ==
        std::vector<std::string>{
            "app: 1 of 3 endpoints not available: breaker open for 12 s, probes in 3 s (connect failure)"});
  open.breaker.forced = true;
  CHECK(texts(one_cluster({open, endpoint("10.0.0.2:1", "draining")})) ==
        std::vector<std::string>{
            "app: none of 2 endpoints is available: breaker open for 12 s, until closed by "
            "order (connect failure); and 1 more"});
  TopEndpoint checked = endpoint("10.0.0.1:1", "active_check");
  checked.check_state = "failing";
  checked.check_reason = "status 500";
  CHECK(texts(one_cluster({checked, endpoint("b")})) ==
        std::vector<std::string>{"app: 1 of 2 endpoints not available: health check fails (status 500)"});
  TopEndpoint ejected = endpoint("10.0.0.1:1", "ejected");
  ejected.ejected_for = 30;
  CHECK(texts(one_cluster({ejected, endpoint("b")})) ==
        std::vector<std::string>{"app: 1 of 2 endpoints not available: ejected, back in 30 s"});
  TopEndpoint half = endpoint("10.0.0.1:1");
  half.breaker.state = "half_open";
  CHECK(texts(one_cluster({half})) ==
        std::vector<std::string>{"app: 1 of 1 endpoints on probation: breaker half_open"});
}

TEST_CASE("a source of endpoints that fails is said, even while all of them are well") {
  TopStats now = one_cluster({endpoint("a")});
  now.clusters[0].failing_sources = {"dns app.local fails, the endpoints are from 9 s ago: no answer"};
  CHECK(texts(now) ==
        std::vector<std::string>{"app: dns app.local fails, the endpoints are from 9 s ago: no answer"});
}

TEST_CASE("the worst comes first") {
  TopStats now = one_cluster({endpoint("a", "draining"), endpoint("b")});
  now.clusters.push_back(
      {.name = "none", .panic = false, .shared_breaker = {}, .pending = 0, .endpoints = {}});
  now.clusters.push_back(
      {.name = "shared",
       .panic = false,
       .shared_breaker = TopBreaker{.state = "open", .for_seconds = 1, .probes_in_seconds = 0},
       .pending = 0,
       .endpoints = {endpoint("c")}});
  now.clusters.push_back(
      {.name = "panic", .panic = true, .shared_breaker = {}, .pending = 0, .endpoints = {endpoint("d")}});
  now.ready = false;
  now.not_ready_because = "draining";
  now.loads = {"0: shed"};
  now.loop_lag_ms = 400;
  now.workers_missing = 1;
  now.rejected_ago = 5;
  now.rejected_because = "f:1: a";
  TopInput input = input_of(now);
  input.gone = "no answer from here:1: connection refused";
  std::vector<std::string> found;
  for (const TopProblem& problem : top_problems(input)) found.push_back(problem.text);
  CHECK(found == std::vector<std::string>{
                     "no answer from here:1: connection refused; what is below is from its last answer",
                     "not ready: draining", "none: no endpoint is known",
                     "shared: the shared breaker open for 1 s, probes with the next request",
                     "1 of 3 workers does not answer: nobody is served there, and the numbers are missing",
                     "worker 0: shed: it sheds load",
                     "configuration rejected 5 s ago, the one before it is at work: f:1: a",
                     "app: 1 of 2 endpoints not available: draining by order",
                     "panic: too few endpoints pass their checks, so checks are ignored",
                     "a worker was held up for 400 ms"});
}

TEST_CASE("many failing requests are a problem, few are not") {
  TopStats then = one_cluster({endpoint("a")});
  TopStats now = then;
  now.uptime += 10;
  now.exchanges.push_back({.key = "in\napp", .cluster = "app", .codes = {0, 0, 94, 0, 0, 6}, .buckets = {}});
  TopInput input = input_of(now);
  input.then = &then;
  REQUIRE(top_problems(input).size() == 1);
  CHECK(top_problems(input)[0].text == "app: 6.0 % of the requests end with 5xx");
  now.exchanges[0].codes = {0, 0, 97, 0, 0, 3};
  CHECK(top_problems(input).empty());
  now.exchanges[0].codes = {0, 0, 1, 0, 0, 4};  // less than one a second
  CHECK(top_problems(input).empty());
}

TEST_CASE("a frame fits its terminal, however many clusters there are") {
  TopStats now = one_cluster({endpoint("10.0.0.1:1", "draining"), endpoint(std::string(300, 'x'))});
  for (int i = 0; i < 200; ++i) {
    now.clusters.push_back({.name = "service-" + std::to_string(i) + "-\xc3\xa4",
                            .panic = false,
                            .shared_breaker = {},
                            .pending = 0,
                            .endpoints = {endpoint("a"), endpoint("b")}});
  }
  const std::deque<TopEvent> events(50, TopEvent{.id = 1, .time = 1e9, .what = std::string(300, 'y')});
  TopInput input = input_of(now);
  input.events = &events;
  input.rates = std::vector<double>(300, 5.0);
  for (const std::size_t columns : {std::size_t{20}, std::size_t{80}, std::size_t{200}}) {
    for (const std::size_t rows :
         {std::size_t{1}, std::size_t{5}, std::size_t{10}, std::size_t{24}, std::size_t{60}}) {
      CAPTURE(columns);
      CAPTURE(rows);
      const auto lines = lines_of(top_frame(input, {.columns = columns, .rows = rows, .utf8 = true}));
      CHECK(lines.size() <= rows);
      for (const std::string& line : lines) {
        CHECK(static_cast<std::size_t>(std::ranges::count_if(
                  line, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80; })) <= columns);
      }
    }
  }
  const std::string frame = top_frame(input, {.columns = 80, .rows = 24});
  CHECK(contains(frame, "more clusters"));
  CHECK(contains(frame, "RECENT CHANGES"));
  CHECK(contains(top_frame(input, {.columns = 80, .rows = 0}), "service-199"));
}

TEST_CASE("colours only where they are wanted, and signs always") {
  const TopStats now = one_cluster({endpoint("10.0.0.1:1", "draining"), endpoint("b")});
  const std::string plain = top_frame(input_of(now), {.columns = 80, .rows = 24, .colour = false});
  CHECK_FALSE(contains(plain, "\x1b"));
  CHECK(contains(plain, "\n!   app: 1 of 2"));
  CHECK(contains(top_frame(input_of(now), {.columns = 80, .rows = 24, .colour = true}),
                 "\x1b[1;33m!   app: 1 of 2"));
}

TEST_CASE("before the first answer there is only why") {
  TopInput input{.server = "here:1"};
  input.gone = "no answer from here:1: connection refused";
  CHECK(top_frame(input, {}) == "remora  here:1\nX   no answer from here:1: connection refused");
}

}  // namespace
}  // namespace remora::proxy
