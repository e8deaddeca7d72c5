// The contract of proxy/net/stream.h, run against every implementation: a fake that behaves otherwise than
// the kernel would make every test above it worthless. Here: opening, bytes, back-pressure, pause.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/proxy/net/stream_pair.h"

using namespace remora;
using namespace remora::testing;

TEST_SUITE("stream contract") {
  TEST_CASE_TEMPLATE("bytes arrive in order, both ways", World, WORLDS) {
    Pair<World> pair;
    pair.client->send("hello ");
    pair.client->send("world");
    CHECK(pair.run_until([&] { return pair.peer().received() == "hello world"; }));
    pair.peer().send("yes?");
    CHECK(pair.run_until([&] { return pair.client->received() == "yes?"; }));
    CHECK_FALSE(pair.client->finished());
    CHECK_FALSE(pair.peer().finished());
  }

  TEST_CASE_TEMPLATE("the peer's address is known", World, WORLDS) {
    Pair<World> pair;
    CHECK(pair.client->stream()->peer() == pair.server.address());
    CHECK(pair.peer().stream()->peer().kind() == pair.server.address().kind());
    if (World::kFindsPeers) CHECK(pair.peer().stream()->peer().port() != 0);
    if (pair.server.address().is_ip()) CHECK(pair.server.address().port() != 0);
  }

  TEST_CASE_TEMPLATE("many pieces in one send arrive as one", World, WORLDS) {
    Pair<World> pair;
    std::vector<std::string> texts;
    std::vector<std::string_view> pieces;
    std::string all;
    for (int i = 0; i < 100; ++i)
      texts.push_back(std::string(static_cast<std::size_t>(i % 7), static_cast<char>('a' + i % 26)));
    for (const auto& text : texts) {
      pieces.push_back(text);
      all += text;
    }
    CHECK(pair.client->stream()->send(pieces));
    CHECK(pair.run_until([&] { return pair.peer().received() == all; }));
    CHECK(pair.client->stream()->send({}));
  }

  TEST_CASE_TEMPLATE("a refused connection fails once, later, and never opens", World, WORLDS) {
    World world;
    auto client = RawPeer::connect(world.network(), world.nobody_listens_at());
    CHECK_FALSE(client->error());
    REQUIRE(world.run_until([&] { return client->error().has_value(); }));
    CHECK(is_failed_connect(*client->error()));
    CHECK_FALSE(client->error()->detail.empty());
    CHECK_FALSE(client->open());
    CHECK(client->send("ignored"));
    client->end();
    client->pause();
    client->resume();
    client->reset();
    world.run_a_while();
    CHECK(client->stream()->queued() == 0);
    CHECK(client->drained_count() == 0);
  }

  TEST_CASE_TEMPLATE("an address that cannot be dialled fails later, too", World, TcpWorld, UnixWorld) {
    World world;
    auto client = RawPeer::connect(world.network(), Address::unix_path(std::string(500, 'x')));
    auto nothing = RawPeer::connect(world.network(), Address());
    CHECK_FALSE(client->error());
    REQUIRE(world.run_until([&] { return client->error() && nothing->error(); }));
    CHECK(client->error()->code == ErrorCode::kInvalid);
    CHECK(nothing->error()->code == ErrorCode::kInvalid);
  }

  TEST_CASE_TEMPLATE("what is sent while connecting is queued, and goes out after on_open", World, WORLDS) {
    World world;
    RawServer server(world.network(), world.listen_address());
    auto client = RawPeer::connect(world.network(), server.address());
    std::size_t queued_at_open = 0;
    client->when_open = [&](RawPeer& peer) {
      queued_at_open = peer.stream()->queued();
      peer.send(" late");
    };
    client->send("early");
    CHECK(client->stream()->queued() == 5);
    REQUIRE(world.run_until([&] { return server.size() == 1 && server[0].received() == "early late"; }));
    CHECK(queued_at_open == 5);
    CHECK(world.run_until([&] { return client->drained_count() == 1; }));
    CHECK(client->stream()->queued() == 0);
  }

  TEST_CASE_TEMPLATE("end while connecting sends what is queued, then the end", World, WORLDS) {
    World world;
    RawServer server(world.network(), world.listen_address());
    auto client = RawPeer::connect(world.network(), server.address());
    client->send("all");
    client->end();
    REQUIRE(world.run_until([&] { return server.size() == 1 && server[0].ended(); }));
    CHECK(server[0].received() == "all");
    auto silent = RawPeer::connect(world.network(), server.address());
    silent->end();
    REQUIRE(world.run_until([&] { return server.size() == 2 && server[1].ended(); }));
    CHECK(world.run_until([&] { return silent->drained_count() == 1; }));
  }

  TEST_CASE_TEMPLATE("end closes one direction only", World, WORLDS) {
    Pair<World> pair;
    pair.client->send("request");
    pair.client->end();
    pair.client->end();
    REQUIRE(pair.run_until([&] { return pair.peer().ended(); }));
    CHECK(pair.peer().received() == "request");
    pair.client->send("ignored");
    pair.peer().send("response");
    REQUIRE(pair.run_until([&] { return pair.client->received() == "response"; }));
    CHECK_FALSE(pair.client->ended());
    pair.peer().end();
    REQUIRE(pair.run_until([&] { return pair.client->ended(); }));
    pair.world.run_a_while();
    CHECK(pair.peer().received() == "request");
    CHECK_FALSE(pair.client->error());
    CHECK_FALSE(pair.peer().error());
  }

  TEST_CASE_TEMPLATE("nothing left in the queue means no on_drained", World, WORLDS) {
    Pair<World> pair;
    CHECK(pair.client->send("small"));
    CHECK(pair.client->stream()->queued() == 0);
    pair.client->end();
    CHECK(pair.client->stream()->queued() == 0);
    REQUIRE(pair.run_until([&] { return pair.peer().ended(); }));
    CHECK(pair.client->drained_count() == 0);
    CHECK(pair.client->writable_count() == 0);
  }

  TEST_CASE_TEMPLATE("a peer that does not read is felt, and nothing is lost", World, WORLDS) {
    Pair<World> pair;
    pair.peer().pause();
    std::string sent = fill(*pair.client);
    const std::size_t queued = pair.client->stream()->queued();
    CHECK(queued > 256 * 1024);
    CHECK_FALSE(pair.client->send("!"));  // still told to stop, still accepted
    sent += "!";
    pair.world.run_a_while();
    CHECK(pair.client->writable_count() == 0);
    CHECK(pair.client->drained_count() == 0);
    std::size_t queued_when_writable = ~std::size_t{0};
    pair.client->when_writable = [&](RawPeer& peer) { queued_when_writable = peer.stream()->queued(); };
    pair.peer().resume();
    REQUIRE(pair.run_until([&] { return pair.peer().received().size() == sent.size(); }));
    CHECK(pair.peer().received() == sent);
    CHECK(pair.run_until([&] { return pair.client->drained_count() == 1; }));
    CHECK(pair.client->writable_count() == 1);
    CHECK(queued_when_writable < 64 * 1024);
    CHECK(pair.client->stream()->queued() == 0);
    CHECK(pair.client->send("more"));
  }

  TEST_CASE_TEMPLATE("end behind a full queue comes after all bytes", World, WORLDS) {
    Pair<World> pair;
    pair.peer().pause();
    const std::string sent = fill(*pair.client);
    pair.client->end();
    pair.world.run_a_while();
    CHECK(pair.client->drained_count() == 0);
    pair.peer().resume();
    REQUIRE(pair.run_until([&] { return pair.peer().ended(); }));
    CHECK(pair.peer().received() == sent);
    CHECK(pair.run_until([&] { return pair.client->drained_count() == 1; }));
  }

  TEST_CASE_TEMPLATE("a stream may feed itself from on_writable", World, WORLDS) {
    Pair<World> pair;
    const std::string piece = noise(100'000);
    std::size_t left = 8'000'000;
    std::size_t most_queued = 0;
    const auto feed = [&](RawPeer& peer) {
      bool more = true;
      while (more && left > 0) {
        more = peer.send(piece);
        left -= piece.size();
        most_queued = std::max(most_queued, peer.stream()->queued());
      }
      if (left == 0) peer.end();
    };
    pair.client->when_writable = feed;
    feed(*pair.client);
    REQUIRE(pair.run_until([&] { return pair.peer().ended(); }));
    CHECK(pair.peer().received().size() == 8'000'000);
    CHECK(most_queued <= 256 * 1024 + piece.size());
  }

  TEST_CASE_TEMPLATE("pause holds back bytes and the end, resume delivers them", World, WORLDS) {
    Pair<World> pair;
    pair.peer().pause();
    pair.peer().pause();
    pair.client->send("held back");
    pair.client->end();
    pair.world.run_a_while();
    CHECK(pair.peer().received().empty());
    CHECK_FALSE(pair.peer().ended());
    pair.peer().resume();
    pair.peer().resume();
    REQUIRE(pair.run_until([&] { return pair.peer().ended(); }));
    CHECK(pair.peer().received() == "held back");
  }

  TEST_CASE_TEMPLATE("pause inside on_data is obeyed at once", World, WORLDS) {
    Pair<World> pair;
    std::size_t calls = 0;
    pair.peer().when_received = [&](RawPeer& peer) {
      ++calls;
      peer.pause();
    };
    const std::string bytes = noise(1'000'000);
    pair.client->send(bytes);
    REQUIRE(pair.run_until([&] { return calls == 1; }));
    pair.world.run_a_while();
    CHECK(calls == 1);
    while (pair.peer().received().size() < bytes.size()) {
      const std::size_t before = calls;
      pair.peer().resume();
      REQUIRE(pair.run_until([&] { return calls > before; }));
      CHECK(calls == before + 1);
    }
    CHECK(pair.peer().received() == bytes);
  }

  TEST_CASE_TEMPLATE("pause at the end of a turn comes before another large read", World, WORLDS) {
    struct Pause final : TurnTask {
      RawPeer* peer = nullptr;
      void at_end_of_turn() override { peer->pause(); }
    };
    Pair<World> pair;
    Pause pause;
    pair.peer().when_received = [&](RawPeer& peer) {
      pause.peer = &peer;
      pair.world.turn().defer(pause);
    };
    pair.client->send(noise(1'000'000));
    REQUIRE(pair.run_until([&] { return pause.peer != nullptr; }));
    pair.world.run_a_while();
    CHECK(pair.peer().received().size() <= 64 * 1024);
  }

  TEST_CASE_TEMPLATE("pause and resume within an event change nothing", World, WORLDS) {
    Pair<World> pair;
    pair.peer().when_received = [&](RawPeer& peer) {
      peer.pause();
      peer.resume();
    };
    for (int i = 0; i < 10; ++i) {
      const std::size_t expected = pair.peer().received().size() + 3;
      pair.client->send("abc");
      REQUIRE(pair.run_until([&] { return pair.peer().received().size() == expected; }));
    }
  }
}
