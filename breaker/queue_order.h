// In which order waiting requests are served: first come first served while the queue drains now and then;
// the newest first when it has not been empty for a while, since under overload the oldest have callers that
// are about to give up (adaptive LIFO; Maurer 2015, "Fail at Scale").
//
// Pure. Thread: the worker's. Owner: the Cluster's pending queue.
#pragma once

#include <cstddef>

#include "base/time.h"

namespace remora::breaker {

class QueueOrder final {
 public:
  explicit QueueOrder(Duration overload_after = 100ms) : overload_after_(overload_after) {}

  // Told at each change of the queue's length.
  void on_length(std::size_t waiting, TimePoint now) {
    if (waiting == 0) {
      busy_since_ = TimePoint::max();
    } else if (busy_since_ == TimePoint::max()) {
      busy_since_ = now;
    }
  }
  bool newest_first(TimePoint now) const {
    return busy_since_ != TimePoint::max() && now - busy_since_ >= overload_after_;
  }

 private:
  Duration overload_after_;
  TimePoint busy_since_ = TimePoint::max();
};

}  // namespace remora::breaker
