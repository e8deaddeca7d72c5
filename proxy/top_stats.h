// What `remora top` knows of a Remora: the answers of GET /stats and GET /events as values, and what happened
// between two of them. Texts are safe to print: no control characters are left in them.
//
// Pure. Thread: that of `remora top`.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace remora::proxy {

struct TopBreaker {
  std::string state = "closed";
  bool forced = false;
  std::optional<double> for_seconds;
  std::optional<double> probes_in_seconds;
};

struct TopEndpoint {
  std::string address;
  std::string why;  // "": available
  bool draining = false;
  double share = 1.0;
  std::uint64_t requests = 0;
  std::uint64_t failures = 0;
  std::uint64_t active = 0;
  TopBreaker breaker;
  std::string check_state;  // "": not checked
  std::string check_reason;
  std::optional<double> ejected_for;  // seconds from now; nullopt: not ejected
  std::string last_failure;           // "": none
};

struct TopCluster {
  std::string name;
  bool panic = false;
  bool anywhere = false;  // its endpoints are wherever connections are going
  std::optional<TopBreaker> shared_breaker;
  std::uint64_t pending = 0;
  std::vector<TopEndpoint> endpoints;
  std::vector<std::string> failing_sources = {};  // of its endpoints, each in a sentence
};

struct TopExchange {
  std::string key;  // of listener and cluster
  std::string cluster;
  std::array<std::uint64_t, 6> codes{};
  std::vector<std::uint64_t> buckets;
};

struct TopStats {
  std::string version;
  double uptime = 0.0;  // seconds
  bool ready = false;
  std::string not_ready_because;
  std::optional<double> rejected_ago;  // seconds since a reload was rejected; nullopt: the last one was not
  std::string rejected_because;        // the first error, and how many more
  std::uint64_t resident_bytes = 0;
  std::size_t workers = 0;            // that have answered
  std::string worker_ids;             // which
  std::uint64_t workers_missing = 0;  // that have not
  double loop_lag_ms = 0.0;           // the worst
  std::vector<std::string> loads;     // of workers that shed load: "worker 0: shed"
  std::uint64_t last_event = 0;
  std::vector<double> bounds_ms;
  std::vector<TopExchange> exchanges;
  std::vector<TopCluster> clusters;
};

struct TopEvent {
  std::uint64_t id = 0;
  double time = 0.0;  // seconds since 1970
  std::string what;   // "orders 10.0.0.1:80 breaker closed -> open, consecutive_failures"
};

// An answer that is not what a Remora sends is an error that says so.
Result<TopStats> parse_top_stats(std::string_view json);
// Oldest first.
Result<std::vector<TopEvent>> parse_top_events(std::string_view json);

// Requests between two answers, of one cluster or all.
struct TopTraffic {
  double seconds = 0.0;
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;  // 5xx
  std::vector<std::uint64_t> buckets;

  double rate() const { return seconds > 0 ? static_cast<double>(requests) / seconds : 0.0; }
  // nullopt: no requests.
  std::optional<double> error_share() const;
  // In milliseconds; within a bucket, requests are taken as evenly spread.
  std::optional<double> quantile(const std::vector<double>& bounds_ms, double q) const;
};

// Requests per second that an endpoint of a cluster got.
double endpoint_rate(const TopStats& then, const TopStats& now, const std::string& cluster,
                     const TopEndpoint& endpoint);

// nullptr: all clusters. Counters only grow while their object lives: one that is smaller began at 0.
TopTraffic traffic_between(const TopStats& then, const TopStats& now, const std::string* cluster);

}  // namespace remora::proxy
