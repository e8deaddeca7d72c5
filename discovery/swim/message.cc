#include "discovery/swim/message.h"

#include <algorithm>
#include <limits>

namespace remora::discovery::swim {
namespace {

// Reads a map's fields through `read(key)`, which returns false for a value that is wrong.
template <typename Read>
bool fields(MsgpackReader& in, Read read) {
  std::uint32_t entries = 0;
  if (!in.map(entries)) return false;
  for (; entries > 0; --entries) {
    std::string_view key;
    if (!in.raw(key) || !read(key)) return false;
  }
  return true;
}

template <typename Integer>
bool number(MsgpackReader& in, Integer& value) {
  std::uint64_t wide = 0;
  if (!in.integer(wide) || wide > std::numeric_limits<Integer>::max()) return false;
  value = static_cast<Integer>(wide);
  return true;
}

bool address(MsgpackReader& in, Peer& peer) {
  std::string_view bytes;
  return in.raw(bytes) && peer.assign(bytes);
}

bool text(MsgpackReader& in, std::string_view& value, std::size_t most) {
  return in.raw(value) && value.size() <= most;
}

bool versions(MsgpackReader& in, Versions& value, bool& seen) {
  std::string_view bytes;
  if (!in.raw(bytes) || bytes.size() != value.value.size()) return false;
  std::ranges::transform(bytes, value.value.begin(), [](char c) { return static_cast<std::uint8_t>(c); });
  seen = true;
  return true;
}

void begin(MessageType type, std::string& out) { out.push_back(static_cast<char>(type)); }

void source(MsgpackWriter& to, const Peer& peer, std::string_view node) {
  if (peer.size != 0) {
    to.raw("SourceAddr");
    to.raw(peer.bytes());
  }
  if (!node.empty()) {
    to.raw("SourceNode");
    to.raw(node);
  }
  if (peer.port != 0) {
    to.raw("SourcePort");
    to.integer(peer.port);
  }
}

std::uint32_t source_fields(const Peer& peer, std::string_view node) {
  return (peer.size != 0 ? 1U : 0U) + (node.empty() ? 0U : 1U) + (peer.port != 0 ? 1U : 0U);
}

bool named(std::string_view name) { return !name.empty() && name.size() <= kNameBytes; }

void accuse(MessageType type, const Accusation& accusation, std::string& out) {
  begin(type, out);
  MsgpackWriter to(out);
  to.map(3);
  to.raw("From");
  to.raw(accusation.from);
  to.raw("Incarnation");
  to.integer(accusation.incarnation);
  to.raw("Node");
  to.raw(accusation.node);
}

}  // namespace

bool Peer::assign(std::string_view bytes) {
  if (!bytes.empty() && bytes.size() != 4 && bytes.size() != 16) return false;
  address = {};
  std::ranges::transform(bytes, address.begin(), [](char c) { return static_cast<std::uint8_t>(c); });
  size = static_cast<std::uint8_t>(bytes.size());
  return true;
}

bool Versions::consistent() const {
  const auto inside = [this](std::size_t at) {
    return value[at] <= value[at + 2] && value[at + 2] <= value[at + 1];
  };
  return value[0] > 0 && inside(0) && inside(3);
}

std::string_view to_string(State state) {
  switch (state) {
    case State::kAlive: return "alive";
    case State::kSuspect: return "suspect";
    case State::kDead: return "dead";
    case State::kLeft: return "left";
  }
  return "?";
}

std::optional<Ping> decode_ping(std::string_view body) {
  MsgpackReader in(body);
  Ping ping;
  const bool good = fields(in, [&](std::string_view key) {
    if (key == "SeqNo") return number(in, ping.sequence);
    if (key == "Node") return text(in, ping.node, kNameBytes);
    if (key == "SourceAddr") return address(in, ping.source);
    if (key == "SourcePort") return number(in, ping.source.port);
    if (key == "SourceNode") return text(in, ping.source_node, kNameBytes);
    return in.skip();
  });
  return good ? std::optional(ping) : std::nullopt;
}

std::optional<IndirectPing> decode_indirect_ping(std::string_view body) {
  MsgpackReader in(body);
  IndirectPing ping;
  const bool good = fields(in, [&](std::string_view key) {
    if (key == "SeqNo") return number(in, ping.sequence);
    if (key == "Target") return address(in, ping.target);
    if (key == "Port") return number(in, ping.target.port);
    if (key == "Node") return text(in, ping.node, kNameBytes);
    if (key == "Nack") return in.boolean(ping.nack);
    if (key == "SourceAddr") return address(in, ping.source);
    if (key == "SourcePort") return number(in, ping.source.port);
    if (key == "SourceNode") return text(in, ping.source_node, kNameBytes);
    return in.skip();
  });
  if (!good || ping.target.size == 0 || ping.target.port == 0) return std::nullopt;
  return ping;
}

std::optional<Ack> decode_ack(std::string_view body) {
  MsgpackReader in(body);
  Ack ack;
  const bool good = fields(in, [&](std::string_view key) {
    if (key == "SeqNo") return number(in, ack.sequence);
    if (key == "Payload") return in.raw(ack.payload);
    return in.skip();
  });
  return good ? std::optional(ack) : std::nullopt;
}

std::optional<Accusation> decode_accusation(std::string_view body) {
  MsgpackReader in(body);
  Accusation accusation;
  const bool good = fields(in, [&](std::string_view key) {
    if (key == "Incarnation") return number(in, accusation.incarnation);
    if (key == "Node") return text(in, accusation.node, kNameBytes);
    if (key == "From") return text(in, accusation.from, kNameBytes);
    return in.skip();
  });
  return good && named(accusation.node) ? std::optional(accusation) : std::nullopt;
}

std::optional<Alive> decode_alive(std::string_view body) {
  MsgpackReader in(body);
  Alive alive;
  bool has_versions = false;
  const bool good = fields(in, [&](std::string_view key) {
    if (key == "Incarnation") return number(in, alive.incarnation);
    if (key == "Node") return text(in, alive.node, kNameBytes);
    if (key == "Addr") return address(in, alive.peer);
    if (key == "Port") return number(in, alive.peer.port);
    if (key == "Meta") return text(in, alive.meta, kMetaBytes);
    if (key == "Vsn") return versions(in, alive.versions, has_versions);
    return in.skip();
  });
  if (!good || !has_versions || !named(alive.node) || alive.peer.size == 0) return std::nullopt;
  return alive;
}

std::optional<NodeState> decode_node_state(MsgpackReader& in) {
  NodeState node;
  bool has_versions = false;
  const bool good = fields(in, [&](std::string_view key) {
    if (key == "Name") return text(in, node.name, kNameBytes);
    if (key == "Addr") return address(in, node.peer);
    if (key == "Port") return number(in, node.peer.port);
    if (key == "Meta") return text(in, node.meta, kMetaBytes);
    if (key == "Incarnation") return number(in, node.incarnation);
    if (key == "Vsn") return versions(in, node.versions, has_versions);
    if (key != "State") return in.skip();
    std::uint8_t state = 0;
    if (!number(in, state) || state > static_cast<std::uint8_t>(State::kLeft)) return false;
    node.state = static_cast<State>(state);
    return true;
  });
  if (!good || !has_versions || !named(node.name) || node.peer.size == 0) return std::nullopt;
  return node;
}

std::optional<PushPullHeader> decode_push_pull_header(MsgpackReader& in) {
  PushPullHeader header;
  const bool good = fields(in, [&](std::string_view key) {
    if (key == "Nodes") return number(in, header.nodes);
    if (key == "UserStateLen") return number(in, header.user_bytes);
    if (key == "Join") return in.boolean(header.join);
    return in.skip();
  });
  return good ? std::optional(header) : std::nullopt;
}

std::optional<std::uint32_t> decode_compressed_header(MsgpackReader& in) {
  std::uint32_t algorithm = 0;
  std::optional<std::uint32_t> bytes;
  const bool good = fields(in, [&](std::string_view key) {
    if (bytes) return false;
    if (key == "Algo") return number(in, algorithm);
    if (key == "Buf") return in.raw_size(bytes.emplace());
    return in.skip();
  });
  return good && algorithm == 0 ? bytes : std::nullopt;
}

std::optional<std::uint32_t> decode_user_header(MsgpackReader& in) {
  std::uint32_t bytes = 0;
  const bool good =
      fields(in, [&](std::string_view key) { return key == "UserMsgLen" ? number(in, bytes) : in.skip(); });
  return good ? std::optional(bytes) : std::nullopt;
}

std::optional<std::string_view> decode_error(MsgpackReader& in) {
  std::string_view error;
  const bool good =
      fields(in, [&](std::string_view key) { return key == "Error" ? in.raw(error) : in.skip(); });
  return good ? std::optional(error) : std::nullopt;
}

void encode(const Ping& ping, std::string& out) {
  begin(MessageType::kPing, out);
  MsgpackWriter to(out);
  to.map(2 + source_fields(ping.source, ping.source_node));
  to.raw("Node");
  to.raw(ping.node);
  to.raw("SeqNo");
  to.integer(ping.sequence);
  source(to, ping.source, ping.source_node);
}

void encode(const IndirectPing& ping, std::string& out) {
  begin(MessageType::kIndirectPing, out);
  MsgpackWriter to(out);
  to.map(5 + source_fields(ping.source, ping.source_node));
  to.raw("Nack");
  to.boolean(ping.nack);
  to.raw("Node");
  to.raw(ping.node);
  to.raw("Port");
  to.integer(ping.target.port);
  to.raw("SeqNo");
  to.integer(ping.sequence);
  source(to, ping.source, ping.source_node);
  to.raw("Target");
  to.raw(ping.target.bytes());
}

void encode(const Ack& ack, std::string& out) {
  begin(MessageType::kAck, out);
  MsgpackWriter to(out);
  to.map(2);
  to.raw("Payload");
  if (ack.payload.empty()) {
    to.nil();
  } else {
    to.raw(ack.payload);
  }
  to.raw("SeqNo");
  to.integer(ack.sequence);
}

void encode_nack(std::uint32_t sequence, std::string& out) {
  begin(MessageType::kNack, out);
  MsgpackWriter to(out);
  to.map(1);
  to.raw("SeqNo");
  to.integer(sequence);
}

void encode_suspect(const Accusation& suspect, std::string& out) {
  accuse(MessageType::kSuspect, suspect, out);
}
void encode_dead(const Accusation& dead, std::string& out) { accuse(MessageType::kDead, dead, out); }

void encode(const Alive& alive, std::string& out) {
  begin(MessageType::kAlive, out);
  MsgpackWriter to(out);
  to.map(6);
  to.raw("Addr");
  to.raw(alive.peer.bytes());
  to.raw("Incarnation");
  to.integer(alive.incarnation);
  to.raw("Meta");
  to.raw(alive.meta);
  to.raw("Node");
  to.raw(alive.node);
  to.raw("Port");
  to.integer(alive.peer.port);
  to.raw("Vsn");
  to.raw({reinterpret_cast<const char*>(alive.versions.value.data()), alive.versions.value.size()});
}

void encode(const PushPullHeader& header, std::string& out) {
  begin(MessageType::kPushPull, out);
  MsgpackWriter to(out);
  to.map(3);
  to.raw("Join");
  to.boolean(header.join);
  to.raw("Nodes");
  to.integer(header.nodes);
  to.raw("UserStateLen");
  to.integer(header.user_bytes);
}

void encode(const NodeState& node, std::string& out) {
  MsgpackWriter to(out);
  to.map(7);
  to.raw("Addr");
  to.raw(node.peer.bytes());
  to.raw("Incarnation");
  to.integer(node.incarnation);
  to.raw("Meta");
  to.raw(node.meta);
  to.raw("Name");
  to.raw(node.name);
  to.raw("Port");
  to.integer(node.peer.port);
  to.raw("State");
  to.integer(static_cast<std::uint8_t>(node.state));
  to.raw("Vsn");
  to.raw({reinterpret_cast<const char*>(node.versions.value.data()), node.versions.value.size()});
}

void encode_compressed(std::string_view lzw, std::string& out) {
  begin(MessageType::kCompress, out);
  MsgpackWriter to(out);
  to.map(2);
  to.raw("Algo");
  to.integer(0);
  to.raw("Buf");
  to.raw(lzw);
}

void encode_user_header(std::uint32_t bytes, std::string& out) {
  begin(MessageType::kUser, out);
  MsgpackWriter to(out);
  to.map(1);
  to.raw("UserMsgLen");
  to.integer(bytes);
}

void encode_error(std::string_view error, std::string& out) {
  begin(MessageType::kError, out);
  MsgpackWriter to(out);
  to.map(1);
  to.raw("Error");
  to.raw(error);
}

}  // namespace remora::discovery::swim
