// `remora ready`: whether a running Remora serves, as an exit code. For postStart hooks, health checks of
// containers, scripts.
//
// Thread: main's, alone in the process.
#pragma once

#include <string>

namespace remora::proxy {

struct ReadyOptions {
  std::string server = "127.0.0.1:9901";  // the admin address: "host:port" or "unix:/path"
  std::string wait = "0";                 // how long to wait until it is: "30s". 0: it is asked once
};

// The exit code: 0 when /readyz says so, 1 when it does not or nobody answers in time, 2 for an address or a
// duration that is none.
int run_ready(const ReadyOptions& options);

}  // namespace remora::proxy
