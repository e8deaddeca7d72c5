#include "discovery/swim/wire.h"

#include <doctest/doctest.h>

#include "base/random.h"
#include "discovery/swim/lzw.h"
#include "discovery/swim/stream.h"

namespace remora::discovery::swim {
namespace {

const std::string kKey(32, 'k');

class Recorder final : public MessageSink {
 public:
  std::string log;
  std::size_t bytes = 0;
  bool sensible = false;
  void on_message(MessageType type, std::string_view body) override {
    log += std::to_string(static_cast<int>(type)) + ":" + std::string(body.substr(0, 8)) + " ";
    bytes += body.size();
    sensible = type == MessageType::kUser || decode_indirect_ping(body);
  }
};

std::string packet(const Wire& wire, const std::vector<std::string_view>& messages, bool crc = true) {
  std::string out;
  wire.seal_packet(messages, crc, Keyring::Nonce{7}, out);
  return out;
}

TEST_CASE(
    "swim: a datagram comes back through every combination of label, key and CRC, and through no other") {
  Keyring none;
  Keyring keys;
  keys.install(kKey);
  std::vector<Wire> wires;
  for (const char* label : {"", "a", "b"}) {
    wires.emplace_back(WireSettings{.label = label}, none);
    wires.emplace_back(WireSettings{.label = label}, keys);
  }
  for (std::size_t from = 0; from < wires.size(); ++from) {
    for (const bool crc : {false, true}) {
      const std::string bytes = packet(wires[from],
                                       {"\x08"
                                        "one",
                                        "\x08"
                                        "two"},
                                       crc);
      CHECK(bytes.size() <= Wire::kPacketBytes - wires[from].packet_room() + 2 * (2 + 4));
      for (std::size_t to = 0; to < wires.size(); ++to) {
        Recorder recorder;
        const Drop drop = wires[to].open_packet(bytes, recorder);
        if (from == to + 1 && from % 2 == 1) {
          // To who has no key, a sealed datagram looks like an indirect ping: one without content.
          CHECK(recorder.log.starts_with("1:"));
          CHECK_FALSE(recorder.sensible);
          continue;
        }
        CHECK((drop == Drop::kNone) == (from == to));
        CHECK(recorder.log == (from == to ? "8:one 8:two " : ""));
        if (from / 2 != to / 2) CHECK(drop == Drop::kLabel);
      }
    }
  }
}

TEST_CASE("swim: a pool is moved to encryption and nobody is deaf in between") {
  Keyring keys;
  keys.install(kKey);
  Keyring none;
  const Wire plain({}, none);
  const Wire hears_both({.encrypt_outgoing = false, .require_encryption = false}, keys);
  const Wire seals({.require_encryption = false}, keys);
  const Wire strict({}, keys);
  const auto hears = [](const Wire& from, const Wire& to) {
    Recorder recorder;
    return to.open_packet(packet(from, {"\x08"
                                        "x"}),
                          recorder) == Drop::kNone &&
           recorder.log == "8:x ";
  };
  CHECK(hears(plain, hears_both));
  CHECK(hears(hears_both, plain));
  CHECK(hears(seals, hears_both));
  CHECK(hears(hears_both, seals));
  CHECK(hears(seals, strict));
  CHECK(hears(strict, seals));
  CHECK_FALSE(hears(plain, strict));
  CHECK_FALSE(hears(strict, plain));
}

TEST_CASE("swim: a changed datagram is dropped by its CRC, and no cut of one is taken for another") {
  Keyring none;
  const Wire wire({}, none);
  const std::string bytes = packet(wire, {"\x08"
                                          "one",
                                          "\x08"
                                          "two"});
  for (std::size_t at = 1; at < bytes.size(); ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    Recorder recorder;
    CHECK(wire.open_packet(changed, recorder) == Drop::kCrc);
    CHECK(wire.open_packet(bytes.substr(0, at), recorder) != Drop::kNone);
    CHECK(recorder.log.empty());
  }
}

TEST_CASE("swim: the complete parts of a compound that is cut off count") {
  Keyring none;
  const Wire wire({}, none);
  const std::string bytes = packet(wire,
                                   {"\x08"
                                    "one",
                                    "\x08"
                                    "two"},
                                   false);
  Recorder recorder;
  CHECK(wire.open_packet(bytes.substr(0, bytes.size() - 1), recorder) == Drop::kMalformed);
  CHECK(recorder.log == "8:one ");
}

TEST_CASE("swim: nesting and inflation are bounded over the whole datagram") {
  Keyring none;
  const Wire wire({}, none);
  std::string nested = "\x08x";
  for (unsigned depth = 0; depth <= Wire::kDepth; ++depth) {
    Recorder recorder;
    CHECK(wire.open_packet(nested, recorder) == Drop::kNone);
    nested = packet(wire, {nested}, true);
  }
  Recorder deep;
  CHECK(wire.open_packet(nested, deep) == Drop::kTooMuch);
  CHECK(deep.log.empty());

  std::string part;
  encode_compressed(lzw_deflate(std::string(1, '\x08') + std::string(40000, 'A')), part);
  Recorder bomb;
  CHECK(wire.open_packet(packet(wire, std::vector<std::string_view>(200, part)), bomb) == Drop::kTooMuch);
  CHECK(bomb.bytes == 40000);
}

TEST_CASE("swim: random and mutated datagrams and streams crash nothing") {
  Keyring none;
  Keyring keys;
  keys.install(kKey);
  const Wire plain({}, none);
  const Wire sealed({.label = "a"}, keys);
  Random random(3);
  for (int i = 0; i < 20000; ++i) {
    std::string noise = i % 2 == 0 ? packet(plain,
                                            {"\x08"
                                             "one",
                                             "\x08"
                                             "two"},
                                            false)
                                   : "";
    for (unsigned left = random.below(60); left > 0; --left)
      noise.push_back(static_cast<char>(random.below(256)));
    if (!noise.empty())
      noise[random.below(static_cast<std::uint32_t>(noise.size()))] = static_cast<char>(random.below(15));
    Recorder recorder;
    (void)plain.open_packet(noise, recorder);
    Recorder silent;
    CHECK(sealed.open_packet(noise, silent) != Drop::kNone);
    CHECK(silent.log.empty());
    StreamReader reader(plain, true);
    (void)reader.feed(noise);
  }
}

}  // namespace
}  // namespace remora::discovery::swim
