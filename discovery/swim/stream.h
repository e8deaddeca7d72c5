// One message read from a connection, piece by piece: a stream ping or its ack, a push/pull, a user message,
// an error. A plaintext stream does not say how long it is, and the peer keeps its side open while it waits
// for our answer: the end is where the message is complete.
//
// Bounds: kStream bytes taken from the connection, and as many inflated; kNodes members in a push/pull; kNode
// bytes for one of them, and for any other map. Nothing is allocated by a count that a peer claims. How many
// connections there are is the driver's to bound, and how long they last.
//
// The verdict does not depend on how the bytes are cut into pieces: each part is read by a MsgpackReader with
// its bound, which waits for what is missing and refuses what would be too long, and the rest is counted.
//
// Thread: the control thread. One reader per connection; what message() returns points into the reader.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "discovery/swim/message.h"
#include "discovery/swim/wire.h"

namespace remora::discovery::swim {

struct StreamMessage {
  MessageType type = MessageType::kError;  // kPing, kAck, kPushPull, kUser or kError
  Ping ping;
  Ack ack;
  bool join = false;             // kPushPull
  std::vector<NodeState> nodes;  // kPushPull
  std::string_view bytes;        // kPushPull: user state; kUser: the message; kError: the text
};

class StreamReader final {
 public:
  static constexpr std::size_t kStream = std::size_t{16} << 20U;
  static constexpr std::size_t kNodes = 16384;
  static constexpr std::size_t kNode = 4096;

  // More: feed again. Done: message() is there, and more bytes are ignored. Bad: close the connection.
  enum class Progress : std::uint8_t { kMore, kDone, kBad };

  // `accepted`: on the side that was dialled, where the label is expected.
  StreamReader(const Wire& wire, bool accepted) : wire_(wire), label_pending_(accepted) {}

  Progress feed(std::string_view bytes);
  const StreamMessage& message() const { return message_; }
  // Why it is bad.
  Drop drop() const { return drop_; }

 private:
  Progress bad(Drop drop);
  Progress more() { return whole_ ? bad(Drop::kMalformed) : Progress::kMore; }
  Progress done() { return progress_ = Progress::kDone; }
  std::string_view rest() const { return std::string_view(plain_).substr(start_); }
  Progress advance();
  Progress read_label();
  Progress unseal();
  Progress inflate();
  Progress read_message();
  Progress read_push_pull();
  Progress read_nodes(std::string_view state);
  Progress read_ping();
  Progress read_error();
  Progress read_user();
  // What to make of a part that could not be read.
  Progress unread(const MsgpackReader& in) { return in.truncated() ? more() : bad(Drop::kMalformed); }

  const Wire& wire_;
  std::string plain_;        // what has come; once unsealed or inflated, that
  std::size_t start_ = 0;    // of the layer that is being read
  std::size_t scanned_ = 0;  // of the push/pull, in complete members
  std::uint32_t nodes_left_ = 0;
  std::optional<PushPullHeader> header_;
  StreamMessage message_;
  bool label_pending_;
  bool sealing_known_ = false;
  bool inflated_ = false;
  bool whole_ = false;  // plain_ is all there will be
  Drop drop_ = Drop::kNone;
  Progress progress_ = Progress::kMore;
};

}  // namespace remora::discovery::swim
