// Adds the workers' reports up to one for the process: what /metrics and /clusters show.
//
// Pure; on the control thread. O(n log n) in the number of series.
#pragma once

#include <vector>

#include "proxy/stats.h"

namespace remora::proxy {

// Listeners are matched by name, exchanges by listener and cluster, clusters by name, endpoints by address
// within a cluster; the order is that of first sight. Counters and gauges are sums; latency, loop lag and
// load level are the worst. `worker` of the result means nothing.
WorkerReport merge_reports(const std::vector<WorkerReport>& reports);

}  // namespace remora::proxy
