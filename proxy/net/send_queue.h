// Bytes that the kernel has not taken yet, in blocks that never move: what is being written stays where it is
// while more is appended behind it.
//
// Thread: the loop's. Owner: the stream, which has one only while there is something in it. append() is
// O(bytes), everything else O(blocks touched).
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <string_view>

namespace remora::net {

class SendQueue final {
 public:
  static constexpr std::size_t kSmallestBlock = std::size_t{4} * 1024;
  static constexpr std::size_t kLargestBlock = std::size_t{64} * 1024;

  // Copies `bytes` to the end.
  void append(std::string_view bytes);

  // Fills `pieces` with the first bytes, at most `max_bytes`, and returns how many pieces were used. They
  // stay valid until consume() passes them.
  std::size_t front(std::span<std::string_view> pieces, std::size_t max_bytes) const;

  // Forgets the first `count` bytes; not more than size().
  void consume(std::size_t count);

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  struct Block {
    std::unique_ptr<char[]> bytes;
    std::size_t capacity = 0;
    std::size_t begin = 0;
    std::size_t end = 0;
  };

  std::deque<Block> blocks_;
  std::size_t size_ = 0;
};

}  // namespace remora::net
