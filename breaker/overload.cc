#include "breaker/overload.h"

#include <algorithm>
#include <utility>

namespace remora::breaker {

bool Overload::on_sample(Duration lag, std::uint64_t resident_bytes, TimePoint now) {
  const Level before = level_;
  const Level for_lag = level_for_lag(lag);
  const Level called_for = std::max(for_lag, level_for_memory(resident_bytes));
  if (called_for >= level_) {
    level_ = called_for;
    below_since_.reset();
  } else if (!below_since_) {
    below_since_ = now;
  }
  if (below_since_ && now - *below_since_ >= settings_.calm) {
    level_ = static_cast<Level>(std::to_underlying(level_) - 1);
    below_since_.reset();
    if (called_for < level_) below_since_ = now;
  }
  if (level_ == Level::kNormal) {
    cause_ = Cause::kNone;
  } else if (called_for == level_) {
    cause_ = for_lag == called_for ? Cause::kLoopLag : Cause::kMemory;
  }
  return level_ != before;
}

Overload::Level Overload::level_for_lag(Duration lag) const {
  if (settings_.loop_lag <= Duration::zero()) return Level::kNormal;
  if (lag / 2 >= settings_.loop_lag) return Level::kRefuse;
  if (lag >= settings_.loop_lag) return Level::kShed;
  return lag >= settings_.loop_lag - settings_.loop_lag / 2 ? Level::kTrim : Level::kNormal;
}

Overload::Level Overload::level_for_memory(std::uint64_t resident_bytes) const {
  if (settings_.memory == 0) return Level::kNormal;
  if (resident_bytes >= settings_.memory) return Level::kRefuse;
  if (resident_bytes >= settings_.memory - settings_.memory / 20) return Level::kShed;
  return resident_bytes >= settings_.memory - settings_.memory / 10 ? Level::kTrim : Level::kNormal;
}

const char* to_string(Overload::Level level) {
  switch (level) {
    case Overload::Level::kNormal: return "normal";
    case Overload::Level::kTrim: return "trim";
    case Overload::Level::kShed: return "shed";
    case Overload::Level::kRefuse: return "refuse";
  }
  return "?";
}

const char* to_string(Overload::Cause cause) {
  switch (cause) {
    case Overload::Cause::kNone: return "none";
    case Overload::Cause::kLoopLag: return "loop_lag";
    case Overload::Cause::kMemory: return "memory";
  }
  return "?";
}

}  // namespace remora::breaker
