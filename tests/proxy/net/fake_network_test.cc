// The knobs of the fake network; that it keeps the contract is shown in stream_contract_test.cc.
#include "tests/support/fake_network.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/proxy/net/net_world.h"
#include "tests/support/raw_peer.h"

using namespace remora;
using namespace remora::testing;

namespace {

const Address kApp = *Address::parse("10.0.0.1:80");

struct Fixture {
  Turn turn;
  TimerWheel wheel{TimePoint(1h)};
  FakeNetwork network{wheel, turn};

  std::unique_ptr<RawPeer> connect(const Address& address = kApp) {
    return RawPeer::connect(network, address);
  }
};

}  // namespace

TEST_SUITE("fake network") {
  TEST_CASE_FIXTURE(Fixture, "an address may refuse, or answer nothing at all") {
    RawServer server(network, kApp);
    network.at(kApp).connect = AddressKnobs::Connect::kRefuse;
    const auto refused = connect();
    network.settle();
    REQUIRE(refused->error());
    CHECK(refused->error()->code == ErrorCode::kConnectionRefused);
    network.at(kApp).connect = AddressKnobs::Connect::kBlackHole;
    const auto waiting = connect();
    network.run_for(1h);
    CHECK_FALSE(waiting->open());
    CHECK_FALSE(waiting->error());
    network.at(kApp).connect = AddressKnobs::Connect::kAccept;
    network.at(kApp).connect_error = Error(ErrorCode::kTimedOut, Side::kInternal);
    const auto failed = connect();
    network.settle();
    CHECK(failed->error()->code == ErrorCode::kTimedOut);
    CHECK(network.attempts(kApp) == 3);
    CHECK(server.size() == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "connecting may take virtual time") {
    RawServer server(network, kApp);
    network.at(kApp).connect_delay = 500ms;
    const auto client = connect();
    network.run_for(490ms);
    CHECK_FALSE(client->open());
    network.run_for(20ms);
    CHECK(client->open());
    CHECK(server.size() == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "reads are split to n bytes") {
    RawServer server(network, kApp);
    network.at(kApp).server.read_limit = 1;
    std::vector<std::size_t> sizes;
    server.when_accepted = [&](RawPeer& accepted) {
      accepted.when_received = [&](RawPeer& peer) { sizes.push_back(peer.take().size()); };
    };
    const auto client = connect();
    client->send("abcde");
    network.settle();
    CHECK(sizes == std::vector<std::size_t>{1, 1, 1, 1, 1});
  }

  TEST_CASE_FIXTURE(Fixture, "the water marks and the wire are as small as wanted") {
    RawServer server(network, kApp);
    network.at(kApp).client.wire_capacity = 10;
    network.at(kApp).client.high_water = 20;
    network.at(kApp).client.low_water = 5;
    const auto client = connect();
    network.settle();
    server[0].pause();
    CHECK(client->send(std::string(10, 'a')));
    CHECK(client->stream()->queued() == 0);
    CHECK(client->send(std::string(20, 'b')));
    CHECK(client->stream()->queued() == 20);
    CHECK_FALSE(client->send("c"));
    network.settle();
    CHECK(client->writable_count() == 0);
    server[0].resume();
    network.settle();
    CHECK(client->writable_count() == 1);
    CHECK(client->drained_count() == 1);
    CHECK(server[0].received().size() == 31);
    CHECK(FakeNetwork::end_of(*client->stream()).peak_queued() == 21);
  }

  TEST_CASE_FIXTURE(Fixture, "reading and writing may stall, and go on") {
    RawServer server(network, kApp);
    const auto client = connect();
    network.settle();
    FakeStream& end = FakeNetwork::end_of(*client->stream());
    CHECK(end.other() == server[0].stream());
    end.knobs().stall_writing = true;
    client->send("stalled");
    network.settle();
    CHECK(client->stream()->queued() == 7);
    end.knobs().stall_writing = false;
    end.other()->knobs().stall_reading = true;
    network.settle();
    CHECK(client->stream()->queued() == 0);
    CHECK(server[0].received().empty());
    end.other()->knobs().stall_reading = false;
    network.settle();
    CHECK(server[0].received() == "stalled");
  }

  TEST_CASE_FIXTURE(Fixture, "a connection breaks after so many bytes") {
    RawServer server(network, kApp);
    network.at(kApp).client.break_after_sent = 4;
    const auto client = connect();
    network.settle();
    client->send("abcdefgh");
    network.settle();
    CHECK(server[0].received() == "abcd");
    CHECK(server[0].error()->code == ErrorCode::kReset);
    CHECK(client->error()->code == ErrorCode::kReset);

    network.at(kApp).client = StreamKnobs();
    network.at(kApp).client.break_after_received = 3;
    const auto second = connect();
    network.settle();
    server[1].send("abcdefgh");
    network.settle();
    CHECK(second->received() == "abc");
    CHECK(second->error()->code == ErrorCode::kReset);
    CHECK(server[1].error()->code == ErrorCode::kReset);

    network.at(kApp).client = StreamKnobs();
    const auto third = connect();
    network.settle();
    FakeNetwork::other_end_of(*third->stream())->break_connection();
    network.settle();
    CHECK(third->error()->code == ErrorCode::kReset);
    CHECK(server[2].error()->code == ErrorCode::kReset);
    CHECK(FakeNetwork::other_end_of(*third->stream()) == nullptr);
  }

  TEST_CASE_FIXTURE(Fixture, "without descriptors a listener says so and tries again after a second") {
    RawServer server(network, kApp);
    network.at(kApp).accept_exhausted = true;
    const auto client = connect();
    network.settle();
    CHECK(server.exhausted_count() == 1);
    CHECK(client->open());
    network.at(kApp).accept_exhausted = false;
    network.run_for(900ms);
    CHECK(server.size() == 0);
    network.run_for(200ms);
    CHECK(server.size() == 1);
    CHECK(server.exhausted_count() == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "a client may come from any address") {
    RawServer server(network, kApp);
    const Address from = *Address::parse("203.0.113.9:5555");
    const auto client =
        RawPeer::dial([&](net::Stream::Events& events) { return network.connect_from(from, kApp, events); });
    network.settle();
    CHECK(server[0].stream()->peer() == from);
  }

  TEST_CASE_FIXTURE(Fixture, "listening may fail") {
    network.at(kApp).listen_error = Error(ErrorCode::kPermissionDenied, Side::kInternal);
    struct Nobody final : net::Acceptor {
      void on_accept(std::unique_ptr<net::Stream>) override {}
      void on_accept_exhausted() override {}
    } nobody;
    const auto listener = network.listen(kApp, {}, nobody);
    REQUIRE_FALSE(listener);
    CHECK(listener.error().code == ErrorCode::kPermissionDenied);
  }

  TEST_CASE_FIXTURE(Fixture, "nothing moves by itself, and one event at a time") {
    RawServer server(network, kApp);
    const auto client = connect();
    CHECK_FALSE(client->open());
    CHECK(network.pump());
    CHECK(client->open());
    CHECK(server.size() == 0);
    CHECK(network.pump());
    CHECK(server.size() == 1);
    CHECK_FALSE(network.pump());
    CHECK(network.stream_count() == 2);
    client->close();
    server[0].close();
    CHECK(network.stream_count() == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "the turn is finished after every event") {
    struct Task final : TurnTask {
      void at_end_of_turn() override { ++runs; }
      int runs = 0;
    } task;
    RawServer server(network, kApp);
    server.when_accepted = [&](RawPeer& accepted) {
      accepted.when_received = [&](RawPeer&) { turn.defer(task); };
    };
    network.at(kApp).server.read_limit = 1;
    const auto client = connect();
    client->send("abc");
    network.settle();
    CHECK(task.runs == 3);
  }

  TEST_CASE_FIXTURE(Fixture, "settle gives up on a world that never rests") {
    RawServer server(network, kApp);
    server.when_accepted = [](RawPeer& accepted) {
      accepted.when_received = [](RawPeer& peer) { peer.send(peer.take()); };
    };
    const auto client = connect();
    client->when_received = [](RawPeer& peer) { peer.send(peer.take()); };
    client->send("ping");
    CHECK(network.settle(1000) == 1000);
  }

  TEST_CASE_FIXTURE(Fixture, "two runs are the same") {
    const auto run = [] {
      Fixture world;
      std::string log;
      RawServer server(world.network, kApp);
      world.network.at(kApp).server.read_limit = 3;
      server.when_accepted = [&](RawPeer& accepted) {
        accepted.when_received = [&](RawPeer& peer) { log += peer.take() + ","; };
      };
      std::vector<std::unique_ptr<RawPeer>> clients;
      for (int i = 0; i < 5; ++i) {
        clients.push_back(world.connect());
        clients.back()->send(std::string(10, static_cast<char>('a' + i)));
      }
      world.network.settle();
      return log;
    };
    const std::string first = run();
    CHECK(first.size() > 50);
    CHECK(first == run());
  }
}
