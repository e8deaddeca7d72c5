// After an endpoint recovers (or is new), its share of the requests grows from a tenth to the whole over
// `window`: a cold process is not knocked over again. The caller takes a pick of it with this probability and
// picks anew otherwise.
//
// Pure; any thread.
#pragma once

#include "base/time.h"

namespace remora::health {

struct SlowStart {
  static constexpr double kFirstShare = 0.1;

  // The share of its weight that an endpoint has which has been well since `since`: kFirstShare at first,
  // linear to 1 at `window`. A zero window, or `since` == TimePoint{} (well from the start): 1.
  static double share(TimePoint since, Duration window, TimePoint now) {
    if (window <= Duration::zero() || since == TimePoint{}) return 1.0;
    const auto passed = now - since;
    if (passed >= window) return 1.0;
    const double grown = static_cast<double>(passed.count()) / static_cast<double>(window.count());
    return grown <= 0 ? kFirstShare : kFirstShare + (1.0 - kFirstShare) * grown;
  }
};

}  // namespace remora::health
