// The vocabulary of time. Deliberately without a way to ask what time it is: `now` is always an argument, and
// only the event loop and the access log read a clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace remora {

// A span of time, in microseconds.
using Duration = std::chrono::microseconds;

// Tag for the monotonic clock; it has no now() on purpose.
struct MonotonicClock {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<MonotonicClock, Duration>;
  static constexpr bool is_steady = true;
};

// An instant on the monotonic clock. Its epoch is arbitrary; tests start it wherever they like.
using TimePoint = MonotonicClock::time_point;

using std::chrono_literals::operator""h;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""us;

}  // namespace remora
