#include "discovery/swim/wire.h"

#include <zlib.h>

#include <utility>

#include "discovery/swim/lzw.h"

namespace remora::discovery::swim {
namespace {

constexpr std::size_t kCrcHeader = 5;

std::uint32_t checksum(std::string_view bytes) {
  return static_cast<std::uint32_t>(
      crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

// Undoes the layers of one datagram; what may still be inflated is counted over all of its parts.
class Unwrapper final {
 public:
  explicit Unwrapper(MessageSink& sink) : sink_(sink) {}

  Drop open(std::string_view message, unsigned depth) {
    if (message.empty()) return Drop::kMalformed;
    if (depth > Wire::kDepth) return Drop::kTooMuch;
    const auto type = static_cast<MessageType>(message.front());
    const std::string_view body = message.substr(1);
    switch (type) {
      case MessageType::kCrc:
        if (message.size() < kCrcHeader) return Drop::kMalformed;
        if (get_u32(body) != checksum(message.substr(kCrcHeader))) return Drop::kCrc;
        return open(message.substr(kCrcHeader), depth + 1);
      case MessageType::kCompound: return compound(body, depth);
      case MessageType::kCompress: return inflate(body, depth);
      case MessageType::kPing:
      case MessageType::kIndirectPing:
      case MessageType::kAck:
      case MessageType::kNack:
      case MessageType::kSuspect:
      case MessageType::kAlive:
      case MessageType::kDead:
      case MessageType::kUser: sink_.on_message(type, body); return Drop::kNone;
      case MessageType::kPushPull:
      case MessageType::kEncrypt:
      case MessageType::kError:
      case MessageType::kLabel: break;
    }
    return Drop::kMalformed;
  }

 private:
  Drop compound(std::string_view body, unsigned depth) {
    if (body.empty()) return Drop::kMalformed;
    const std::size_t count = static_cast<std::uint8_t>(body.front());
    if (body.size() < 1 + 2 * count) return Drop::kMalformed;
    std::string_view sizes = body.substr(1, 2 * count);
    std::string_view parts = body.substr(1 + 2 * count);
    Drop drop = Drop::kNone;
    for (; !sizes.empty(); sizes.remove_prefix(2)) {
      const std::size_t size = get_u16(sizes);
      if (size > parts.size()) return Drop::kMalformed;  // the complete parts before it count
      const Drop one = open(parts.substr(0, size), depth + 1);
      if (one != Drop::kNone) drop = one;
      parts.remove_prefix(size);
    }
    return drop;
  }

  Drop inflate(std::string_view body, unsigned depth) {
    MsgpackReader in(body);
    const std::optional<std::uint32_t> size = decode_compressed_header(in);
    if (!size || body.size() - in.position() < *size) return Drop::kMalformed;
    const std::optional<std::string> plain = lzw_inflate(body.substr(in.position(), *size), budget_);
    if (!plain) return Drop::kTooMuch;
    budget_ -= plain->size();
    return open(*plain, depth + 1);
  }

  MessageSink& sink_;
  std::size_t budget_ = Wire::kInflated;
};

}  // namespace

std::string_view to_string(Drop drop) {
  switch (drop) {
    case Drop::kNone: return "none";
    case Drop::kLabel: return "label";
    case Drop::kSealed: return "sealed";
    case Drop::kCrc: return "crc";
    case Drop::kMalformed: return "malformed";
    case Drop::kTooMuch: return "too-much";
  }
  return "?";
}

void put_u16(std::size_t value, std::string& out) {
  out.push_back(static_cast<char>(value >> 8U & 0xffU));
  out.push_back(static_cast<char>(value & 0xffU));
}

void put_u32(std::size_t value, std::string& out) {
  put_u16(value >> 16U, out);
  put_u16(value, out);
}

std::uint32_t get_u16(std::string_view bytes) {
  return static_cast<std::uint32_t>(static_cast<std::uint8_t>(bytes[0]) << 8U |
                                    static_cast<std::uint8_t>(bytes[1]));
}

std::uint32_t get_u32(std::string_view bytes) { return get_u16(bytes) << 16U | get_u16(bytes.substr(2)); }

Wire::Wire(WireSettings settings, const Keyring& keyring)
    : settings_(std::move(settings)), keyring_(keyring) {}

Drop Wire::open_packet(std::string_view datagram, MessageSink& sink) const {
  const std::string& label = settings_.label;
  if (!label.empty()) {
    if (datagram.size() < 2 + label.size() || static_cast<MessageType>(datagram[0]) != MessageType::kLabel ||
        static_cast<std::uint8_t>(datagram[1]) != label.size() || datagram.substr(2, label.size()) != label) {
      return Drop::kLabel;
    }
    datagram.remove_prefix(2 + label.size());
  } else if (!datagram.empty() && static_cast<MessageType>(datagram[0]) == MessageType::kLabel) {
    return Drop::kLabel;
  }
  Unwrapper unwrapper(sink);
  if (keyring_.empty()) return unwrapper.open(datagram, 0);
  const std::optional<std::string> plain = keyring_.open(datagram, label);
  if (plain) return unwrapper.open(*plain, 0);
  return settings_.require_encryption ? Drop::kSealed : unwrapper.open(datagram, 0);
}

std::size_t Wire::packet_room() const {
  const std::size_t label = settings_.label.empty() ? 0 : 2 + settings_.label.size();
  return kPacketBytes - label - (sealing() ? Keyring::kOverhead : 0) - kCrcHeader - 2;
}

void Wire::put_label(std::string& out) const {
  if (settings_.label.empty()) return;
  out.push_back(static_cast<char>(MessageType::kLabel));
  out.push_back(static_cast<char>(settings_.label.size()));
  out.append(settings_.label);
}

void Wire::seal_packet(const std::vector<std::string_view>& messages, bool crc, const Keyring::Nonce& nonce,
                       std::string& out) const {
  put_label(out);
  std::string sealed;
  std::string& plain = sealing() ? sealed : out;
  const std::size_t start = plain.size();
  if (crc) plain.append(kCrcHeader, static_cast<char>(MessageType::kCrc));
  if (messages.size() != 1) {
    plain.push_back(static_cast<char>(MessageType::kCompound));
    plain.push_back(static_cast<char>(messages.size()));
    for (const std::string_view message : messages) put_u16(message.size(), plain);
  }
  for (const std::string_view message : messages) plain.append(message);
  if (crc) {
    std::string sum;
    put_u32(checksum(std::string_view(plain).substr(start + kCrcHeader)), sum);
    plain.replace(start + 1, sum.size(), sum);
  }
  if (sealing()) keyring_.seal(sealed, settings_.label, nonce, out);
}

void Wire::seal_stream(std::string_view message, bool dialling, const Keyring::Nonce& nonce,
                       std::string& out) const {
  if (dialling) put_label(out);
  std::string compressed;
  if (settings_.compress_streams) {
    encode_compressed(lzw_deflate(message), compressed);
    if (compressed.size() < message.size()) message = compressed;
  }
  if (!sealing()) {
    out.append(message);
    return;
  }
  std::string head(1, static_cast<char>(MessageType::kEncrypt));
  put_u32(message.size() + Keyring::kOverhead, head);
  out.append(head);
  keyring_.seal(message, head + settings_.label, nonce, out);
}

}  // namespace remora::discovery::swim
