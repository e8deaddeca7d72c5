// What all workers know together: breakers, limits, budgets, and what the control thread has found out about
// an endpoint. One instance per process, so that the operator's numbers mean what they say however many
// workers run. Everything in here is atomic; nothing blocks.
//
// Thread: any. Owner: shared by the Supervisor, which makes it and finds it again by name and address, the
// snapshots, and the workers' clusters; the last of them to let go destroys it. That order is not fixed (a
// download may hold a retired endpoint for hours), which is why these are the only objects besides snapshots
// that are shared_ptr.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/lazy.h"
#include "base/random.h"
#include "base/time.h"
#include "breaker/circuit_breaker.h"
#include "breaker/limiter.h"
#include "breaker/rate_limiter.h"
#include "breaker/retry_budget.h"
#include "config/config.h"
#include "health/availability.h"

namespace remora::proxy {

struct Event;

// The latest failure of an endpoint, whichever worker saw it. A word: storing one costs nothing worth saying.
class LastFailure final {
 public:
  struct Seen {
    breaker::Outcome outcome;
    TimePoint at;
  };

  void store(const breaker::Outcome& outcome, TimePoint at) {
    const auto ms = static_cast<std::uint64_t>(at.time_since_epoch() / 1ms);
    word_.store(ms << 16U | static_cast<std::uint64_t>(outcome.result) << 12U | (outcome.status & 0xfffU),
                std::memory_order_relaxed);
  }
  // nullopt: none yet.
  std::optional<Seen> load() const {
    const std::uint64_t word = word_.load(std::memory_order_relaxed);
    if (word == 0) return std::nullopt;
    return Seen{.outcome = {.result = static_cast<breaker::Result>(word >> 12U & 0xfU),
                            .status = static_cast<unsigned>(word & 0xfffU)},
                .at = TimePoint(std::chrono::milliseconds(word >> 16U))};
  }

 private:
  std::atomic<std::uint64_t> word_{0};
};

// What breakers go by: one object for all clusters that are told the same.
using BreakerSettings = breaker::CircuitBreaker::SharedSettings;

struct EndpointState : std::enable_shared_from_this<EndpointState> {
  EndpointState(const config::Cluster& settings, const BreakerSettings& breaker_settings)
      : breaker(breaker_settings),
        active(settings.health_check ? health::Sources::Active::kUnknown : health::Sources::Active::kNone),
        connections(settings.limits.endpoint_connections),
        requests(settings.limits.endpoint_requests),
        retries(settings.limits.endpoint_retries) {}

  // What a newer configuration says. On the control thread, while workers use it. An active check that begins
  // leaves the endpoint in use until its first result.
  void set_settings(const config::Cluster& settings, BreakerSettings breaker_settings, TimePoint now);

  // What speaks for and against it at this instant.
  health::Sources sources(TimePoint now) const {
    return {.active = active.load(std::memory_order_relaxed),
            .member = member.load(std::memory_order_relaxed),
            .ejected = ejected.load(std::memory_order_relaxed),
            .breaker_open = !breaker.may_enter(now),
            .draining = draining.load(std::memory_order_relaxed)};
  }
  // It is well again: its share of the requests grows from here.
  void recovered(TimePoint now) {
    well_since.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  }
  TimePoint ramps_since() const { return TimePoint(Duration(well_since.load(std::memory_order_relaxed))); }

  // First what every attempt reads, last what it may write: more than a cache line apart.
  breaker::CircuitBreaker breaker;

  // Written by the control thread, then ClusterState::changed().
  std::atomic<health::Sources::Active> active;
  std::atomic<health::Sources::Member> member{health::Sources::Member::kNone};
  std::atomic<bool> ejected{false};
  std::atomic<bool> draining{false};

  std::atomic<Duration::rep> well_since{0};  // TimePoint; 0 = from the start

  breaker::Limiter connections;
  breaker::Limiter requests;
  breaker::Limiter retries;

  // For outlier detection, which takes them away once per interval.
  std::atomic<std::uint64_t> judged{0};
  std::atomic<std::uint64_t> failed{0};
  std::atomic<std::uint32_t> failed_in_a_row{0};

  LastFailure last_failure;  // for people
};

// For the adaptive limit, which takes them away once per interval.
struct LatencySamples {
  std::atomic<std::uint64_t> responses{0};
  std::atomic<std::uint64_t> total_us{0};
  std::atomic<std::uint64_t> dropped{0};
  std::atomic<std::uint32_t> most_in_flight{0};
};

struct ClusterState {
  // What a worker tells the rest of the process. Called on any thread; answers later.
  class Events {
   public:
    // A place has become free, and workers wait for one: bit n is worker n modulo 64.
    virtual void on_room(ClusterState& cluster, std::uint64_t workers) = 0;
    // The endpoint has failed as often in a row as outlier detection allows.
    virtual void on_failures_in_a_row(ClusterState& cluster, EndpointState& endpoint) = 0;
    // Something has changed that people want to see.
    virtual void on_event(Event event) = 0;

   protected:
    ~Events() = default;
  };

  ClusterState(const config::Cluster& settings, const BreakerSettings& breaker_settings, Events* told)
      : events(told),
        breaker(breaker_settings),
        budget(settings.retry_budget),
        connections(settings.limits.connections),
        requests(settings.limits.requests),
        pending(settings.limits.pending),
        retries(settings.limits.retries),
        adaptive(settings.adaptive.enabled ? settings.adaptive.initial : 0) {}

  // What a newer configuration says: limits, budget and breaker go on counting what they have counted. On the
  // control thread, while workers use it.
  void set_settings(const config::Cluster& settings, const config::Cluster& before,
                    const BreakerSettings& breaker_settings, TimePoint now);

  // An endpoint's availability has changed: every worker looks again with its next request.
  void changed() {
    version.fetch_add(1, std::memory_order_release);
    if (waiting.load() != 0 && events != nullptr) events->on_room(*this, ~std::uint64_t{0});
  }

  // What is known of one destination of a cluster that goes anywhere, for all workers. Takes a mutex: for a
  // destination that is new to a worker.
  std::shared_ptr<EndpointState> destination(const Address& address, const config::Cluster& settings);

  std::atomic<std::uint64_t> version{1};
  Events* events;  // may be null; outlives every worker

  breaker::CircuitBreaker breaker;  // with scope = "cluster"
  breaker::RetryBudget budget;
  breaker::Limiter connections;
  breaker::Limiter requests;
  breaker::Limiter pending;
  breaker::Limiter retries;
  breaker::Limiter adaptive;
  LatencySamples latency;

  // Workers with requests that wait for a place (see Events::on_room), and those among them that lack a
  // connection.
  std::atomic<std::uint64_t> waiting{0};
  std::atomic<std::uint64_t> waiting_for_connections{0};
  // So that a flapping endpoint does not fill the log.
  breaker::TokenBucket log_lines{{.requests = 5, .per = 1s, .burst = 20}};
  std::atomic<std::uint64_t> log_lines_left_out{0};

 private:
  // Of a cluster that goes anywhere.
  struct Destinations {
    std::mutex mutex;  // of the following
    std::unordered_map<std::string, std::weak_ptr<EndpointState>> by_address;
  };
  Lazy<Destinations> destinations_;
};

// A rate limit of a listener or a route.
class RateLimitState final {
 public:
  // `secret`: so that nobody outside can tell which keys share a place in the table.
  RateLimitState(const config::RateLimit& settings, std::uint64_t secret);

  // `key`: the hash of the client's key, where the limit has one; nullopt: all of those share one bucket. As
  // TokenBucket::try_take.
  std::optional<Duration> try_take(std::optional<std::uint64_t> key, TimePoint now);

 private:
  std::uint64_t secret_;
  breaker::TokenBucket all_;
  std::unique_ptr<breaker::KeyedRateLimiter> keyed_;
};

// Of one listener.
struct ListenerState {
  explicit ListenerState(const config::Listener& settings)
      : connections(settings.limits.connections), refused(settings.limits.connections) {}
  // What a newer configuration says. On the control thread, while workers use it.
  void set_settings(const config::Listener& settings) {
    connections.set_most(settings.limits.connections);
    refused.set_most(settings.limits.connections);
  }

  // How many connections are served, and how many more are only told that there are too many.
  breaker::Limiter connections;
  breaker::Limiter refused;
};

// The rate limits of a listener as one configuration has them.
struct ListenerRates {
  ListenerRates() = default;
  // `before`: those of the listener of that name so far, made from `settings_before`. A limit that is as it
  // was, at a route that matches the same, goes on counting.
  ListenerRates(const config::Listener& settings, const ListenerRates& before,
                const config::Listener& settings_before, Random& random);

  std::shared_ptr<RateLimitState> all;                    // null: none
  std::vector<std::shared_ptr<RateLimitState>> by_route;  // null: none
};

}  // namespace remora::proxy
