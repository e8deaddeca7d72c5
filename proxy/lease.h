// The right to use one endpoint for one attempt: what it counts against (load, limits, breaker), given back
// and reported exactly once.
//
//   taken        Cluster::acquire
//   answered()   the response's head has come, or a tunnel is open: the breaker need not wait for the end
//   finish()     the attempt is over, with what came of it; destruction is finish(ignored)
//
// Thread: the worker's. Owner: the Attempt.
#pragma once

#include <optional>
#include <utility>

#include "base/time.h"
#include "breaker/circuit_breaker.h"
#include "breaker/limiter.h"
#include "breaker/outcome.h"
#include "proxy/upstream_pool.h"

namespace remora::proxy {

class Cluster;
struct ClusterEndpoint;

class Lease final {
 public:
  Lease() = default;
  Lease(Lease&& other) noexcept { swap(other); }
  Lease& operator=(Lease&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Lease() { finish({}, std::nullopt); }

  explicit operator bool() const { return endpoint_ != nullptr; }
  ClusterEndpoint& endpoint() const { return *endpoint_; }
  // For UpstreamPool::open: room for the connection that may have to be dialled.
  UpstreamPool::Permits take_connection_permits() { return std::move(connection_); }

  // `latency`: from the request's sending to the response's head, if it came; of a tunnel, to connect.
  void answered(const breaker::Outcome& outcome, std::optional<Duration> latency);
  // The breaker's half-open phase depends on this attempt.
  bool is_probe() const { return ticket_.probe; }
  // `latency`: the same, if a head came.
  void finish(const breaker::Outcome& outcome, std::optional<Duration> latency);

 private:
  friend class Cluster;
  void swap(Lease& other) noexcept {
    std::swap(cluster_, other.cluster_);
    std::swap(endpoint_, other.endpoint_);
    std::swap(ticket_, other.ticket_);
    std::swap(breaker_, other.breaker_);
    std::swap(reported_, other.reported_);
    std::swap(permits_, other.permits_);
    std::swap(connection_, other.connection_);
  }

  struct Permits {
    breaker::Permit endpoint;
    breaker::Permit cluster;
    breaker::Permit adaptive;
    breaker::Permit retry;
  };

  Cluster* cluster_ = nullptr;
  ClusterEndpoint* endpoint_ = nullptr;
  breaker::CircuitBreaker::Ticket ticket_;
  breaker::CircuitBreaker* breaker_ = nullptr;  // which gave it
  bool reported_ = false;                       // the breaker knows already how it went
  Permits permits_;
  UpstreamPool::Permits connection_;
};

}  // namespace remora::proxy
