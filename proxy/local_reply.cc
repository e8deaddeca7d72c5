#include "proxy/local_reply.h"

namespace remora::proxy {

LocalReply reply_to_bad_request(const Error& error) {
  switch (error.code) {
    case ErrorCode::kHeadersTooLarge:
      return {431, Flag::kDownstreamLimit, "header section too large\n", true};
    case ErrorCode::kUriTooLong: return {414, Flag::kDownstreamLimit, "URI too long\n", true};
    case ErrorCode::kBodyTooLarge: return {413, Flag::kDownstreamLimit, "request body too large\n", true};
    case ErrorCode::kTimedOut: return {408, Flag::kDownstreamTimeout, "request too slow\n", true};
    case ErrorCode::kUnsupportedCoding:
      return {501, Flag::kDownstreamProtocolError, "unsupported transfer coding\n", true};
    case ErrorCode::kUnsupportedVersion:
      return {505, Flag::kDownstreamProtocolError, "HTTP version not supported\n", true};
    case ErrorCode::kMethodNotAllowed:
      return {405, Flag::kDownstreamProtocolError, "method not allowed\n", true};
    case ErrorCode::kForbiddenFraming:
      return {400, Flag::kDownstreamProtocolError, "ambiguous message framing\n", true};
    default: return {400, Flag::kDownstreamProtocolError, "malformed request\n", true};
  }
}

LocalReply reply_to_connect_failure(const Error& error) {
  if (error.code == ErrorCode::kTimedOut) {
    return {504, Flag::kUpstreamConnectFailure, "connecting to the upstream timed out\n"};
  }
  if (error.stage == Stage::kTlsHandshake) {
    return {502, Flag::kUpstreamConnectFailure, "the TLS handshake with the upstream failed\n"};
  }
  return {502, Flag::kUpstreamConnectFailure,
          error.code == ErrorCode::kConnectionRefused
              ? std::string_view("the upstream refused the connection\n")
              : std::string_view("cannot connect to the upstream\n")};
}

LocalReply reply_to_upstream_failure(const Error& error) {
  switch (error.code) {
    case ErrorCode::kReset:
    case ErrorCode::kEndOfStream:
    case ErrorCode::kCancelled:
      return {502, Flag::kUpstreamClosed, "the upstream closed the connection without a response\n"};
    case ErrorCode::kTimedOut: return {504, Flag::kUpstreamTimeout, "the upstream did not answer in time\n"};
    default: return {502, Flag::kUpstreamProtocolError, "invalid response from the upstream\n"};
  }
}

std::size_t send_whole(Env& env, http::ServerStream& stream, http::ResponseHead& head, std::string_view body,
                       bool to_head, bool close) {
  if (!head.fields.has(http::FieldId::kDate)) head.fields.add(http::FieldId::kDate, env.date.text(env.now()));
  head.content_length = body.size();
  head.has_body = !to_head && !body.empty();
  stream.send_response(head, !head.has_body, close);
  if (!head.has_body) return 0;
  stream.send_body(body, true);
  return body.size();
}

std::size_t send_local_reply(Env& env, http::ServerStream& stream, const LocalReply& reply, bool to_head) {
  http::ResponseHead& head = env.scratch.response;
  head.clear();
  head.status = static_cast<std::uint16_t>(reply.status);
  head.fields.add(http::FieldId::kContentType, "text/plain");
  if (reply.flag != Flag::kNone)
    head.fields.add(http::FieldId::kXRemoraFlag, "x-remora-flag", to_string(reply.flag));
  if (reply.retry_after > Duration::zero()) {
    head.fields.add(http::FieldId::kRetryAfter,
                    std::to_string(std::chrono::ceil<std::chrono::seconds>(reply.retry_after).count()));
  }
  if (reply.status == 405) head.fields.add("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, TRACE, PATCH");
  return send_whole(env, stream, head, reply.reason, to_head, reply.close);
}

}  // namespace remora::proxy
