// A coarse hierarchical timer wheel: O(1) arm, cancel and fire, no allocation, no clock. The loop tells it
// the time; a test tells it the time in the same way, so the production timer is its own fake.
//
// Contract: a timer never fires before its due time and at most one tick (10 ms) after it, provided advance()
// is called as next_expiry() says. A callback may arm, re-arm or cancel any timer and destroy itself or its
// owner; it must not call advance().
//
// Thread: the loop's. Source: Varghese and Lauck, "Hashed and hierarchical timing wheels" (1987).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/time.h"

namespace remora {

class TimerWheel;

// The links of a circular list; also its head, which is no timer.
struct TimerLink {
  TimerLink* next_ = nullptr;
  TimerLink* prev_ = nullptr;
};

// A point in time at which its owner wants to be called: a member of the owner. Unlinks itself on
// destruction.
class Timer : private TimerLink {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool armed() const { return next_ != nullptr; }
  // When it is to fire; only meaningful while armed.
  TimePoint due() const { return due_; }
  // Idempotent.
  void cancel();

  // Called with the timer already disarmed.
  virtual void on_timer() = 0;

 protected:
  virtual ~Timer() { cancel(); }

 private:
  friend class TimerWheel;
  TimerWheel* wheel_ = nullptr;  // while armed
  TimePoint due_{};
};

// A Timer that calls a member function of its owner: `MemberTimer<Exchange, &Exchange::on_deadline>
// deadline_{*this};`
template <typename Owner, void (Owner::*Method)()>
class MemberTimer final : public Timer {
 public:
  explicit MemberTimer(Owner& owner) : owner_(owner) {}
  void on_timer() override { (owner_.*Method)(); }

 private:
  Owner& owner_;
};

class TimerWheel final {
 public:
  static constexpr Duration kTick = 10ms;

  explicit TimerWheel(TimePoint now);
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  ~TimerWheel();  // disarms what is still armed

  // The instant of the current event: set by set_now() and advance(), exact to the microsecond, constant in
  // between.
  TimePoint now() const { return now_; }
  // Notes a later instant without firing anything (the start of an I/O event). An earlier one is ignored.
  void set_now(TimePoint now) {
    if (now > now_) now_ = now;
  }

  // Arms (or re-arms) `timer` to fire at `due`; one in the past fires at the next tick that advance() passes.
  void arm(Timer& timer, TimePoint due);
  void arm_in(Timer& timer, Duration delay) { arm(timer, now_ + delay); }

  // Fires everything due at or before `now`, in order of tick. Its cost does not depend on how long the last
  // call ago is.
  void advance(TimePoint now);

  // When advance() has something to do next: never later than the first due tick, possibly earlier (timers
  // move to a finer level then). Nothing armed: nullopt. A few instructions: called after every event.
  std::optional<TimePoint> next_expiry() const;

  // Number of armed timers.
  std::size_t size() const { return size_; }

 private:
  friend class Timer;
  static constexpr unsigned kBits = 6;
  static constexpr unsigned kSlots = 1U << kBits;
  static constexpr unsigned kLevels = 5;  // 2^30 ticks of 10 ms: 124 days; later timers wait in the last slot

  struct Level {
    std::array<TimerLink, kSlots> slots;
    // A bit per slot: clear means empty; a set one may be empty, too, which whoever looks for the next slot
    // corrects. So that cancelling needs not know where a timer is.
    mutable std::uint64_t maybe_occupied = 0;
  };

  std::uint64_t tick_of(TimePoint due) const;
  std::optional<std::uint64_t> next_tick() const;
  void place(Timer& timer);
  void put(Timer& timer, unsigned level, unsigned slot);
  void fire(TimerLink& slot);
  void cascade(unsigned level);
  static void take_all(TimerLink& from, TimerLink& to);

  TimePoint origin_;
  TimePoint now_;
  std::uint64_t tick_ = 0;  // since origin_: the last one whose timers have fired
  std::size_t size_ = 0;
  std::array<Level, kLevels> levels_;
};

}  // namespace remora
