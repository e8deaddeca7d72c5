#include "proxy/load_monitor.h"

#include "base/log.h"

namespace remora::proxy {

void LoadMonitor::start(std::move_only_function<Duration()> take_lag) {
  take_lag_ = std::move(take_lag);
  span_began_ = wheel_.now();
  wheel_.arm_in(timer_, kInterval);
}

void LoadMonitor::set_settings(const breaker::Overload::Settings& settings) {
  if (settings == settings_) return;
  settings_ = settings;
  policy_ = breaker::Overload(settings);
  worker_.set_load(policy_.level());
}

void LoadMonitor::on_timer() {
  const TimePoint now = wheel_.now();
  wheel_.arm_in(timer_, kInterval);
  const Duration lag = take_lag_();
  if (now - span_began_ >= kRecent) {
    recent_[1] = std::exchange(recent_[0], Duration::zero());
    span_began_ = now;
  }
  recent_[0] = std::max(recent_[0], lag);
  const Duration lasting = std::min(lag, std::exchange(last_lag_, lag));
  const std::uint64_t resident =
      resident_bytes_ != nullptr ? resident_bytes_->load(std::memory_order_relaxed) : 0;
  if (!policy_.on_sample(lasting, resident, now)) return;
  worker_.set_load(policy_.level());
  log_line(policy_.level() == breaker::Overload::Level::kNormal ? LogLevel::kInfo : LogLevel::kWarn,
           "load level changed",
           {{"level", to_string(policy_.level())},
            {"loop_lag_ms", std::to_string(lasting / 1ms)},
            {"resident_bytes", std::to_string(resident)}});
}

}  // namespace remora::proxy
