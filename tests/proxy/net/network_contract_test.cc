// The contract of proxy/net/network.h, run against every implementation.
#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/proxy/net/stream_pair.h"

using namespace remora;
using namespace remora::testing;

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
    if constexpr (!requires { World::kShakesHands; }) {
      REQUIRE(world.run_until([&] { return client->open(); }));
    }
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

  TEST_CASE_TEMPLATE("datagrams arrive whole, with their sender, and nobody has an address twice", World,
                     TcpWorld, Tcp6World, FakeWorld) {
    struct Box final : net::DatagramReceiver {
      void on_datagram(const Address& from, std::string_view bytes) override {
        senders.push_back(from);
        received.emplace_back(bytes);
      }
      std::vector<Address> senders;
      std::vector<std::string> received;
    };
    World world;
    Box to;
    Box back;
    auto one = world.network().bind_datagrams(world.listen_address(), to);
    auto other = world.network().bind_datagrams(world.listen_address(), back);
    REQUIRE(one.has_value());
    REQUIRE(other.has_value());
    CHECK((*one)->address().port() != 0);
    const auto taken = world.network().bind_datagrams((*one)->address(), back);
    REQUIRE_FALSE(taken.has_value());
    CHECK(taken.error().code == ErrorCode::kAddressInUse);
    (*other)->send((*one)->address(), "");
    (*other)->send((*one)->address(), std::string(9000, 'x'));
    (*other)->send(world.nobody_listens_at(), "lost");
    REQUIRE(world.run_until([&] { return to.received.size() == 2; }));
    CHECK(to.received[0].empty());
    CHECK(to.received[1] == std::string(9000, 'x'));
    CHECK(to.senders[1] == (*other)->address());
    (*one)->send(to.senders[1], "and back");
    CHECK(world.run_until([&] { return back.received == std::vector<std::string>{"and back"}; }));

    // Ignored, a sender is not received; it is again, and what comes in a pause does no harm.
    CHECK((*one)->ignore(std::array{to.senders[1]}));
    (*other)->send((*one)->address(), "ignored");
    (*one)->send(to.senders[1], "tick");
    CHECK(world.run_until([&] { return back.received.size() == 2; }));
    CHECK((*one)->ignore(std::span<const Address>()));
    (*one)->pause();
    (*one)->resume();
    (*other)->send((*one)->address(), "heard");
    CHECK(world.run_until([&] { return to.received.back() == "heard"; }));
    CHECK(to.received.size() == 3);
  }
}
