// Work that is long and never urgent: done piece after piece on a thread of its own, which gives way to all
// others of the process and exists only while there is such work. So neither the loop nor a request waits for
// it.
//
// Thread: the loop's. Owner: whoever has such work; it goes only when the loop turns no more.
#pragma once

#include <deque>
#include <functional>
#include <thread>

#include "proxy/net/loop.h"

namespace remora::net {

class Background final {
 public:
  // Runs on the other thread, so it must own what it reads. What it returns runs on the loop.
  using Done = std::move_only_function<void()>;
  using Work = std::move_only_function<Done()>;

  explicit Background(Loop& loop) : loop_(loop) {}
  // Waits for the piece at hand; those behind it never run, and nobody hears of any.
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // In order of calling. Where the system has no thread left, the work is done here and now; its Done comes
  // later all the same.
  void run(Work work);

 private:
  void begin_next();
  void perform();

  Loop& loop_;
  std::deque<Work> waiting_;
  Work at_hand_;  // the other thread's while busy_
  bool busy_ = false;
  std::thread thread_;  // joinable after its last piece, too: to join it then would be to wait for it
};

}  // namespace remora::net
