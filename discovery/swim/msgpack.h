// The subset of msgpack that memberlist speaks: reading without allocation, writing in the old specification.
//
// Why not a library: libmsgpack-c decodes into a tree whose size the peer's counts decide, before a byte of
// it has come; libmsgpack-cxx needs Boost. Here a value is read where it stands, and what is claimed but not
// there costs nothing.
//
// Old specification means: strings and bytes are both the RAW family (fixraw, raw16, raw32); str8 and bin are
// never written, but read. An integer is read in every width and sign.
//
// Thread: any. Views point into the bytes given to the Reader.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace remora::discovery::swim {

class MsgpackReader final {
 public:
  // Nesting beyond this is refused; memberlist's own messages nest once.
  static constexpr unsigned kDepth = 16;

  // What would end beyond `limit` bytes is refused as soon as it says so, whether the bytes are there or not:
  // so the verdict on bytes that come in pieces is that on all of them.
  explicit MsgpackReader(std::string_view bytes, std::size_t limit = std::string_view::npos)
      : bytes_(bytes), limit_(limit) {}

  // Each reads one value and returns true, or returns false and reads no more: `truncated` tells whether more
  // bytes could make it whole. nil reads as zero, false and empty.
  bool map(std::uint32_t& entries);
  bool raw(std::string_view& value);
  bool raw_size(std::uint32_t& size);  // only how many bytes it has, which follow at position()
  bool integer(std::uint64_t& value);  // a negative one is refused
  bool boolean(bool& value);
  bool skip();

  bool truncated() const { return truncated_; }
  std::size_t position() const { return position_; }

 private:
  bool take(std::size_t size, std::string_view& out);
  bool big_endian(unsigned size, std::uint64_t& value);
  bool skip_many(std::uint64_t values, unsigned depth);
  bool skip_value(unsigned depth);
  bool skip_sized(unsigned size_bytes, std::uint64_t extra);

  std::string_view bytes_;
  std::size_t limit_;
  std::size_t position_ = 0;
  bool truncated_ = false;
};

// Appends to a string.
class MsgpackWriter final {
 public:
  explicit MsgpackWriter(std::string& out) : out_(out) {}

  void map(std::uint32_t entries);
  void raw(std::string_view value);
  void integer(std::uint64_t value);  // the smallest unsigned form
  void boolean(bool value) { out_.push_back(static_cast<char>(value ? 0xc3 : 0xc2)); }
  void nil() { out_.push_back(static_cast<char>(0xc0)); }

 private:
  void big_endian(std::uint64_t value, unsigned size);

  std::string& out_;
};

}  // namespace remora::discovery::swim
