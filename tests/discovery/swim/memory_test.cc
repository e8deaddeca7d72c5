// What a member remembers for others, how long, and how much of it at most.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "discovery/swim/membership.h"
#include "tests/discovery/swim/rig.h"

namespace remora::discovery::swim {
namespace {

using test::peer;
using test::Rig;
using Lines = std::vector<std::string>;

TEST_CASE("swim: the dead are remembered so that old news does not revive them, and forgotten in the end") {
  Rig rig;
  rig.alive("a", 2);
  rig.dead("a", "b");
  rig.run(30s);
  REQUIRE(rig.membership.find("a") != nullptr);
  rig.alive("a", 2);
  CHECK(rig.state("a") == State::kDead);
  rig.run(3s);
  CHECK(rig.membership.find("a") == nullptr);
  CHECK(rig.take_changes() == Lines{"a joined", "a failed by b", "a forgotten"});
}

TEST_CASE("swim: so many pings for others wait at once and no more, until an ack or silence makes room") {
  Rig rig;
  std::uint32_t asked = 0;
  const auto ask = [&] {
    rig.hear(IndirectPing{.sequence = ++asked,
                          .target = peer(3),
                          .node = "c",
                          .nack = true,
                          .source = peer(8),
                          .source_node = {}});
    return rig.sent_as("ping c").size();
  };
  while (asked < Membership::kRelays) REQUIRE(ask() == asked);
  CHECK(ask() == Membership::kRelays);
  rig.hear(Ack{.sequence = rig.sent_as("ping c").front().sequence, .payload = {}}, 3);
  CHECK(ask() == Membership::kRelays + 1);
  CHECK(ask() == Membership::kRelays + 1);
  rig.run(1s);
  CHECK(rig.sent_as("nack").size() == Membership::kRelays);
  CHECK(ask() == Membership::kRelays + 2);
}

TEST_CASE("swim: of more lost members than are remembered those lost first are not dialled again") {
  constexpr std::size_t kTooMany = 100;
  constexpr std::uint8_t kFirst = 200;  // the address of those that are too many
  Rig rig({.reconnect_interval = 1s});
  for (std::size_t i = 0; i < Membership::kLost + kTooMany; ++i) {
    const std::string name = "m" + std::to_string(i);
    rig.alive(name, i < kTooMany ? kFirst : 2);
    rig.dead(name, "a");
    rig.now += 1ms;
  }
  rig.run(5min);
  CHECK(rig.streams.size() >= 290);
  CHECK(std::ranges::count(rig.streams, "join 2") == static_cast<std::ptrdiff_t>(rig.streams.size()));
}

}  // namespace
}  // namespace remora::discovery::swim
