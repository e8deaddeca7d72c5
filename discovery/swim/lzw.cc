#include "discovery/swim/lzw.h"

#include <array>
#include <cstdint>
#include <vector>

namespace remora::discovery::swim {
namespace {

constexpr unsigned kClear = 256;
constexpr unsigned kEnd = 257;
constexpr unsigned kNone = 0xffff;
constexpr unsigned kMaxWidth = 12;
constexpr unsigned kCodes = 1U << kMaxWidth;

class BitReader final {
 public:
  explicit BitReader(std::string_view bytes) : bytes_(bytes) {}

  bool read(unsigned width, unsigned& code) {
    while (have_ < width) {
      if (next_ == bytes_.size()) return false;
      bits_ |= static_cast<unsigned>(static_cast<std::uint8_t>(bytes_[next_++])) << have_;
      have_ += 8;
    }
    code = bits_ & ((1U << width) - 1);
    bits_ >>= width;
    have_ -= width;
    return true;
  }

 private:
  std::string_view bytes_;
  std::size_t next_ = 0;
  unsigned bits_ = 0;
  unsigned have_ = 0;
};

class Inflater final {
 public:
  Inflater(std::string_view bytes, std::size_t limit) : in_(bytes), limit_(limit) {}

  std::optional<std::string> run() {
    unsigned code = 0;
    while (in_.read(width_, code)) {
      if (code == kEnd) return std::move(out_);
      if (code == kClear) {
        high_ = kEnd;
        width_ = 9;
        last_ = kNone;
      } else if (!expand(code) || out_.size() > limit_) {
        return std::nullopt;
      }
    }
    return std::nullopt;
  }

 private:
  // Writes what `code` stands for, and learns: the previous code's string with the first byte of this one.
  bool expand(unsigned code) {
    const bool full = high_ == kCodes - 1 && last_ == kNone;
    if (code > high_ || (code == high_ && last_ == kNone && !full)) return false;
    // The one code that may be used before it is known is the one about to be learnt: it begins and ends
    // alike.
    const bool unknown = code == high_ && !full;
    std::array<char, kCodes> backwards;
    std::size_t size = unknown ? 1 : 0;
    unsigned at = unknown ? last_ : code;
    while (at > kEnd) {
      backwards[size++] = suffix_[at];
      at = prefix_[at];
    }
    const char first = static_cast<char>(at);
    backwards[size++] = first;
    if (unknown) backwards[0] = first;
    while (size > 0) out_.push_back(backwards[--size]);
    if (last_ != kNone) {
      prefix_[high_] = static_cast<std::uint16_t>(last_);
      suffix_[high_] = first;
    }
    last_ = code;
    if (++high_ < 1U << width_) return true;
    if (width_ < kMaxWidth) {
      ++width_;
    } else {  // full: nothing more is learnt until the table is cleared
      last_ = kNone;
      --high_;
    }
    return true;
  }

  BitReader in_;
  std::size_t limit_;
  std::string out_;
  std::array<std::uint16_t, kCodes> prefix_{};
  std::array<char, kCodes> suffix_{};
  unsigned high_ = kEnd;
  unsigned width_ = 9;
  unsigned last_ = kNone;
};

class Deflater final {
 public:
  std::string run(std::string_view bytes) {
    put(kClear);
    unsigned code = kNone;
    for (const char byte : bytes) {
      const unsigned literal = static_cast<std::uint8_t>(byte);
      if (code == kNone) {
        code = literal;
        continue;
      }
      const std::uint32_t key = code << 8U | literal;
      std::uint32_t& slot = find(key);
      if (slot != 0) {
        code = slot >> 20U;
        continue;
      }
      put(code);
      code = literal;
      if (grow()) slot = high_ << 20U | key;
    }
    if (code != kNone) {
      put(code);
      grow();
    }
    put(kEnd);
    if (have_ > 0) out_.push_back(static_cast<char>(bits_ & 0xffU));
    return std::move(out_);
  }

 private:
  static constexpr std::uint32_t kSlots = 4 * kCodes;

  // The slot of this key, or the free one where it belongs. A slot is code and key; no code is 0.
  std::uint32_t& find(std::uint32_t key) {
    std::uint32_t at = key * 2654435761U >> 18U;
    while (slots_[at] != 0 && (slots_[at] & 0xfffffU) != key) at = (at + 1) % kSlots;
    return slots_[at];
  }

  // The next code; false if the table was full and has been cleared instead.
  bool grow() {
    ++high_;
    if (high_ == 1U << width_) ++width_;
    if (high_ < kCodes - 1) return true;
    put(kClear);
    width_ = 9;
    high_ = kEnd;
    slots_.assign(kSlots, 0);
    return false;
  }

  void put(unsigned code) {
    bits_ |= code << have_;
    have_ += width_;
    for (; have_ >= 8; have_ -= 8, bits_ >>= 8U) out_.push_back(static_cast<char>(bits_ & 0xffU));
  }

  std::string out_;
  std::vector<std::uint32_t> slots_ = std::vector<std::uint32_t>(kSlots);
  unsigned high_ = kEnd;
  unsigned width_ = 9;
  unsigned bits_ = 0;
  unsigned have_ = 0;
};

}  // namespace

std::optional<std::string> lzw_inflate(std::string_view bytes, std::size_t limit) {
  return Inflater(bytes, limit).run();
}

std::string lzw_deflate(std::string_view bytes) { return Deflater().run(bytes); }

}  // namespace remora::discovery::swim
