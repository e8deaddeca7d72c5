#include "tests/support/simulated_upstream.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace remora::breaker {

SimulatedUpstream::SimulatedUpstream(const Settings& settings, const AdaptiveLimit::Settings& limit)
    : now_settings_(settings), limit_settings_(limit), limit_(limit) {
  plan_arrival();
}

void SimulatedUpstream::change(const Settings& settings) {
  now_settings_ = settings;
  start_waiting();
}

void SimulatedUpstream::run(Duration span, const std::function<void()>& each) {
  const TimePoint end = now_ + span;
  while (now_ < end) {
    const TimePoint tick = last_tick_ + limit_settings_.interval;
    const TimePoint done = working_.empty() ? TimePoint::max() : working_.top().done;
    now_ = std::min({tick, done, arrival_});
    if (now_ == done) {
      finish();
    } else if (now_ == arrival_) {
      arrive();
    } else {
      last_tick_ = now_;
      limit_.on_interval(take_sample(), now_);
      if (each) each();
    }
  }
}

double SimulatedUpstream::could_serve(Duration span) const {
  return now_settings_.capacity * (std::chrono::duration<double>(span) / now_settings_.service);
}

double SimulatedUpstream::exponential() { return -std::log(1.0 - random_.unit()); }

void SimulatedUpstream::plan_arrival() {
  const double mean_us =
      static_cast<double>(now_settings_.service.count()) / now_settings_.capacity / now_settings_.load;
  arrival_ = now_ + Duration(1 + static_cast<std::int64_t>(mean_us * exponential()));
}

void SimulatedUpstream::arrive() {
  plan_arrival();
  if (in_flight_ >= limit_.limit()) return;
  most_in_flight_ = std::max(most_in_flight_, ++in_flight_);
  waiting_.push_back(now_);
  start_waiting();
}

void SimulatedUpstream::start_waiting() {
  while (!waiting_.empty() && working_.size() < now_settings_.capacity) {
    const double factor = now_settings_.random_service ? exponential() : 1.0;
    const auto service =
        static_cast<std::int64_t>(static_cast<double>(now_settings_.service.count()) * factor);
    working_.push({now_ + Duration(service), waiting_.front()});
    waiting_.pop_front();
  }
}

void SimulatedUpstream::finish() {
  latencies_ += now_ - working_.top().admitted;
  ++responses_;
  ++served_;
  --in_flight_;
  working_.pop();
  start_waiting();
}

AdaptiveLimit::Sample SimulatedUpstream::take_sample() {
  AdaptiveLimit::Sample sample{.responses = responses_, .most_in_flight = most_in_flight_};
  if (responses_ != 0) sample.mean_latency = latencies_ / responses_;
  responses_ = 0;
  latencies_ = Duration::zero();
  most_in_flight_ = in_flight_;
  return sample;
}

}  // namespace remora::breaker
