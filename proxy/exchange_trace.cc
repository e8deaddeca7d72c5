// The trace of an exchange: what it came with, what goes on, and the spans that say afterwards how it went.
// Without [tracing] nothing here is called.
#include "proxy/exchange.h"

namespace remora::proxy {

namespace {

using Sampling = TraceContext::Sampling;

std::uint64_t new_id(Random& random) {
  std::uint64_t id = random.next();
  while (id == 0) id = random.next();
  return id;
}

}  // namespace

// Goes on with the caller's trace, or begins one. Its caller has decided whether it is recorded; where nobody
// has, the ratio does.
void Exchange::begin_trace() {
  const config::Tracing& settings = *origin_.listener->tracing;
  const config::TraceFormats& formats = settings.propagation;
  TraceContext& context = trace_.context;
  context = read_trace(request_.fields, formats);
  const bool known = context.known();
  trace_.parent = context.span;
  if (!known) {
    context.trace_high = new_id(env_.random);
    context.trace_low = new_id(env_.random);
  }
  if (context.sampling == Sampling::kUnsaid) {
    context.sampling = in_sample(context.trace_low, settings.sample) ? Sampling::kYes : Sampling::kNo;
  }
  trace_.recording = context.sampling == Sampling::kYes && env_.spans != nullptr;
  if (trace_.recording || !known) context.span = trace_.span = new_id(env_.random);
  // What only passes by is as right as it came, unless another format has to agree with it.
  const bool passes_by = known && !trace_.recording && !formats.b3 && !formats.b3_multi;
  if (!passes_by) write_trace(request_.fields, formats, context);
}

// Each attempt is the parent of what its endpoint does.
void Exchange::trace_attempt(Attempt& attempt) { attempt.trace(new_id(env_.random), attempts_ - 1); }

void Exchange::write_attempt_trace(const Attempt& attempt) {
  TraceContext context = trace_.context;
  context.span = attempt.span();
  rewrite_trace(request_.fields, origin_.listener->tracing->propagation, context);
}

// What both kinds of span have in common.
Span Exchange::span_of_request() const {
  Span span;
  span.facts.trace_high = trace_.context.trace_high;
  span.facts.trace_low = trace_.context.trace_low;
  span.facts.ended = env_.now();
  span[SpanText::kMethod] = request_.method;
  span[SpanText::kListener] = origin_.listener->settings.name;
  if (const auto state = request_.fields.get(http::FieldId::kTracestate);
      state && origin_.listener->tracing->propagation.w3c) {
    span[SpanText::kState] = *state;
  }
  if (cluster_ != origin_.listener->local()) span[SpanText::kCluster] = cluster_settings().name;
  return span;
}

void Exchange::record_attempt(const Attempt& attempt, breaker::Result result) {
  Span span = span_of_request();
  span.facts.id = attempt.span();
  span.facts.parent = trace_.span;
  span.facts.began = attempt.opened_at();
  span.facts.resend = attempt.resend();
  span.facts.status = static_cast<std::uint16_t>(attempt.status());
  span.facts.kind = SpanFacts::Kind::kClient;
  span.facts.result = result;
  span.facts.hedge = &attempt == hedge_;
  span.facts.reused = attempt.reused();
  const ClusterEndpoint& endpoint = attempt.lease().endpoint();
  span[SpanText::kScheme] = cluster_settings().tls ? "https" : "http";
  span[SpanText::kAuthority] = request_.authority;
  span[SpanText::kPath] = request_.path();
  span[SpanText::kProtocol] = "1.1";
  span[SpanText::kPeer] = endpoint.address_text;
  span[SpanText::kEndpoint] = endpoint.info().name;
  env_.spans->write(span);
}

// As the client has seen it: what a route has rewritten is the attempts' affair.
void Exchange::record_exchange() {
  Span span = span_of_request();
  span.facts.id = trace_.span;
  span.facts.parent = trace_.parent;
  span.facts.remote_parent = trace_.parent != 0;
  span.facts.began = started_;
  span.facts.status = static_cast<std::uint16_t>(status_);
  span.facts.flag = flag_;
  span[SpanText::kScheme] = scheme();
  span[SpanText::kAuthority] = client_authority_.empty() ? request_.authority : client_authority_;
  const std::string_view target = client_target_.empty() ? request_.target : client_target_;
  span[SpanText::kPath] = target.substr(0, target.find('?'));
  span[SpanText::kProtocol] = request_.version.at_least_1_1() ? "1.1" : "1.0";
  span[SpanText::kPeer] = origin_.peer_host;
  env_.spans->write(span);
}

}  // namespace remora::proxy
