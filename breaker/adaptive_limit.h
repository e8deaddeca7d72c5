// How many requests a cluster can take at once, learnt from its latency (after the gradient algorithms of
// Netflix's concurrency-limits and of Envoy): while the latency stays near the baseline, which is the latency
// without a queue, the limit grows; when requests queue up in the upstream, and latency with them, it
// shrinks.
//
//   gradient = tolerance * baseline / latency, at most 1, at least 1/2
//   limit   += smoothing * (limit * gradient + sqrt(limit) - limit)
//
// An upstream that works on C requests at once and queues the others settles it at the N for which
// N = tolerance * C + sqrt(N).
//
// `tolerance` must be above the noise of a mean latency, or the limit stays below C.
//
// Whoever keeps a queue standing sees no baseline: the queue would pass for the normal latency, and the limit
// would run away. Therefore the limit is lowered now and then, until the queue must be gone:
//
//   phase       limit                until
//   kRunning    as above             it is time to measure again
//   kDraining   half of what fits    twice the latency has passed: what was in flight has been answered
//               without a queue
//   kMeasuring  the same             30 responses have come, or ten times the draining has passed
//
// The baseline moves halfway to the latency that was measured (with less than ten responses it stays), so an
// old best is forgotten slowly. It is time every 100 intervals, or after 20 times as long as the measuring
// took. It is time sooner, after ten intervals or 3 times as long, if the baseline is new, if it was off by
// more than a quarter, or if the limit has halved since.
//
// Intervals that say little are joined: until there are ten responses and a response time has passed. They
// are smoothed as so many single ones, but at least half of the change is left for later.
//
// Pure. Thread: the control thread, which feeds it with what the workers measured. Owner: ClusterState's
// driver.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace remora::breaker {

class AdaptiveLimit final {
 public:
  struct Settings {
    bool enabled = false;  // for the owner, who makes no AdaptiveLimit without it
    std::uint32_t initial = 20;
    std::uint32_t min = 4;  // >= 1; what the upstream can take without a queue whatever happens
    std::uint32_t max = 1000;
    Duration interval = 100ms;  // how often the limit is computed anew
    double tolerance = 1.5;     // latency up to this factor of the baseline is fine, >= 1
    double smoothing = 0.2;     // how much of each change is taken over, (0, 1]
    bool operator==(const Settings&) const = default;
  };
  // What happened in one interval.
  struct Sample {
    std::uint64_t responses = 0;
    Duration mean_latency{};           // of them
    std::uint32_t most_in_flight = 0;  // the highest number at any moment
    std::uint64_t dropped = 0;         // timeouts and rejections by the upstream, not among the responses
  };

  explicit AdaptiveLimit(const Settings& settings);

  // The limit from now on. What was dropped lowers it at once, by its share of all answers, at most by half.
  // Of an interval in which less than half of the limit was in use nothing else is learnt.
  std::uint32_t on_interval(const Sample& sample, TimePoint now);
  std::uint32_t limit() const;
  Duration baseline() const;  // zero: nothing measured yet
  bool is_measuring() const { return phase_ != Phase::kRunning; }

 private:
  enum class Phase : std::uint8_t { kRunning, kDraining, kMeasuring };

  void shrink(const Sample& sample);
  void run(const Sample& sample, TimePoint now);
  void adjust(double latency, double intervals);
  void begin_measuring(double latency, TimePoint now);
  void measure(const Sample& sample, TimePoint now);
  void end_measuring(bool moved, TimePoint now);
  void gather(const Sample& sample, TimePoint now);
  // Of what was gathered, which is then forgotten.
  double take_latency();

  Settings settings_;
  double limit_;
  double baseline_ = 0;  // microseconds, as all latencies here

  std::uint64_t responses_ = 0;  // gathered
  double latencies_ = 0;         // their sum
  TimePoint gathered_since_{};   // with responses_ > 0

  Phase phase_ = Phase::kRunning;
  double lowered_ = 0;           // the limit in the other phases
  double limit_at_measuring_;    // when it was measured last
  TimePoint measuring_began_{};  // not in kRunning
  TimePoint until_{};            // kDraining, kMeasuring
  TimePoint measure_soonest_{};  // kRunning, with a baseline
  TimePoint measure_at_{};       // the same
};

}  // namespace remora::breaker
