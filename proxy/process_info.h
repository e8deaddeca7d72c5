// What the process as a whole reports of itself, read from /proc.
//
// Thread: any; does file I/O on /proc, which does not wait. Fields that cannot be read are 0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "proxy/mesh_view.h"
#include "proxy/reload_report.h"
#include "proxy/tracing_status.h"

namespace remora::proxy {

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
};

ProcessInfo read_process_info(std::uint64_t access_log_dropped);

}  // namespace remora::proxy
