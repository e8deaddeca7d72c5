#include "base/log_format.h"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstring>

namespace remora {
namespace {

// What may stand for itself in both formats: printable ASCII but `"` and `\`.
constexpr bool is_plain(unsigned char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

using ByteSet = std::array<bool, 256>;

template <typename Contains>
constexpr ByteSet byte_set(Contains contains) {
  ByteSet set{};
  for (unsigned c = 0; c < 256; ++c) set[c] = contains(static_cast<unsigned char>(c));
  return set;
}

constexpr ByteSet kPlain = byte_set(is_plain);
// What a value may consist of that is not quoted.
constexpr ByteSet kBare = byte_set([](unsigned char c) { return is_plain(c) && c != ' ' && c != '='; });

constexpr std::uint64_t kOnes = 0x0101010101010101U;
constexpr std::uint64_t kHighs = 0x8080808080808080U;

constexpr std::uint64_t zero_bytes(std::uint64_t word) { return (word - kOnes) & ~word & kHighs; }

// Not zero when one of eight bytes is not plain; the lowest set bit is in the first of them (on little-endian
// machines; the subtraction's borrows can only reach bytes after it).
constexpr std::uint64_t not_plain(std::uint64_t word) {
  const std::uint64_t below_space = (word - kOnes * 0x20) & ~word & kHighs;
  return below_space | (word & kHighs) | zero_bytes(word ^ (kOnes * '"')) |
         zero_bytes(word ^ (kOnes * '\\')) | zero_bytes(word ^ (kOnes * 0x7f));
}

// Copies the plain bytes at the start of [in, end) and returns how many there were.
std::size_t copy_plain(char* out, const char* in, const char* end) {
  const char* const begin = in;
  if constexpr (std::endian::native == std::endian::little) {
    while (end - in >= 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, in, 8);
      std::memcpy(out, &word, 8);
      if (const std::uint64_t stop = not_plain(word); stop != 0) {
        return static_cast<std::size_t>(in - begin) + static_cast<std::size_t>(std::countr_zero(stop)) / 8;
      }
      in += 8;
      out += 8;
    }
  }
  while (in != end && kPlain[static_cast<unsigned char>(*in)]) *out++ = *in++;
  return static_cast<std::size_t>(in - begin);
}

// Characters that are valid but would let a value change how a line looks or where it ends.
constexpr bool is_deceptive(char32_t c) {
  return c < 0xa0 || c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

struct Utf8 {
  std::size_t size = 0;  // 0: not UTF-8
  char32_t code = 0;
};

// The character of two to four bytes at `in` (RFC 3629: shortest form, no surrogates, at most U+10FFFF).
Utf8 decode_utf8(const char* in, const char* end) {
  const auto first = static_cast<unsigned char>(*in);
  const std::size_t size = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (size == 0 || static_cast<std::size_t>(end - in) < size) return {};
  char32_t code = first & (0x7fU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    const auto next = static_cast<unsigned char>(in[i]);
    if ((next & 0xc0U) != 0x80) return {};
    code = (code << 6U) | (next & 0x3fU);
  }
  const bool overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
  if (overlong || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {};
  return {size, code};
}

constexpr std::string_view kHex = "0123456789abcdef";

char* put(char* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

char* put_hex_byte(char* out, unsigned char byte) {
  *out++ = kHex[byte >> 4U];
  *out++ = kHex[byte & 15U];
  return out;
}

// The two-character escapes that JSON and the text format share; nullptr when there is none.
char* put_short_escape(char* out, char c) {
  switch (c) {
    case '"': return put(out, "\\\"");
    case '\\': return put(out, "\\\\");
    case '\n': return put(out, "\\n");
    case '\r': return put(out, "\\r");
    case '\t': return put(out, "\\t");
    default: return nullptr;
  }
}

// Walks `text`; `escape(out, in, character)` writes one thing that may not stand for itself: an ASCII byte or
// an invalid one (character.size == 0), or a deceptive character.
template <typename Escape>
char* escape_with(char* out, std::string_view text, Escape escape) {
  const char* in = text.data();
  const char* const end = in + text.size();
  for (;;) {
    const std::size_t plain = copy_plain(out, in, end);
    out += plain;
    in += plain;
    if (in == end) return out;
    if (char* const after = put_short_escape(out, *in)) {
      out = after;
      ++in;
      continue;
    }
    const Utf8 character = decode_utf8(in, end);
    const std::size_t size = std::max<std::size_t>(character.size, 1);
    if (character.size != 0 && !is_deceptive(character.code)) {
      out = put(out, {in, size});
    } else {
      out = escape(out, in, character);
    }
    in += size;
  }
}

}  // namespace

char* escape_json(char* out, std::string_view text) {
  return escape_with(out, text, [](char* to, const char* in, Utf8 character) {
    const auto byte = static_cast<unsigned char>(*in);
    char32_t code = character.code;
    if (character.size == 0) code = byte < 0x80 ? byte : 0xfffd;
    to = put(to, "\\u");
    to = put_hex_byte(to, static_cast<unsigned char>(code >> 8U));  // no deceptive character is above U+FFFF
    return put_hex_byte(to, static_cast<unsigned char>(code & 0xffU));
  });
}

char* escape_text(char* out, std::string_view text) {
  return escape_with(out, text, [](char* to, const char* in, Utf8 character) {
    for (std::size_t i = 0; i < std::max<std::size_t>(character.size, 1); ++i) {
      to = put_hex_byte(put(to, "\\x"), static_cast<unsigned char>(in[i]));
    }
    return to;
  });
}

char* write_value(char* out, std::string_view text) {
  const bool bare =
      !text.empty() && std::ranges::all_of(text, [](char c) { return kBare[static_cast<unsigned char>(c)]; });
  if (bare) return put(out, text);
  *out++ = '"';
  out = escape_text(out, text);
  *out++ = '"';
  return out;
}

std::int64_t wall_clock_us() {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count();
}

std::int64_t wall_clock_ms() { return wall_clock_us() / 1000; }

char* UtcStamp::write(char* out, std::int64_t unix_ms) {
  std::int64_t second = unix_ms / 1000;
  std::int64_t millisecond = unix_ms % 1000;
  if (millisecond < 0) {
    millisecond += 1000;
    --second;
  }
  if (second != second_) render(second);
  std::memcpy(out, text_, kSize);
  const auto ms = static_cast<unsigned>(millisecond);
  out[20] = static_cast<char>('0' + ms / 100);
  out[21] = static_cast<char>('0' + ms / 10 % 10);
  out[22] = static_cast<char>('0' + ms % 10);
  return out + kSize;
}

void UtcStamp::render(std::int64_t unix_second) {
  using namespace std::chrono;
  constexpr sys_seconds kFirst = sys_days{year{0} / 1 / 1};
  constexpr sys_seconds kLast = sys_days{year{10000} / 1 / 1} - seconds{1};
  second_ = unix_second;
  const sys_seconds instant = std::clamp(sys_seconds{seconds{unix_second}}, kFirst, kLast);
  const sys_days day = floor<days>(instant);
  const year_month_day date{day};
  const hh_mm_ss time{instant - day};
  const auto digits = [this](std::size_t at, std::size_t count, unsigned value) {
    for (std::size_t i = count; i-- > 0; value /= 10) text_[at + i] = static_cast<char>('0' + value % 10);
  };
  std::memcpy(text_, "0000-00-00T00:00:00.000Z", kSize);
  digits(0, 4, static_cast<unsigned>(static_cast<int>(date.year())));
  digits(5, 2, static_cast<unsigned>(date.month()));
  digits(8, 2, static_cast<unsigned>(date.day()));
  digits(11, 2, static_cast<unsigned>(time.hours().count()));
  digits(14, 2, static_cast<unsigned>(time.minutes().count()));
  digits(17, 2, static_cast<unsigned>(time.seconds().count()));
}

}  // namespace remora
