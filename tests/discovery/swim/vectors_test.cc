// Every captured vector, in order: it decodes to what it says, and where a Go peer wrote it, encodes to the
// same bytes.
#include "tests/discovery/swim/vectors.h"

#include <doctest/doctest.h>

#include <map>

#include "discovery/swim/lzw.h"
#include "discovery/swim/stream.h"
#include "discovery/swim/wire.h"

namespace remora::discovery::swim {
namespace {

using test::from_hex;
using test::to_hex;

struct Vectors {
  std::map<std::string, std::string> bytes;
  std::map<std::string, std::string> decoded;

  Vectors() {
    for (const auto& vector : test::read_vectors(REMORA_SOURCE_DIR "/tests/discovery/swim/vectors.json")) {
      bytes[vector["id"]] = from_hex(vector["hex"].get<std::string>());
      decoded[vector["id"]] = vector["decoded"];
    }
  }
};

// Writes every message that comes out of a datagram as we would have written it.
class Rewriter final : public MessageSink {
 public:
  std::vector<std::string> messages;
  std::string types;

  void on_message(MessageType type, std::string_view body) override {
    std::string out;
    switch (type) {
      case MessageType::kPing: again(decode_ping(body), out); break;
      case MessageType::kIndirectPing: again(decode_indirect_ping(body), out); break;
      case MessageType::kAck: again(decode_ack(body), out); break;
      case MessageType::kAlive: again(decode_alive(body), out); break;
      case MessageType::kNack: encode_nack(decode_ack(body).value().sequence, out); break;
      case MessageType::kSuspect: encode_suspect(decode_accusation(body).value(), out); break;
      case MessageType::kDead: encode_dead(decode_accusation(body).value(), out); break;
      default: out = '\x08' + std::string(body); break;
    }
    types += std::to_string(static_cast<int>(type)) + " ";
    messages.push_back(out);
  }

 private:
  template <typename Message>
  void again(const std::optional<Message>& message, std::string& out) {
    encode(message.value(), out);
  }
};

std::vector<std::string_view> views(const std::vector<std::string>& messages) {
  return {messages.begin(), messages.end()};
}

TEST_CASE("swim vectors: each datagram decodes, and a Go peer's encodes to the same bytes") {
  Vectors vectors;
  REQUIRE(vectors.bytes.size() == 41);
  const std::map<std::string, std::string> types{
      {"V01", "0 "},   {"V02", "2 "},   {"V03", "2 "},   {"V04", "1 "}, {"V05", "11 "},  {"V06", "11 "},
      {"V07", "3 "},   {"V08", "4 "},   {"V09", "4 "},   {"V10", "5 "}, {"V11", "5 "},   {"V12", "0 3 "},
      {"V13", "4 8 "}, {"V14", "8 "},   {"V15", "0 4 "}, {"V25", "8 "}, {"V26", "8 "},   {"V27", "8 "},
      {"V28", "8 "},   {"V29", "8 "},   {"V30", "8 "},   {"V31", "8 "}, {"V32", "4 8 "}, {"V35", "4 "},
      {"V36", "4 "},   {"V38", "0 3 "}, {"V39", "8 "},   {"V40", "8 "}, {"V41", "5 "}};
  // Fields in another order, since a test program wrote them (V02, V09, V11), or compressed (V15).
  const std::string other_order = "V02 V09 V11 V15";
  const std::string with_crc = "V13 V14 V32 V35 V36 V38";
  for (const auto& [id, expected] : types) {
    CAPTURE(id);
    const std::string& bytes = vectors.bytes.at(id);
    Keyring keys;
    if (id == "V32" || id == "V36") keys.install(from_hex(test::kPoolKey));
    const Wire wire({.label = id == "V35" || id == "V36" ? "pool-a" : ""}, keys);
    Rewriter rewriter;
    CHECK(wire.open_packet(bytes, rewriter) == Drop::kNone);
    CHECK(rewriter.types == expected);
    if (other_order.find(id) != std::string::npos) continue;
    Keyring::Nonce nonce{};
    if (!keys.empty()) {
      const std::size_t label = id == "V36" ? 8 : 0;
      for (std::size_t i = 0; i < nonce.size(); ++i)
        nonce[i] = static_cast<std::uint8_t>(bytes[label + 1 + i]);
    }
    std::string out;
    wire.seal_packet(views(rewriter.messages), with_crc.find(id) != std::string::npos, nonce, out);
    CHECK(to_hex(out) == to_hex(bytes));
  }
}

TEST_CASE("swim vectors: the fields are what the capture says") {
  Vectors vectors;
  const auto body = [&](const char* id) { return std::string_view(vectors.bytes.at(id)).substr(1); };
  const auto ping = decode_ping(body("V01"));
  REQUIRE(ping);
  CHECK(ping->node == "sidecar1");
  CHECK(ping->sequence == 4);
  CHECK(to_hex(ping->source.bytes()) == "7f00000c");
  CHECK(ping->source.port == 7946);
  CHECK(ping->source_node == "s2");
  const auto indirect = decode_indirect_ping(body("V04"));
  REQUIRE(indirect);
  CHECK(indirect->nack);
  CHECK(to_hex(indirect->target.bytes()) == "7f00000d");
  CHECK(indirect->target.port == 7946);
  const auto alive = decode_alive(body("V08"));
  REQUIRE(alive);
  CHECK(alive->incarnation == 1);
  CHECK(to_hex(alive->meta) == "ff83a4726f6c65a773696465636172a3737663a3776562a570726f7879a3637070");
  CHECK(alive->versions == Versions{});
  CHECK(alive->versions.consistent());
  const auto dead = decode_accusation(body("V10"));
  REQUIRE(dead);
  CHECK(dead->node == "rs");
  CHECK(dead->from == "s4");
}

std::string feed_split(StreamReader& reader, std::string_view bytes, std::size_t step) {
  auto progress = StreamReader::Progress::kMore;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    if (progress != StreamReader::Progress::kMore) return "ended early";
    progress = reader.feed(bytes.substr(at, step));
  }
  return progress == StreamReader::Progress::kDone  ? "done"
         : progress == StreamReader::Progress::kBad ? std::string(to_string(reader.drop()))
                                                    : "more";
}

std::string push_pull_again(const StreamMessage& message) {
  std::string out;
  encode(PushPullHeader{.nodes = static_cast<std::uint32_t>(message.nodes.size()),
                        .user_bytes = static_cast<std::uint32_t>(message.bytes.size()),
                        .join = message.join},
         out);
  for (const NodeState& node : message.nodes) encode(node, out);
  return out.append(message.bytes);
}

TEST_CASE("swim vectors: each stream decodes whole and byte by byte, and is not done before its last byte") {
  Vectors vectors;
  for (const char* id :
       {"V16", "V17", "V18", "V19", "V20", "V21", "V22", "V23", "V24", "V33", "V34", "V37"}) {
    CAPTURE(id);
    const std::string& bytes = vectors.bytes.at(id);
    Keyring keys;
    const bool sealed = std::string_view(id) >= "V33";
    if (sealed) keys.install(from_hex(test::kPoolKey));
    const Wire wire({.label = std::string_view(id) == "V37" ? "pool-a" : ""}, keys);
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, bytes.size()}) {
      StreamReader reader(wire, false);
      CHECK(feed_split(reader, bytes, step) == "done");
    }
  }
}

TEST_CASE("swim vectors: push/pulls have their members, and encode to the same bytes, compressed, too") {
  Vectors vectors;
  Keyring none;
  const Wire wire({}, none);
  StreamReader inflated(wire, false);
  REQUIRE(feed_split(inflated, vectors.bytes.at("V18"), 1000) == "done");
  const StreamMessage& reply = inflated.message();
  CHECK(reply.join);
  REQUIRE(reply.nodes.size() == 3);
  CHECK(reply.nodes[2].name == "s3");
  CHECK(reply.nodes[2].state == State::kAlive);
  CHECK(to_hex({reinterpret_cast<const char*>(reply.nodes[0].versions.value.data()), 6}) == "010502020505");
  CHECK(reply.bytes.size() == 594);
  CHECK(push_pull_again(reply) == vectors.bytes.at("V18"));
  std::string out;
  wire.seal_stream(push_pull_again(reply), false, {}, out);
  StreamReader raw(wire, false);
  REQUIRE(feed_split(raw, vectors.bytes.at("V17"), 1) == "done");
  std::string compressed;
  encode_compressed(lzw_deflate(push_pull_again(raw.message())), compressed);
  CHECK(to_hex(compressed) == to_hex(vectors.bytes.at("V17")));
  CHECK(out.size() == compressed.size());

  StreamReader join(wire, false);
  REQUIRE(feed_split(join, vectors.bytes.at("V16"), 1) == "done");
  CHECK(join.message().join);
  REQUIRE(join.message().nodes.size() == 1);
  CHECK(join.message().nodes[0].name == "sidecar1");
  CHECK(join.message().bytes.size() == 78);
  StreamReader periodic(wire, false);
  REQUIRE(feed_split(periodic, vectors.bytes.at("V19"), 1) == "done");
  CHECK_FALSE(periodic.message().join);
  CHECK(push_pull_again(periodic.message()).size() == 2369);
}

TEST_CASE("swim vectors: stream pings, acks, errors and user messages say what the capture says") {
  Vectors vectors;
  Keyring none;
  const Wire wire({}, none);
  const auto read = [&](const char* id, StreamReader& reader) -> const StreamMessage& {
    REQUIRE(feed_split(reader, vectors.bytes.at(id), 3) == "done");
    return reader.message();
  };
  StreamReader ping(wire, false);
  CHECK(read("V20", ping).ping.sequence == 30);
  CHECK(ping.message().ping.node == "sidecar1");
  StreamReader ack(wire, false);
  CHECK(read("V22", ack).ack.sequence == 7);
  StreamReader error(wire, false);
  CHECK(read("V23", error).bytes == "Remote state is encrypted and encryption is not configured");
  StreamReader user(wire, false);
  CHECK(to_hex(read("V24", user).bytes) == "0182a54c54696d6532a44e6f6465a36d696e");
}

}  // namespace
}  // namespace remora::discovery::swim
