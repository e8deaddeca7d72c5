// The part of the exposition (proxy/metrics.h) about who is well, what is held back, and what is tried again.
//
// Pure; on the control thread.
#pragma once

#include <vector>

#include "proxy/cluster_view.h"
#include "proxy/metric_families.h"
#include "proxy/stats.h"

namespace remora::proxy {

// `total`: of all workers. The two need not know the same clusters and endpoints: each series comes from one
// of them.
void add_resilience(MetricFamilies& out, const WorkerReport& total, const std::vector<ClusterView>& views);

}  // namespace remora::proxy
