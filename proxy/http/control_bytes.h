// Walks over the control characters of a text, below 0x20 or 0x7f, and over one other if one is named. Every
// head is looked through for them, so this goes 16 bytes at a time, in the compiler's portable vectors.
//
// Thread: any. It refers to the text.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace remora::http {

template <char Other = 0x7f>
class MarkedBytes final {
 public:
  // Those at or after `from`.
  MarkedBytes(std::string_view text, std::size_t from) : text_(text), block_(from) {
    if (block_ < text_.size()) marks_ = marks_at(block_);
  }

  // The position of the next, each once and in order; text.size() when there is none left. O(bytes passed).
  std::size_t next() {
    while (marks_ == 0) {
      if (text_.size() - block_ <= kBlock || block_ >= text_.size()) return text_.size();
      block_ += kBlock;
      marks_ = marks_at(block_);
    }
    const auto at = static_cast<std::size_t>(std::countr_zero(marks_));
    marks_ &= marks_ - 1;
    return block_ + at;
  }

  static constexpr std::size_t kBlock = 16;

  using Marks [[gnu::vector_size(kBlock)]] = char;  // of each byte, 0 or -1

  // A bit for each, the lowest for the first. Public for the test: where SSE2 is, it is one instruction.
  static std::uint32_t gather_portably(Marks marks) {
    using Words [[gnu::vector_size(kBlock)]] = unsigned long long;
    const auto words = reinterpret_cast<Words>(marks);
    return gather_eight(words[0]) | gather_eight(words[1]) << 8U;
  }

 private:
  // The product brings the lowest bit of byte i to bit 56 + i.
  static std::uint32_t gather_eight(std::uint64_t bytes) {
    if constexpr (std::endian::native == std::endian::big) bytes = std::byteswap(bytes);
    return static_cast<std::uint32_t>((bytes & 0x0101010101010101U) * 0x0102040810204080U >> 56U);
  }

  std::uint32_t marks_at(std::size_t at) const {
    const std::size_t left = text_.size() - at;
    if (left >= kBlock) return marks_of(text_.data() + at);
    if (text_.size() >= kBlock) {
      // The last block overlaps what lies before it.
      return marks_of(text_.data() + text_.size() - kBlock) >> (kBlock - left);
    }
    static_assert(Other != 'a');
    char padded[kBlock];
    std::memset(padded, 'a', sizeof padded);
    std::memcpy(padded, text_.data() + at, left);
    return marks_of(padded);
  }

  static std::uint32_t marks_of(const char* bytes) {
    using Bytes [[gnu::vector_size(kBlock)]] = unsigned char;
    Bytes block;
    std::memcpy(&block, bytes, sizeof block);
    const auto marks = reinterpret_cast<Marks>((block < 0x20) | (block == 0x7f) |
                                               (block == static_cast<unsigned char>(Other)));
#ifdef __SSE2__
    return static_cast<std::uint32_t>(__builtin_ia32_pmovmskb128(marks));
#else
    return gather_portably(marks);
#endif
  }

  std::string_view text_;
  std::size_t block_;
  std::uint32_t marks_ = 0;
};

using ControlBytes = MarkedBytes<>;

}  // namespace remora::http
