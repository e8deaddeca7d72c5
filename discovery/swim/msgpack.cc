#include "discovery/swim/msgpack.h"

namespace remora::discovery::swim {

bool MsgpackReader::take(std::size_t size, std::string_view& out) {
  if (size > limit_ - position_) return false;
  if (bytes_.size() - position_ < size) {
    truncated_ = true;
    return false;
  }
  out = bytes_.substr(position_, size);
  position_ += size;
  return true;
}

bool MsgpackReader::big_endian(unsigned size, std::uint64_t& value) {
  std::string_view digits;
  if (!take(size, digits)) return false;
  value = 0;
  for (const char digit : digits) value = value << 8U | static_cast<std::uint8_t>(digit);
  return true;
}

bool MsgpackReader::map(std::uint32_t& entries) {
  std::uint64_t value = 0;
  if (!big_endian(1, value)) return false;
  if (value >= 0x80 && value <= 0x8f) {
    entries = static_cast<std::uint32_t>(value & 0xfU);
    return true;
  }
  if (value == 0xc0) {
    entries = 0;
    return true;
  }
  if (value != 0xde && value != 0xdf) return false;
  if (!big_endian(value == 0xde ? 2 : 4, value)) return false;
  entries = static_cast<std::uint32_t>(value);
  return true;
}

bool MsgpackReader::raw_size(std::uint32_t& size) {
  std::uint64_t value = 0;
  if (!big_endian(1, value)) return false;
  if (value >= 0xa0 && value <= 0xbf) {
    value &= 0x1fU;
  } else {
    unsigned digits = 0;
    switch (value) {
      case 0xc0: break;
      case 0xc4:
      case 0xd9: digits = 1; break;
      case 0xc5:
      case 0xda: digits = 2; break;
      case 0xc6:
      case 0xdb: digits = 4; break;
      default: return false;
    }
    if (!big_endian(digits, value)) return false;
  }
  size = static_cast<std::uint32_t>(value);
  return true;
}

bool MsgpackReader::raw(std::string_view& value) {
  std::uint32_t size = 0;
  return raw_size(size) && take(size, value);
}

bool MsgpackReader::integer(std::uint64_t& value) {
  std::uint64_t type = 0;
  if (!big_endian(1, type)) return false;
  if (type <= 0x7f || type == 0xc0) {
    value = type == 0xc0 ? 0 : type;
    return true;
  }
  if (type >= 0xcc && type <= 0xcf) return big_endian(1U << (type - 0xcc), value);
  if (type < 0xd0 || type > 0xd3) return false;
  const unsigned size = 1U << (type - 0xd0);
  return big_endian(size, value) && (value >> (8 * size - 1)) == 0;
}

bool MsgpackReader::boolean(bool& value) {
  std::uint64_t type = 0;
  if (!big_endian(1, type) || (type != 0xc0 && type != 0xc2 && type != 0xc3)) return false;
  value = type == 0xc3;
  return true;
}

bool MsgpackReader::skip() { return skip_value(0); }

bool MsgpackReader::skip_many(std::uint64_t values, unsigned depth) {
  // Every value takes a byte, so the count is bounded by what has come.
  for (; values > 0; --values) {
    if (!skip_value(depth)) return false;
  }
  return true;
}

bool MsgpackReader::skip_sized(unsigned size_bytes, std::uint64_t extra) {
  std::uint64_t size = 0;
  std::string_view ignored;
  return big_endian(size_bytes, size) && take(size + extra, ignored);
}

bool MsgpackReader::skip_value(unsigned depth) {
  if (depth > kDepth) return false;
  std::uint64_t type = 0;
  std::uint64_t size = 0;
  std::string_view ignored;
  if (!big_endian(1, type)) return false;
  if (type <= 0x7f || type >= 0xe0) return true;
  if (type <= 0x8f) return skip_many(2 * (type & 0xfU), depth + 1);
  if (type <= 0x9f) return skip_many(type & 0xfU, depth + 1);
  if (type <= 0xbf) return take(type & 0x1fU, ignored);
  switch (type) {
    case 0xc0:
    case 0xc2:
    case 0xc3: return true;
    case 0xc4:
    case 0xd9: return skip_sized(1, 0);
    case 0xc5:
    case 0xda: return skip_sized(2, 0);
    case 0xc6:
    case 0xdb: return skip_sized(4, 0);
    case 0xc7: return skip_sized(1, 1);
    case 0xc8: return skip_sized(2, 1);
    case 0xc9: return skip_sized(4, 1);
    case 0xca: return take(4, ignored);
    case 0xcb: return take(8, ignored);
    case 0xcc:
    case 0xd0: return take(1, ignored);
    case 0xcd:
    case 0xd1: return take(2, ignored);
    case 0xce:
    case 0xd2: return take(4, ignored);
    case 0xcf:
    case 0xd3: return take(8, ignored);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8: return take(1 + (std::size_t{1} << (type - 0xd4)), ignored);
    case 0xdc: return big_endian(2, size) && skip_many(size, depth + 1);
    case 0xdd: return big_endian(4, size) && skip_many(size, depth + 1);
    case 0xde: return big_endian(2, size) && skip_many(2 * size, depth + 1);
    case 0xdf: return big_endian(4, size) && skip_many(2 * size, depth + 1);
    default: return false;
  }
}

void MsgpackWriter::big_endian(std::uint64_t value, unsigned size) {
  for (unsigned shift = 8 * size; shift > 0; shift -= 8) {
    out_.push_back(static_cast<char>(value >> (shift - 8) & 0xffU));
  }
}

void MsgpackWriter::map(std::uint32_t entries) {
  if (entries <= 0xf) return big_endian(0x80U | entries, 1);
  big_endian(entries <= 0xffff ? 0xde : 0xdf, 1);
  big_endian(entries, entries <= 0xffff ? 2 : 4);
}

void MsgpackWriter::raw(std::string_view value) {
  if (value.size() <= 0x1f) {
    big_endian(0xa0U | value.size(), 1);
  } else {
    big_endian(value.size() <= 0xffff ? 0xda : 0xdb, 1);
    big_endian(value.size(), value.size() <= 0xffff ? 2 : 4);
  }
  out_.append(value);
}

void MsgpackWriter::integer(std::uint64_t value) {
  if (value <= 0x7f) return big_endian(value, 1);
  const unsigned power = value <= 0xff ? 0 : value <= 0xffff ? 1 : value <= 0xffffffff ? 2 : 3;
  big_endian(0xcc + power, 1);
  big_endian(value, 1U << power);
}

}  // namespace remora::discovery::swim
