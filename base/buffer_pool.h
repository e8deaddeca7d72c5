// Byte buffers that keep their memory between uses, so that a connection holds one only while it has something to send.
//
// Thread: one, the loop's. Owner: the worker.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace remora {

class BufferPool final {
 public:
  // An empty buffer with whatever capacity it had before.
  std::string take() {
    if (free_.empty()) {
      std::string fresh;
      fresh.reserve(kInitial);
      return fresh;
    }
    std::string buffer = std::move(free_.back());
    free_.pop_back();
    return buffer;
  }

  // Gives a buffer back. One that has grown large, or one too many, is freed.
  void give(std::string buffer) {
    if (buffer.capacity() > kLargest || free_.size() >= kMost) return;
    buffer.clear();
    free_.push_back(std::move(buffer));
  }

 private:
  static constexpr std::size_t kInitial = 4096;
  static constexpr std::size_t kLargest = 128 * 1024;
  static constexpr std::size_t kMost = 32;
  std::vector<std::string> free_;
};

}  // namespace remora
