// A bounded queue of bytes between one producing and one consuming thread, without locks. What the producer
// reserves is contiguous, so that a line can be formatted in place; what does not fit before the end of the
// memory starts again at its beginning, and the gap is skipped by both.
//
// Positions only grow; their low bits are the place in the memory. The memory is touched when it is first
// used.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace remora {

class LogRing final {
 public:
  // `bytes` is rounded up to a power of two, at least 64.
  explicit LogRing(std::size_t bytes)
      : size_(std::bit_ceil(bytes < 64 ? std::size_t{64} : bytes)),
        memory_(std::make_unique_for_overwrite<char[]>(size_)) {}

  // --- producer ---

  // Room for `max` bytes, or nullptr when there is none now; never more than half of the ring. Nothing is
  // taken until commit().
  char* reserve(std::size_t max) {
    if (max > size_ / 2) return nullptr;
    const std::uint64_t to_end = size_ - (head_ & (size_ - 1));
    reserved_ = to_end < max ? head_ + to_end : head_;
    if (reserved_ + max - known_tail_ > size_) {
      known_tail_ = tail_.load(std::memory_order_acquire);
      if (reserved_ + max - known_tail_ > size_) return nullptr;
    }
    return memory_.get() + (reserved_ & (size_ - 1));
  }

  // Publishes the first `size` bytes of the last reservation; size > 0. Sequentially consistent: a consumer
  // that has announced its sleep before either sees these bytes or is seen to sleep by whoever calls next.
  void commit(std::size_t size) {
    if ((reserved_ & (size_ - 1)) == 0) lap_end_ = head_;
    head_ = reserved_ + size;
    published_.store(head_, std::memory_order_seq_cst);
  }

  // Bytes not consumed yet: a cheap upper bound below `exact_from`, exact from there on.
  std::size_t pending(std::size_t exact_from) {
    if (head_ - known_tail_ >= exact_from) known_tail_ = tail_.load(std::memory_order_acquire);
    return static_cast<std::size_t>(head_ - known_tail_);
  }

  // --- consumer ---

  // The next committed bytes, as far as they are contiguous; empty when there are none. Valid until consumed.
  std::string_view readable() {
    const std::uint64_t head = published_.load(std::memory_order_seq_cst);
    std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    const std::uint64_t lap = (tail | (size_ - 1)) + 1;
    std::uint64_t end = head;
    if (head > lap) {
      // The producer has gone round; lap_end_ stays as it is until the tail has followed.
      if (tail < lap_end_) {
        end = lap_end_;
      } else {
        tail = lap;
        tail_.store(tail, std::memory_order_release);
      }
    }
    return {memory_.get() + (tail & (size_ - 1)), static_cast<std::size_t>(end - tail)};
  }

  void consume(std::size_t size) {
    tail_.store(tail_.load(std::memory_order_relaxed) + size, std::memory_order_release);
  }

  // Bytes between tail and head, gap included. Consumer only.
  std::size_t unread() const {
    return static_cast<std::size_t>(published_.load(std::memory_order_seq_cst) -
                                    tail_.load(std::memory_order_relaxed));
  }

 private:
  const std::size_t size_;
  const std::unique_ptr<char[]> memory_;

  // The producer's own.
  alignas(64) std::uint64_t head_ = 0;
  std::uint64_t reserved_ = 0;
  std::uint64_t known_tail_ = 0;
  // Where the data ends before the memory's end that head_ has last passed. Published with the head.
  std::uint64_t lap_end_ = 0;

  alignas(64) std::atomic<std::uint64_t> published_{0};
  alignas(64) std::atomic<std::uint64_t> tail_{0};
};

}  // namespace remora
