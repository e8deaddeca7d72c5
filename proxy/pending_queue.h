// The requests of one worker that wait for a place at a cluster whose limits are reached: bounded per process
// by a permit each, served in the order that breaker::QueueOrder says. Who waits is told through the
// interface; the queue knows nothing of places.
//
// Thread: the worker's. Owner: Cluster. Everything is O(1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "breaker/limiter.h"
#include "breaker/queue_order.h"

namespace remora::proxy {

class PendingQueue final {
 public:
  // One that waits; in at most one queue. Its destructor takes it out.
  class Member {
   public:
    Member() = default;
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;
    bool waiting() const { return queue_ != nullptr; }
    void leave() {
      if (queue_ != nullptr) queue_->remove(*this);
    }

   protected:
    ~Member() { leave(); }

   private:
    friend class PendingQueue;
    PendingQueue* queue_ = nullptr;
    Member* older_ = nullptr;
    Member* newer_ = nullptr;
    breaker::Permit permit_;
  };

  PendingQueue() = default;
  PendingQueue(const PendingQueue&) = delete;
  PendingQueue& operator=(const PendingQueue&) = delete;
  ~PendingQueue() {
    while (oldest_ != nullptr) remove(*oldest_);
  }

  void add(Member& member, breaker::Permit permit, TimePoint now) {
    member.queue_ = this;
    member.permit_ = std::move(permit);
    member.older_ = newest_;
    member.newer_ = nullptr;
    (newest_ != nullptr ? newest_->newer_ : oldest_) = &member;
    newest_ = &member;
    ++size_;
    order_.on_length(size_, now);
    now_ = now;
  }

  // Whose turn it is; null when nobody waits. It stays in the queue.
  Member* next(TimePoint now) {
    now_ = now;
    return order_.newest_first(now) ? newest_ : oldest_;
  }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  void remove(Member& member) {
    (member.older_ != nullptr ? member.older_->newer_ : oldest_) = member.newer_;
    (member.newer_ != nullptr ? member.newer_->older_ : newest_) = member.older_;
    member.queue_ = nullptr;
    member.older_ = member.newer_ = nullptr;
    member.permit_.release();
    --size_;
    order_.on_length(size_, now_);
  }

  Member* oldest_ = nullptr;
  Member* newest_ = nullptr;
  std::size_t size_ = 0;
  breaker::QueueOrder order_;
  TimePoint now_{};
};

}  // namespace remora::proxy
