// Why a health check failed, in the words that the log and the pages show: one line that needs no manual.
// Nothing of what the peer sent is in it.
//
// Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/time.h"
#include "proxy/probe_search.h"

namespace remora::proxy {

// "connection refused", "network is unreachable", "connect failed".
std::string connect_failure(const Error& error);

// `what` did not come in time: "no answer within 1s".
std::string too_late(std::string_view what, Duration timeout);

// `where` did not have `text`: `body does not contain "ok"`, with " in its first 64 KiB" when there was more.
std::string not_found(std::string_view where, std::string_view text, const ProbeSearch& search);

}  // namespace remora::proxy
