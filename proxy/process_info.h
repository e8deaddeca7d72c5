// What the process as a whole reports of itself: of /proc (ProcessFiles), and of those who know the rest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/mesh_view.h"
#include "proxy/reload_report.h"
#include "proxy/tracing_status.h"

namespace remora::proxy {

// What is known of the files of TLS: each certificate of ours, with its end in seconds since 1970; and how
// often files that had changed were taken over, or could not be used.
struct TlsFiles {
  std::vector<std::pair<std::string, std::int64_t>> expiries;
  std::uint64_t taken_over = 0;
  std::uint64_t rejected = 0;
  std::uint64_t bad = 0;  // listeners and clusters whose files, as they are now, cannot be used
  bool in_use = false;    // somebody speaks TLS
};

struct ProcessInfo {
  std::string version;
  double cpu_seconds = 0.0;         // user and system
  double start_time_seconds = 0.0;  // since 1970
  std::uint64_t resident_bytes = 0;
  std::uint64_t virtual_bytes = 0;
  std::uint64_t open_fds = 0;
  std::uint64_t max_fds = 0;  // the soft limit
  std::uint64_t threads = 0;
  std::uint64_t access_log_dropped = 0;  // lines
  ReloadStatus reloads;                  // for whoever knows them to fill in
  std::optional<MeshNumbers> mesh;       // so are these; nullopt: there is no mesh
  TracingStatus tracing;                 // the same
  TlsFiles tls;                          // the same
};

}  // namespace remora::proxy
