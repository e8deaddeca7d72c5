// Any datagrams from any stranger: a member stays a member, within its bounds, and sends only what can be
// read. The input is a row of datagrams, each after its length in two bytes; time passes between them.
#include <cstdio>
#include <cstdlib>

#include "tests/discovery/swim/rig.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace remora::discovery::swim;
  using namespace std::chrono_literals;
  const auto require = [](bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "%s\n", what);
    std::abort();
  };
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Settings settings;
  settings.members_max = 8;
  test::Rig rig(settings);
  rig.alive("s1", 2);
  rig.alive("sidecar1", 3);
  while (bytes.size() >= 2) {
    const std::size_t length = std::min<std::size_t>(get_u16(bytes), bytes.size() - 2);
    rig.membership.receive(test::peer(9), bytes.substr(2, length), rig.now);
    bytes.remove_prefix(2 + length);
    rig.run(700ms);
  }
  require(rig.membership.self().state == State::kAlive, "we are not alive");
  require(rig.membership.find("self") == &rig.membership.self(), "we are not in our own list");
  require(rig.membership.size() <= settings.members_max, "too many members");
  require(rig.membership.next_wakeup() > rig.now, "time stands still");
  require(rig.sent.size() < 20 * (size + 2), "more is sent than can be accounted for");
  for (const auto& sent : rig.sent) {
    require(sent.lines.empty() || sent.lines.back() != "unreadable", "we sent what nobody can read");
  }
  StreamReader reader(rig.wire, false);
  require(reader.feed(rig.membership.state(false)) == StreamReader::Progress::kDone,
          "our state cannot be read");
  require(reader.message().nodes.size() == rig.membership.size(), "our state is not whole");
  return 0;
}
