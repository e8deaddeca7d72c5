#include "breaker/retry_budget.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace remora::breaker {
namespace {

// A word: 45 bits of second, biased so that every TimePoint has one and the words of later seconds are
// greater; 19 bits of retries. More than that in one second are not granted.
constexpr unsigned kCountBits = 19;
constexpr std::uint64_t kCountMask = (std::uint64_t{1} << kCountBits) - 1;
constexpr std::int64_t kBias = std::int64_t{1} << 44U;

std::uint64_t make_word(std::int64_t second, std::uint64_t count) {
  return static_cast<std::uint64_t>(second + kBias) << kCountBits | count;
}

std::int64_t second_of(std::uint64_t word) { return static_cast<std::int64_t>(word >> kCountBits) - kBias; }
std::uint64_t count_of(std::uint64_t word) { return word & kCountMask; }

std::int64_t second_at(TimePoint now) {
  return std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count();
}

std::uint64_t millionths(double ratio) {
  return static_cast<std::uint64_t>(std::llround(std::clamp(ratio, 0.0, 10.0) * 1e6));
}

// When another thread's clock is ahead, its second counts.
TimePoint not_before(std::int64_t second, TimePoint now) {
  return second > second_at(now) ? TimePoint(std::chrono::seconds(second)) : now;
}

std::size_t slot_of(std::int64_t second, std::size_t slots) {
  return static_cast<std::size_t>(static_cast<std::uint64_t>(second + kBias) % slots);
}

}  // namespace

RetryBudget::RetryBudget(const Settings& settings)
    : ratio_millionths_(millionths(settings.ratio)), min_per_second_(settings.min_per_second) {}

void RetryBudget::set_settings(const Settings& settings) {
  ratio_millionths_.store(millionths(settings.ratio), std::memory_order_relaxed);
  min_per_second_.store(settings.min_per_second, std::memory_order_relaxed);
}

void RetryBudget::on_request(TimePoint now) { requests_.add(false, false, now); }

bool RetryBudget::try_retry(TimePoint now) {
  const std::int64_t second = second_at(now);
  std::uint64_t gate = gate_.load(std::memory_order_acquire);
  for (;;) {
    if (second_of(gate) < second) {
      close_second(gate);
      const std::uint64_t next = make_word(second, 0);
      if (gate_.compare_exchange_weak(gate, next, std::memory_order_acq_rel, std::memory_order_acquire)) {
        gate = next;
      }
      continue;
    }
    const std::uint64_t most = allowed(not_before(second_of(gate), now));
    if (granted(gate, second_of(gate)) >= most || count_of(gate) == kCountMask) return false;
    if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
      return true;
    }
  }
}

std::uint64_t RetryBudget::left(TimePoint now) const {
  const std::uint64_t gate = gate_.load(std::memory_order_acquire);
  const TimePoint present = not_before(second_of(gate), now);
  const std::uint64_t most = allowed(present);
  const std::uint64_t used = granted(gate, second_at(present));
  return used < most ? most - used : 0;
}

std::uint64_t RetryBudget::allowed(TimePoint now) const {
  constexpr std::uint64_t kWindowSeconds = std::chrono::duration_cast<std::chrono::seconds>(kWindow).count();
  return requests_.counts(now).total * ratio_millionths_.load(std::memory_order_relaxed) / 1'000'000 +
         std::uint64_t{min_per_second_.load(std::memory_order_relaxed)} * kWindowSeconds;
}

// In `second` and the ten before, when the present second's word is `gate`. That second may have been noted
// as past already, perhaps with fewer retries.
std::uint64_t RetryBudget::granted(std::uint64_t gate, std::int64_t second) const {
  const auto counts = [second](std::uint64_t word) {
    return second - second_of(word) < static_cast<std::int64_t>(kSeconds) ? count_of(word) : 0;
  };
  std::uint64_t sum = counts(gate);
  const Past* const seconds = past_.peek();
  if (seconds == nullptr) return sum;
  for (const auto& past : *seconds) {
    const std::uint64_t word = past.load(std::memory_order_acquire);
    if (second_of(word) < second_of(gate)) sum += counts(word);
  }
  return sum;
}

// Notes how the gate's second ended, before the gate goes on: whoever sees the next second in the gate sees
// this. A thread that noted a smaller count, or does so for a second long past, changes nothing, since the
// greater word stays.
void RetryBudget::close_second(std::uint64_t gate) {
  auto& past = past_.get()[slot_of(second_of(gate), kSeconds)];
  std::uint64_t old = past.load(std::memory_order_relaxed);
  while (old < gate && !past.compare_exchange_weak(old, gate, std::memory_order_acq_rel)) {
  }
}

}  // namespace remora::breaker
