// What the service manager is told (systemd's Type=notify): when this process is ready, reloads, stops, how
// it is, and, if it watches, that the control thread and every worker still answer. One worker that does not
// is enough for the watchdog to bite.
//
// No I/O and no clock. Thread: the control thread. Owner: Server.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "base/timer_wheel.h"

namespace remora::proxy {

class ServiceManager final {
 public:
  struct Ways {
    // One message; false: not now, it is tried again. Null: nobody wants to know.
    std::function<bool(std::string_view)> send;
    // Asks every worker; each that answers calls answered().
    std::function<void()> ask;
  };
  static constexpr std::size_t kMostWaiting =
      16;  // messages that could not be sent yet; the oldest is dropped

  explicit ServiceManager(TimerWheel& wheel) : wheel_(wheel) {}
  ~ServiceManager() = default;
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  // Once, before anything else. `watchdog`: how long it waits for a sign of life; zero: it does not.
  void start(Ways ways, Duration watchdog, std::size_t workers);
  // A worker has answered.
  void answered();

  // `status` is a short text for people, in `systemctl status`.
  void ready(std::string_view status);
  // Between these two it reloads; before ready() they say nothing.
  void reloading();
  void reloaded(std::string_view status);
  void stopping(std::string_view status);
  void status(std::string_view status);

 private:
  void tell(std::string message);
  void on_watchdog();
  void send_waiting();

  TimerWheel& wheel_;
  Ways ways_;
  Duration half_{};  // of what the watchdog waits
  std::size_t workers_ = 0;
  std::size_t unanswered_ = 0;
  bool ready_ = false;
  bool reloading_ = false;
  std::deque<std::string> waiting_;
  MemberTimer<ServiceManager, &ServiceManager::on_watchdog> watchdog_timer_{*this};
  MemberTimer<ServiceManager, &ServiceManager::send_waiting> retry_timer_{*this};
};

}  // namespace remora::proxy
