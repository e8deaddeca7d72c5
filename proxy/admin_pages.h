// The bodies of the page about clusters, as functions of what they show. Keys are stable.
//
// Pure; on the control thread.
#pragma once

#include <string>
#include <vector>

#include "proxy/cluster_view.h"
#include "proxy/stats.h"

namespace remora::proxy {

// GET /clusters: every cluster with its endpoints. What the control thread knows of them comes from the
// views, the numbers of the workers, added up, from the reports (proxy/report.h). A cluster or endpoint that
// no worker has reported has null for those numbers. One that only workers still know is gone: an endpoint
// unavailable as "removed", with null for what the view would say.
//
// Durations are seconds, how long ago or from now; words are those of to_string().
//
//   {"clusters": [{
//     "name", "panic",
//     "limits": {"requests", "connections", "pending", "retries", "adaptive" (null: off)}, each
//       {"limit" (null: unlimited), "in_use" (null: not counted)},
//     "retry_budget_left",
//     "retries": {"made", "succeeded", "failed", "hedges", "hedge_wins", "budget_exhausted", "transparent"},
//     "fallbacks", "pending_timeouts", "ejections_suppressed",
//     "breaker": as below, of the whole cluster; null: each endpoint has its own,
//     "sources": [{"source": "static", "file", "dns", "srv" or "swim", "name" (null: static), "state":
//       "waiting", "good", "stale" (the last good answer is in use) or "failing" (there was none yet),
//       "endpoints" (that it knows), "answered_seconds_ago" (the last good one), "failures", "last_error",
//       "failed_seconds_ago"}],
//     "endpoints": [{
//       "name", "address", "zone", "weight", "priority",
//       "available", "unavailable_because" (null: available), "share" (of its weight), "draining",
//       "member" (of the mesh: "alive", "suspect"; null: of none),
//       "breaker": {"state", "forced", "reason" (of the last transition), "changed_seconds_ago",
//         "probes_in_seconds" (null: not open, or until told), "openings", "consecutive_failures",
//         "probes_in_flight", "window": {"total", "failed", "slow"}}; null: the cluster's decides,
//       "health_check": {"state", "last_reason", "failed_seconds_ago", "changed_seconds_ago", "passes",
//         "failures"}; null: not checked,
//       "outlier": {"ejected", "for_seconds", "ejections", "last_reason", "last_detail"}; null: not watched,
//       "latency_ms" (0: not measured), "active_requests", "active_connections", "idle_connections",
//       "connections", "connect_failures", "requests", "failures"}]}]}
//
// Where nothing has happened yet, its reason and time are null.
std::string clusters_json(const std::vector<WorkerReport>& reports, const std::vector<ClusterView>& views);

// The same for people, without numbers: where endpoints come from, and which may be used. What peers have
// sent is made printable.
std::string clusters_text(const std::vector<ClusterView>& views);

}  // namespace remora::proxy
