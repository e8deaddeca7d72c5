// A limit on how many of something exist at the same time, counted per process: threads share one by relaxed
// atomics, so the operator's number means what it says however many workers run.
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
  ~Permit();

 private:
  friend class Limiter;
  explicit Permit(Limiter& limiter) : limiter_(&limiter) {}
  Limiter* limiter_ = nullptr;
};

class Limiter final {
 public:
  // `most` = 0: unlimited.
  explicit Limiter(std::uint32_t most) : most_(most) {}

  // A permit, or nullopt at the limit. Never more than `most` permits exist at once.
  std::optional<Permit> try_take() {
    if (in_use_.fetch_add(1, std::memory_order_relaxed) >= most_ && most_ != 0) {
      in_use_.fetch_sub(1, std::memory_order_relaxed);
      return std::nullopt;
    }
    return Permit(*this);
  }

  std::uint32_t in_use() const { return in_use_.load(std::memory_order_relaxed); }
  std::uint32_t most() const { return most_; }

 private:
  friend class Permit;
  std::uint32_t most_;
  std::atomic<std::uint32_t> in_use_{0};
};

inline Permit::~Permit() {
  if (limiter_ != nullptr) limiter_->in_use_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace remora::breaker
