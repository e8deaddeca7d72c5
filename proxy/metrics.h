// The Prometheus text exposition (version 0.0.4) of the workers' reports. docs/metrics.md lists every metric;
// a test compares.
//
// Labels come from the configuration (listener, cluster), from it or its DNS answers (endpoint: the address),
// or from a fixed set (code, flag, side, state ...): never from a request.
//
// Pure; on the control thread. Milliseconds for thousands of series: not for a worker.
#pragma once

#include <string>
#include <vector>

#include "proxy/process_info.h"
#include "proxy/stats.h"

namespace remora::proxy {

std::string exposition(const std::vector<WorkerReport>& reports, const ProcessInfo& process);

}  // namespace remora::proxy
