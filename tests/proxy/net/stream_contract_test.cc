// The contract of proxy/net/stream.h and network.h, run against every implementation: a fake that behaves otherwise than
// the kernel would make every test above it worthless.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "tests/proxy/net/net_world.h"
#include "tests/support/raw_peer.h"

using namespace remora;
using namespace remora::testing;

namespace {

// Two connected peers.
template <typename World>
struct Pair {
  World world;
  RawServer server{world.network(), world.listen_address()};
  std::unique_ptr<RawPeer> client = RawPeer::connect(world.network(), server.address());

  Pair() {
    REQUIRE(world.run_until([&] { return client->open() && server.size() == 1; }));
  }
  RawPeer& peer() { return server[0]; }
  bool run_until(const Predicate& holds) { return world.run_until(holds); }
};

std::string noise(std::size_t size, std::uint64_t seed = 1) {
  Random random(seed);
  std::string bytes(size, '\0');
  for (auto& byte : bytes) byte = static_cast<char>(random.next());
  return bytes;
}

bool is_failed_connect(const Error& error) {
  return error.code == ErrorCode::kConnectionRefused || error.code == ErrorCode::kConnectFailed;
}

// Sends until the stream says stop. The peer does not read.
std::string fill(RawPeer& peer) {
  const std::string piece = noise(100'000);
  std::string sent;
  bool more = true;
  while (more && sent.size() < 64'000'000) {
    more = peer.send(piece);
    sent += piece;
  }
  REQUIRE_FALSE(more);
  return sent;
}

}  // namespace

#define WORLDS TcpWorld, Tcp6World, UnixWorld, FakeWorld

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
    for (int i = 0; i < 100; ++i) texts.push_back(std::string(static_cast<std::size_t>(i % 7), static_cast<char>('a' + i % 26)));
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

  TEST_CASE_TEMPLATE("bytes and the reset behind them come in this order, however they are read", World, TcpWorld,
                     Tcp6World, FakeWorld) {
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

  TEST_CASE_TEMPLATE("destroying a stream with bytes queued is no clean end", World, TcpWorld, Tcp6World, FakeWorld) {
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
    // A server that answers an upload it does not want, and closes with bytes unread: its reset overtakes nothing.
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

TEST_SUITE("network contract") {
  TEST_CASE_TEMPLATE("many connections are accepted, and each is its own", World, WORLDS) {
    World world;
    RawServer server(world.network(), world.listen_address());
    server.when_accepted = [](RawPeer& accepted) {
      accepted.when_received = [](RawPeer& peer) { peer.send(peer.take()); };
    };
    std::vector<std::unique_ptr<RawPeer>> clients;
    for (int i = 0; i < 200; ++i) {
      clients.push_back(RawPeer::connect(world.network(), server.address()));
      clients.back()->send(std::to_string(i));
    }
    REQUIRE(world.run_until([&] {
      for (std::size_t i = 0; i < clients.size(); ++i) {
        if (clients[i]->received() != std::to_string(i)) return false;
      }
      return true;
    }));
    CHECK(server.size() == 200);
  }

  TEST_CASE_TEMPLATE("a paused listener lets connections wait", World, WORLDS) {
    World world;
    RawServer server(world.network(), world.listen_address());
    server.listener()->pause();
    server.listener()->pause();
    auto client = RawPeer::connect(world.network(), server.address());
    client->send("patience");
    REQUIRE(world.run_until([&] { return client->open(); }));
    world.run_a_while();
    CHECK(server.size() == 0);
    server.listener()->resume();
    server.listener()->resume();
    CHECK(world.run_until([&] { return server.size() == 1 && server[0].received() == "patience"; }));
  }

  TEST_CASE_TEMPLATE("a listener may be paused by its acceptor", World, WORLDS) {
    World world;
    RawServer server(world.network(), world.listen_address());
    server.when_accepted = [&](RawPeer&) { server.listener()->pause(); };
    std::vector<std::unique_ptr<RawPeer>> clients;
    for (int i = 0; i < 3; ++i) clients.push_back(RawPeer::connect(world.network(), server.address()));
    for (std::size_t accepted = 1; accepted <= 3; ++accepted) {
      REQUIRE(world.run_until([&] { return server.size() == accepted; }));
      world.run_a_while();
      CHECK(server.size() == accepted);
      server.listener()->resume();
    }
  }

  TEST_CASE_TEMPLATE("accepted streams outlive their listener, new connections are refused", World, WORLDS) {
    Pair<World> pair;
    const Address address = pair.server.address();
    pair.server.stop();
    pair.client->send("still here");
    CHECK(pair.run_until([&] { return pair.peer().received() == "still here"; }));
    auto late = RawPeer::connect(pair.world.network(), address);
    REQUIRE(pair.run_until([&] { return late->error().has_value(); }));
    CHECK(is_failed_connect(*late->error()));
  }

  TEST_CASE_TEMPLATE("an address can be listened on again", World, WORLDS) {
    World world;
    auto first = std::make_unique<RawServer>(world.network(), world.listen_address());
    const Address address = first->address();
    auto client = RawPeer::connect(world.network(), address);
    REQUIRE(world.run_until([&] { return first->size() == 1; }));
    (*first)[0].end();
    first.reset();
    RawServer second(world.network(), address);
    auto next = RawPeer::connect(world.network(), address);
    CHECK(world.run_until([&] { return second.size() == 1; }));
  }

  TEST_CASE_TEMPLATE("an address that is in use is an error, unless both share it", World, WORLDS) {
    World world;
    RawServer first(world.network(), world.listen_address());
    RawServer second(world.network(), first.address());
    CHECK(second.address() == first.address());
    struct Nobody final : net::Acceptor {
      void on_accept(std::unique_ptr<net::Stream>) override {}
      void on_accept_exhausted() override {}
    } nobody;
    net::ListenOptions alone;
    alone.reuse_port = false;
    const auto refused = world.network().listen(first.address(), alone, nobody);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::kAddressInUse);
    CHECK(refused.error().detail.find(first.address().to_string()) != std::string::npos);

    std::vector<std::unique_ptr<RawPeer>> clients;
    for (int i = 0; i < 64; ++i) clients.push_back(RawPeer::connect(world.network(), first.address()));
    CHECK(world.run_until([&] { return first.size() + second.size() == 64; }));
  }
}
