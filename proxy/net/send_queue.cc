#include "proxy/net/send_queue.h"

#include <algorithm>
#include <cstring>

namespace remora::net {

void SendQueue::append(std::string_view bytes) {
  size_ += bytes.size();
  while (!bytes.empty()) {
    if (blocks_.empty() || blocks_.back().end == blocks_.back().capacity) {
      const std::size_t capacity = std::clamp(bytes.size(), kSmallestBlock, kLargestBlock);
      blocks_.push_back({std::make_unique_for_overwrite<char[]>(capacity), capacity});
    }
    Block& last = blocks_.back();
    const std::size_t count = std::min(bytes.size(), last.capacity - last.end);
    std::memcpy(last.bytes.get() + last.end, bytes.data(), count);
    last.end += count;
    bytes.remove_prefix(count);
  }
}

std::size_t SendQueue::front(std::span<std::string_view> pieces, std::size_t max_bytes) const {
  std::size_t used = 0;
  for (const Block& block : blocks_) {
    if (used == pieces.size() || max_bytes == 0) break;
    const std::size_t count = std::min(block.end - block.begin, max_bytes);
    pieces[used++] = {block.bytes.get() + block.begin, count};
    max_bytes -= count;
  }
  return used;
}

void SendQueue::consume(std::size_t count) {
  size_ -= count;
  while (count > 0) {
    Block& first = blocks_.front();
    const std::size_t taken = std::min(count, first.end - first.begin);
    first.begin += taken;
    count -= taken;
    if (first.begin == first.end) blocks_.pop_front();
  }
}

}  // namespace remora::net
