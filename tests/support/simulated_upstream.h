// An upstream in virtual time in front of which an AdaptiveLimit stands: what a test of the limit's aims
// drives for hours. It is not among the tests since those are compiled without optimisation under sanitizers.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <queue>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "breaker/adaptive_limit.h"
#include "tests/support/start.h"

namespace remora::breaker {

// Works on `capacity` requests at once, each for `service`, and lets the others wait in line; Poisson
// arrivals, of which those beyond the limit are turned away. M/D/c, or M/M/c if `random_service`.
class SimulatedUpstream final {
 public:
  struct Settings {
    std::uint32_t capacity = 10;
    Duration service = std::chrono::milliseconds(20);
    double load = 2.0;  // arrivals, in units of what the upstream can serve
    bool random_service = false;
  };

  SimulatedUpstream(const Settings& settings, const AdaptiveLimit::Settings& limit);

  void change(const Settings& settings);
  // `each`: called after every interval.
  void run(Duration span, const std::function<void()>& each = {});

  const AdaptiveLimit& limit() const { return limit_; }
  std::uint64_t served() const { return served_; }
  // What it could serve in `span`.
  double could_serve(Duration span) const;

 private:
  struct Job {
    TimePoint done;
    TimePoint admitted;
    bool operator>(const Job& other) const { return done > other.done; }
  };

  double exponential();
  void plan_arrival();
  void arrive();
  void start_waiting();
  void finish();
  AdaptiveLimit::Sample take_sample();

  Settings now_settings_;
  AdaptiveLimit::Settings limit_settings_;
  AdaptiveLimit limit_;
  Random random_{17};
  TimePoint now_ = kStart;
  TimePoint last_tick_ = kStart;
  TimePoint arrival_{};
  std::deque<TimePoint> waiting_;
  std::priority_queue<Job, std::vector<Job>, std::greater<>> working_;
  std::uint32_t in_flight_ = 0;
  std::uint32_t most_in_flight_ = 0;
  std::uint64_t responses_ = 0;
  std::uint64_t served_ = 0;
  Duration latencies_{};
};

}  // namespace remora::breaker
