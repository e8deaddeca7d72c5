// One event loop: a uv_loop_t with its clock, its timer wheel and its turn. The only place of the data path
// that reads the monotonic clock: once at the start of each top-level event, so that everything in one event
// sees the same instant.
//
// The events that the loop finds ready together make one turn, unless they take too long for that: the first
// ones' output waits for the others. The kernel's writing, which is most of the work, so comes many times in
// a row, and not in between the codecs, whose code it drives out of the caches.
//
// Thread: the one that calls run(); only post(), stop() and take_max_lag() may be called from others. Owner:
// the worker thread or main.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "base/timer_wheel.h"
#include "base/turn.h"

struct uv_loop_s;

namespace remora::net {

class Loop final {
 public:
  // What the first event of a turn deferred waits so long for others that were ready with it, and two events
  // more: a turn ends with the first event that begins so late.
  static constexpr Duration kLongestTurn = std::chrono::microseconds(100);

  explicit Loop(Duration longest_turn = kLongestTurn);
  ~Loop();  // every handle made on this loop must have been destroyed by its owner before
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Turns until stop(). May be called again afterwards. First does what was deferred in the Turn before.
  void run();
  // Makes run() return once the events at hand are done; at once if it is called before run(). Any thread.
  void stop();
  // Runs `task` on the loop's thread as an event of its own, in order of posting, and destroys it in that
  // event. Any thread: the one way in which threads talk. The only mutex of the loop is held while the task
  // joins the list. Tasks that did not run are destroyed with the loop.
  void post(std::move_only_function<void()> task);

  // Calls `handler` as an event on this loop when the process receives `signal_number`. One handler per
  // signal: a second one replaces the first, not inside the first.
  void on_signal(int signal_number, std::function<void()> handler);

  TimerWheel& wheel();
  Turn& turn();
  // The libuv loop, for proxy/net only.
  uv_loop_s* uv();

  // Wraps one top-level callback from libuv: reads the clock, runs `body`, and ends the turn if that has
  // become long. Costs about 30 ns, of which the clock takes 20. Inside another event it only runs `body`.
  // What called it may be gone when it returns, as what the turn deferred buries and breaks things; never
  // when `body` begins, so that a callback looks whether its owner is still there and then opens the event.
  // For proxy/net only.
  template <typename Body>
  void event(Body&& body) {
    begin_event();
    body();
    end_event();
  }

  // Ends the turn between two events, for whoever cannot go on without. For proxy/net only.
  void end_turn();

  // How much later than asked for the timer wheel was woken at worst since the last call: what an event has
  // to wait for others. Up to 1 ms of it is the resolution of the kernel's wait. Any thread.
  Duration take_max_lag();

 private:
  void begin_event();
  void end_event();

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A seed from the operating system, different in every process. Any thread.
std::uint64_t random_seed();

// Seconds since 1970. Any thread.
std::int64_t wall_clock_seconds();

}  // namespace remora::net
