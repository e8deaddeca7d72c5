// The contract of proxy/net/stream.h, continued: resets, failures, and how streams die.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/proxy/net/stream_pair.h"

using namespace remora;
using namespace remora::testing;

TEST_SUITE("stream contract") {
  TEST_CASE_TEMPLATE("reset is seen as a failure, after the bytes before it", World, WORLDS) {
    Pair<World> pair;
    pair.client->send("some");
    REQUIRE(pair.run_until([&] { return pair.peer().received() == "some"; }));
    pair.client->reset();
    pair.client->reset();
    CHECK(pair.client->send("ignored"));
    REQUIRE(pair.run_until([&] { return pair.peer().finished(); }));
    if (World::kSeesReset) {
      REQUIRE(pair.peer().error());
      CHECK(pair.peer().error()->code == ErrorCode::kReset);
      CHECK_FALSE(pair.peer().ended());
      CHECK(pair.peer().send("ignored"));
    }
    CHECK_FALSE(pair.client->error());  // who resets is told nothing
  }

  TEST_CASE_TEMPLATE("bytes and the reset behind them come in this order, however they are read", World,
                     TcpWorld, Tcp6World, FakeWorld) {
    Pair<World> pair;
    pair.peer().pause();
    pair.world.run_a_while();
    pair.client->send("some");
    pair.client->reset();
    pair.world.run_a_while();
    pair.peer().resume();
    REQUIRE(pair.run_until([&] { return pair.peer().finished(); }));
    CHECK(pair.peer().received() == "some");
    CHECK_FALSE(pair.peer().ended());  // a truncated body must not look complete
    REQUIRE(pair.peer().error());
    CHECK(pair.peer().error()->code == ErrorCode::kReset);
  }

  TEST_CASE_TEMPLATE("destroying a stream is a clean end for the peer", World, WORLDS) {
    Pair<World> pair;
    pair.client->send("bye");
    pair.client->close();
    REQUIRE(pair.run_until([&] { return pair.peer().finished(); }));
    CHECK(pair.peer().received() == "bye");
    CHECK(pair.peer().ended());
  }

  TEST_CASE_TEMPLATE("destroying a stream with bytes queued is no clean end", World, TcpWorld, Tcp6World,
                     FakeWorld) {
    Pair<World> pair;
    pair.peer().pause();
    fill(*pair.client);
    pair.client->close();
    pair.peer().resume();
    REQUIRE(pair.run_until([&] { return pair.peer().finished(); }));
    CHECK_FALSE(pair.peer().ended());
    CHECK(pair.peer().error()->code == ErrorCode::kReset);
  }

  TEST_CASE_TEMPLATE("destroying a connecting stream cancels it", World, WORLDS) {
    World world;
    RawServer server(world.network(), world.listen_address());
    auto client = RawPeer::connect(world.network(), server.address());
    auto refused = RawPeer::connect(world.network(), world.nobody_listens_at());
    client->send("never");
    client->close();
    refused->close();
    world.run_a_while();
    CHECK_FALSE(client->open());
    CHECK_FALSE(client->error());
    CHECK_FALSE(refused->error());
  }

  TEST_CASE_TEMPLATE("a stream may be destroyed in a callback of another one", World, WORLDS) {
    World world;
    RawServer server(world.network(), world.listen_address());
    std::vector<std::unique_ptr<RawPeer>> clients;
    for (int i = 0; i < 8; ++i) clients.push_back(RawPeer::connect(world.network(), server.address()));
    REQUIRE(world.run_until([&] { return server.size() == 8; }));
    bool done = false;
    for (std::size_t i = 0; i < server.size(); ++i) {
      server[i].when_received = [&, i](RawPeer&) {
        if (done) return;
        done = true;
        for (std::size_t other = 0; other < server.size(); ++other) {
          if (other != i) server[other].close();
        }
      };
    }
    for (auto& client : clients) client->send("x");  // all of them are ready in the same turn
    REQUIRE(world.run_until([&] { return done; }));
    world.run_a_while();
    std::size_t heard = 0;
    for (std::size_t i = 0; i < server.size(); ++i) heard += server[i].received().size();
    CHECK(heard == 1);
  }

  TEST_CASE_TEMPLATE("a stream may be buried in its own callback", World, WORLDS) {
    World world;
    RawServer server(world.network(), world.listen_address());
    struct Owner final : net::Stream::Events {
      explicit Owner(Turn& t) : turn(t) {}
      void on_data(std::string_view) override { turn.bury(std::move(stream)); }
      void on_end() override { turn.bury(std::move(stream)); }
      void on_writable() override {}
      void on_closed(const Error&) override { turn.bury(std::move(stream)); }
      Turn& turn;
      std::unique_ptr<net::Stream> stream;
    };
    server.when_accepted = [](RawPeer& peer) { peer.send("die"); };
    Owner by_data(world.turn());
    by_data.stream = world.network().connect(server.address(), by_data);
    Owner by_failure(world.turn());
    by_failure.stream = world.network().connect(world.nobody_listens_at(), by_failure);
    CHECK(world.run_until([&] { return !by_data.stream && !by_failure.stream; }));
    CHECK(world.run_until([&] { return server[0].finished(); }));
  }

  TEST_CASE_TEMPLATE("bytes that come before an acceptor sets its events are not lost", World, WORLDS) {
    World world;
    struct Keeper final : net::Acceptor {
      void on_accept(std::unique_ptr<net::Stream> accepted) override { stream = std::move(accepted); }
      void on_accept_exhausted() override {}
      std::unique_ptr<net::Stream> stream;
    } keeper;
    auto listener = world.network().listen(world.listen_address(), {}, keeper);
    REQUIRE(listener);
    auto client = RawPeer::connect(world.network(), (*listener)->address());
    client->send("early");
    REQUIRE(world.run_until([&] { return keeper.stream != nullptr; }));
    world.run_a_while();
    auto peer = RawPeer::adopt(std::move(keeper.stream));
    CHECK(world.run_until([&] { return peer->received() == "early"; }));
  }

  TEST_CASE_TEMPLATE("the events may be exchanged between callbacks", World, WORLDS) {
    Pair<World> pair;
    pair.client->send("one");
    REQUIRE(pair.run_until([&] { return pair.peer().received() == "one"; }));
    struct Second final : net::Stream::Events {
      void on_data(std::string_view bytes) override { received += bytes; }
      void on_end() override {}
      void on_writable() override {}
      void on_closed(const Error&) override {}
      std::string received;
    } second;
    pair.peer().stream()->set_events(&second);
    pair.client->send("two");
    CHECK(pair.run_until([&] { return second.received == "two"; }));
    CHECK(pair.peer().received() == "one");
  }

  TEST_CASE_TEMPLATE("a response that came before the connection failed is delivered first", World, TcpWorld,
                     Tcp6World, FakeWorld) {
    // A server that answers an upload it does not want, and closes with bytes unread: its reset overtakes
    // nothing.
    Pair<World> pair;
    pair.client->send("part of a long upload");
    pair.peer().pause();
    pair.world.run_a_while();
    pair.client->send("which is not read");
    pair.client->pause();
    pair.world.run_a_while();
    pair.peer().send("413 go away");
    pair.peer().close();
    pair.world.run_a_while();
    for (int i = 0; i < 3; ++i) {
      pair.client->send("more of the upload");
      pair.world.run_a_while();
    }
    CHECK_FALSE(pair.client->error());
    pair.client->resume();
    REQUIRE(pair.run_until([&] { return pair.client->error().has_value(); }));
    CHECK(pair.client->received() == "413 go away");
    CHECK(pair.client->error()->code == ErrorCode::kReset);
  }

  TEST_CASE_TEMPLATE("writing to a peer that is gone fails, also after its end was read", World, WORLDS) {
    Pair<World> pair;
    pair.peer().end();
    REQUIRE(pair.run_until([&] { return pair.client->ended(); }));
    pair.peer().close();
    pair.world.run_a_while();
    int attempts = 0;
    REQUIRE(pair.run_until([&] {
      if (!pair.client->error() && ++attempts < 10'000) pair.client->send("hello?");
      return pair.client->error().has_value();
    }));
    CHECK(pair.client->error()->code == ErrorCode::kReset);
    CHECK(pair.client->stream()->queued() == 0);
  }

  TEST_CASE_TEMPLATE("a failure that send() notices is not reported inside it", World, WORLDS) {
    Pair<World> pair;
    pair.peer().close();
    REQUIRE(pair.run_until([&] { return pair.client->ended(); }));
    bool inside = false;
    bool reported_inside = false;
    pair.client->when_closed = [&](RawPeer&) { reported_inside = reported_inside || inside; };
    REQUIRE(pair.run_until([&] {
      inside = true;
      pair.client->send("x");
      inside = false;
      return pair.client->error().has_value();
    }));
    CHECK_FALSE(reported_inside);
  }
}
