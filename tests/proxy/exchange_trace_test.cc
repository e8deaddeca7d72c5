// Whole exchanges with tracing: what goes upstream, and the spans that are left behind, in virtual time.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "proxy/trace_context.h"
#include "tests/support/alloc_count.h"
#include "tests/support/world.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::testing;

using proxy::Flag;
using proxy::SpanText;
using Kind = proxy::SpanFacts::Kind;

namespace {

constexpr std::string_view kSampled =
    "GET /a?b HTTP/1.1\r\nHost: example.com\r\n"
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=1\r\n\r\n";

std::string traced(std::string_view world, std::string_view cluster = "",
                   std::string_view tracing = "sample = 1.0") {
  return "[tracing]\nendpoint = \"http://127.0.0.1:4318\"\n" + std::string(tracing) + "\n" +
         std::string(world) + std::string(cluster) + "\n";
}

// The spans so far, kept alive by their records.
struct Spans {
  explicit Spans(World& w) {
    w.spans().drain([this](std::string_view record) { records.emplace_back(record); });
    for (const std::string& record : records) all.push_back(proxy::SpanRing::read(record));
  }
  std::vector<proxy::Span> of(Kind kind) const {
    std::vector<proxy::Span> some;
    for (const proxy::Span& span : all) {
      if (span.facts.kind == kind) some.push_back(span);
    }
    return some;
  }
  std::vector<std::string> records;
  std::vector<proxy::Span> all;
};

std::string hex(std::uint64_t id) {
  std::string text(16, '\0');
  proxy::write_hex(text.data(), id);
  return text;
}

// The value of the n-th traceparent in what a backend received.
std::string traceparent(const RawPeer& peer, std::size_t n = 0) {
  const std::string name = "traceparent: ";
  std::size_t at = peer.received().find(name);
  for (; n > 0 && at != std::string::npos; --n) at = peer.received().find(name, at + 1);
  return at == std::string::npos ? "" : peer.received().substr(at + name.size(), 55);
}

std::string parent_of(const proxy::Span& span) {
  return "00-" + hex(span.facts.trace_high) + hex(span.facts.trace_low) + "-" + hex(span.facts.id) + "-01";
}

}  // namespace

TEST_CASE("an exchange and its attempt are spans of the caller's trace") {
  World w(traced(kOneBackend));
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client(0, "10.9.9.9:555");
  client->send(kSampled);
  w.settle();
  w.run_for(30ms);
  REQUIRE(backend.size() == 1);
  backend[0].send(kOk);
  w.settle();
  const Spans spans(w);
  REQUIRE(spans.all.size() == 2);
  const proxy::Span server = spans.of(Kind::kServer).at(0);
  const proxy::Span attempt = spans.of(Kind::kClient).at(0);
  CHECK(hex(server.facts.trace_high) + hex(server.facts.trace_low) == "0af7651916cd43dd8448eb211c80319c");
  CHECK(hex(server.facts.parent) == "b7ad6b7169203331");
  CHECK(server.facts.remote_parent);
  CHECK(attempt.facts.parent == server.facts.id);
  CHECK(traceparent(backend[0]) == parent_of(attempt));
  CHECK(contains(backend[0].received(), "tracestate: a=1\r\n"));
  CHECK(server.facts.status == 200);
  CHECK(server.facts.ended - server.facts.began >= 30ms);
  CHECK(attempt.facts.result == breaker::Result::kResponse);
  CHECK(server[SpanText::kMethod] == "GET");
  CHECK(server[SpanText::kPath] == "/a");
  CHECK(server[SpanText::kAuthority] == "example.com");
  CHECK(server[SpanText::kPeer] == "10.9.9.9");
  CHECK(server[SpanText::kListener] == "in");
  CHECK(server[SpanText::kCluster] == "app");
  CHECK(server[SpanText::kState] == "a=1");
  CHECK(attempt[SpanText::kPeer] == "10.0.0.1:80");
  CHECK(contains(w.log().at(0), "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\"}"));
}

TEST_CASE("without tracing the fields of a trace are nothing special") {
  World w(kOneBackend);
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend, std::string(kOk));
  auto client = w.client();
  client->send(
      "GET / HTTP/1.1\r\nHost: h\r\nTraceParent: nonsense\r\ntracestate: =\r\ntracestate: b\r\n\r\n");
  w.settle();
  CHECK(contains(backend[0].received(), "TraceParent: nonsense\r\ntracestate: =\r\ntracestate: b\r\n"));
  CHECK(Spans(w).all.empty());
  CHECK_FALSE(contains(w.log().at(0), "trace_id"));
}

TEST_CASE("what is not sampled leaves no span and is passed on") {
  World w(traced(kOneBackend, "", "sample = 0.0"));
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend, std::string(kOk));
  auto client = w.client();
  client->send(
      "GET / HTTP/1.1\r\nHost: h\r\ntraceparent: "
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\n\r\n");
  w.settle();
  client->send(kGet);
  w.settle();
  CHECK(traceparent(backend[0]) == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
  const std::string begun = traceparent(backend[0], 1);
  REQUIRE(begun.size() == 55);
  CHECK(begun.ends_with("-00"));
  CHECK(contains(w.log().at(1), "\"trace_id\":\"" + begun.substr(3, 32) + "\""));
  CHECK(Spans(w).all.empty());
}

TEST_CASE("each attempt is a span of its own, and the parent of what its endpoint does") {
  World w(traced(kTwoBackends, "retry = { attempts = 3, on = [\"503\"] }"));
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  World::answer(a, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
  World::answer(b, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
  auto client = w.client();
  client->send(kSampled);
  w.settle();
  w.run_for(2s);
  CHECK(status_of(client->received()) == 503);
  const Spans spans(w);
  const auto attempts = spans.of(Kind::kClient);
  REQUIRE(attempts.size() == 3);
  const proxy::Span server = spans.of(Kind::kServer).at(0);
  std::string received;
  for (RawServer* server_side : {&a, &b}) {
    for (std::size_t i = 0; i < server_side->size(); ++i) received += (*server_side)[i].received();
  }
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    CHECK(attempts[i].facts.resend == i);
    CHECK(attempts[i].facts.parent == server.facts.id);
    CHECK(attempts[i].facts.status == 503);
    CHECK(count_of(received, parent_of(attempts[i])) == 1);
  }
}

TEST_CASE("of two attempts at once the one that lost was cancelled") {
  World w(traced(kTwoBackends, "retry = { hedge = { after = \"100ms\" } }"));
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  auto client = w.client();
  client->send(kSampled);
  w.settle();
  w.run_for(150ms);
  REQUIRE(a.size() + b.size() == 2);
  RawServer& hedge = contains(a[0].received(), "X-Remora-Attempt") ? a : b;
  hedge[0].send(kOk);
  w.settle();
  const auto attempts = Spans(w).of(Kind::kClient);
  REQUIRE(attempts.size() == 2);
  CHECK(attempts[0].facts.result == breaker::Result::kIgnored);
  CHECK(attempts[0].facts.status == 0);
  CHECK_FALSE(attempts[0].facts.hedge);
  CHECK(attempts[1].facts.hedge);
  CHECK(attempts[1].facts.resend == 1);
  CHECK(attempts[1].facts.status == 200);
}

TEST_CASE("a dead pooled connection is an attempt too") {
  World w(traced(kOneBackend));
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend, std::string(kOk));
  auto client = w.client();
  client->send(kGet);
  w.settle();
  backend[0].when_received = [](RawPeer& peer) { peer.reset(); };
  client->send(kSampled);
  w.settle();
  const auto attempts = Spans(w).of(Kind::kClient);
  REQUIRE(attempts.size() == 3);
  CHECK(attempts[1].facts.result == breaker::Result::kReset);
  CHECK(attempts[1].facts.reused);
  CHECK(attempts[2].facts.status == 200);
  CHECK(attempts[2].facts.resend == 1);
  CHECK_FALSE(attempts[2].facts.reused);
}

TEST_CASE("what fails before there is an endpoint is a span, and so is what is no request") {
  struct Row {
    std::string_view request;
    unsigned status;
    Flag flag;
  };
  const Row rows[] = {
      {"GET /none HTTP/1.1\r\nHost: h\r\n\r\n", 404, Flag::kNoRoute},
      {"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 502, Flag::kUpstreamConnectFailure},
      {"GET  HTTP/1.1\r\n\r\n", 400, Flag::kDownstreamProtocolError},
      {"GET /a HTTP/1.1\r\nHost: h\r\nVia: 1.1 remora-test\r\n\r\n", 508, Flag::kLoopDetected},
  };
  for (const Row& row : rows) {
    CAPTURE(row.request);
    World w(traced(R"(
[[listener]]
name = "in"
address = "127.0.0.1:8080"
[[listener.route]]
path = "/a"
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80"]
retry = { attempts = 1 }
)"));
    auto client = w.client();
    client->send(row.request);
    w.settle();
    const Spans spans(w);
    REQUIRE(spans.of(Kind::kServer).size() == 1);
    CHECK(spans.of(Kind::kServer)[0].facts.status == row.status);
    CHECK(spans.of(Kind::kServer)[0].facts.flag == row.flag);
    CHECK(spans.of(Kind::kServer)[0].facts.parent == 0);
    const bool tried = row.flag == Flag::kUpstreamConnectFailure;
    CHECK(spans.of(Kind::kClient).size() == (tried ? 1 : 0));
    if (tried) CHECK(spans.of(Kind::kClient)[0].facts.result == breaker::Result::kConnectFailure);
  }
}

TEST_CASE("a tunnel is a span until it closes") {
  World w(traced(kOneBackend));
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
  auto client = w.client();
  client->send("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
  w.settle();
  CHECK(status_of(client->received()) == 101);
  w.run_for(5s);
  CHECK(Spans(w).all.empty());
  client->end();
  backend[0].end();
  w.settle();
  const Spans spans(w);
  REQUIRE(spans.all.size() == 2);
  for (const proxy::Span& span : spans.all) {
    CHECK(span.facts.status == 101);
    CHECK(span.facts.ended - span.facts.began >= 5s);
  }
}

TEST_CASE("a response that is cut short and a client that leaves are told apart") {
  World w(traced(kOneBackend));
  auto& backend = w.backend("10.0.0.1:80");
  auto client = w.client();
  client->send(kSampled);
  w.settle();
  backend[0].send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhi");
  w.settle();
  SUBCASE("cut short") {
    backend[0].reset();
    w.settle();
    const Spans spans(w);
    CHECK(spans.of(Kind::kServer).at(0).facts.flag == Flag::kUpstreamClosed);
    CHECK(spans.of(Kind::kClient).at(0).facts.result == breaker::Result::kReset);
    CHECK(spans.of(Kind::kClient).at(0).facts.status == 200);
  }
  SUBCASE("left") {
    client->reset();
    w.settle();
    const Spans spans(w);
    CHECK(spans.of(Kind::kServer).at(0).facts.flag == Flag::kDownstreamClosed);
    CHECK(spans.of(Kind::kClient).at(0).facts.result == breaker::Result::kIgnored);
  }
}

TEST_CASE(
    "a route may rewrite what goes up and take the trace out, and the span says what the client asked for") {
  World w(traced(R"(
[[listener]]
name = "in"
address = "127.0.0.1:8080"
[[listener.route]]
prefix = "/a"
rewrite = "/b"
cluster = "app"
request_headers = { remove = ["traceparent"], set = { Host = "inside" } }
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80"]
)"));
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend, std::string(kOk));
  auto client = w.client();
  client->send(kSampled);
  w.settle();
  CHECK_FALSE(contains(backend[0].received(), "traceparent"));
  const Spans spans(w);
  CHECK(spans.of(Kind::kServer).at(0)[SpanText::kPath] == "/a");
  CHECK(spans.of(Kind::kServer).at(0)[SpanText::kAuthority] == "example.com");
  CHECK(spans.of(Kind::kClient).at(0)[SpanText::kPath] == "/b");
  CHECK(spans.of(Kind::kClient).at(0)[SpanText::kAuthority] == "inside");
}

TEST_CASE("a ring that nobody empties drops and counts, and requests go on") {
  World w(traced(kOneBackend));
  World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
  auto client = w.client();
  constexpr std::size_t kRequests = 2000;
  for (std::size_t i = 0; i < kRequests; ++i) {
    client->send(kGet);
    w.settle();
  }
  CHECK(count_of(client->received(), "200 OK") == kRequests);
  const std::uint64_t dropped = w.spans().dropped();
  CHECK(dropped > 0);
  CHECK(Spans(w).all.size() + dropped == 2 * kRequests);
}

TEST_CASE("texts are cut, and what is read is what was written") {
  proxy::SpanRing ring(64 * 1024);
  proxy::Span span;
  span.facts.id = 7;
  const std::string path = "/" + std::string(5000, 'p');
  span[SpanText::kPath] = path;
  span[SpanText::kState] = "a=1";
  for (int round = 0; round < 1000; ++round) {  // round and round the ring
    span.facts.resend = static_cast<std::uint32_t>(round);
    ring.write(span);
    ring.write(span);
    int n = 0;
    ring.drain([&](std::string_view record) {
      const proxy::Span read = proxy::SpanRing::read(record);
      CHECK(read.facts.resend == span.facts.resend);
      CHECK(read[SpanText::kPath] == path.substr(0, 512));
      CHECK(read[SpanText::kState] == "a=1");
      CHECK(read[SpanText::kMethod].empty());
      ++n;
    });
    CHECK(n == 2);
  }
  CHECK(ring.dropped() == 0);
}

TEST_CASE("writing and passing on a trace allocates nothing once there is room") {
  http::FieldList fields;
  const config::TraceFormats formats{.w3c = true, .b3 = true, .b3_multi = true};
  proxy::SpanRing ring(64 * 1024);
  proxy::Span span;
  span[SpanText::kPath] = "/a";
  std::uint64_t news = 0;
  for (int round = 0; round < 3; ++round) {
    fields.clear();
    fields.add("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    fields.add("tracestate", "a=1");
    fields.add("tracestate", "b=1");
    const test::AllocCount count;
    const proxy::TraceContext context = proxy::read_trace(fields, formats);
    proxy::write_trace(fields, formats, context);
    proxy::rewrite_trace(fields, formats, context);
    ring.write(span);
    news = count.news();
  }
  CHECK(news == 0);
}
