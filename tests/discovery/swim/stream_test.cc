#include "discovery/swim/stream.h"

#include <doctest/doctest.h>

#include "base/random.h"
#include "discovery/swim/lzw.h"

namespace remora::discovery::swim {
namespace {

using Progress = StreamReader::Progress;

const std::string kKey(16, 'k');

std::string push_pull(std::uint32_t nodes, std::string_view user) {
  std::string out;
  encode(PushPullHeader{.nodes = nodes, .user_bytes = static_cast<std::uint32_t>(user.size()), .join = true},
         out);
  NodeState node;
  node.peer.assign("abcd");
  node.peer.port = 7946;
  for (std::uint32_t i = 0; i < nodes; ++i) {
    const std::string name = "node-" + std::to_string(i);
    node.name = name;
    encode(node, out);
  }
  return out.append(user);
}

Progress feed(StreamReader& reader, std::string_view bytes, std::size_t step) {
  Progress progress = Progress::kMore;
  for (; !bytes.empty() && progress == Progress::kMore; bytes.remove_prefix(std::min(step, bytes.size())))
    progress = reader.feed(bytes.substr(0, step));
  return progress;
}

TEST_CASE("swim: a push/pull comes through label, seal and compression in pieces of any size") {
  const std::string plain = push_pull(300, "user state");
  for (const bool encrypted : {false, true}) {
    for (const bool compressed : {false, true}) {
      for (const char* label : {"", "pool"}) {
        Keyring keys;
        if (encrypted) keys.install(kKey);
        const Wire wire({.label = label, .compress_streams = compressed}, keys);
        std::string bytes;
        wire.seal_stream(plain, true, Keyring::Nonce{1}, bytes);
        for (const std::size_t step : {1U, 13U, 1000U, 1000000U}) {
          StreamReader reader(wire, true);
          REQUIRE(feed(reader, bytes, step) == Progress::kDone);
          CHECK(reader.message().type == MessageType::kPushPull);
          CHECK(reader.message().join);
          REQUIRE(reader.message().nodes.size() == 300);
          CHECK(reader.message().nodes[299].name == "node-299");
          CHECK(reader.message().bytes == "user state");
        }
        std::string reply;
        wire.seal_stream(plain, false, Keyring::Nonce{1}, reply);
        StreamReader dialler(wire, false);
        CHECK(feed(dialler, reply, 100) == Progress::kDone);
      }
    }
  }
}

TEST_CASE("swim: what is refused in pieces is refused whole") {
  const Keyring keys;
  const Wire wire({.label = "", .compress_streams = false}, keys);
  const auto verdicts = [&](std::string_view bytes) {
    std::vector<Progress> all;
    for (const std::size_t step : {1U, 7U, 500U, 1000000U}) {
      StreamReader reader(wire, true);
      all.push_back(feed(reader, bytes, step));
    }
    return all;
  };
  const std::vector<Progress> bad(4, Progress::kBad);
  const std::vector<Progress> done(4, Progress::kDone);
  const auto raw16 = [](std::size_t size) {
    return std::string{'\xda', static_cast<char>(size >> 8U), static_cast<char>(size)} +
           std::string(size, 'x');
  };
  // The long field is to be the last of a compressed message.
  const std::string lzw = lzw_deflate(push_pull(30, "user state"));
  const std::string buf =
      "\xa3"
      "Buf\xda" +
      std::string{static_cast<char>(lzw.size() >> 8U), static_cast<char>(lzw.size())} + lzw;
  const std::string algo = std::string(
                               "\xa4"
                               "Algo") +
                           '\0';
  REQUIRE(lzw.size() > 100);
  CHECK(verdicts("\x09\x82" + algo + buf) == done);
  CHECK(verdicts("\x09\x82" + buf + algo) == bad);
  // Every map has a bound, without what it announces.
  CHECK(verdicts("\x09\x83" + algo + "\xa1x" + raw16(100) + buf) == done);
  CHECK(verdicts("\x09\x83" + algo + "\xa1x" + raw16(StreamReader::kNode) + buf) == bad);
  const char error = static_cast<char>(MessageType::kError);
  CHECK(verdicts(error + ("\x81\xa5"
                          "Error" +
                          raw16(StreamReader::kNode - 20))) == done);
  CHECK(verdicts(error + ("\x81\xa5"
                          "Error" +
                          raw16(StreamReader::kNode + 20))) == bad);
}

TEST_CASE("swim: where the bytes of a stream are cut changes nothing") {
  const Keyring keys;
  const Wire wire({.label = "", .compress_streams = false}, keys);
  std::vector<std::string> messages{push_pull(3, "user state")};
  encode_compressed(lzw_deflate(messages.front()), messages.emplace_back());
  encode_user_header(20, messages.emplace_back());
  messages.back().append(20, 'u');
  encode(Ping{.sequence = 7, .node = "node-1", .source = {}, .source_node = {}}, messages.emplace_back());
  Random random(5);
  std::size_t done = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string bytes = messages[random.below(static_cast<std::uint32_t>(messages.size()))];
    for (std::uint32_t changes = random.below(4); changes > 0; --changes) {
      bytes[random.below(static_cast<std::uint32_t>(bytes.size()))] = static_cast<char>(random.next());
    }
    StreamReader whole(wire, true);
    const Progress at_once = whole.feed(bytes);
    StreamReader cut(wire, true);
    const std::size_t where = random.below(static_cast<std::uint32_t>(bytes.size()));
    Progress in_two = cut.feed(std::string_view(bytes).substr(0, where));
    if (in_two == Progress::kMore) in_two = cut.feed(std::string_view(bytes).substr(where));
    CAPTURE(round);
    CHECK(in_two == at_once);
    CHECK(cut.message().nodes.size() == whole.message().nodes.size());
    CHECK(cut.message().bytes == whole.message().bytes);
    done += at_once == Progress::kDone ? 1 : 0;
  }
  CHECK(done > 1000);
  // What follows a message is ignored, however much it is.
  std::string more = messages.front() + std::string(StreamReader::kStream, 'x');
  for (const std::size_t step : {std::size_t{50}, more.size()}) {
    StreamReader reader(wire, true);
    CHECK(feed(reader, more, step) == Progress::kDone);
  }
}

TEST_CASE("swim: a stream of another pool is refused, with the reason") {
  Keyring none;
  Keyring keys;
  keys.install(kKey);
  const Wire plain({}, none);
  const Wire labelled({.label = "pool"}, none);
  const Wire other({.label = "loop"}, none);
  const Wire sealed({}, keys);
  const auto reason = [](const Wire& from, const Wire& to) {
    std::string bytes;
    from.seal_stream(push_pull(1, ""), true, {}, bytes);
    StreamReader reader(to, true);
    CHECK(feed(reader, bytes, 1) == Progress::kBad);
    return reader.drop();
  };
  CHECK(reason(plain, labelled) == Drop::kLabel);
  CHECK(reason(labelled, plain) == Drop::kLabel);
  CHECK(reason(labelled, other) == Drop::kLabel);
  CHECK(reason(plain, sealed) == Drop::kSealed);
  CHECK(reason(sealed, plain) == Drop::kSealed);
}

TEST_CASE("swim: counts and sizes beyond the bounds are refused before anything is kept for them") {
  Keyring keys;
  keys.install(kKey);
  Keyring none;
  const Wire wire({}, none);
  const auto verdict = [&](const Wire& to, std::string_view bytes) {
    StreamReader reader(to, true);
    return reader.feed(bytes) == Progress::kBad ? reader.drop() : Drop::kNone;
  };
  std::string out;
  encode(PushPullHeader{.nodes = StreamReader::kNodes + 1}, out);
  CHECK(verdict(wire, out) == Drop::kTooMuch);
  out.clear();
  encode(PushPullHeader{.user_bytes = StreamReader::kStream + 1}, out);
  CHECK(verdict(wire, out) == Drop::kTooMuch);
  out.clear();
  encode_user_header(StreamReader::kStream + 1, out);
  CHECK(verdict(wire, out) == Drop::kTooMuch);
  out = '\x0a';
  put_u32(StreamReader::kStream + 1, out);
  CHECK(verdict(Wire({}, keys), out) == Drop::kTooMuch);
  out.clear();
  encode_compressed(lzw_deflate(std::string(StreamReader::kStream + 1, 'A')), out);
  CHECK(verdict(wire, out) == Drop::kTooMuch);
  // A member that never ends.
  out.clear();
  encode(PushPullHeader{.nodes = 1}, out);
  out += std::string("\x81\xa1x\xdd\x00\xff\xff\xff", 8) + std::string(StreamReader::kNode + 100, '\x01');
  CHECK(verdict(wire, out) == Drop::kMalformed);
  CHECK(verdict(wire, std::string(100, '\x81')) == Drop::kMalformed);
  StreamReader endless(wire, true);
  std::string user;
  encode_user_header(StreamReader::kStream, user);
  user += std::string(StreamReader::kStream, 'x');
  CHECK(endless.feed(user) == Progress::kBad);
  CHECK(endless.drop() == Drop::kTooMuch);
}

TEST_CASE("swim: a member that is wrong costs a push/pull only that member") {
  Keyring none;
  const Wire wire({}, none);
  std::string out;
  encode(PushPullHeader{.nodes = 3}, out);
  NodeState node;
  node.name = "good";
  node.peer.assign("abcd");
  encode(node, out);
  out +=
      "\x81\xa4"
      "Name"
      "\xa3"
      "bad";  // no versions, no address
  node.name = "better";
  encode(node, out);
  StreamReader reader(wire, true);
  CHECK(reader.feed(out) == Progress::kDone);
  REQUIRE(reader.message().nodes.size() == 2);
  CHECK(reader.message().nodes[1].name == "better");
}

}  // namespace
}  // namespace remora::discovery::swim
