// Byte buffers that keep their memory between uses, so that a connection holds one only while it has
// something to send.
//
// Thread: one, the loop's. Owner: the worker.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace remora {

class BufferPool final {
 public:
  // One word where it is held, and none behind it while there is nothing to hold.
  using Buffer = std::unique_ptr<std::string>;

  // An empty buffer with whatever capacity it had before. Never null.
  Buffer take() {
    if (free_.empty()) {
      auto fresh = std::make_unique<std::string>();
      fresh->reserve(kInitial);
      return fresh;
    }
    Buffer buffer = std::move(free_.back());
    free_.pop_back();
    return buffer;
  }

  // Gives a buffer back, or null. One that has grown large, or one too many, is freed.
  void give(Buffer buffer) {
    if (!buffer || buffer->capacity() > kLargest || free_.size() >= kMost) return;
    buffer->clear();
    free_.push_back(std::move(buffer));
  }

 private:
  static constexpr std::size_t kInitial = 4096;
  static constexpr std::size_t kLargest = 128 * 1024;
  static constexpr std::size_t kMost = 32;
  std::vector<Buffer> free_;
};

}  // namespace remora
