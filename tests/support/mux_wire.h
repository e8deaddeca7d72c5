// What the two roles of the multiplexed test codec share: frames and heads as bytes, and the connection under
// them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/http/codec.h"

namespace remora::http::test::mux {

inline constexpr std::size_t kHeader = 8;
inline constexpr std::size_t kLongestPayload = 65535;
inline constexpr std::size_t kWindow = 64 * 1024;
inline constexpr unsigned kEnd = 1;

enum class Type : std::uint8_t { kHead, kInterim, kUpgrade, kData, kTrailers, kReset, kGoAway };

struct Frame {
  std::uint32_t id = 0;
  Type type = Type::kData;
  bool end = false;
  std::string_view payload;
};

std::string frame(std::uint32_t id, Type type, bool end, std::string_view payload);
// The frame at the front; false when it is not complete.
bool next_frame(std::string_view bytes, Frame& out);

std::string write_fields(const FieldList& fields);
void read_fields(std::string_view text, FieldList& fields);
std::string write_head(const RequestHead& head);
std::string write_head(const ResponseHead& head);
void read_head(std::string_view text, RequestHead& head);
void read_head(std::string_view text, ResponseHead& head);

class Connection {
 public:
  explicit Connection(Transport& to) : transport(to) {}

  bool write(std::uint32_t id, Type type, bool end, std::string_view payload) {
    return transport.write(frame(id, type, end, payload));
  }
  bool write_data(std::uint32_t id, std::string_view bytes, bool end) {
    while (bytes.size() > kLongestPayload) {
      write(id, Type::kData, false, bytes.substr(0, kLongestPayload));
      bytes.remove_prefix(kLongestPayload);
    }
    return bytes.empty() && !end ? true : write(id, Type::kData, end, bytes);
  }
  // `held`: what the stream has been given and did not acknowledge. A stream that ends acknowledges all of
  // it.
  void received(std::size_t& held, std::size_t n) {
    held += n;
    unconsumed += n;
  }
  void consume(std::size_t& held, std::size_t n) {
    n = std::min(n, held);
    held -= n;
    unconsumed -= n;
    transport.codec_changed();
  }
  void close(Codec::Fate to) {
    fate = to;
    transport.codec_changed();
  }

  // Calls take(frame) for every complete frame in what was kept and `bytes`.
  template <typename Take>
  void feed(std::string_view bytes, Take&& take) {
    if (fate != Codec::Fate::kOpen) return;
    kept.append(bytes);
    std::size_t at = 0;
    Frame next;
    while (fate == Codec::Fate::kOpen && next_frame(std::string_view(kept).substr(at), next)) {
      at += kHeader + next.payload.size();
      take(next);
    }
    kept.erase(0, at);
  }

  Transport& transport;
  std::string kept;
  std::size_t unconsumed = 0;
  Codec::Fate fate = Codec::Fate::kOpen;
};

}  // namespace remora::http::test::mux
