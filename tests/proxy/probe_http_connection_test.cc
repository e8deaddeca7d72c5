// The connection of an HTTP check: how it is made, kept, lost and given up.
#include <doctest/doctest.h>

#include "tests/proxy/probe_fixture.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::proxy;
using remora::testing::AddressKnobs;
using remora::testing::check_for;
using remora::testing::contains;
using remora::testing::count_of;
using remora::testing::HttpProbe;
using remora::testing::kOk;
using remora::testing::RawPeer;
using remora::testing::with_body;

TEST_CASE("a failure to connect says why") {
  HttpProbe f;
  auto& knobs = f.t.network.at(f.address);
  SUBCASE("refused") {
    knobs.connect = AddressKnobs::Connect::kRefuse;
    f.start();
    CHECK(f.result() == "connection refused");
  }
  SUBCASE("unreachable") {
    knobs.connect_error =
        Error(ErrorCode::kConnectFailed, Side::kInternal, Retry::kNo, "network is unreachable");
    f.start();
    CHECK(f.result() == "network is unreachable");
  }
  SUBCASE("no descriptor of our own says nothing about the endpoint") {
    knobs.connect_error = Error(ErrorCode::kLimit, Side::kInternal, Retry::kNo, "too many open files");
    f.start();
    CHECK(f.result() == "abandoned");
  }
  CHECK(f.judge.results.size() == 1);
  CHECK(f.t.network.stream_count() == 0);
  // And the next check is one like any other.
  knobs = {};
  CHECK(f.check(kOk) == "passed");
}

TEST_CASE("a reset before and in an answer is a failure") {
  HttpProbe f;
  f.start();
  SUBCASE("before") { f.server.last().reset(); }
  SUBCASE("in it") {
    f.server.last().send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
    f.t.settle();
    f.server.last().reset();
  }
  f.t.settle();
  CHECK(f.result() == "connection reset");
  CHECK(f.t.network.attempts(f.address) == 1);
}

TEST_CASE("an idle connection is closed in good manners") {
  HttpProbe f;
  CHECK(f.check(kOk) == "passed");
  f.probe->cancel();
  f.t.settle();
  CHECK(f.server[0].ended());
  CHECK_FALSE(f.server[0].error().has_value());
  CHECK(f.check(kOk) == "passed");
  CHECK(f.server.size() == 2);
}

TEST_CASE("one connection serves all checks of an endpoint") {
  HttpProbe f;
  for (int i = 0; i < 5; ++i)
    CHECK(f.check(i % 2 == 0 ? kOk : "HTTP/1.1 503 \r\nContent-Length: 2\r\n\r\nno") != "none");
  CHECK(f.t.network.attempts(f.address) == 1);
  CHECK(count_of(f.server[0].received(), "GET / ") == 5);
}

TEST_CASE("a connection is not reused when either side does not want it") {
  config::HealthCheck check;
  std::string_view answer = kOk;
  SUBCASE("the configuration") { check.reuse_connection = false; }
  SUBCASE("a long interval") { check.schedule.interval = 31s; }
  SUBCASE("a long interval while failing") { check.schedule.failing_interval = 31s; }
  SUBCASE("the backend") { answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"; }
  HttpProbe f(check);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(f.check(answer) == "passed");
    REQUIRE(f.server.size() == i + 1);
    CHECK(f.server[i].ended());
    CHECK_FALSE(f.server[i].error().has_value());
    CHECK(contains(f.server[i].received(), "Connection: close\r\n") == (answer == kOk));
  }
}

TEST_CASE("an idle connection that the backend closes is replaced without a word") {
  HttpProbe f;
  CHECK(f.check(kOk) == "passed");
  SUBCASE("closed") { f.server[0].end(); }
  SUBCASE("reset") { f.server[0].reset(); }
  SUBCASE("stray bytes") { f.server[0].send("HTTP/1.1 408 \r\n\r\n"); }
  f.t.settle();
  CHECK(f.judge.results.size() == 1);
  CHECK(f.check(kOk) == "passed");
  CHECK(f.server.size() == 2);
}

TEST_CASE("an idle connection that turns out to be dead is no failure") {
  for (const bool reset : {false, true}) {
    for (const bool well : {false, true}) {
      CAPTURE(reset);
      CAPTURE(well);
      HttpProbe f;
      CHECK(f.check(kOk) == "passed");
      f.judge.results.clear();
      f.server[0].when_received = [&](RawPeer& peer) { reset ? peer.reset() : peer.end(); };
      f.start();
      CHECK(f.judge.results.empty());
      REQUIRE(f.server.size() == 2);  // this one decides
      if (well) {
        f.server[1].send(kOk);
      } else {
        reset ? f.server[1].reset() : f.server[1].end();
      }
      f.t.settle();
      const std::string_view failure = reset ? "connection reset" : "closed without an answer";
      CHECK(f.result() == (well ? "passed" : failure));
      CHECK(f.judge.results.size() == 1);
      CHECK(f.server.size() == 2);
    }
  }
}

TEST_CASE("a backend that is gone since the last check is told by the connection that cannot be made") {
  HttpProbe f;
  CHECK(f.check(kOk) == "passed");
  f.judge.results.clear();
  f.server[0].when_received = [](RawPeer& peer) { peer.reset(); };
  f.t.network.at(f.address).connect = AddressKnobs::Connect::kRefuse;
  f.start();
  CHECK(f.judge.results == std::vector<std::string>{"connection refused"});
}

TEST_CASE("an idle connection that dies in the middle of an answer was not dead") {
  HttpProbe f;
  CHECK(f.check(kOk) == "passed");
  CHECK(f.check("HTTP/1.1", true) == "closed without an answer");
  CHECK(f.server.size() == 1);
}

TEST_CASE("what an HTTP check has waited for in vain") {
  HttpProbe f;
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
  SUBCASE("the rest of the head") {
    CHECK(f.check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n") == "none");
    reason = "no answer within 1s";
  }
  SUBCASE("the rest of the body") {
    CHECK(f.check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok") == "none");
    reason = "no end of the answer within 1s";
  }
  SUBCASE("the rest of what was wrong already") {
    CHECK(f.check("HTTP/1.1 503 \r\nContent-Length: 3\r\n\r\nno") == "none");
    reason = "status 503";
  }
  CHECK(f.probe->overdue(1s) == reason);
  f.probe->cancel();
  f.t.settle();
  CHECK(f.judge.results.empty());
  if (f.server.size() > 0) CHECK(f.server[0].error().has_value());
  // Nothing of it stays behind.
  f.t.network.at(f.address) = {};
  CHECK(f.check(kOk) == "passed");
}

TEST_CASE("an HTTP check that is cancelled or destroyed at any moment says nothing and leaves nothing open") {
  for (const bool destroy : {false, true}) {
    for (int events = 0; events < 12; ++events) {
      CAPTURE(destroy);
      CAPTURE(events);
      HttpProbe f(check_for("ok"));
      f.server.when_accepted = [](RawPeer& peer) {
        peer.when_received = [](RawPeer& p) { p.send(with_body("it is ok")); };
      };
      f.t.network.at(f.address).client.read_limit = 10;
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
      CHECK(f.t.wheel.size() == 0);
    }
  }
}
