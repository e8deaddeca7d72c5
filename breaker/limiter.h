// A limit on how many of something exist at the same time, counted per process: threads share one atomic
// count, so the operator's number means what it says however many workers run. Its operations are
// sequentially consistent, so that "give back, then see who waits" and "say that I wait, then try again" on
// two threads cannot miss each other.
//
// Thread: any. Owner: whoever made the limit; it outlives every permit.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

namespace remora::breaker {

class Limiter;

// The right to exist; gives its place back on destruction.
class Permit final {
 public:
  Permit() = default;
  Permit(Permit&& other) noexcept : limiter_(std::exchange(other.limiter_, nullptr)) {}
  Permit& operator=(Permit&& other) noexcept {
    std::swap(limiter_, other.limiter_);
    return *this;
  }
  ~Permit() { release(); }

  bool held() const { return limiter_ != nullptr; }
  // Gives the place back before the permit's end.
  void release();

 private:
  friend class Limiter;
  explicit Permit(Limiter& limiter) : limiter_(&limiter) {}
  Limiter* limiter_ = nullptr;
};

class Limiter final {
 public:
  // `most` = 0: unlimited.
  explicit Limiter(std::uint32_t most) : most_(most) {}

  // A permit, or nullopt at the limit. Never more than `most` permits are given out at once.
  std::optional<Permit> try_take() {
    const std::uint32_t most = most_.load(std::memory_order_relaxed);
    // Never above the limit, not even for an instant: another thread would take it for full.
    std::uint32_t in_use = in_use_.load();
    do {
      if (in_use >= most && most != 0) return std::nullopt;
    } while (!in_use_.compare_exchange_weak(in_use, in_use + 1));
    return Permit(*this);
  }

  // From now on; permits beyond it stay until their holders give them back.
  void set_most(std::uint32_t most) { most_.store(most, std::memory_order_relaxed); }

  std::uint32_t in_use() const { return in_use_.load(std::memory_order_relaxed); }
  std::uint32_t most() const { return most_.load(std::memory_order_relaxed); }
  bool limited() const { return most() != 0; }

 private:
  friend class Permit;
  std::atomic<std::uint32_t> most_;
  std::atomic<std::uint32_t> in_use_{0};
};

inline void Permit::release() {
  if (auto* limiter = std::exchange(limiter_, nullptr)) {
    limiter->in_use_.fetch_sub(1);
  }
}

}  // namespace remora::breaker
