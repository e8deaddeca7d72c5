// Says when another process has gone: one known by its pid, or by a file that has it (exit_with). A pid file
// that is not there yet, or names nobody, is waited for: it may be left over from before.
//
// By pidfd where the kernel lets us, so that a pid that is given to somebody else deceives nobody; else, and
// for the file, by looking once in kEvery.
//
// Thread: the loop's. Owner: Server.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "base/timer_wheel.h"
#include "proxy/net/loop.h"

namespace remora::net {

class ProcessWatch final {
 public:
  static constexpr Duration kEvery = 500ms;

  // `whom`: digits are a pid, all else the path of a file. `found` is called when the process is seen first,
  // `gone` once, when it is there no more, or at once for a pid that nobody has; both from events of the
  // loop.
  ProcessWatch(Loop& loop, std::string whom, std::function<void(pid_t)> found,
               std::function<void(pid_t)> gone);
  ~ProcessWatch();
  ProcessWatch(const ProcessWatch&) = delete;
  ProcessWatch& operator=(const ProcessWatch&) = delete;

  const std::string& whom() const { return whom_; }

 private:
  struct Handle;

  void look();
  void begin(pid_t pid);
  void end();
  bool is_file() const;
  pid_t read_pid() const;

  Loop& loop_;
  std::string whom_;
  std::function<void(pid_t)> found_;
  std::function<void(pid_t)> gone_;
  pid_t pid_ = 0;  // whom it watches; 0: nobody yet
  std::unique_ptr<Handle> handle_;
  MemberTimer<ProcessWatch, &ProcessWatch::look> timer_{*this};
};

}  // namespace remora::net
