// Samples how far a worker's loop is behind, ten times a second, and sets the worker's load level by the
// policy (breaker/overload.h). One late wake-up is not a load: a process that was stopped, or a machine that
// slept, is well again at once. So the lag that counts is the smaller one of two samples in a row.
//
// Thread: the worker's. Owner: WorkerThread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>

#include "base/timer_wheel.h"
#include "breaker/overload.h"
#include "proxy/worker.h"

namespace remora::proxy {

class LoadMonitor final {
 public:
  // `resident_bytes`: of the process; kept by the control thread; may be null.
  LoadMonitor(TimerWheel& wheel, Worker& worker, const breaker::Overload::Settings& settings,
              const std::atomic<std::uint64_t>* resident_bytes)
      : wheel_(wheel),
        worker_(worker),
        settings_(settings),
        policy_(settings),
        resident_bytes_(resident_bytes) {}

  // From here on `take_lag` is asked for the longest lag since the last time.
  void start(std::move_only_function<Duration()> take_lag);

  // Other watermarks; the load is judged anew.
  void set_settings(const breaker::Overload::Settings& settings);

  // The longest lag of the last 15 to 30 seconds.
  Duration recent_lag() const { return std::max(recent_[0], recent_[1]); }

 private:
  static constexpr Duration kInterval = 100ms;
  static constexpr Duration kRecent = 15s;

  void on_timer();

  TimerWheel& wheel_;
  Worker& worker_;
  breaker::Overload::Settings settings_;
  breaker::Overload policy_;
  const std::atomic<std::uint64_t>* resident_bytes_;
  std::move_only_function<Duration()> take_lag_;
  Duration last_lag_{};
  Duration recent_[2] = {};  // of this span of kRecent, and of the one before
  TimePoint span_began_{};
  MemberTimer<LoadMonitor, &LoadMonitor::on_timer> timer_{*this};
};

}  // namespace remora::proxy
