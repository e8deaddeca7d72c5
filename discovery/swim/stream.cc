#include "discovery/swim/stream.h"

#include <algorithm>
#include <utility>

#include "discovery/swim/lzw.h"

namespace remora::discovery::swim {

using Progress = StreamReader::Progress;

Progress StreamReader::bad(Drop drop) {
  drop_ = drop;
  return progress_ = Progress::kBad;
}

Progress StreamReader::feed(std::string_view bytes) {
  if (progress_ != Progress::kMore) return progress_;
  const std::size_t room = kStream - std::min(kStream, plain_.size());
  plain_.append(bytes.substr(0, room));
  if (advance() == Progress::kMore && bytes.size() > room) return bad(Drop::kTooMuch);
  return progress_;
}

Progress StreamReader::advance() {
  if (label_pending_ && (read_label() != Progress::kMore || label_pending_)) return progress_;
  if (!sealing_known_ && (unseal() != Progress::kMore || !sealing_known_)) return progress_;
  if (rest().empty()) return more();
  if (!inflated_ && static_cast<MessageType>(rest().front()) == MessageType::kCompress &&
      (inflate() != Progress::kMore || !inflated_)) {
    return progress_;
  }
  return read_message();
}

Progress StreamReader::read_label() {
  const std::string& label = wire_.settings().label;
  const std::string_view have = rest();
  if (have.empty()) return more();
  const bool labelled = static_cast<MessageType>(have[0]) == MessageType::kLabel;
  if (labelled == label.empty()) return bad(Drop::kLabel);
  if (labelled) {
    if (have.size() < 2) return more();
    const std::size_t size = static_cast<std::uint8_t>(have[1]);
    if (size != label.size()) return bad(Drop::kLabel);
    if (have.size() < 2 + size) return more();
    if (have.substr(2, size) != label) return bad(Drop::kLabel);
    start_ += 2 + size;
  }
  label_pending_ = false;
  return Progress::kMore;
}

Progress StreamReader::unseal() {
  const std::string_view have = rest();
  if (have.empty()) return more();
  if (static_cast<MessageType>(have[0]) != MessageType::kEncrypt) {
    if (!wire_.keyring().empty() && wire_.settings().require_encryption) return bad(Drop::kSealed);
    sealing_known_ = true;
    return Progress::kMore;
  }
  constexpr std::size_t kHead = 5;
  if (wire_.keyring().empty()) return bad(Drop::kSealed);
  if (have.size() < kHead) return more();
  const std::size_t size = get_u32(have.substr(1));
  if (size > kStream) return bad(Drop::kTooMuch);
  if (have.size() < kHead + size) return more();
  const std::string authenticated = std::string(have.substr(0, kHead)) + wire_.settings().label;
  std::optional<std::string> plain = wire_.keyring().open(have.substr(kHead, size), authenticated);
  if (!plain) return bad(Drop::kSealed);
  plain_ = *std::move(plain);
  start_ = 0;
  whole_ = true;
  sealing_known_ = true;
  return Progress::kMore;
}

Progress StreamReader::inflate() {
  const std::string_view body = rest().substr(1);
  MsgpackReader in(body, kNode);
  const std::optional<std::uint32_t> size = decode_compressed_header(in);
  if (!size) return unread(in);
  if (*size > kStream) return bad(Drop::kTooMuch);
  if (body.size() - in.position() < *size) return more();
  std::optional<std::string> plain = lzw_inflate(body.substr(in.position(), *size), kStream);
  if (!plain) return bad(Drop::kTooMuch);
  plain_ = *std::move(plain);
  start_ = 0;
  whole_ = true;
  inflated_ = true;
  return Progress::kMore;
}

Progress StreamReader::read_message() {
  if (rest().empty()) return more();
  message_.type = static_cast<MessageType>(rest().front());
  switch (message_.type) {
    case MessageType::kPing:
    case MessageType::kAck: return read_ping();
    case MessageType::kError: return read_error();
    case MessageType::kUser: return read_user();
    case MessageType::kPushPull: return read_push_pull();
    default: return bad(Drop::kMalformed);
  }
}

Progress StreamReader::read_ping() {
  const std::string_view body = rest().substr(1);
  MsgpackReader in(body, kNode);
  if (!in.skip()) return unread(in);
  const std::optional<Ping> ping = message_.type == MessageType::kPing ? decode_ping(body) : std::nullopt;
  const std::optional<Ack> ack = message_.type == MessageType::kAck ? decode_ack(body) : std::nullopt;
  if (!ping && !ack) return bad(Drop::kMalformed);
  message_.ping = ping.value_or(Ping());
  message_.ack = ack.value_or(Ack());
  return done();
}

Progress StreamReader::read_error() {
  MsgpackReader in(rest().substr(1), kNode);
  const std::optional<std::string_view> text = decode_error(in);
  if (!text) return unread(in);
  message_.bytes = *text;
  return done();
}

Progress StreamReader::read_user() {
  const std::string_view body = rest().substr(1);
  MsgpackReader in(body, kNode);
  const std::optional<std::uint32_t> size = decode_user_header(in);
  if (!size) return unread(in);
  if (*size > kStream) return bad(Drop::kTooMuch);
  if (body.size() - in.position() < *size) return more();
  message_.bytes = body.substr(in.position(), *size);
  return done();
}

Progress StreamReader::read_push_pull() {
  const std::string_view body = rest().substr(1);
  if (!header_) {
    MsgpackReader in(body, kNode);
    header_ = decode_push_pull_header(in);
    if (!header_) return unread(in);
    if (header_->nodes > kNodes || header_->user_bytes > kStream) return bad(Drop::kTooMuch);
    nodes_left_ = header_->nodes;
    scanned_ = in.position();
  }
  for (; nodes_left_ > 0; --nodes_left_) {
    MsgpackReader in(body.substr(scanned_), kNode);
    if (!in.skip()) return unread(in);
    scanned_ += in.position();
  }
  if (body.size() - scanned_ < header_->user_bytes) return more();
  message_.bytes = body.substr(scanned_, header_->user_bytes);
  return read_nodes(body);
}

Progress StreamReader::read_nodes(std::string_view body) {
  MsgpackReader header(body);
  decode_push_pull_header(header);
  body.remove_prefix(header.position());
  message_.join = header_->join;
  // Each member has been seen to be there, so the count is bounded by the bytes that have come.
  message_.nodes.reserve(header_->nodes);
  for (std::uint32_t left = header_->nodes; left > 0; --left) {
    MsgpackReader in(body);
    in.skip();
    const std::string_view one = body.substr(0, in.position());
    body.remove_prefix(one.size());
    MsgpackReader fields(one);
    // A member that one bad announcement has put into a peer's list must not cost us the others.
    if (const std::optional<NodeState> node = decode_node_state(fields)) message_.nodes.push_back(*node);
  }
  return done();
}

}  // namespace remora::discovery::swim
