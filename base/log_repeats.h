// Keeps one message from filling the operational log: of lines that are the same, time aside, kMost are
// written in an interval, and how many more there were is said once it is over.
//
// Time is an argument. Thread: one at a time. Memory: kSlots lines are remembered, by their digests; two that
// share a slot forget each other, and then more is written, never less.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace remora {

class LogRepeats final {
 public:
  static constexpr unsigned kMost = 20;
  static constexpr std::int64_t kIntervalMs = 10'000;  // from the first of them
  static constexpr std::size_t kSlots = 64;

  struct LeftOut {
    std::string message;
    std::uint64_t count = 0;
  };

  // Whether to write the line with this digest (of message and fields), now.
  bool may_write(std::uint64_t digest, std::string_view message, std::int64_t now_ms) {
    Slot& slot = slots_[digest % kSlots];
    if (slot.digest != digest || over(slot, now_ms)) {
      if (slot.left_out.count > 0) forgotten_.push_back(std::move(slot.left_out));
      slot = {.digest = digest, .since_ms = now_ms, .written = 0, .left_out = {}};
    }
    if (slot.written < kMost) {
      ++slot.written;
      return true;
    }
    if (slot.left_out.count++ == 0) slot.left_out.message = message;
    return false;
  }

  // What was left out in intervals that are over, or that `all` ends; each is told once.
  std::vector<LeftOut> take_left_out(std::int64_t now_ms, bool all = false) {
    auto left_out = std::exchange(forgotten_, {});
    for (Slot& slot : slots_) {
      if (slot.left_out.count == 0 || !(all || over(slot, now_ms))) continue;
      left_out.push_back(std::exchange(slot.left_out, {}));
      slot.digest = 0;
    }
    return left_out;
  }

 private:
  struct Slot {
    std::uint64_t digest = 0;
    std::int64_t since_ms = 0;
    unsigned written = 0;
    LeftOut left_out;
  };

  // A clock that was put back ends the interval too.
  static bool over(const Slot& slot, std::int64_t now_ms) {
    return now_ms < slot.since_ms || now_ms - slot.since_ms >= kIntervalMs;
  }

  std::array<Slot, kSlots> slots_;
  std::vector<LeftOut> forgotten_;  // their slots have gone to others
};

}  // namespace remora
