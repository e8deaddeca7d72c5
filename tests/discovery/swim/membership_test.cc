// Long because each message that a member may hear, and each thing that it does by itself, has a test
// on one rig.
#include "discovery/swim/membership.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <utility>

#include "tests/discovery/swim/rig.h"

namespace remora::discovery::swim {
namespace {

using test::peer;
using test::Rig;
using Lines = std::vector<std::string>;

TEST_CASE(
    "swim: news is taken by incarnation, and for one incarnation dead "
    "beats suspect beats alive") {
  Rig rig;
  rig.alive("a", 2);
  CHECK(rig.take_changes() == Lines{"a joined"});
  rig.alive("a", 2);
  rig.suspect("unknown", "b");
  rig.suspect("a", "b", 0);
  CHECK(rig.take_changes().empty());
  rig.suspect("a", "b");
  CHECK(rig.take_changes() == Lines{"a suspected by b"});
  rig.alive("a", 2, 1);
  CHECK(rig.state("a") == State::kSuspect);
  rig.alive("a", 2, 2, "meta");
  CHECK(rig.take_changes() == Lines{"a recovered", "a updated"});
  rig.dead("a", "b", 1);
  CHECK(rig.state("a") == State::kAlive);
  rig.dead("a", "b", 2);
  CHECK(rig.take_changes() == Lines{"a failed by b"});
  rig.suspect("a", "b", 2);
  rig.dead("a", "a", 2);
  rig.alive("a", 2, 2);
  CHECK(rig.state("a") == State::kDead);
  rig.alive("a", 2, 3);
  CHECK(rig.take_changes() == Lines{"a joined"});
  rig.dead("a", "a", 3);
  CHECK(rig.take_changes() == Lines{"a left by a"});
}

TEST_CASE(
    "swim: an accusation of ourselves is contradicted at once with a "
    "higher incarnation, and costs health") {
  Rig rig;
  rig.alive("a", 2);
  rig.suspect("self", "a", 7);
  CHECK(rig.membership.self().incarnation == 8);
  CHECK(rig.membership.self().state == State::kAlive);
  CHECK(rig.membership.health() == 1);
  rig.dead("self", "a", 8);
  CHECK(rig.membership.self().incarnation == 9);
  CHECK(rig.take_changes() == Lines{"a joined", "self refuted by a", "self refuted by a"});
  rig.run(300ms);
  REQUIRE_FALSE(rig.sent.empty());
  CHECK(std::ranges::count(rig.sent.front().lines, "alive self 9") == 1);
  rig.suspect("self", "a", 3);
  CHECK(rig.membership.self().incarnation == 9);
  rig.dead("self", "a", 0xffffffff);
  CHECK(rig.membership.self().incarnation == 0xffffffff);
}

TEST_CASE("swim: what the pool remembers of our former life is outdone") {
  Rig rig;
  const std::vector<NodeState> nodes{
      {.name = "self", .peer = peer(1), .meta = "old", .incarnation = 5, .versions = {}}};
  CHECK(rig.membership.merge(nodes, rig.now));
  CHECK(rig.membership.self().incarnation == 6);
  CHECK(rig.membership.self().meta().empty());
}

TEST_CASE(
    "swim: a newcomer to a large pool passes on who it is itself, and "
    "not what the pool knows") {
  for (const std::size_t members : {Membership::kStorm, Membership::kStorm + 1}) {
    Rig rig;
    std::vector<std::string> names;
    for (std::size_t i = 0; i + 1 < members; ++i) names.push_back("m" + std::to_string(i));
    // In the middle of the list stands what the pool remembers of our former
    // life.
    names.insert(names.begin() + 10, "self");
    std::vector<NodeState> nodes(members);
    for (std::size_t i = 0; i < members; ++i) {
      nodes[i].name = names[i];
      nodes[i].peer = peer(names[i] == "self" ? 1 : 2);
      nodes[i].incarnation = 7;
    }
    CHECK(rig.membership.merge(nodes, rig.now));
    CHECK(rig.membership.size() == members);
    CHECK(rig.membership.self().incarnation == 8);
    CHECK(rig.membership.news() == (members > Membership::kStorm ? 1 : members));
  }
}

TEST_CASE("swim: a ping is acked to its source, and one for another member is not") {
  Rig rig;
  rig.hear(Ping{.sequence = 4, .node = "self", .source = {}, .source_node = {}}, 9);
  rig.hear(Ping{.sequence = 5, .node = "self", .source = peer(8), .source_node = {}}, 9);
  rig.hear(Ping{.sequence = 6, .node = "other", .source = {}, .source_node = {}}, 9);
  rig.hear(Ping{.sequence = 7, .node = "", .source = {}, .source_node = {}}, 9);
  REQUIRE(rig.sent.size() == 3);
  CHECK(rig.sent[0].to == peer(9));
  CHECK(rig.sent[0].lines.front() == "ack 4");
  CHECK(rig.sent[1].to == peer(8));
  CHECK(rig.sent[2].lines.front() == "ack 7");
  CHECK(rig.membership.on_stream_ping({.sequence = 1, .node = "self", .source = {}, .source_node = {}}));
  CHECK_FALSE(
      rig.membership.on_stream_ping({.sequence = 1, .node = "other", .source = {}, .source_node = {}}));
}

TEST_CASE(
    "swim: a ping for somebody else is relayed, its ack keeps the "
    "number, and silence is told if wanted") {
  Rig rig;
  const auto ask = [&](std::uint32_t sequence, bool nack) {
    rig.sent.clear();
    rig.hear(IndirectPing{.sequence = sequence,
                          .target = peer(3),
                          .node = "c",
                          .nack = nack,
                          .source = peer(8),
                          .source_node = {}});
    REQUIRE(rig.sent_as("ping c").size() == 1);
    return rig.sent_as("ping c").front();
  };
  const auto ping = ask(77, true);
  CHECK(ping.to == peer(3));
  rig.hear(Ack{.sequence = ping.sequence, .payload = {}}, 3);
  REQUIRE(rig.sent_as("ack 77").size() == 1);
  CHECK(rig.sent_as("ack 77").front().to == peer(8));
  rig.run(1s);
  CHECK(rig.sent_as("nack").empty());
  ask(78, true);
  rig.run(499ms);
  CHECK(rig.sent_as("nack").empty());
  rig.run(2ms);
  CHECK(rig.sent_as("nack 78").size() == 1);
  ask(79, false);
  rig.run(1s);
  CHECK(rig.sent_as("nack 79").empty());
}

TEST_CASE(
    "swim: a silent member is pinged, asked for by others and on a "
    "stream, suspected, and declared dead") {
  Rig rig;
  rig.alive("a", 2);
  rig.run(1001ms);
  REQUIRE(rig.sent_as("ping a").size() == 1);
  CHECK(rig.streams.empty());
  rig.run(500ms);
  CHECK(rig.streams == Lines{"ping a at 2"});
  rig.run(500ms);
  CHECK(rig.state("a") == State::kSuspect);
  CHECK(rig.membership.health() == 1);
  // Two members: nobody is there to confirm, so the shortest time holds.
  rig.run(4s);
  CHECK(rig.state("a") == State::kDead);
  CHECK(rig.take_changes() == Lines{"a joined", "a suspected by self", "a failed by self"});
  rig.run(40s);
  CHECK(rig.membership.find("a") == nullptr);
  CHECK(std::ranges::count(rig.streams, "join 2") > 0);
}

TEST_CASE("swim: helpers that answer nack clear us of blame, silent ones do not") {
  for (const bool nacks : {true, false}) {
    Rig rig;
    for (std::uint8_t i = 2; i < 6; ++i) rig.alive("m" + std::to_string(i), i);
    rig.run(1001ms);
    rig.run(500ms);
    const auto asked = rig.sent_as("indirect");
    CHECK(asked.size() == 3);
    const std::uint32_t sequence = rig.sent_as("ping").front().sequence;
    std::string nack;
    encode_nack(sequence, nack);
    for (int i = 0; nacks && i < 5; ++i) rig.membership.receive(peer(3), nack, rig.now);
    rig.run(500ms);
    CHECK(rig.membership.health() == (nacks ? 0 : 3));
  }
}

TEST_CASE("swim: an ack over the stream alone means the member lives") {
  Rig rig;
  rig.alive("a", 2);
  rig.run(1501ms);
  rig.membership.on_stream_ack(rig.sent_as("ping a").front().sequence);
  rig.run(600ms);
  CHECK(rig.state("a") == State::kAlive);
}

TEST_CASE("swim: where nobody listens any more a member is suspected once helpers could have spoken for it") {
  for (const bool spoken_for : {false, true}) {
    Rig rig;
    for (std::uint8_t i = 2; i < 6; ++i) rig.alive("m" + std::to_string(i), i);
    rig.run(1501ms);
    const auto ping = rig.sent_as("ping").front();
    rig.membership.on_stream_refused(ping.sequence + 1, rig.now);  // of another probe
    rig.run(99ms);
    rig.membership.on_stream_refused(ping.sequence, rig.now);
    rig.run(99ms);
    const std::string name = ping.lines.front().substr(5);
    CHECK(rig.state(name) == State::kAlive);
    if (spoken_for) rig.hear(Ack{.sequence = ping.sequence, .payload = {}}, 3);
    rig.run(2ms);
    CHECK(rig.state(name) == (spoken_for ? State::kAlive : State::kSuspect));
    CHECK(rig.membership.health() == 0);                       // who hears a refusal hears
    rig.membership.on_stream_refused(ping.sequence, rig.now);  // nothing is under way
  }
}

TEST_CASE("swim: a timer that is late by less and less costs no probe its turn") {
  Rig rig;
  for (std::uint8_t i = 2; i < 12; ++i) rig.alive("m" + std::to_string(i), i);
  const TimePoint end = rig.now + 10s;
  // Nobody answers anything; health is kept, so that each probe takes one interval.
  for (int wakeup = 0; rig.now < end; ++wakeup) {
    rig.now = std::max(rig.now, rig.membership.next_wakeup() + (wakeup % 2 == 0 ? 9ms : 1ms));
    rig.membership.on_wakeup(rig.now);
    for (const auto& asked : rig.sent_as("indirect")) {
      std::string nack;
      encode_nack(static_cast<std::uint32_t>(rig.membership.numbers().probes), nack);
      rig.membership.receive(asked.to, nack, rig.now);
    }
  }
  CHECK(rig.membership.numbers().probes >= 9);
}

TEST_CASE("swim: a suspect hears of it with its next ping") {
  Rig rig;
  rig.alive("a", 2);
  rig.suspect("a", "b");
  rig.run(1001ms);
  REQUIRE(rig.sent_as("ping a").size() == 1);
  CHECK(rig.sent_as("ping a").front().lines.at(1) == "suspect a 1 by self");
}

TEST_CASE(
    "swim: a name in use does not move, that of one who left does, and "
    "that of a dead one when allowed") {
  Rig rig({.dead_reclaim = 10s});
  rig.alive("a", 2);
  rig.alive("a", 3, 9);
  CHECK(rig.take_changes() == Lines{"a joined", "a conflict"});
  CHECK(rig.membership.find("a")->peer == peer(2));
  rig.dead("a", "b");
  rig.alive("a", 3, 9);
  CHECK(rig.state("a") == State::kDead);
  rig.now += 10s;
  rig.alive("a", 3, 1);
  CHECK(rig.state("a") == State::kAlive);
  CHECK(rig.membership.find("a")->peer == peer(3));
  rig.dead("a", "a", 1);
  rig.alive("a", 4, 1);
  CHECK(rig.membership.find("a")->peer == peer(4));
  rig.take_changes();
  rig.alive("self", 7, 9);
  CHECK(rig.take_changes() == Lines{"self conflict"});
  CHECK(rig.membership.self().peer == peer(1));
}

TEST_CASE(
    "swim: a member of versions that would break the pool's exchanges "
    "does not get in") {
  Rig rig;
  const auto versions = [](std::array<std::uint8_t, 6> value) { return Versions{value}; };
  for (const auto& bad :
       {versions({1, 5, 2, 0, 0, 0}), versions({0, 5, 2, 2, 5, 4}), versions({3, 2, 2, 2, 5, 4}),
        versions({1, 5, 6, 2, 5, 4}), versions({1, 5, 2, 2, 4, 5})}) {
    rig.hear(Alive{.incarnation = 1, .node = "a", .peer = peer(2), .meta = {}, .versions = bad});
    CHECK(rig.membership.size() == 1);
  }
  const std::vector<NodeState> apart{
      {.name = "a", .peer = peer(2), .meta = {}, .versions = {}},
      {.name = "b", .peer = peer(3), .meta = {}, .versions = versions({1, 1, 1, 2, 5, 4})}};
  CHECK_FALSE(rig.membership.merge(apart, rig.now));
  CHECK(rig.membership.size() == 1);
  CHECK(rig.changes.empty());
}

TEST_CASE(
    "swim: a peer's word that somebody is dead only makes him suspect, "
    "that he left is believed") {
  Rig rig;
  rig.alive("a", 2);
  rig.alive("b", 3);
  rig.take_changes();
  const std::vector<NodeState> nodes{
      {.name = "a", .peer = peer(2), .meta = {}, .incarnation = 1, .state = State::kDead, .versions = {}},
      {.name = "b", .peer = peer(3), .meta = {}, .incarnation = 1, .state = State::kLeft, .versions = {}},
      {.name = "never",
       .peer = peer(4),
       .meta = {},
       .incarnation = 1,
       .state = State::kDead,
       .versions = {}}};
  CHECK(rig.membership.merge(nodes, rig.now));
  CHECK(rig.take_changes() == Lines{"a suspected by self", "b left by b"});
  CHECK(rig.membership.size() == 3);
}

TEST_CASE("swim: who leaves says so, and listens to nothing about himself any more") {
  Rig rig;
  rig.alive("a", 2);
  rig.membership.leave(rig.now);
  CHECK_FALSE(rig.membership.departed());
  rig.suspect("self", "a", 5);
  rig.alive("self", 1, 9);
  CHECK(rig.membership.self().state == State::kLeft);
  rig.run(2s);
  CHECK(rig.membership.departed());
  CHECK(std::ranges::any_of(rig.sent, [](const Rig::Sent& sent) {
    return std::ranges::count(sent.lines, "dead self 1 by self") > 0;
  }));
  rig.run(5min);
  CHECK(rig.sent_as("ping").empty());
  CHECK(rig.streams.empty());  // and exchanges no states any more
}

TEST_CASE(
    "swim: packets beyond the rate are not read, members beyond the "
    "limit not taken") {
  Rig rig({.members_max = 50, .packets_per_second = 100});
  for (std::uint8_t i = 0; i < 100; ++i) {
    const std::string name = "m" + std::to_string(i);
    rig.hear(Alive{.incarnation = 1, .node = name, .peer = peer(2), .meta = {}, .versions = {}}, i);
  }
  CHECK(rig.membership.size() == 50);
  rig.dead("m1", "m2");
  CHECK(rig.state("m1") == State::kAlive);
  CHECK(rig.membership.numbers().unread == 1);
  rig.now += 1s;
  rig.dead("m1", "m2");
  CHECK(rig.state("m1") == State::kDead);
}

TEST_CASE("swim: who floods has half of the rate at most, is loud soon, and costs the others nothing") {
  Rig rig;
  const auto flood = [&](std::uint8_t from) { return rig.membership.receive(peer(from), "x", rig.now); };
  int read = 0;
  int loud = 0;
  for (int i = 0; i < 100000; ++i) {
    rig.now += 10us;  // 100,000 a second
    const auto verdict = flood(66);
    read += verdict == SourceRates::Verdict::kRead ? 1 : 0;
    loud += verdict == SourceRates::Verdict::kLoud ? 1 : 0;
    CHECK(verdict != SourceRates::Verdict::kRest);
    if (i % 100 == 0) CHECK(flood(static_cast<std::uint8_t>(i / 100 % 50)) == SourceRates::Verdict::kRead);
  }
  CHECK(read >= 2500);
  CHECK(read <= 3000);
  CHECK(loud >= 100);
  // Quiet for a while, it is one like the others again; a burst alone is not loud.
  rig.now += 1s;
  for (int i = 0; i < 600; ++i) CHECK(flood(66) != SourceRates::Verdict::kLoud);
  // Many together can have all of it, and no more.
  rig.now += 1s;
  int rests = 0;
  for (int i = 0; i < 10000; ++i) rests += flood(static_cast<std::uint8_t>(i)) == SourceRates::Verdict::kRest;
  CHECK(rests == 5000);
}

TEST_CASE("swim: a flood takes nothing from any of two thousand others, wherever they stand in the table") {
  Rig rig;
  for (unsigned i = 0; i < 50000; ++i) {
    rig.now += 10us;
    rig.membership.receive(peer(66), "x", rig.now);
    if (i % 25 != 0) continue;
    Peer other = peer(1);
    other.address[1] = static_cast<std::uint8_t>(i / 25 / 250 + 1);
    other.address[2] = static_cast<std::uint8_t>(i / 25 % 250);
    CHECK(rig.membership.receive(other, "x", rig.now) == SourceRates::Verdict::kRead);
  }
}

TEST_CASE("swim: after a long sleep nobody is accused of what we did not hear") {
  Rig rig;
  for (std::uint8_t i = 2; i < 8; ++i) rig.alive("m" + std::to_string(i), i);
  rig.suspect("m2", "m3");
  rig.run(1001ms);
  rig.take_changes();
  rig.now += 5min;
  rig.membership.on_wakeup(rig.now);
  CHECK(rig.take_changes().empty());
  CHECK(rig.state("m2") == State::kSuspect);
  CHECK(rig.membership.health() >= 1);
}

TEST_CASE(
    "swim: random datagrams change nothing, and datagrams sent stay "
    "below the size of a packet") {
  Rig rig;
  const std::string meta(kMetaBytes, 'x');
  for (std::uint8_t i = 2; i < 40; ++i) rig.alive("m" + std::to_string(i), i, 1, meta);
  rig.take_changes();
  Random random(9);
  for (int i = 0; i < 4000; ++i) {
    std::string noise(random.below(100), '\0');
    for (char& c : noise) c = static_cast<char>(random.below(256));
    rig.membership.receive(peer(static_cast<std::uint8_t>(i)), noise, rig.now);
  }
  CHECK(rig.changes.empty());
  CHECK(rig.membership.size() == 39);
  CHECK(rig.membership.broadcast("to all"));
  rig.run(10s);
  for (const Rig::Sent& sent : rig.sent) CHECK(sent.bytes <= Wire::kPacketBytes);
  CHECK(rig.sent.size() > 20);
}

}  // namespace
}  // namespace remora::discovery::swim
