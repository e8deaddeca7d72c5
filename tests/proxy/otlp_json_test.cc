// Spans as OpenTelemetry's collectors read them, and what their answers say.
#include "proxy/otlp_json.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "proxy/span_ring.h"

using namespace remora;
using namespace remora::proxy;
using Json = nlohmann::json;

namespace {

Json attributes(const Json& list) {
  Json plain = Json::object();
  for (const Json& one : list) plain[one["key"].get<std::string>()] = one["value"].items().begin().value();
  return plain;
}

// One span as it is delivered.
Json delivered(const Span& span) {
  SpanRing ring(64 * 1024);
  ring.write(span);
  std::vector<std::string> records;
  ring.drain([&](std::string_view record) { records.emplace_back(record); });
  const std::string text = otlp_request({.service = "s", .instance = "i", .version = "v"}, records, 1000);
  return Json::parse(text)["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
}

}  // namespace

TEST_CASE("a span is what OpenTelemetry calls one") {
  Span span;
  span.facts = {.trace_high = 0x0af7651916cd43dd,
                .trace_low = 0x8448eb211c80319c,
                .id = 0x00f067aa0ba902b7,
                .parent = 0xb7ad6b7169203331,
                .began = TimePoint(2s),
                .ended = TimePoint(2500ms),
                .status = 200,
                .remote_parent = true};
  span[SpanText::kMethod] = "GET";
  span[SpanText::kScheme] = "http";
  span[SpanText::kAuthority] = "example.com:8080";
  span[SpanText::kPath] = "/\xff\"\xc3\xa4";
  span[SpanText::kProtocol] = "1.1";
  span[SpanText::kPeer] = "10.0.0.7";
  span[SpanText::kListener] = "in";
  span[SpanText::kState] = "a=1";
  const Json json = delivered(span);
  CHECK(json["traceId"] == "0af7651916cd43dd8448eb211c80319c");
  CHECK(json["spanId"] == "00f067aa0ba902b7");
  CHECK(json["parentSpanId"] == "b7ad6b7169203331");
  CHECK(json["traceState"] == "a=1");
  CHECK(json["flags"] == 0x301);
  CHECK(json["kind"] == 2);
  CHECK(json["name"] == "GET");
  CHECK(json["startTimeUnixNano"] == "2001000000");
  CHECK(json["endTimeUnixNano"] == "2501000000");
  CHECK(json["status"] == Json::object());
  CHECK(attributes(json["attributes"]) == Json{{"http.request.method", "GET"},
                                               {"http.response.status_code", "200"},
                                               {"network.protocol.version", "1.1"},
                                               {"url.scheme", "http"},
                                               {"url.path", "/\xef\xbf\xbd\"\xc3\xa4"},
                                               {"server.address", "example.com"},
                                               {"server.port", "8080"},
                                               {"client.address", "10.0.0.7"},
                                               {"network.peer.address", "10.0.0.7"},
                                               {"remora.listener", "in"}});
}

TEST_CASE("an attempt's span says where it went, and of the rest only what is so") {
  Span span;
  span.facts.kind = SpanFacts::Kind::kClient;
  span.facts.resend = 2;
  span.facts.hedge = span.facts.reused = true;
  span[SpanText::kMethod] = "BREW";
  span[SpanText::kScheme] = "http";
  span[SpanText::kAuthority] = "h";
  span[SpanText::kPath] = "/x";
  span[SpanText::kEndpoint] = "app.internal:80";
  span[SpanText::kPeer] = "[::1]:80";
  const Json json = delivered(span);
  CHECK(json["name"] == "HTTP");
  CHECK(json["kind"] == 3);
  CHECK_FALSE(json.contains("parentSpanId"));
  CHECK(attributes(json["attributes"]) == Json{{"http.request.method", "_OTHER"},
                                               {"http.request.method_original", "BREW"},
                                               {"url.full", "http://h/x"},
                                               {"server.address", "app.internal"},
                                               {"server.port", "80"},
                                               {"network.peer.address", "::1"},
                                               {"network.peer.port", "80"},
                                               {"http.request.resend_count", "2"},
                                               {"remora.hedge", true},
                                               {"remora.connection_reused", true},
                                               {"remora.cancelled", true}});
}

TEST_CASE("what counts as an error of an exchange, and of an attempt") {
  using Kind = SpanFacts::Kind;
  struct Row {
    Kind kind;
    std::uint16_t status;
    Flag flag;
    breaker::Result result;
    std::string_view error;
  };
  using enum breaker::Result;
  const Row rows[] = {
      {Kind::kServer, 200, Flag::kNone, kIgnored, ""},
      {Kind::kServer, 404, Flag::kNoRoute, kIgnored, ""},
      {Kind::kServer, 429, Flag::kRateLimited, kIgnored, ""},
      {Kind::kServer, 500, Flag::kNone, kIgnored, "500"},
      {Kind::kServer, 503, Flag::kNoHealthyEndpoint, kIgnored, "503"},
      {Kind::kServer, 200, Flag::kUpstreamClosed, kIgnored, "UC"},
      {Kind::kServer, 200, Flag::kUpstreamTimeout, kIgnored, "UT"},
      {Kind::kServer, 200, Flag::kDownstreamClosed, kIgnored, ""},
      {Kind::kServer, 0, Flag::kDownstreamClosed, kIgnored, ""},
      {Kind::kClient, 200, Flag::kNone, kResponse, ""},
      {Kind::kClient, 101, Flag::kNone, kResponse, ""},
      {Kind::kClient, 404, Flag::kNone, kResponse, "404"},
      {Kind::kClient, 503, Flag::kNone, kIgnored, "503"},
      {Kind::kClient, 0, Flag::kNone, kIgnored, ""},
      {Kind::kClient, 0, Flag::kNone, kConnectFailure, "connect_failure"},
      {Kind::kClient, 0, Flag::kNone, kTimeout, "timeout"},
      {Kind::kClient, 200, Flag::kNone, kReset, "reset"},
      {Kind::kClient, 0, Flag::kNone, kRefused, "refused"},
  };
  for (const Row& row : rows) {
    Span span;
    span.facts.kind = row.kind;
    span.facts.status = row.status;
    span.facts.flag = row.flag;
    span.facts.result = row.result;
    const Json json = delivered(span);
    CAPTURE(json.dump());
    const Json plain = attributes(json["attributes"]);
    CHECK(plain.value("error.type", "") == row.error);
    CHECK(json["status"].value("code", 0) == (row.error.empty() ? 0 : 2));
    CHECK(plain.value("remora.flag", "-") == to_string(row.flag));
  }
}

TEST_CASE("how many spans were rejected is found wherever it stands") {
  CHECK(rejected_spans("") == 0);
  CHECK(rejected_spans("{}") == 0);
  CHECK(rejected_spans(R"({"partialSuccess":{}})") == 0);
  CHECK(rejected_spans(R"({"partialSuccess":{"errorMessage":"x","rejectedSpans":"12"}})") == 12);
  CHECK(rejected_spans(R"({"partialSuccess": {"rejectedSpans" : 3}})") == 3);
  CHECK(rejected_spans(R"({"partialSuccess":{"rejectedSpans":"-3"}})") == 0);
  CHECK(rejected_spans(R"({"rejectedSpans")") == 0);
  CHECK(rejected_spans(R"({"rejectedSpans":"99999999999999999999999"})") == 0);
}
