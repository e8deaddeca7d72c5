// `remora top`: what the live page shows, in a terminal. Asks a running Remora once a second.
//
// Thread: main's, alone in the process.
#pragma once

#include <string>

namespace remora::proxy {

struct TopOptions {
  std::string server = "127.0.0.1:9901";  // the admin address: "host:port" or "unix:/path"
  bool once = false;                      // one frame to standard output, without escape codes
};

// The exit code: 0, or 2 for an address that is none, or 3 when nobody answers and it was to be once.
int run_top(const TopOptions& options);

}  // namespace remora::proxy
