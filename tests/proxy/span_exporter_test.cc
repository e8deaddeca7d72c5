// From the rings to the collector, in virtual time: what a batch is, how it looks, and what answers and
// silence do.
#include "proxy/span_exporter.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config/load.h"
#include "tests/proxy/logged.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_env.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::proxy;
using namespace remora::testing;
using Json = nlohmann::json;

namespace {

constexpr std::string_view kTaken = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

std::shared_ptr<const config::Config> with(const std::string& tracing) {
  const std::string text = tracing + std::string(kOneBackend);
  auto config = config::load_text(text, "t", [](const std::string&) { return std::nullopt; });
  if (!config) FAIL(config.error().front().to_string());
  return std::make_shared<const config::Config>(std::move(*config));
}

std::string section(const std::string& more, const std::string& endpoint = "http://10.0.0.9:4318") {
  return "[tracing]\nendpoint = \"" + endpoint + "\"\n" + more + "\n";
}

std::int64_t wall_clock() { return 1'800'000'000'000'000; }

// Two rings, an exporter, and what is a collector as long as it is told what to answer.
struct Rig {
  explicit Rig(const std::string& more = "", const std::string& endpoint = "http://10.0.0.9:4318")
      : exporter(t.env, {.resolve =
                             [this](const std::string& host, net::Resolver::Callback callback) {
                               asked.push_back(host);
                               resolved = std::move(callback);
                               return std::unique_ptr<net::Resolver::Query>();
                             },
                         .wall_clock_us = &wall_clock,
                         .instance = "remora-1"}) {
    exporter.add_source(rings[0]);
    exporter.add_source(rings[1]);
    exporter.set(with(section(more, endpoint)));
  }
  void listen() { server = std::make_unique<RawServer>(t.network, *Address::parse("10.0.0.9:4318")); }
  void spans(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      Span span;
      span.facts.trace_low = 1;
      span.facts.id = ++last_id;
      span.facts.began = span.facts.ended = t.env.now();
      span[SpanText::kMethod] = "GET";
      rings[i % 2].write(span);
    }
  }
  // The body of the n-th request of the last connection; null: there is none.
  Json body(std::size_t n = 0) const {
    if (server == nullptr || server->size() == 0) return nullptr;
    const std::string& received = server->last().received();
    std::size_t at = 0;
    for (std::size_t i = 0;; ++i) {
      const auto end = received.find("\r\n\r\n", at);
      if (end == std::string::npos) return nullptr;
      const auto length = received.find("Content-Length: ", at);
      const std::size_t size = std::stoul(received.substr(length + 16));
      if (i == n) return Json::parse(received.substr(end + 4, size));
      at = end + 4 + size;
    }
  }
  std::size_t sent(std::size_t n = 0) const {
    const Json json = body(n);
    return json.is_null() ? 0 : json["resourceSpans"][0]["scopeSpans"][0]["spans"].size();
  }
  void answer(std::string_view bytes) {
    server->last().send(bytes);
    t.settle();
  }

  TestEnv t;
  std::array<SpanRing, 2> rings{SpanRing(64 * 1024), SpanRing(64 * 1024)};
  std::vector<std::string> asked;
  net::Resolver::Callback resolved;
  std::unique_ptr<RawServer> server;
  std::uint64_t last_id = 0;
  SpanExporter exporter;
};

Json attributes(const Json& list) {
  Json plain = Json::object();
  for (const Json& one : list) plain[one["key"].get<std::string>()] = one["value"].items().begin().value();
  return plain;
}

}  // namespace

TEST_CASE("a batch is sent when it is full, or when its first span has waited long enough") {
  Rig rig("batch = 4\nqueue = 100\ninterval = \"10s\"");
  rig.listen();
  rig.spans(3);
  rig.t.run_for(9s);
  CHECK(rig.server->size() == 0);
  CHECK(rig.exporter.status().waiting == 3);
  rig.t.run_for(2s);
  CHECK(rig.sent() == 3);
  CHECK(contains(rig.server->last().received(), "POST /v1/traces HTTP/1.1\r\nHost: 10.0.0.9:4318\r\n"));
  rig.spans(10);
  rig.t.run_for(1s);
  CHECK(rig.sent(1) == 0);  // one at a time
  rig.answer(kTaken);
  rig.t.run_for(100ms);
  CHECK(rig.sent(1) == 4);
  rig.answer(kTaken);
  rig.t.run_for(100ms);
  CHECK(rig.sent(2) == 4);
  rig.answer(kTaken);
  rig.t.run_for(1s);
  CHECK(rig.sent(3) == 0);  // two are no batch yet
  const TracingStatus status = rig.exporter.status();
  CHECK(status.delivered == 11);
  CHECK(status.waiting == 2);
  CHECK(status.exports_succeeded == 3);
}

TEST_CASE("what the collector says decides whether the batch comes again") {
  struct Row {
    std::string_view answer;
    Duration pause;  // before it comes again; zero: it does not
    std::uint64_t delivered;
    std::uint64_t rejected;
  };
  const Row rows[] = {
      {kTaken, 0s, 2, 0},
      {"HTTP/1.1 202 \r\nContent-Length: 0\r\n\r\n", 0s, 2, 0},
      {"HTTP/1.1 200 \r\nContent-Length: 46\r\n\r\n{\"partialSuccess\":{\"rejectedSpans\" : \"1\" }}   ", 0s,
       1, 1},
      {"HTTP/1.1 200 \r\nContent-Length: 39\r\n\r\n{\"partialSuccess\":{\"rejectedSpans\":99}}", 0s, 0, 2},
      {"HTTP/1.1 400 \r\nContent-Length: 3\r\n\r\nbad", 0s, 0, 2},
      {"HTTP/1.1 301 \r\nLocation: /\r\nContent-Length: 0\r\n\r\n", 0s, 0, 2},
      {"HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n", 0s, 0, 2},
      {"HTTP/1.1 429 \r\nContent-Length: 0\r\n\r\n", 1s, 0, 0},
      {"HTTP/1.1 502 \r\nContent-Length: 0\r\n\r\n", 1s, 0, 0},
      {"HTTP/1.1 503 \r\nRetry-After: 20\r\nContent-Length: 0\r\n\r\n", 20s, 0, 0},
      {"HTTP/1.1 504 \r\nContent-Length: 0\r\n\r\n", 1s, 0, 0},
      {"nonsense\r\n\r\n", 1s, 0, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.answer);
    const Logged logged;
    Rig rig("interval = \"100ms\"");
    rig.listen();
    rig.spans(2);
    rig.t.run_for(1s);
    REQUIRE(rig.sent() == 2);
    rig.answer(row.answer);
    const TracingStatus status = rig.exporter.status();
    CHECK(status.delivered == row.delivered);
    CHECK(status.rejected == row.rejected);
    CHECK(status.exports_failed == (row.pause > 0s ? 1 : 0));
    const auto requests = [&] {
      std::size_t n = 0;
      for (std::size_t i = 0; i < rig.server->size(); ++i)
        n += count_of((*rig.server)[i].received(), "POST ");
      return n;
    };
    rig.t.run_for(row.pause * 4 / 10);
    CHECK(requests() == 1);
    rig.t.run_for(row.pause + 1s);
    CHECK(requests() == (row.pause > 0s ? 2 : 1));
    CHECK(status.waiting == (row.pause > 0s ? 2 : 0));
  }
}

TEST_CASE("without a collector the queue is bounded, pauses grow, and the log says so once") {
  Logged logged;
  {
    Rig rig("batch = 2\nqueue = 6\ninterval = \"100ms\"");
    rig.spans(10);
    rig.t.run_for(60s);
    TracingStatus status = rig.exporter.status();
    CHECK(status.waiting == 6);
    CHECK(status.queue_full == 4);
    CHECK(status.exports_failed >= 5);
    CHECK(status.exports_failed <= 8);
    rig.listen();
    for (int i = 0; i < 40 && rig.sent() == 0; ++i) rig.t.run_for(1s);
    CHECK(rig.sent() == 2);
    for (int i = 0; i < 3; ++i) {
      rig.answer(kTaken);
      rig.t.run_for(200ms);
    }
    status = rig.exporter.status();
    CHECK(status.delivered == 6);
    CHECK(status.waiting == 0);
  }
  const auto lines = logged.lines();
  REQUIRE(lines.size() >= 2);
  CHECK(lines.size() <= 3);
  CHECK(contains(lines.front(), "warn traces are not delivered, and wait collector=http://10.0.0.9:4318"));
  CHECK(contains(lines.back(), "info traces are delivered again collector="));
}

TEST_CASE("a collector that does not answer is given up after the timeout") {
  const Logged logged;
  Rig rig("interval = \"100ms\"\ntimeout = \"2s\"");
  rig.listen();
  rig.spans(1);
  rig.t.run_for(1s);
  REQUIRE(rig.sent() == 1);
  CHECK(rig.exporter.status().exports_failed == 0);
  rig.t.run_for(1500ms);
  CHECK(rig.exporter.status().exports_failed == 1);
  CHECK(rig.server->last().finished());
  rig.t.run_for(1500ms);
  REQUIRE(rig.server->size() == 2);
  CHECK(rig.sent() == 1);
  rig.answer(kTaken);
  CHECK(rig.exporter.status().delivered == 1);
}

TEST_CASE("a connection that the collector has closed meanwhile costs nothing") {
  Rig rig("interval = \"100ms\"");
  rig.listen();
  rig.spans(1);
  rig.t.run_for(1s);
  rig.answer(kTaken);
  rig.server->last().when_received = [](RawPeer& peer) { peer.reset(); };
  rig.spans(1);
  rig.t.run_for(1s);
  REQUIRE(rig.server->size() == 2);
  CHECK(rig.sent() == 1);
  rig.answer(kTaken);
  CHECK(rig.exporter.status().delivered == 2);
  CHECK(rig.exporter.status().exports_failed == 0);
}

TEST_CASE("a collector's name is looked up, and each failure goes on to its next address") {
  const Logged logged;
  Rig rig("interval = \"100ms\"\nheaders = { X-Key = \"k\" }", "http://collector.internal:4318/traces");
  rig.listen();
  rig.spans(1);
  rig.t.run_for(1s);
  CHECK(rig.asked == std::vector<std::string>{"collector.internal"});
  const net::Answer answer{.addresses = {*Address::parse("10.0.0.8:0"), *Address::parse("10.0.0.9:0")},
                           .ttl = 1s};
  rig.resolved(answer);
  rig.t.run_for(2s);
  REQUIRE(rig.asked.size() == 2);
  rig.resolved(answer);
  rig.t.settle();
  CHECK(rig.sent() == 1);
  CHECK(
      contains(rig.server->last().received(), "POST /traces HTTP/1.1\r\nHost: collector.internal:4318\r\n"));
  CHECK(contains(rig.server->last().received(), "X-Key: k\r\n"));
  rig.answer(kTaken);
  rig.spans(1);
  rig.t.run_for(1s);
  rig.resolved(std::unexpected(Error(ErrorCode::kResolveFailed, Side::kUpstream)));
  CHECK(rig.exporter.status().exports_failed == 2);
}

TEST_CASE("the end of the process waits for the collector, but not for long") {
  const Logged logged;
  Rig rig("interval = \"1m\"");
  bool done = false;
  SUBCASE("which takes what there is") {
    rig.listen();
    rig.spans(2);
    rig.exporter.flush(2s, [&] { done = true; });
    rig.t.run_for(100ms);
    CHECK(rig.sent() == 2);
    CHECK_FALSE(done);
    rig.answer(kTaken);
    rig.t.run_for(100ms);
    CHECK(done);
  }
  SUBCASE("which says nothing") {
    rig.listen();
    rig.spans(2);
    rig.exporter.flush(2s, [&] { done = true; });
    rig.t.run_for(1900ms);
    CHECK_FALSE(done);
    rig.t.run_for(200ms);
    CHECK(done);
  }
  SUBCASE("which is not there") {
    rig.spans(2);
    rig.exporter.flush(2s, [&] { done = true; });
    rig.t.run_for(100ms);
    CHECK(done);
  }
  SUBCASE("and with nothing to say not at all") {
    rig.exporter.flush(2s, [&] { done = true; });
    rig.t.run_for(100ms);
    CHECK(done);
  }
}

TEST_CASE("a newer configuration holds from the next batch on, and none delivers what is left") {
  Rig rig("interval = \"1m\"\nservice = \"old\"");
  rig.listen();
  rig.spans(1);
  rig.t.run_for(1s);
  rig.exporter.set(with(section("interval = \"100ms\"\nservice = \"new\"")));
  rig.t.run_for(1s);
  REQUIRE(rig.sent() == 1);
  CHECK(attributes(rig.body()["resourceSpans"][0]["resource"]["attributes"])["service.name"] == "new");
  rig.exporter.set(with(""));
  rig.spans(1);
  rig.answer(kTaken);
  rig.t.run_for(2s);
  CHECK(rig.sent(1) == 1);
  rig.answer(kTaken);
  CHECK(rig.exporter.status().delivered == 2);
}

TEST_CASE("without tracing there is nothing to wait for") {
  Rig rig;
  SpanExporter off(rig.t.env, {.resolve = {}, .wall_clock_us = &wall_clock, .instance = {}});
  off.set(with(""));
  bool done = false;
  off.flush(2s, [&] { done = true; });
  CHECK(done);
  CHECK_FALSE(off.status().configured);
}
