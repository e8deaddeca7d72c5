// The socket on which a service manager (systemd) wants to be told how its service is: sd_notify's protocol,
// one datagram of KEY=VALUE lines each.
//
// Thread: one. Owner: Server.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/time.h"
#include "proxy/net/fd.h"

namespace remora::net {

class NotifySocket final {
 public:
  // What the environment asks for: NOTIFY_SOCKET, a path or "@" and an abstract name. Null: nothing. An
  // error: what is asked for cannot be had.
  static Result<std::unique_ptr<NotifySocket>> from_environment();
  // WATCHDOG_USEC, unless WATCHDOG_PID is another process; zero: nobody watches.
  static Duration watchdog_of_environment();

  // False: the receiver has no room, try again later. Other failures are as good as sent: nobody listens any
  // more.
  bool send(std::string_view state);

 private:
  NotifySocket(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Fd fd_;
  std::string path_;  // as sun_path has it: abstract names begin with '\0'
};

}  // namespace remora::net
