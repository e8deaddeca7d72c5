// What a worker counts, and the report it makes of it. Counters are plain integers of the worker's own:
// nothing is shared and nothing is atomic. When somebody scrapes, the control thread posts a request to every
// worker, each copies its numbers into a WorkerReport and posts that back; the control thread adds the
// reports up (proxy/metrics.h). So a series disappears with the object that counted it.
//
// Thread: the worker's until the report is posted, then the control thread's.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "breaker/overload.h"
#include "proxy/flag.h"

namespace remora::proxy {

// A histogram of durations in buckets whose bounds double from 64 us to 67 s: wide enough for a proxy, and
// finding the bucket is one instruction.
class Histogram final {
 public:
  static constexpr std::size_t kBounds = 21;
  // Upper bound of bucket i, inclusive.
  static constexpr Duration bound(std::size_t i) { return Duration{std::int64_t{64} << i}; }

  void observe(Duration value) {
    const auto us = static_cast<std::uint64_t>(std::max<Duration::rep>(value.count(), 0));
    const auto bucket = us <= 64 ? 0U : static_cast<unsigned>(std::bit_width((us - 1) >> 6U));
    ++buckets_[std::min<std::size_t>(bucket, kBounds)];
    sum_us_ += us;
  }
  void merge(const Histogram& other) {
    for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    sum_us_ += other.sum_us_;
  }
  // Not cumulative; the last one holds what is above every bound.
  const std::array<std::uint64_t, kBounds + 1>& buckets() const { return buckets_; }
  double sum_seconds() const { return static_cast<double>(sum_us_) / 1e6; }
  std::uint64_t count() const {
    std::uint64_t n = 0;
    for (const auto b : buckets_) n += b;
    return n;
  }

 private:
  std::array<std::uint64_t, kBounds + 1> buckets_{};
  std::uint64_t sum_us_ = 0;
};

// Exchanges of one listener that went to one cluster ("-": answered by Remora itself).
struct ExchangeStats {
  std::array<std::uint64_t, 6> codes{};  // [status / 100]; [0] = the client left before it got a status
  Histogram seconds;
  void count(unsigned status, Duration took) {
    const unsigned code_class = status / 100;
    ++codes[code_class < codes.size() ? code_class : 0];
    seconds.observe(took);
  }
};

// Bytes on the wire, framing included.
struct WireBytes {
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
  std::uint64_t spliced = 0;        // of both, what the kernel moved by itself
  std::uint64_t pipes_missing = 0;  // times that it could not, for want of a pipe
};

// TLS handshakes by their outcome.
struct TlsStats {
  std::uint64_t full = 0;
  std::uint64_t resumed = 0;
  std::uint64_t failed = 0;
  void merge(const TlsStats& more) {
    full += more.full;
    resumed += more.resumed;
    failed += more.failed;
  }
};

struct ListenerStats {
  std::uint64_t connections_total = 0;
  std::uint64_t connections_active = 0;
  std::uint64_t connections_refused = 0;  // over the connection limit
  std::uint64_t accept_paused = 0;        // descriptors ran out
  WireBytes bytes;
  TlsStats tls;
  std::array<std::uint64_t, kFlagCount> local_replies{};
};

struct EndpointStats {
  std::uint64_t requests = 0;
  std::uint64_t failures = 0;  // ended without a complete response because of the endpoint
  std::uint64_t connections_total = 0;
  std::uint64_t connect_failures = 0;
  std::uint64_t connections_active = 0;
  std::uint64_t connections_idle = 0;
  std::uint64_t requests_active = 0;
};

// The limits of a cluster that turn a request away, or make it wait.
enum class ClusterLimit : std::uint8_t { kRequests, kConnections, kAdaptive, kPending, kRetries, kCount };

struct ClusterCounts {
  TlsStats tls;
  std::uint64_t transparent_retries = 0;  // a pooled connection was found dead
  std::uint64_t retries = 0;              // by policy
  std::uint64_t retry_successes = 0;      // requests that were retried or hedged, and got a response
  std::uint64_t retry_failures = 0;       // and those that did not
  std::uint64_t hedges = 0;
  std::uint64_t hedge_wins = 0;        // the second attempt's answer was the first
  std::uint64_t budget_exhausted = 0;  // a retry was due, and not made
  std::uint64_t fallbacks = 0;
  std::uint64_t pending = 0;  // waiting now
  std::uint64_t pending_timeouts = 0;
  std::array<std::uint64_t, static_cast<std::size_t>(ClusterLimit::kCount)> limit_hits{};
};

// For a report.
struct ClusterStats : ClusterCounts {
  Histogram connect_seconds;
};

// Where a worker counts: of a cluster that nobody has asked yet there is no histogram.
struct ClusterCounters final : ClusterCounts {
  void connected(Duration took) {
    if (!connect_seconds) connect_seconds = std::make_unique<Histogram>();
    connect_seconds->observe(took);
  }
  ClusterStats stats() const {
    ClusterStats all{};
    static_cast<ClusterCounts&>(all) = static_cast<const ClusterCounts&>(*this);
    if (connect_seconds) all.connect_seconds = *connect_seconds;
    return all;
  }

  std::unique_ptr<Histogram> connect_seconds;
};

struct ListenerReport {
  std::string name;
  std::string address;
  bool tls = false;  // has [listener.tls]
  ListenerStats stats;
};

struct ExchangeReport {
  std::string listener;
  std::string cluster;
  ExchangeStats stats;
};

struct EndpointReport {
  std::string name;     // as configured
  std::string address;  // what it resolved to
  std::string zone;
  std::uint32_t weight = 1;
  std::uint32_t priority = 0;
  double latency_seconds = 0.0;
  EndpointStats stats;
};

struct ClusterReport {
  std::string name;
  bool tls = false;  // has [cluster.tls]
  ClusterStats stats;
  std::vector<EndpointReport> endpoints;
};

struct WorkerReport {
  unsigned worker = 0;
  std::vector<ListenerReport> listeners;
  std::vector<ExchangeReport> exchanges;
  std::vector<ClusterReport> clusters;
  Duration loop_lag{};  // the worst of the last 15 to 30 seconds
  breaker::Overload::Level load = breaker::Overload::Level::kNormal;
};

}  // namespace remora::proxy
