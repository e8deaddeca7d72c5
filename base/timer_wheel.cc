// How it works. Time is counted in ticks, a tick number is read as digits of six bits, and level n has a slot
// for each value of digit n. A timer waits at the level of the highest digit in which its due tick differs
// from the current one; there its slot is ahead of the current position. When the current tick enters a slot
// of a coarse level, the timers in it are placed again, with fewer digits that differ (cascade); entering a
// slot of level 0 fires it. The coarsest level wraps around: its slots stand for the next 63 values, whatever
// the digits above.
#include "base/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace remora {

namespace {

bool is_empty(const TimerLink& list) { return list.next_ == &list; }

void make_empty(TimerLink& list) { list.next_ = list.prev_ = &list; }

void append(TimerLink& list, TimerLink& link) {
  link.prev_ = list.prev_;
  link.next_ = &list;
  list.prev_->next_ = &link;
  list.prev_ = &link;
}

void unlink(TimerLink& link) {
  link.next_->prev_ = link.prev_;
  link.prev_->next_ = link.next_;
  link.next_ = link.prev_ = nullptr;
}

}  // namespace

void Timer::cancel() {
  if (!armed()) return;
  unlink(*this);
  --wheel_->size_;
  wheel_ = nullptr;
}

TimerWheel::TimerWheel(TimePoint now) : origin_(now), now_(now) {
  for (auto& level : levels_) {
    for (auto& slot : level.slots) make_empty(slot);
  }
}

TimerWheel::~TimerWheel() {
  for (auto& level : levels_) {
    for (auto& slot : level.slots) {
      while (!is_empty(slot)) static_cast<Timer*>(slot.next_)->cancel();
    }
  }
}

// Rounded up: a timer may be late, never early.
std::uint64_t TimerWheel::tick_of(TimePoint due) const {
  const auto since = due - origin_;
  if (since <= Duration::zero()) return 0;
  return static_cast<std::uint64_t>((since - 1us) / kTick) + 1;
}

void TimerWheel::arm(Timer& timer, TimePoint due) {
  timer.cancel();
  // With nothing armed there is no reason to have advanced: catching up puts the timer where it needs no
  // extra wake-up.
  if (size_ == 0) tick_ = std::max(tick_, static_cast<std::uint64_t>((now_ - origin_) / kTick));
  timer.due_ = due;
  timer.wheel_ = this;
  ++size_;
  place(timer);
}

void TimerWheel::put(Timer& timer, unsigned level, unsigned slot) {
  append(levels_[level].slots[slot], timer);
  levels_[level].maybe_occupied |= std::uint64_t{1} << slot;
}

void TimerWheel::place(Timer& timer) {
  constexpr std::uint64_t kHorizon = std::uint64_t{kSlots - 1} << (kBits * (kLevels - 1));
  const std::uint64_t due = std::clamp(tick_of(timer.due_), tick_ + 1, tick_ + kHorizon);
  const auto highest_bit = static_cast<unsigned>(std::bit_width(due ^ tick_)) - 1;
  const unsigned level = std::min(highest_bit / kBits, kLevels - 1);
  put(timer, level, static_cast<unsigned>(due >> (level * kBits)) % kSlots);
}

void TimerWheel::take_all(TimerLink& from, TimerLink& to) {
  make_empty(to);
  if (is_empty(from)) return;
  to = from;
  to.next_->prev_ = to.prev_->next_ = &to;
  make_empty(from);
}

// Timers that the callbacks put into the same slot belong to a later round: they are not in `due`.
void TimerWheel::fire(TimerLink& slot) {
  TimerLink due;
  take_all(slot, due);
  while (!is_empty(due)) {
    auto* timer = static_cast<Timer*>(due.next_);
    timer->cancel();
    timer->on_timer();
  }
}

// Places the timers of the slot that the current tick has just entered, coarser levels first.
void TimerWheel::cascade(unsigned level) {
  if (level == kLevels) return;
  const auto slot = static_cast<unsigned>(tick_ >> (level * kBits)) % kSlots;
  if (slot == 0) cascade(level + 1);
  TimerLink moved;
  take_all(levels_[level].slots[slot], moved);
  levels_[level].maybe_occupied &= ~(std::uint64_t{1} << slot);
  while (!is_empty(moved)) {
    auto* timer = static_cast<Timer*>(moved.next_);
    unlink(*timer);
    if (tick_of(timer->due_) <= tick_) {
      put(*timer, 0, static_cast<unsigned>(tick_) % kSlots);  // advance() fires it next
    } else {
      place(*timer);
    }
  }
}

std::optional<std::uint64_t> TimerWheel::next_tick() const {
  if (size_ == 0) return std::nullopt;
  for (unsigned n = 0; n < kLevels; ++n) {
    const Level& level = levels_[n];
    const std::uint64_t current = tick_ >> (n * kBits);
    const auto position = static_cast<unsigned>(current) % kSlots;
    for (;;) {
      // Bit i: the slot i + 1 ahead. Only the coarsest level has slots behind the position that are ahead in
      // time.
      std::uint64_t ahead = std::rotr(level.maybe_occupied, static_cast<int>(position + 1));
      if (n < kLevels - 1) ahead &= (std::uint64_t{1} << (kSlots - 1 - position)) - 1;
      if (ahead == 0) break;
      const std::uint64_t found = current + static_cast<std::uint64_t>(std::countr_zero(ahead)) + 1;
      const auto slot = static_cast<unsigned>(found) % kSlots;
      if (!is_empty(level.slots[slot])) return found << (n * kBits);
      level.maybe_occupied &= ~(std::uint64_t{1} << slot);
    }
  }
  return tick_ + 1;  // inside fire(): what is left is firing now
}

std::optional<TimePoint> TimerWheel::next_expiry() const {
  const auto tick = next_tick();
  if (!tick) return std::nullopt;
  return origin_ + static_cast<Duration::rep>(*tick) * kTick;
}

void TimerWheel::advance(TimePoint now) {
  set_now(now);
  const auto target = static_cast<std::uint64_t>((now_ - origin_) / kTick);
  while (tick_ < target) {
    // Slots that are jumped over are empty, at every level.
    const auto next = next_tick();
    if (!next || *next > target) {
      tick_ = target;
      return;
    }
    tick_ = *next;
    const auto slot = static_cast<unsigned>(tick_) % kSlots;
    if (slot == 0) cascade(1);
    levels_[0].maybe_occupied &= ~(std::uint64_t{1} << slot);
    fire(levels_[0].slots[slot]);
  }
}

}  // namespace remora
