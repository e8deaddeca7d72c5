// The bodies of GET /stats and GET /events: what the live page and `remora top` ask for once a second.
// Compact, and what is as it should be is left out: a page of 2000 endpoints that are well stays small. Keys
// are stable; docs/admin.md lists them.
//
// Pure; on the control thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/cluster_view.h"
#include "proxy/event_ring.h"
#include "proxy/process_info.h"
#include "proxy/reload_report.h"
#include "proxy/stats.h"

namespace remora::proxy {

// What /stats says of the process as a whole.
struct ProcessStatus {
  ProcessInfo info;
  double now = 0.0;              // seconds since 1970
  Duration uptime{};             // of the process, on a clock that does not jump
  std::string not_ready_reason;  // "": ready
  std::size_t workers = 0;       // that there are; one that hangs sends no report
  std::uint64_t last_event = 0;
  const ReloadReport* rejected = nullptr;  // the last reload, if it was; valid until the next
  std::vector<std::string_view> pages;     // that this server has
};

// Durations end in _seconds or _ms; counters only grow while their object lives.
//
//   {"version", "time", "uptime_seconds", "ready", "not_ready_because"?, "last_event", "pages": [],
//    "reload_rejected"?: the last one was: {"seconds_ago", "errors": how many, "first": of them},
//    "process": {"resident_bytes", "cpu_seconds", "open_fds", "max_fds", "threads"},
//    "workers": [{"worker", "loop_lag_ms", "load"}], "workers_missing"?: how many did not answer within a
//      second; their numbers are missing from every counter,
//    "bounds_ms": [] upper bounds of the buckets; the last bucket has none,
//    "listeners": [{"name", "address", "connections", "connections_total", "connections_refused",
//      "received_bytes", "sent_bytes", "local_replies": {FLAG: n}}],
//    "exchanges": [{"listener", "cluster", "codes": [6] by status / 100, "sum_seconds", "buckets": []}],
//    "clusters": [{"name", "panic"?, "pending"?, "retries"?,
//      "shared_breaker"?: one for all endpoints, "breaker"?: that one,
//      "endpoints": [{"address", "name"?: if other than the address, "zone"?, "why"?: not available,
//        "draining"?, "share"?: less than 1, "requests", "failures"?, "active"?, "connections"?,
//        "latency_ms"?,
//        "breaker"?: {"state", "forced"?, "reason"?, "changed_seconds_ago"?, "probes_in_seconds"?,
//          "openings"?, "consecutive_failures"?},
//        "check"?: {"state", "reason"?, "failed_seconds_ago"?},
//        "outlier"?: {"ejected", "for_seconds"?, "ejections", "reason"?},
//        "last_failure"?: {"what", "seconds_ago"}}]}]}
//
// A listener appears once a worker has reported it. "?": left out when there is nothing to say, of a breaker
// that is closed and has counted no failure, for instance.
std::string stats_json(const std::vector<WorkerReport>& reports, const std::vector<ClusterView>& views,
                       const ProcessStatus& process);

// {"last", "events": [{"id", "time", "seconds_ago", "kind", "cluster"?, "endpoint"?, "from"?, "to",
// "reason"?}]}, oldest first; those after `since`. `now` belongs to `unix_seconds`.
std::string events_json(const EventRing& events, std::uint64_t since, TimePoint now, double unix_seconds);

}  // namespace remora::proxy
