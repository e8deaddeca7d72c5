// Which endpoint gets the next request. A balancer is a pure policy: it is told who exists (set_endpoints),
// who may be used now (set_candidates), and picks one. Health, breakers, limits, priorities and "already
// tried" are decided by the caller; weights count in every algorithm. What each algorithm guarantees is in
// docs/load-balancing.md.
//
// Thread: one instance per cluster and worker, used by that worker only. Owner: proxy::Cluster. Spans are
// only read during the call.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/time.h"

namespace remora::lb {

enum class Algorithm : std::uint8_t { kRoundRobin, kLeastRequest, kRandom, kPeakEwma, kRingHash, kMaglev };

struct Settings {
  // round_robin: smooth weighted round robin. least_request: the less loaded (in flight / weight) of two
  // drawn at random. random: weighted. peak_ewma: the cheaper of two by latency x in flight / weight.
  // ring_hash (ketama), maglev: consistent hashing of the request's key; a request without one is spread at
  // random.
  Algorithm algorithm = Algorithm::kRoundRobin;
  // For the two hashes: an endpoint may have at most this factor times the average number of requests in
  // flight, else the key goes on to the next one (Mirrokni, Thorup, Zadimoghaddam 2018). 0 = unbounded; else
  // > 1.
  double bounded_load = 0.0;

  bool operator==(const Settings&) const = default;
};

// What a balancer must know of an endpoint.
struct Endpoint {
  std::string name;          // its stable identity, "host:port", unique here: what consistent hashing hashes
  std::uint32_t weight = 1;  // 1 to 2^32 - 1; 0 counts as 1
};

// What changes with every request; the caller keeps one per endpoint, in the order of set_endpoints.
struct Load {
  std::uint32_t in_flight = 0;
  double latency_seconds = 0.0;  // peak EWMA of the response time (Ewma::value); 0 = not known
  // When latency_seconds was computed; set together with it. From there to PickContext::now the balancer lets
  // the latency decay by itself: an endpoint that is never asked is forgiven without being refreshed.
  TimePoint latency_at{};
};

struct PickContext {
  // One per endpoint. Read by least_request, peak_ewma and bounded hashing; an endpoint beyond the end has no
  // load.
  std::span<const Load> loads = {};
  std::optional<std::uint64_t> key = {};      // hash of the request's key, for the two hashes
  std::span<const std::uint32_t> tried = {};  // indices not to be picked again; a handful at most
  TimePoint now{};                            // for peak_ewma: the other end of Load::latency_at
  // Sum of `in_flight` over all loads, for bounded hashing; nullopt: the balancer adds them up itself, in
  // O(n).
  std::optional<std::uint64_t> total_in_flight = {};
};

class Balancer {
 public:
  virtual ~Balancer() = default;

  // Who exists. May be expensive (a Maglev table: some milliseconds; the largest ring: about 20) and
  // allocates; forgets the candidates: set_candidates follows. The hashes do not depend on the order of the
  // endpoints.
  virtual void set_endpoints(std::span<const Endpoint> endpoints) = 0;

  // Who may be used now: indices into the endpoints, ascending, each once. Called when one goes or comes
  // back, not per request. O(n), may allocate. Round robin keeps everyone's place; the hashes move no key of
  // an endpoint that stays.
  virtual void set_candidates(std::span<const std::uint32_t> candidates) = 0;

  // The next endpoint's index, or nullopt when every candidate has been tried or there is none. O(1), or
  // amortised O(log d) for d distinct weights in round robin; O(n) only where the tried ones hold nearly all
  // the weight, or nearly all endpoints are unavailable to a hash. Never allocates.
  virtual std::optional<std::uint32_t> pick(const PickContext& context, Random& random) = 0;
};

std::unique_ptr<Balancer> make_balancer(const Settings& settings);

// The hash of a request's key (XXH3, 64 bits). Stable across processes and releases: two sidecars agree.
std::uint64_t hash_key(std::string_view key);

}  // namespace remora::lb
