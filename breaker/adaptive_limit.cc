#include "breaker/adaptive_limit.h"

#include <algorithm>
#include <cmath>

namespace remora::breaker {
namespace {

constexpr std::uint64_t kEnough = 10;
constexpr std::uint64_t kEnoughToMeasure = 30;
constexpr double kLeastGradient = 0.5;
constexpr double kMostShrink = 0.5;
constexpr double kMostSmoothing = 0.5;  // by joining intervals; more would make the limit swing
constexpr double kBetter = 0.2;         // of a step to a lower latency: one interval may have been lucky
constexpr double kMeasured = 0.5;       // of a step to a measured latency
constexpr double kMoved = 0.25;
constexpr double kQuiet = 0.5;  // of what fits without a queue
constexpr int kIntervals = 100;
constexpr int kIntervalsSoon = 10;
constexpr int kTimesAsLong = 20;
constexpr int kTimesAsLongSoon = 3;
constexpr int kPatience = 10;  // response times, or intervals

double microseconds(Duration duration) { return static_cast<double>(duration.count()); }

}  // namespace

AdaptiveLimit::AdaptiveLimit(const Settings& settings)
    : settings_(settings),
      limit_(std::clamp(settings.initial, settings.min, settings.max)),
      limit_at_measuring_(limit_) {}

std::uint32_t AdaptiveLimit::on_interval(const Sample& sample, TimePoint now) {
  shrink(sample);
  if (phase_ == Phase::kRunning) {
    run(sample, now);
  } else {
    measure(sample, now);
  }
  return limit();
}

std::uint32_t AdaptiveLimit::limit() const {
  const double limit = phase_ == Phase::kRunning ? limit_ : std::min(lowered_, limit_);
  return static_cast<std::uint32_t>(std::lround(limit));
}

Duration AdaptiveLimit::baseline() const { return Duration(std::llround(baseline_)); }

void AdaptiveLimit::shrink(const Sample& sample) {
  if (sample.dropped == 0) return;
  const auto dropped = static_cast<double>(sample.dropped);
  const double share = dropped / (dropped + static_cast<double>(sample.responses));
  limit_ = std::max<double>(limit_ * (1 - std::min(share, kMostShrink)), settings_.min);
}

void AdaptiveLimit::run(const Sample& sample, TimePoint now) {
  if (std::uint64_t{sample.most_in_flight} * 2 < limit()) return;
  gather(sample, now);
  if (responses_ < kEnough) return;
  const double elapsed = microseconds(now - gathered_since_);
  if (elapsed * static_cast<double>(responses_) < latencies_) return;
  const double latency = take_latency();
  if (baseline_ == 0) {
    baseline_ = latency;
    measure_at_ = now + kIntervalsSoon * settings_.interval;
    measure_soonest_ = measure_at_;
  }
  if (latency < baseline_) baseline_ += kBetter * (latency - baseline_);
  adjust(latency, elapsed / microseconds(settings_.interval));
  const bool halved = limit_ * 2 <= limit_at_measuring_;
  if (now >= (halved ? measure_soonest_ : measure_at_)) begin_measuring(latency, now);
}

void AdaptiveLimit::adjust(double latency, double intervals) {
  const double gradient = std::clamp(settings_.tolerance * baseline_ / latency, kLeastGradient, 1.0);
  const double target = limit_ * gradient + std::sqrt(limit_);
  const double joined = 1 - std::pow(1 - settings_.smoothing, intervals);
  limit_ += std::clamp(joined, settings_.smoothing, std::max(settings_.smoothing, kMostSmoothing)) *
            (target - limit_);
  limit_ = std::clamp<double>(limit_, settings_.min, settings_.max);
}

// Little's law: with the latency at the baseline, so many would be in flight.
void AdaptiveLimit::begin_measuring(double latency, TimePoint now) {
  const double fits = limit_ * std::min(baseline_ / latency, 1.0);
  lowered_ = std::max<double>(fits * kQuiet, settings_.min);
  phase_ = Phase::kDraining;
  measuring_began_ = now;
  until_ = now + Duration(std::llround(2 * latency)) + settings_.interval;
}

void AdaptiveLimit::measure(const Sample& sample, TimePoint now) {
  if (phase_ == Phase::kDraining) {
    if (now < until_) return;
    phase_ = Phase::kMeasuring;
    until_ = now + kPatience * (until_ - measuring_began_);
    return;
  }
  gather(sample, now);
  if (responses_ < kEnoughToMeasure && now < until_) return;
  const double latency = responses_ < kEnough ? baseline_ : take_latency();
  const bool moved = std::abs(latency - baseline_) > kMoved * baseline_;
  baseline_ += kMeasured * (latency - baseline_);
  end_measuring(moved, now);
}

void AdaptiveLimit::end_measuring(bool moved, TimePoint now) {
  const Duration took = now - measuring_began_;
  phase_ = Phase::kRunning;
  limit_at_measuring_ = limit_;
  measure_soonest_ = now + std::max(kIntervalsSoon * settings_.interval, kTimesAsLongSoon * took);
  measure_at_ =
      moved ? measure_soonest_ : now + std::max(kIntervals * settings_.interval, kTimesAsLong * took);
}

void AdaptiveLimit::gather(const Sample& sample, TimePoint now) {
  if (sample.responses == 0) return;
  if (responses_ == 0) gathered_since_ = now - settings_.interval;
  responses_ += sample.responses;
  const double latency = std::max(microseconds(sample.mean_latency), 1.0);  // 0 is a baseline not known yet
  latencies_ += latency * static_cast<double>(sample.responses);
}

double AdaptiveLimit::take_latency() {
  const double latency = latencies_ / static_cast<double>(responses_);
  responses_ = 0;
  latencies_ = 0;
  return latency;
}

}  // namespace remora::breaker
