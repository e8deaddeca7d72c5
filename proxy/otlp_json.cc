#include "proxy/otlp_json.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/address.h"
#include "proxy/json_writer.h"
#include "proxy/span_ring.h"
#include "proxy/trace_context.h"

namespace remora::proxy {

namespace {

using Kind = SpanFacts::Kind;

// Of the protocol (opentelemetry/proto/trace/v1/trace.proto).
constexpr unsigned kKindServer = 2;
constexpr unsigned kKindClient = 3;
constexpr unsigned kStatusError = 2;
constexpr unsigned kFlagSampled = 0x1;
constexpr unsigned kFlagKnowsRemote = 0x100;
constexpr unsigned kFlagIsRemote = 0x200;

constexpr std::array<std::string_view, 9> kMethods{"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                                   "CONNECT", "OPTIONS", "TRACE", "PATCH"};

class Digits {
 public:
  explicit Digits(std::int64_t number) : end_(std::to_chars(text_, text_ + sizeof text_, number).ptr) {}
  std::string_view text() const { return {text_, end_}; }

 private:
  char text_[24];
  char* end_;
};

// The list that follows "attributes".
class Attributes final {
 public:
  explicit Attributes(JsonWriter& out) : out_(out) { out_.key("attributes").array(); }

  void text(std::string_view name, std::string_view value) {
    if (!value.empty()) begin(name).pair("stringValue", value).end_object().end_object();
  }
  void number(std::string_view name, std::int64_t value) {
    begin(name).pair("intValue", Digits(value).text()).end_object().end_object();
  }
  void truth(std::string_view name) { begin(name).pair("boolValue", true).end_object().end_object(); }
  // "host:port", or whatever else names a peer.
  void place(std::string_view address_name, std::string_view port_name, std::string_view place) {
    const auto parts = parse_host_port(place);
    text(address_name, parts ? std::string_view(parts->host) : place);
    if (parts) number(port_name, parts->port);
  }
  void end() { out_.end_array(); }

 private:
  JsonWriter& begin(std::string_view name) { return out_.object().pair("key", name).key("value").object(); }
  JsonWriter& out_;
};

void id(JsonWriter& out, std::string_view key, std::uint64_t value) {
  std::array<char, 16> text{};
  out.pair(key, std::string_view(text.data(), write_hex(text.data(), value)));
}

void time(JsonWriter& out, std::string_view key, TimePoint at, std::int64_t epoch_us) {
  const std::int64_t us = epoch_us + at.time_since_epoch().count();
  out.pair(key, Digits(std::max<std::int64_t>(us, 0) * 1000).text());
}

// Why an attempt has failed; "" if it has not.
std::string_view failure(breaker::Result result) {
  switch (result) {
    case breaker::Result::kConnectFailure: return "connect_failure";
    case breaker::Result::kRefused: return "refused";
    case breaker::Result::kReset: return "reset";
    case breaker::Result::kTimeout: return "timeout";
    case breaker::Result::kResponse:
    case breaker::Result::kIgnored: break;
  }
  return {};
}

// What error.type says; "" if nothing went wrong. Of an exchange, the client's own mistakes are none (4xx),
// nor is its leaving; of an attempt, every status from 400 on is one.
std::string error_type(const SpanFacts& facts) {
  const unsigned first_bad = facts.kind == Kind::kServer ? 500 : 400;
  if (facts.kind == Kind::kClient) {
    if (const auto why = failure(facts.result); !why.empty()) return std::string(why);
  }
  if (facts.status >= first_bad) return std::to_string(facts.status);
  const bool cut = facts.flag == Flag::kUpstreamClosed || facts.flag == Flag::kUpstreamTimeout;
  return facts.kind == Kind::kServer && cut ? std::string(to_string(facts.flag)) : std::string();
}

void server_attributes(Attributes& out, const Span& span) {
  out.text("url.scheme", span[SpanText::kScheme]);
  out.text("url.path", span[SpanText::kPath]);
  out.place("server.address", "server.port", span[SpanText::kAuthority]);
  out.text("client.address", span[SpanText::kPeer]);
  out.text("network.peer.address", span[SpanText::kPeer]);
  if (span.facts.flag != Flag::kNone) out.text("remora.flag", to_string(span.facts.flag));
}

void client_attributes(Attributes& out, const Span& span) {
  std::string url(span[SpanText::kScheme]);
  url.append("://").append(span[SpanText::kAuthority]).append(span[SpanText::kPath]);
  out.text("url.full", url);
  out.place("server.address", "server.port", span[SpanText::kEndpoint]);
  out.place("network.peer.address", "network.peer.port", span[SpanText::kPeer]);
  if (span.facts.resend > 0) out.number("http.request.resend_count", span.facts.resend);
  if (span.facts.hedge) out.truth("remora.hedge");
  if (span.facts.reused) out.truth("remora.connection_reused");
  const bool cancelled = span.facts.result == breaker::Result::kIgnored && span.facts.status < 400;
  if (cancelled) out.truth("remora.cancelled");
}

void write_attributes(JsonWriter& out, const Span& span, bool known_method, const std::string& error) {
  Attributes attributes(out);
  const std::string_view method = span[SpanText::kMethod];
  attributes.text("http.request.method", known_method ? method : "_OTHER");
  if (!known_method) attributes.text("http.request.method_original", method);
  if (span.facts.status > 0) attributes.number("http.response.status_code", span.facts.status);
  attributes.text("network.protocol.version", span[SpanText::kProtocol]);
  if (span.facts.kind == Kind::kServer) {
    server_attributes(attributes, span);
  } else {
    client_attributes(attributes, span);
  }
  attributes.text("remora.listener", span[SpanText::kListener]);
  attributes.text("remora.cluster", span[SpanText::kCluster]);
  attributes.text("error.type", error);
  attributes.end();
}

void write_span(JsonWriter& out, const Span& span, std::int64_t epoch_us) {
  const SpanFacts& facts = span.facts;
  std::array<char, 32> trace{};
  write_hex(write_hex(trace.data(), facts.trace_high), facts.trace_low);
  out.object().pair("traceId", std::string_view(trace.data(), trace.size()));
  id(out, "spanId", facts.id);
  if (facts.parent != 0) id(out, "parentSpanId", facts.parent);
  if (!span[SpanText::kState].empty()) out.pair("traceState", span[SpanText::kState]);
  out.pair("flags", kFlagSampled | kFlagKnowsRemote | (facts.remote_parent ? kFlagIsRemote : 0U));
  const std::string_view method = span[SpanText::kMethod];
  const bool known = std::ranges::find(kMethods, method) != kMethods.end();
  out.pair("name", known ? method : "HTTP");
  out.pair("kind", facts.kind == Kind::kServer ? kKindServer : kKindClient);
  time(out, "startTimeUnixNano", facts.began, epoch_us);
  time(out, "endTimeUnixNano", std::max(facts.began, facts.ended), epoch_us);
  const std::string error = error_type(facts);
  write_attributes(out, span, known, error);
  out.key("status").object();
  if (!error.empty()) out.pair("code", kStatusError);
  out.end_object().end_object();
}

void write_resource(JsonWriter& out, const SpanSource& source) {
  out.key("resource").object();
  Attributes attributes(out);
  attributes.text("service.name", source.service);
  attributes.text("service.instance.id", source.instance);
  attributes.text("telemetry.sdk.name", "remora");
  attributes.text("telemetry.sdk.language", "cpp");
  attributes.text("telemetry.sdk.version", source.version);
  attributes.end();
  out.end_object();
}

}  // namespace

std::string otlp_request(const SpanSource& source, std::span<const std::string> records,
                         std::int64_t epoch_us) {
  JsonWriter out;
  out.object().key("resourceSpans").array().object();
  write_resource(out, source);
  out.key("scopeSpans").array().object();
  out.key("scope").object().pair("name", "remora").pair("version", source.version).end_object();
  out.key("spans").array();
  for (const std::string& record : records) write_span(out, SpanRing::read(record), epoch_us);
  out.end_array().end_object().end_array();
  out.end_object().end_array().end_object();
  return out.take();
}

// The number stands as a string, as 64-bit numbers do, or bare.
std::uint64_t rejected_spans(std::string_view response_body) {
  constexpr std::string_view kKey = "\"rejectedSpans\"";
  const auto at = response_body.find(kKey);
  if (at == std::string_view::npos) return 0;
  std::string_view rest = response_body.substr(at + kKey.size());
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r\n:\""), rest.size()));
  std::uint64_t count = 0;
  std::from_chars(rest.data(), rest.data() + rest.size(), count);
  return count;
}

}  // namespace remora::proxy
