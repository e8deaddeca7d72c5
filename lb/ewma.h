// How long an endpoint takes to answer, as one number that believes bad news at once and good news slowly: a
// slower response than the estimate becomes the estimate (the peak), a faster one pulls it down with a time
// constant of 10 s. Without responses the estimate decays towards zero, so that an endpoint that was slow is
// asked again. The rule is Finagle's and linkerd's "peak EWMA".
//
// Value type; time is an argument. An instant before the last one counts as the last one.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/time.h"

namespace remora::lb {

class Ewma final {
 public:
  static constexpr Duration kDecay = 10s;
  // What an endpoint is taken to need while it has requests in flight and its latency is not known.
  static constexpr Duration kDefaultRtt = 30ms;
  // An estimate that no response has confirmed for so long (e^-5, under 1 %) is no knowledge any more.
  static constexpr Duration kForget = 5 * kDecay;

  // A response took `rtt` and its head came at `now`. Less than a microsecond counts as one, since 0
  // means "not known".
  void observe(Duration rtt, TimePoint now) {
    const double seconds = std::chrono::duration<double>(std::max(rtt, Duration{1})).count();
    if (seconds_ > 0.0) now = std::max(now, at_);
    if (seconds >= seconds_) {
      seconds_ = seconds;
    } else {
      const double keep = fraction_left(now - at_);
      seconds_ = seconds_ * keep + seconds * (1.0 - keep);
    }
    at_ = now;
  }

  // The estimate in seconds at `now`; 0 = not known (no response yet, or none for kForget).
  double value(TimePoint now) const { return seconds_ > 0.0 ? decayed(seconds_, now - at_) : 0.0; }

  // What is left of an estimate of `seconds` after `elapsed` without a response.
  static double decayed(double seconds, Duration elapsed) {
    if (seconds <= 0.0 || elapsed <= Duration::zero()) return std::max(seconds, 0.0);
    return elapsed >= kForget ? 0.0 : seconds * fraction_left(elapsed);
  }

 private:
  static double fraction_left(Duration elapsed) {
    return std::exp(-std::chrono::duration<double>(elapsed) / std::chrono::duration<double>(kDecay));
  }

  double seconds_ = 0.0;
  TimePoint at_{};  // of the last response; means nothing before the first
};

}  // namespace remora::lb
