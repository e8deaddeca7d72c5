// Any bytes on a connection: the verdict does not depend on how they are cut, and what a push/pull says is
// merged within the bounds. The first byte chooses label and compression.
#include <cstdio>
#include <cstdlib>

#include "tests/discovery/swim/rig.h"

namespace {

using namespace remora::discovery::swim;

std::string verdict(const StreamReader& reader, StreamReader::Progress progress) {
  const StreamMessage& message = reader.message();
  if (progress != StreamReader::Progress::kDone)
    return progress == StreamReader::Progress::kMore ? "more" : "bad";
  std::string out =
      std::to_string(static_cast<int>(message.type)) + " " + std::to_string(message.nodes.size()) + " ";
  for (const NodeState& node : message.nodes) out.append(node.name).append(node.meta);
  return out.append(message.bytes).append(message.ping.node).append(message.ack.payload);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  test::Rig rig;
  const Wire wire({.label = (data[0] & 1U) != 0 ? "pool" : ""}, rig.keys);
  StreamReader whole(wire, (data[0] & 2U) != 0);
  const std::string at_once = verdict(whole, whole.feed(bytes));
  StreamReader split(wire, (data[0] & 2U) != 0);
  auto progress = StreamReader::Progress::kMore;
  for (std::size_t at = 0; at < bytes.size() && progress == StreamReader::Progress::kMore; at += 1 + at / 8) {
    progress = split.feed(bytes.substr(at, 1 + at / 8));
  }
  const std::string in_pieces = verdict(split, progress);
  if (!bytes.empty() && at_once != in_pieces) {
    std::fprintf(stderr, "whole: %s\nsplit: %s\n", at_once.c_str(), in_pieces.c_str());
    std::abort();
  }
  if (!whole.message().nodes.empty()) {
    rig.membership.merge(whole.message().nodes, rig.now);
    rig.run(std::chrono::seconds(3));
    if (rig.membership.self().state != State::kAlive ||
        rig.membership.size() > whole.message().nodes.size() + 1)
      std::abort();
  }
  return 0;
}
