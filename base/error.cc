#include "base/error.h"

namespace remora {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kMalformedMessage: return "malformed message";
    case ErrorCode::kForbiddenFraming: return "forbidden framing";
    case ErrorCode::kUnsupportedCoding: return "unsupported transfer coding";
    case ErrorCode::kUnsupportedVersion: return "unsupported HTTP version";
    case ErrorCode::kHeadersTooLarge: return "header section too large";
    case ErrorCode::kUriTooLong: return "URI too long";
    case ErrorCode::kBodyTooLarge: return "body too large";
    case ErrorCode::kMethodNotAllowed: return "method not allowed";
    case ErrorCode::kConnectionRefused: return "connection refused";
    case ErrorCode::kConnectFailed: return "connect failed";
    case ErrorCode::kTimedOut: return "timed out";
    case ErrorCode::kReset: return "connection reset";
    case ErrorCode::kEndOfStream: return "connection closed early";
    case ErrorCode::kAddressInUse: return "address in use";
    case ErrorCode::kPermissionDenied: return "permission denied";
    case ErrorCode::kLimit: return "limit reached";
    case ErrorCode::kCancelled: return "cancelled";
    case ErrorCode::kResolveFailed: return "name not resolved";
    case ErrorCode::kInvalid: return "invalid";
    case ErrorCode::kSystem: return "system error";
  }
  return "unknown error";
}

}  // namespace remora
