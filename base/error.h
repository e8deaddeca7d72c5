// The one error value. It says what happened, which side it came from, and whether trying again is safe, so
// that nobody downstream has to compare strings to decide.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace remora {

enum class Side : std::uint8_t { kDownstream, kUpstream, kInternal };

// Whether the same request may be tried again as far as this error is concerned. kIfReused: only when the
// connection had served a request before, because then the peer may have closed it before it saw this one.
enum class Retry : std::uint8_t { kNo, kYes, kIfReused };

enum class ErrorCode : std::uint8_t {
  kMalformedMessage,    // the bytes are not a message of the protocol
  kForbiddenFraming,    // Content-Length / Transfer-Encoding that two parsers could read differently
  kUnsupportedCoding,   // a transfer coding other than chunked
  kUnsupportedVersion,  // HTTP major version other than 1 on the text parser
  kHeadersTooLarge,     // header section over its byte or field limit
  kUriTooLong,          // request line over the header byte limit
  kBodyTooLarge,        // body over its limit
  kMethodNotAllowed,    // a method this proxy does not serve (CONNECT)
  kConnectionRefused,
  kConnectFailed,  // unreachable, no route, or another failure to connect
  kTimedOut,
  kReset,        // the peer reset the connection, or it failed
  kEndOfStream,  // the peer closed in the middle of a message
  kAddressInUse,
  kPermissionDenied,
  kLimit,          // an own limit is reached (descriptors, connections)
  kCancelled,      // we gave up ourselves
  kResolveFailed,  // a name has no address
  kInvalid,        // an argument that cannot be used
  kSystem,         // any other failure of the operating system; `detail` says which
};

// What it put an end to, where the code does not say it.
enum class Stage : std::uint8_t { kAny, kTlsHandshake };

struct Error {
  ErrorCode code = ErrorCode::kSystem;
  Side side = Side::kInternal;
  Retry retry = Retry::kNo;
  Stage stage = Stage::kAny;
  std::string detail;  // one line for people; may be empty

  Error() = default;
  Error(ErrorCode c, Side s, Retry r = Retry::kNo, std::string d = {})
      : code(c), side(s), retry(r), detail(std::move(d)) {}
};

inline Error in_tls_handshake(Error error) {
  error.stage = Stage::kTlsHandshake;
  return error;
}

template <typename T>
using Result = std::expected<T, Error>;

// A short stable name of the code, for logs. Never empty.
std::string_view to_string(ErrorCode code);

}  // namespace remora
