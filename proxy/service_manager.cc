#include "proxy/service_manager.h"

#include <utility>

namespace remora::proxy {

namespace {

constexpr Duration kRetry = 100ms;

std::string with_status(std::string_view first, std::string_view status) {
  return std::string(first) + "STATUS=" + std::string(status) + "\n";
}

}  // namespace

void ServiceManager::start(Ways ways, Duration watchdog, std::size_t workers) {
  ways_ = std::move(ways);
  workers_ = workers;
  half_ = watchdog / 2;
  status("starting");
  if (half_ > Duration::zero() && ways_.send) on_watchdog();
}

void ServiceManager::on_watchdog() {
  wheel_.arm_in(watchdog_timer_, half_);
  if (unanswered_ > 0) return;  // somebody still owes the last answer: no sign of life until it comes
  unanswered_ = workers_;
  ways_.ask();
}

void ServiceManager::answered() {
  if (--unanswered_ == 0) tell("WATCHDOG=1\n");
}

void ServiceManager::ready(std::string_view status) {
  ready_ = true;
  tell(with_status("READY=1\n", status));
}

void ServiceManager::reloading() {
  if (!ready_ || reloading_) return;
  reloading_ = true;
  const auto now = std::chrono::duration_cast<std::chrono::microseconds>(wheel_.now().time_since_epoch());
  tell(with_status("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now.count()) + "\n", "reloading"));
}

void ServiceManager::reloaded(std::string_view status) {
  if (!std::exchange(reloading_, false)) return;
  ready(status);
}

void ServiceManager::stopping(std::string_view status) {
  ready_ = false;
  reloading_ = false;
  tell(with_status("STOPPING=1\n", status));
}

void ServiceManager::status(std::string_view status) { tell(with_status("", status)); }

void ServiceManager::tell(std::string message) {
  if (!ways_.send) return;
  if (waiting_.size() == kMostWaiting) waiting_.pop_front();
  waiting_.push_back(std::move(message));
  send_waiting();
}

void ServiceManager::send_waiting() {
  while (!waiting_.empty() && ways_.send(waiting_.front())) waiting_.pop_front();
  if (!waiting_.empty()) wheel_.arm_in(retry_timer_, kRetry);
}

}  // namespace remora::proxy
