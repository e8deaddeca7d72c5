#include "proxy/net/uv_error.h"

#include <uv.h>

#include <array>
#include <string>

namespace remora::net {

namespace {

ErrorCode listen_code(int status) {
  switch (status) {
    case UV_EADDRNOTAVAIL:
    case UV_EAFNOSUPPORT:
    case UV_EINVAL:
    case UV_ENAMETOOLONG:
    case UV_ENOENT:
    case UV_ENOTDIR: return ErrorCode::kInvalid;
    default: return ErrorCode::kSystem;
  }
}

ErrorCode code_of(int status, Attempt attempt) {
  switch (status) {
    case UV_ECONNREFUSED: return ErrorCode::kConnectionRefused;
    case UV_ETIMEDOUT: return ErrorCode::kTimedOut;
    case UV_ECANCELED: return ErrorCode::kCancelled;
    case UV_EADDRINUSE: return ErrorCode::kAddressInUse;
    case UV_EACCES:
    case UV_EPERM: return ErrorCode::kPermissionDenied;
    case UV_EMFILE:
    case UV_ENFILE: return ErrorCode::kLimit;
    default: break;
  }
  switch (attempt) {
    case Attempt::kListen: return listen_code(status);
    case Attempt::kConnect: return status == UV_EINVAL ? ErrorCode::kInvalid : ErrorCode::kConnectFailed;
    case Attempt::kConnection: return ErrorCode::kReset;
  }
  return ErrorCode::kSystem;
}

}  // namespace

Error uv_error(int status, Attempt attempt, std::string_view what) {
  std::array<char, 128> text{};
  uv_strerror_r(status, text.data(), text.size());
  std::string detail(what);
  if (!detail.empty()) detail += ": ";
  detail += text.data();
  return {code_of(status, attempt), Side::kInternal, Retry::kNo, std::move(detail)};
}

}  // namespace remora::net
