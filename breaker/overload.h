// When Remora itself has more to do than it can: the loop falls behind, or memory runs short. Sheds load in
// stages, the cheapest first, and takes them back one by one.
//
//   level       reached at                       effect
//   kNormal                                      none
//   kTrim       lag 1/2, memory 90 %             responses close their connections: keep-alives end
//   kShed       lag 1,   memory 95 %             new requests get 503 at once
//   kRefuse     lag 2,   memory 100 %            nothing is accepted
//
// (of the watermarks in the settings). A level goes up at once, over several steps if need be. It goes down
// by one step when all samples of `calm` were below it, and then `calm` begins anew: a load that swings
// around a watermark does not make the level swing.
//
// Pure. Thread: the worker's (each judges its own lag; memory is told to all). Owner: Worker.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"

namespace remora::breaker {

class Overload final {
 public:
  struct Settings {
    Duration loop_lag = 500ms;  // zero = lag is not judged
    std::uint64_t memory = 0;   // bytes resident; 0 = memory is not judged
    Duration calm = 1s;
    bool operator==(const Settings&) const = default;
  };
  enum class Level : std::uint8_t { kNormal, kTrim, kShed, kRefuse };
  enum class Cause : std::uint8_t { kNone, kLoopLag, kMemory };

  explicit Overload(const Settings& settings) : settings_(settings) {}

  // `lag`: the longest since the last sample. True: the level has changed.
  bool on_sample(Duration lag, std::uint64_t resident_bytes, TimePoint now);
  Level level() const { return level_; }
  // What called for this level, or a higher one, last; the loop's lag if both did. kNone at kNormal.
  Cause cause() const { return cause_; }

 private:
  Level level_for_lag(Duration lag) const;
  Level level_for_memory(std::uint64_t resident_bytes) const;

  Settings settings_;
  Level level_ = Level::kNormal;
  Cause cause_ = Cause::kNone;
  std::optional<TimePoint> below_since_;  // the first sample of the present calm
};

// One word each, for logs and metrics.
const char* to_string(Overload::Level level);
const char* to_string(Overload::Cause cause);

}  // namespace remora::breaker
