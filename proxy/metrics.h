// The Prometheus text exposition (version 0.0.4): what the workers report, and what is known of the clusters'
// health. docs/metrics.md lists every metric; a test compares.
//
// Labels come from the configuration (listener, cluster), from it or its DNS answers (endpoint: the address),
// or from a fixed set (code, flag, side, state ...): never from a request.
//
// Pure; on the control thread. Milliseconds for thousands of series: not for a worker.
#pragma once

#include <string>
#include <vector>

#include "proxy/cluster_view.h"
#include "proxy/process_info.h"
#include "proxy/stats.h"

namespace remora::proxy {

// Numbers come from the reports, availability and states from the views. A cluster or endpoint that only one
// of them knows has the series of that one.
std::string exposition(const std::vector<WorkerReport>& reports, const std::vector<ClusterView>& views,
                       const ProcessInfo& process);

}  // namespace remora::proxy
