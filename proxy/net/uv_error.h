// libuv's status codes as our Error values. For proxy/net only.
#pragma once

#include <string_view>

#include "base/error.h"

namespace remora::net {

// What was being attempted: the same status means different things to the caller.
enum class Attempt : std::uint8_t {
  kListen,      // socket, bind, listen
  kConnect,     // until a dialled stream is open
  kConnection,  // reading and writing afterwards
};

// `status` is a negative libuv status (on Unix: -errno). The detail is the system's text, preceded by `what`
// if given.
Error uv_error(int status, Attempt attempt, std::string_view what = {});

}  // namespace remora::net
