#include <doctest/doctest.h>

#include <vector>

#include "proxy/probe_search.h"
#include "tests/proxy/probe_fixture.h"

using namespace remora;
using namespace remora::proxy;
using remora::testing::AddressKnobs;
using remora::testing::ProbeJudge;
using remora::testing::RawPeer;
using remora::testing::RawServer;
using remora::testing::TestEnv;

namespace {

struct Fixture {
  explicit Fixture(std::string send = {}, std::string receive = {}, std::uint16_t port = 0) {
    config::HealthCheck check;
    check.protocol = config::HealthCheck::Protocol::kTcp;
    check.send = std::move(send);
    check.receive = std::move(receive);
    check.port = port;
    target.check = std::make_shared<const config::HealthCheck>(std::move(check));
    target.endpoint.name = "cache:6379";
    target.endpoint.address = address;
    probe = make_tcp_probe(t.env, target, judge);
  }

  void start() {
    probe->start();
    t.settle();
  }
  std::string result() { return judge.results.empty() ? "none" : judge.results.back(); }

  TestEnv t;
  Address address = *Address::parse("10.0.0.1:6379");
  RawServer server{t.network, address};
  ProbeJudge judge;
  ProbeTarget target;
  std::unique_ptr<Probe> probe;
};

}  // namespace

TEST_CASE("a TCP check passes when it is connected, and says goodbye") {
  Fixture f;
  for (std::size_t i = 0; i < 3; ++i) {
    f.start();
    CHECK(f.judge.results == std::vector<std::string>(i + 1, "passed"));
    CHECK(f.server[i].ended());
    CHECK_FALSE(f.server[i].error().has_value());
    CHECK(f.server[i].received().empty());
  }
}

TEST_CASE("a TCP check may go to a port of its own") {
  Fixture f({}, {}, 7000);
  f.start();
  CHECK(f.result() == "connection refused");
  RawServer health(f.t.network, *Address::parse("10.0.0.1:7000"));
  f.start();
  CHECK(f.result() == "passed");
  CHECK(f.server.size() == 0);
}

TEST_CASE("a failure to connect says why in a TCP check, too") {
  Fixture f({}, "x");
  auto& knobs = f.t.network.at(f.address);
  SUBCASE("refused") {
    knobs.connect = AddressKnobs::Connect::kRefuse;
    f.start();
    CHECK(f.result() == "connection refused");
  }
  SUBCASE("unreachable") {
    knobs.connect_error =
        Error(ErrorCode::kConnectFailed, Side::kInternal, Retry::kNo, "host is unreachable");
    f.start();
    CHECK(f.result() == "host is unreachable");
  }
  SUBCASE("no descriptor of our own says nothing about the endpoint") {
    knobs.connect_error = Error(ErrorCode::kLimit, Side::kInternal, Retry::kNo, "too many open files");
    f.start();
    CHECK(f.result() == "abandoned");
  }
  CHECK(f.judge.results.size() == 1);
  CHECK(f.t.network.stream_count() == 0);
}

TEST_CASE("a TCP check that only sends passes when all of it has left") {
  Fixture f("QUIT\r\n");
  SUBCASE("at once") {
    f.start();
    CHECK(f.result() == "passed");
    CHECK(f.server[0].received() == "QUIT\r\n");
    CHECK(f.server[0].ended());
    CHECK_FALSE(f.server[0].error().has_value());
  }
  SUBCASE("later") {
    f.t.network.at(f.address).client.wire_capacity = 2;
    f.t.network.at(f.address).server.stall_reading = true;
    f.start();
    REQUIRE(f.server.size() == 1);
    CHECK(f.result() == "none");
    CHECK(f.probe->overdue(1s) == "no room for all that is sent within 1s");
    f.server[0].send("hello");  // is nobody's business
    f.t.settle();
    CHECK(f.result() == "none");
    SUBCASE("it does leave") {
      testing::FakeNetwork::end_of(*f.server[0].stream()).knobs().stall_reading = false;
      f.t.settle();
      CHECK(f.result() == "passed");
      CHECK(f.server[0].received() == "QUIT\r\n");
    }
    SUBCASE("the peer does not wait for it") {
      f.server[0].end();
      f.t.settle();
      CHECK(f.result() == "closed before all was sent");
    }
  }
  CHECK(f.judge.results.size() == 1);
}

TEST_CASE("a TCP check finds what it looks for, whole and byte by byte") {
  for (const std::size_t piece : {std::size_t{65536}, std::size_t{1}}) {
    CAPTURE(piece);
    Fixture f("PING\r\n", "+PONG");
    f.t.network.at(f.address).client.read_limit = piece;
    f.start();
    CHECK(f.server[0].received() == "PING\r\n");
    f.server[0].send("-LOADING\r\n+PO");
    f.t.settle();
    CHECK(f.result() == "none");
    f.server[0].send("NG\r\n");
    f.t.settle();
    CHECK(f.result() == "passed");
    CHECK(f.server[0].finished());
    f.start();  // over a connection of its own
    CHECK(f.server.size() == 2);
    CHECK(f.judge.results.size() == 1);
  }
}

TEST_CASE("having sent everything is not enough for a TCP check that looks for something") {
  Fixture f("PING\r\n", "+PONG");
  f.t.network.at(f.address).client.wire_capacity = 2;
  f.start();
  CHECK(f.server[0].received() == "PING\r\n");
  CHECK(f.result() == "none");
  f.server[0].send("+PONG\r\n");
  f.t.settle();
  CHECK(f.judge.results == std::vector<std::string>{"passed"});
}

TEST_CASE("a TCP check may look for a greeting without saying anything") {
  Fixture f({}, "220 ");
  f.server.when_accepted = [](RawPeer& peer) { peer.send("220 mail.example ready\r\n"); };
  f.start();
  CHECK(f.result() == "passed");
}

TEST_CASE("a TCP check that does not find what it looks for fails") {
  Fixture f("PING\r\n", "+PONG");
  f.start();
  std::string_view reason;
  SUBCASE("closed without a word") {
    f.server[0].end();
    reason = "closed without an answer";
  }
  SUBCASE("closed after another word") {
    f.server[0].send("-ERR\r\n");
    f.server[0].end();
    reason = "closed, answer does not contain \"+PONG\"";
  }
  SUBCASE("reset") {
    f.server[0].reset();
    reason = "connection reset";
  }
  SUBCASE("too long an answer") {
    f.server[0].send(std::string(ProbeSearch::kWindow, '.') + "+PONG");
    reason = "answer does not contain \"+PONG\" in its first 64 KiB";
  }
  f.t.settle();
  CHECK(f.result() == reason);
  CHECK(f.judge.results.size() == 1);
  CHECK(testing::FakeNetwork::other_end_of(*f.server[0].stream()) == nullptr);
}

TEST_CASE("what a TCP check has waited for in vain") {
  Fixture f("PING\r\n", "+PONG");
  std::string_view reason;
  SUBCASE("a connection") {
    f.t.network.at(f.address).connect = AddressKnobs::Connect::kBlackHole;
    f.start();
    reason = "no connection within 1s";
  }
  SUBCASE("an answer") {
    f.start();
    reason = "no answer within 1s";
  }
  SUBCASE("the right answer") {
    f.start();
    f.server[0].send("-LOADING\r\n");
    f.t.settle();
    reason = "answer does not contain \"+PONG\" within 1s";
  }
  CHECK(f.judge.results.empty());
  CHECK(f.probe->overdue(1s) == reason);
  f.probe->cancel();
  f.t.settle();
  CHECK(f.judge.results.empty());
  if (f.server.size() > 0) CHECK(f.server[0].error().has_value());
}

TEST_CASE("a TCP check that is cancelled or destroyed at any moment says nothing and leaves nothing open") {
  for (const bool destroy : {false, true}) {
    for (int events = 0; events < 8; ++events) {
      CAPTURE(destroy);
      CAPTURE(events);
      Fixture f("PING\r\n", "+PONG");
      f.server.when_accepted = [](RawPeer& peer) {
        peer.when_received = [](RawPeer& p) { p.send("+PONG\r\n"); };
      };
      f.t.network.at(f.address).client.read_limit = 3;
      f.probe->start();
      for (int i = 0; i < events; ++i) f.t.network.pump();
      const auto before = f.judge.results.size();
      if (destroy) {
        f.probe.reset();
      } else {
        f.probe->cancel();
      }
      f.t.settle();
      CHECK(f.judge.results.size() == before);
      for (std::size_t i = 0; i < f.server.size(); ++i) CHECK(f.server[i].finished());
    }
  }
}
