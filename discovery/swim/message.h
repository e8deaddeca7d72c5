// The messages of memberlist's wire protocol, decoded and encoded: a type byte, then one msgpack map.
//
// Decoding checks what every member relies on: names of 1 to 255 bytes, addresses of 4 or 16, metadata of at
// most 512, versions of exactly six bytes. Whatever is wrong makes the message nullopt; unknown fields are
// skipped. Encoding writes the fields sorted by name, as the Go peers do, so that equal messages are equal
// bytes.
//
// Thread: any. Strings of a decoded message point into the bytes it was decoded from.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "discovery/swim/msgpack.h"

namespace remora::discovery::swim {

enum class MessageType : std::uint8_t {
  kPing = 0,
  kIndirectPing = 1,
  kAck = 2,
  kSuspect = 3,
  kAlive = 4,
  kDead = 5,
  kPushPull = 6,
  kCompound = 7,
  kUser = 8,
  kCompress = 9,
  kEncrypt = 10,
  kNack = 11,
  kCrc = 12,
  kError = 13,
  kLabel = 244,
};

constexpr std::size_t kNameBytes = 255;
constexpr std::size_t kMetaBytes = 512;

// Where a member listens. The address is kept as the bytes its owner announced: peers compare bytes, and take
// the 4-byte and the 16-byte form of one IPv4 address for a conflict.
struct Peer {
  std::array<std::uint8_t, 16> address{};
  std::uint8_t size = 0;  // 4, 16, or 0 for none
  std::uint16_t port = 0;

  bool assign(std::string_view bytes);  // false unless 0, 4 or 16 bytes
  std::string_view bytes() const { return {reinterpret_cast<const char*>(address.data()), size}; }
  bool operator==(const Peer&) const = default;
};

// Protocol and delegate versions a member speaks: least, most, current of each.
struct Versions {
  std::array<std::uint8_t, 6> value{1, 5, 2, 2, 5, 4};

  unsigned most_protocol() const { return value[1]; }
  // Whether each current version lies within its own range, as a member must announce it.
  bool consistent() const;
  bool operator==(const Versions&) const = default;
};

struct Ping {
  std::uint32_t sequence = 0;
  std::string_view node;  // whom it is for; empty: whoever gets it
  Peer source;            // where the ack goes; size 0: to the packet's sender
  std::string_view source_node;
};

struct IndirectPing {
  std::uint32_t sequence = 0;
  Peer target;
  std::string_view node;
  bool nack = false;  // the sender wants to hear of silence, too
  Peer source;
  std::string_view source_node;
};

struct Ack {
  std::uint32_t sequence = 0;
  std::string_view payload;
};

// Suspect and dead have one shape; a dead message about its own sender is a departure.
struct Accusation {
  std::uint32_t incarnation = 0;
  std::string_view node;
  std::string_view from;
};

struct Alive {
  std::uint32_t incarnation = 0;
  std::string_view node;
  Peer peer;
  std::string_view meta;
  Versions versions;
};

enum class State : std::uint8_t { kAlive = 0, kSuspect = 1, kDead = 2, kLeft = 3 };
std::string_view to_string(State state);

// One member in a push/pull.
struct NodeState {
  std::string_view name;
  Peer peer;
  std::string_view meta;
  std::uint32_t incarnation = 0;
  State state = State::kAlive;
  Versions versions;
};

struct PushPullHeader {
  std::uint32_t nodes = 0;
  std::uint32_t user_bytes = 0;
  bool join = false;
};

// `body` is what follows the type byte.
std::optional<Ping> decode_ping(std::string_view body);
std::optional<IndirectPing> decode_indirect_ping(std::string_view body);
std::optional<Ack> decode_ack(std::string_view body);  // nacks, too
std::optional<Accusation> decode_accusation(std::string_view body);
std::optional<Alive> decode_alive(std::string_view body);
// For streams, where nothing says how long the message is: the reader tells whether more bytes are needed.
std::optional<NodeState> decode_node_state(MsgpackReader& in);
std::optional<PushPullHeader> decode_push_pull_header(MsgpackReader& in);
std::optional<std::uint32_t> decode_compressed_header(MsgpackReader& in);  // LZW bytes that follow
std::optional<std::uint32_t> decode_user_header(MsgpackReader& in);        // bytes that follow
std::optional<std::string_view> decode_error(MsgpackReader& in);

// Append the type byte and the body.
void encode(const Ping& ping, std::string& out);
void encode(const IndirectPing& ping, std::string& out);
// An empty payload is written as nil, as peers do on streams and for acks they relay.
void encode(const Ack& ack, std::string& out);
void encode_nack(std::uint32_t sequence, std::string& out);
void encode_suspect(const Accusation& suspect, std::string& out);
void encode_dead(const Accusation& dead, std::string& out);
void encode(const Alive& alive, std::string& out);
void encode(const PushPullHeader& header, std::string& out);
void encode(const NodeState& node, std::string& out);  // has no type byte
void encode_compressed(std::string_view lzw, std::string& out);
void encode_user_header(std::uint32_t bytes, std::string& out);
void encode_error(std::string_view text, std::string& out);

}  // namespace remora::discovery::swim
