// The bodies of the admin server's JSON pages, as functions of what they show. Keys are stable.
//
// Pure; on the control thread.
#pragma once

#include <string>
#include <vector>

#include "proxy/stats.h"

namespace remora::proxy {

// GET /clusters: every cluster with its endpoints as the workers see them, added up (proxy/report.h).
//   {"clusters": [{"name", "transparent_retries", "endpoints": [{"name", "address", "zone", "weight",
//   "priority", "available",
//     "latency_ms" (0: not measured), "active_requests", "active_connections", "idle_connections",
//     "connections", "connect_failures", "requests", "failures"}]}]}
std::string clusters_json(const std::vector<WorkerReport>& reports);

}  // namespace remora::proxy
