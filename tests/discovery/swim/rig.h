// One member, and a record of what it wants done.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "discovery/swim/membership.h"

namespace remora::discovery::swim::test {

inline Peer peer(std::uint8_t last) {
  Peer peer;
  peer.size = 4;
  peer.address = {10, 0, 0, last};
  peer.port = 7946;
  return peer;
}

// Writes every message a datagram holds as "kind name incarnation".
class Described final : public MessageSink {
 public:
  std::vector<std::string> lines;
  std::uint32_t sequence = 0;  // of the last ping

  void on_message(MessageType type, std::string_view body) override {
    switch (type) {
      case MessageType::kPing: {
        const Ping ping = decode_ping(body).value();
        sequence = ping.sequence;
        lines.push_back("ping " + std::string(ping.node));
        break;
      }
      case MessageType::kIndirectPing:
        lines.push_back("indirect " + std::string(decode_indirect_ping(body).value().node));
        break;
      case MessageType::kAck:
        lines.push_back("ack " + std::to_string(decode_ack(body).value().sequence));
        break;
      case MessageType::kNack:
        lines.push_back("nack " + std::to_string(decode_ack(body).value().sequence));
        break;
      case MessageType::kAlive: {
        const Alive alive = decode_alive(body).value();
        lines.push_back("alive " + std::string(alive.node) + " " + std::to_string(alive.incarnation));
        break;
      }
      case MessageType::kSuspect:
      case MessageType::kDead: {
        const Accusation accusation = decode_accusation(body).value();
        lines.push_back((type == MessageType::kDead ? "dead " : "suspect ") + std::string(accusation.node) +
                        " " + std::to_string(accusation.incarnation) + " by " + std::string(accusation.from));
        break;
      }
      default: lines.push_back("user " + std::string(body)); break;
    }
  }
};

class Rig final : public Effects {
 public:
  explicit Rig(Settings settings = {})
      : membership(settings, {.name = "self", .peer = peer(1)}, wire, *this, random, now) {}

  struct Sent {
    Peer to;
    std::vector<std::string> lines;
    std::uint32_t sequence = 0;
    std::size_t bytes = 0;
  };

  void send(const Peer& to, std::string_view datagram) override {
    Described described;
    if (wire.open_packet(datagram, described) != Drop::kNone) described.lines.emplace_back("unreadable");
    sent.push_back({to, described.lines, described.sequence, datagram.size()});
  }
  void ping_stream(const Peer& to, const Ping& ping) override {
    streams.push_back("ping " + std::string(ping.node) + " at " + std::to_string(to.address[3]));
  }
  void exchange(const Peer& to, bool join) override {
    streams.push_back((join ? "join " : "exchange ") + std::to_string(to.address[3]));
  }
  void on_change(const Member& member, Change change, std::string_view source) override {
    changes.push_back(member.name + " " + std::string(to_string(change)) +
                      (source.empty() || change == Change::kConflict ? "" : " by " + std::string(source)));
  }
  void on_user(std::string_view message) override { users.emplace_back(message); }
  Keyring::Nonce nonce() override { return {}; }

  template <typename Message>
  void hear(const Message& message, std::uint8_t from = 9) {
    std::string bytes;
    encode(message, bytes);
    membership.receive(peer(from), bytes, now);
  }
  void alive(std::string_view name, std::uint8_t last, std::uint32_t incarnation = 1,
             std::string_view meta = {}) {
    hear(Alive{.incarnation = incarnation, .node = name, .peer = peer(last), .meta = meta, .versions = {}});
  }
  void suspect(std::string_view name, std::string_view by, std::uint32_t incarnation = 1) {
    std::string bytes;
    encode_suspect({.incarnation = incarnation, .node = name, .from = by}, bytes);
    membership.receive(peer(9), bytes, now);
  }
  void dead(std::string_view name, std::string_view by, std::uint32_t incarnation = 1) {
    std::string bytes;
    encode_dead({.incarnation = incarnation, .node = name, .from = by}, bytes);
    membership.receive(peer(9), bytes, now);
  }
  // Wakes the member whenever it wants, for so long.
  void run(Duration time) {
    const TimePoint end = now + time;
    while (membership.next_wakeup() <= end) {
      now = std::max(now, membership.next_wakeup());
      membership.on_wakeup(now);
    }
    now = end;
  }
  State state(std::string_view name) const { return membership.find(name)->state; }
  std::vector<std::string> take_changes() { return std::exchange(changes, {}); }
  // Datagrams whose first message begins so.
  std::vector<Sent> sent_as(std::string_view first) const {
    std::vector<Sent> found;
    for (const Sent& one : sent) {
      if (one.lines.front().starts_with(first)) found.push_back(one);
    }
    return found;
  }

  TimePoint now = TimePoint{} + 1h;
  Keyring keys;
  Wire wire{{}, keys};
  Random random{1};
  std::vector<Sent> sent;
  std::vector<std::string> streams;
  std::vector<std::string> changes;
  std::vector<std::string> users;
  Membership membership;
};

}  // namespace remora::discovery::swim::test
