#include "proxy/http/framing.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace remora::http {
namespace {

constexpr auto kLongestBody = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

Fault forbidden(std::string_view detail) { return Fault{ErrorCode::kForbiddenFraming, detail}; }

// Why Transfer-Encoding is refused; nullopt when it is exactly one `chunked`.
std::optional<Fault> check_codings(const FieldList& fields) {
  bool other = false;
  bool chunked = false;
  bool after_chunked = false;
  bool repeated = false;
  for (const Field& field : fields.raw()) {
    if (field.removed || field.id != FieldId::kTransferEncoding) continue;
    for_each_element(fields.value(field), [&](std::string_view coding) {
      after_chunked = after_chunked || chunked;
      if (equals_ignore_case(coding, "chunked")) {
        repeated = repeated || chunked;
        chunked = true;
      } else {
        other = true;
      }
    });
  }
  if (after_chunked) return forbidden(repeated ? "chunked twice" : "chunked is not the last transfer coding");
  if (other) return Fault{ErrorCode::kUnsupportedCoding, "transfer coding other than chunked"};
  const bool exact = fields.count(FieldId::kTransferEncoding) == 1 &&
                     equals_ignore_case(*fields.get(FieldId::kTransferEncoding), "chunked");
  if (!exact) return forbidden("Transfer-Encoding is not exactly chunked");
  return std::nullopt;
}

std::optional<Fault> read_length(const FieldList& fields, Framing& framing) {
  if (fields.count(FieldId::kContentLength) > 1) return forbidden("more than one Content-Length");
  const std::string_view text = *fields.get(FieldId::kContentLength);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > kLongestBody) {
    return forbidden("Content-Length is not a number");
  }
  framing.length = value;
  return std::nullopt;
}

// Fields that RFC 9110 section 6.5.1 keeps out of trailers and that have no id of their own.
constexpr std::string_view kForbiddenTrailers[] = {"age",
                                                   "content-range",
                                                   "expires",
                                                   "http2-settings",
                                                   "if-match",
                                                   "if-modified-since",
                                                   "if-none-match",
                                                   "if-range",
                                                   "location",
                                                   "if-unmodified-since",
                                                   "range",
                                                   "vary",
                                                   "warning",
                                                   "pragma",
                                                   "authorization",
                                                   "www-authenticate",
                                                   "x-forwarded-port",
                                                   "authentication-info"};

bool is_forbidden_trailer(FieldId id, std::string_view name) {
  switch (id) {
    case FieldId::kOther:
      return std::any_of(std::begin(kForbiddenTrailers), std::end(kForbiddenTrailers),
                         [name](std::string_view forbidden) { return equals_ignore_case(name, forbidden); });
    case FieldId::kAuthorization:
    case FieldId::kCacheControl:
    case FieldId::kConnection:
    case FieldId::kContentEncoding:
    case FieldId::kContentType:
    case FieldId::kCookie:
    case FieldId::kDate:
    case FieldId::kExpect:
    case FieldId::kForwarded:
    case FieldId::kHost:
    case FieldId::kIdempotencyKey:
    case FieldId::kKeepAlive:
    case FieldId::kMaxForwards:
    case FieldId::kProxyAuthenticate:
    case FieldId::kProxyAuthorization:
    case FieldId::kProxyConnection:
    case FieldId::kRetryAfter:
    case FieldId::kSetCookie:
    case FieldId::kTe:
    case FieldId::kTraceparent:
    case FieldId::kTracestate:
    case FieldId::kTrailer:
    case FieldId::kUpgrade:
    case FieldId::kVia:
    case FieldId::kXForwardedFor:
    case FieldId::kXForwardedHost:
    case FieldId::kXForwardedProto:
    case FieldId::kXForwardedClientCert:
    case FieldId::kXRequestId:
    case FieldId::kXRequestTimeoutMs:
    case FieldId::kXRemoraAttempt:
    case FieldId::kXRemoraFlag: return true;
    default: return false;
  }
}

}  // namespace

std::optional<Fault> read_framing(const FieldList& fields, Version version, Framing& framing) {
  if (fields.has(FieldId::kTransferEncoding)) {
    if (fields.has(FieldId::kContentLength)) return forbidden("Content-Length with Transfer-Encoding");
    if (!version.at_least_1_1()) return forbidden("Transfer-Encoding on HTTP/1.0");
    if (auto fault = check_codings(fields)) return fault;
    framing.chunked = true;
    return std::nullopt;
  }
  if (fields.has(FieldId::kContentLength)) return read_length(fields, framing);
  return std::nullopt;
}

ConnectionOptions read_connection(const FieldList& fields) {
  ConnectionOptions options;
  if (!fields.has(FieldId::kConnection)) return options;
  for (const Field& field : fields.raw()) {
    if (field.removed || field.id != FieldId::kConnection) continue;
    for_each_element(fields.value(field), [&options](std::string_view option) {
      if (equals_ignore_case(option, "close")) options.close = true;
      if (equals_ignore_case(option, "keep-alive")) options.keep_alive = true;
      if (equals_ignore_case(option, "upgrade")) options.upgrade = true;
    });
  }
  return options;
}

bool is_forwardable_upgrade(const FieldList& fields) {
  bool any = false;
  bool http2 = false;
  for (const Field& field : fields.raw()) {
    if (field.removed || field.id != FieldId::kUpgrade) continue;
    for_each_element(fields.value(field), [&](std::string_view protocol) {
      any = true;
      http2 = http2 || equals_ignore_case(protocol, "h2c") || equals_ignore_case(protocol, "h2");
    });
  }
  return any && !http2;
}

std::optional<Fault> filter_trailers(FieldList& trailers) {
  if (trailers.has(FieldId::kContentLength)) return forbidden("Content-Length in trailers");
  if (trailers.has(FieldId::kTransferEncoding)) return forbidden("Transfer-Encoding in trailers");
  for (std::size_t i = 0; i < trailers.raw().size(); ++i) {
    const Field& field = trailers.raw()[i];
    if (is_forbidden_trailer(field.id, trailers.name(field))) trailers.remove_at(i);
  }
  return std::nullopt;
}

}  // namespace remora::http
