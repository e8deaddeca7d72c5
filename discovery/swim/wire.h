// What is around messages on their way: label, encryption, CRC, compression and compounds.
//
// Outermost first, a datagram is [label] [sealed] [CRC] [compressed] [compound] message, a stream [label,
// from the dialling side only] [sealed frame] [compressed] message. The bytes of a datagram do not tell
// whether it is sealed: the configuration does.
//
// Bounds on what one datagram can make us do: kDepth layers of nesting and kInflated bytes inflated, in all.
//
// Thread: the control thread. Reads the keyring at each call, so that a rotation takes effect at once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "discovery/swim/keyring.h"
#include "discovery/swim/message.h"

namespace remora::discovery::swim {

struct WireSettings {
  std::string label = {};          // at most 255 bytes; empty: none
  bool encrypt_outgoing = true;    // with a key; false while a pool is being moved to encryption
  bool require_encryption = true;  // with a key, refuse plaintext; false likewise
  bool compress_streams = true;    // where it makes them smaller
};

// Why a datagram, or a part of one, was not taken. Counted by the driver.
enum class Drop : std::uint8_t {
  kNone,
  kLabel,      // another pool's label, or none
  kSealed,     // plaintext where encryption is required, or none of our keys
  kCrc,        // damaged
  kMalformed,  // no message of the protocol
  kTooMuch,    // nested or inflated beyond the bounds
};
std::string_view to_string(Drop drop);

class MessageSink {
 public:
  virtual ~MessageSink() = default;
  // A message other than compound, compressed and CRC. `body` is valid during the call.
  virtual void on_message(MessageType type, std::string_view body) = 0;
};

class Wire final {
 public:
  static constexpr unsigned kDepth = 5;
  static constexpr std::size_t kInflated = std::size_t{64} << 10U;
  static constexpr std::size_t kLabelBytes = 255;
  static constexpr std::size_t kCompoundParts = 255;
  // Stays below the smallest usual MTU, headers included; what is received may be larger.
  static constexpr std::size_t kPacketBytes = 1400;

  // The keyring outlives the wire. Empty: the pool is not encrypted.
  Wire(WireSettings settings, const Keyring& keyring);

  // Hands the datagram's messages to the sink, in order. Good parts before a bad one have been handed over.
  Drop open_packet(std::string_view datagram, MessageSink& sink) const;

  // How much of kPacketBytes is left for parts and their lengths.
  std::size_t packet_room() const;
  // Appends a datagram with these messages: one bare, more as a compound of at most kCompoundParts.
  void seal_packet(const std::vector<std::string_view>& messages, bool crc, const Keyring::Nonce& nonce,
                   std::string& out) const;
  // Appends what goes on a connection for this message; `dialling` on the side that opened it.
  void seal_stream(std::string_view message, bool dialling, const Keyring::Nonce& nonce,
                   std::string& out) const;

  const WireSettings& settings() const { return settings_; }
  const Keyring& keyring() const { return keyring_; }
  bool sealing() const { return settings_.encrypt_outgoing && !keyring_.empty(); }

 private:
  void put_label(std::string& out) const;

  WireSettings settings_;
  const Keyring& keyring_;
};

// Big-endian, as all framing integers are.
void put_u16(std::size_t value, std::string& out);
void put_u32(std::size_t value, std::string& out);
std::uint32_t get_u16(std::string_view bytes);
std::uint32_t get_u32(std::string_view bytes);

}  // namespace remora::discovery::swim
