// Targets of a Prober that come, stay and go, at any moment.
#include <doctest/doctest.h>

#include "proxy/prober.h"
#include "tests/proxy/prober_fixture.h"

using namespace remora;
using namespace remora::proxy;
using namespace remora::testing;
using health::Checker;

namespace {

constexpr std::string_view kA = "10.0.0.1:80";
constexpr std::string_view kB = "10.0.0.2:80";

std::size_t dialled(ProberFixture& f, std::string_view address) {
  return f.t.network.attempts(*Address::parse(address));
}

// The backends' ends of the connections are open, and nothing else.
std::size_t open_connections(ProberFixture& f) {
  std::size_t n = 0;
  for (const auto& [address, backend] : f.backends) {
    for (std::size_t i = 0; i < backend->server.size(); ++i) n += backend->server[i].finished() ? 0 : 1;
  }
  return n;
}

}  // namespace

TEST_CASE("a target that stays keeps its state, its schedule and its connection") {
  ProberFixture f;
  Backend& a = f.backend(kA);
  Backend& b = f.backend(kB);
  f.watch(kA);
  f.t.run_for(3500ms);
  CHECK(f.news() == Lines{"1 passing"});
  const TimePoint next = f.prober->checker(0).next_wakeup();

  std::vector<Prober::Target> targets;
  targets.push_back(f.target(7, kB));
  targets.push_back(f.target(8, kA));  // equal settings at another place
  targets.back().endpoint.weight = 5;
  f.prober->set_targets(std::move(targets));
  REQUIRE(f.prober->size() == 2);
  CHECK(f.prober->target(0).id == 7);
  CHECK(f.prober->checker(0).state() == Checker::State::kUnknown);
  CHECK(f.prober->target(1).id == 8);
  CHECK(f.prober->target(1).endpoint.weight == 5);
  CHECK(f.prober->checker(1).state() == Checker::State::kPassing);
  CHECK(f.prober->checker(1).next_wakeup() == next);
  CHECK(f.prober->checker(1).passes() == 4);

  f.t.run_for(3s);
  CHECK(f.news() == Lines{"7 passing"});
  CHECK(f.prober->checker(1).passes() == 7);
  CHECK(dialled(f, kA) == 1);
  CHECK(b.asked >= 2);
  a.answer = kUnwell;
  f.t.run_for(3s);
  CHECK(f.news() == Lines{"8 failing: status 503"});
}

TEST_CASE("a target with other settings, another cluster or another address is a new one") {
  ProberFixture f;
  Backend& a = f.backend(kA);
  f.backend(kB);
  f.watch(kA);
  f.t.run_for(1500ms);
  CHECK(f.news() == Lines{"1 passing"});
  std::vector<Prober::Target> targets;
  SUBCASE("settings") {
    f.settings.path = "/other";
    targets.push_back(f.target(2, kA));
  }
  SUBCASE("cluster") {
    targets.push_back(f.target(2, kA));
    targets.back().cluster = "app2";
  }
  SUBCASE("address") { targets.push_back(f.target(2, kB)); }
  f.prober->set_targets(std::move(targets));
  CHECK_FALSE(f.prober->settled());
  f.t.settle();
  CHECK(a.server[0].finished());
  f.t.run_for(500ms);
  CHECK(f.news() == Lines{"2 passing"});
  CHECK(f.prober->checker(0).passes() == 1);
}

TEST_CASE("the name that a target has now is the one its check asks for") {
  ProberFixture f;
  f.backend(kA);
  std::string asked;
  f.backend(kA).server.when_accepted = [&](RawPeer& peer) {
    peer.when_received = [&](RawPeer& asking) {
      asked += asking.take();
      asking.send(kWell);
    };
  };
  f.watch(kA);
  f.t.run_for(500ms);
  CHECK(contains(asked, "\r\nHost: 10.0.0.1:80\r\n"));
  asked.clear();
  std::vector<Prober::Target> targets;
  targets.push_back(f.target(1, kA));
  targets.back().endpoint.name = "app.example:80";
  f.prober->set_targets(std::move(targets));
  f.t.run_for(1s);
  CHECK(contains(asked, "\r\nHost: app.example:80\r\n"));
  CHECK(dialled(f, kA) == 1);
}

TEST_CASE("a check under way goes on when its target stays, and the old configuration may go") {
  ProberFixture f;
  Backend& a = f.backend(kA);
  f.settings.body_contains = "a text too long for a string without memory of its own";
  a.answer.clear();
  f.watch(kA);
  f.t.run_for(200ms);
  REQUIRE(a.asked == 1);
  const std::weak_ptr<const config::HealthCheck> old = f.prober->target(0).check;
  f.watch(kA);
  CHECK(old.expired());
  a.server[0].send("HTTP/1.1 200 OK\r\nContent-Length: 54\r\n\r\n" + f.settings.body_contains);
  f.t.settle();
  CHECK(f.told == Lines{"1 passing"});
  CHECK(a.asked == 1);
}

TEST_CASE("the same target twice is two") {
  ProberFixture f;
  Backend& a = f.backend(kA);
  std::vector<Prober::Target> targets;
  targets.push_back(f.target(1, kA));
  targets.push_back(f.target(2, kA));
  f.prober->set_targets(targets);
  f.t.run_for(500ms);
  CHECK(f.told.size() == 2);
  CHECK(a.asked == 2);
  f.prober->set_targets(targets);
  CHECK(f.prober->settled());
  targets.pop_back();
  f.prober->set_targets(targets);
  f.t.settle();
  CHECK(f.prober->settled());
  CHECK(open_connections(f) == 1);
  f.prober->set_targets({});
  f.t.settle();
  CHECK(open_connections(f) == 0);
  CHECK(f.t.wheel.size() == 0);
}

TEST_CASE("targets that go, or a prober that dies, at any moment leave nothing behind") {
  for (const bool tcp : {false, true}) {
    for (const bool destroy : {false, true}) {
      for (int events = 0; events < 16; ++events) {
        CAPTURE(tcp);
        CAPTURE(destroy);
        CAPTURE(events);
        ProberFixture f;
        f.backend(kA);
        f.t.network.at(*Address::parse(kA)).client.read_limit = 20;
        if (tcp) {
          f.settings.protocol = config::HealthCheck::Protocol::kTcp;
          f.settings.send = "GET / HTTP/1.1\r\n\r\n";
          f.settings.receive = "Content-Length: 0";
        }
        f.watch(kA);
        f.t.wheel.advance(f.t.wheel.now() + 110ms);  // the check begins
        for (int i = 0; i < events; ++i) f.t.network.pump();
        const auto told = f.told.size();
        if (destroy) {
          f.prober.reset();
        } else {
          f.prober->set_targets({});
          CHECK(f.prober->settled());
        }
        CHECK(f.t.wheel.size() == 0);
        f.t.run_for(5s);
        CHECK(f.told.size() == told);
        CHECK(open_connections(f) == 0);
        CHECK(f.t.wheel.size() == 0);
      }
    }
  }
}

TEST_CASE("a target that goes while it connects, or waits in vain, is not heard of again") {
  ProberFixture f;
  f.backend(kA).answer.clear();
  SUBCASE("connecting") { f.t.network.at(*Address::parse(kA)).connect = AddressKnobs::Connect::kBlackHole; }
  SUBCASE("waiting") {}
  f.watch(kA);
  f.t.run_for(300ms);
  REQUIRE(dialled(f, kA) == 1);
  f.prober->set_targets({});
  f.t.run_for(5s);
  CHECK(f.told.empty());
  CHECK(open_connections(f) == 0);
  CHECK(f.t.wheel.size() == 0);
}

TEST_CASE("the listener may exchange the targets, or end it all, inside its callback") {
  enum class Way { kPass, kFail, kRefuse, kTimeout, kReset, kTcp };
  enum class Then { kNone, kSame, kOther, kDestroy };
  for (const auto way : {Way::kPass, Way::kFail, Way::kRefuse, Way::kTimeout, Way::kReset, Way::kTcp}) {
    for (const auto then : {Then::kNone, Then::kSame, Then::kOther, Then::kDestroy}) {
      CAPTURE(static_cast<int>(way));
      CAPTURE(static_cast<int>(then));
      ProberFixture f;
      Backend& a = f.backend(kA);
      f.backend(kB);
      if (way == Way::kFail) a.answer = kUnwell;
      if (way == Way::kRefuse) f.t.network.at(*Address::parse(kA)).connect = AddressKnobs::Connect::kRefuse;
      if (way == Way::kTimeout) a.answer.clear();
      if (way == Way::kReset) {
        a.server.when_accepted = [](RawPeer& peer) { peer.when_received = [](RawPeer& p) { p.reset(); }; };
      }
      if (way == Way::kTcp) f.settings.protocol = config::HealthCheck::Protocol::kTcp;
      f.when_told = [&] {
        std::vector<Prober::Target> targets;
        if (then == Then::kSame) targets.push_back(f.target(3, kA));
        if (then == Then::kOther) targets.push_back(f.target(4, kB));
        if (then == Then::kDestroy) return f.prober.reset();
        f.prober->set_targets(std::move(targets));
      };
      f.watch(kA);
      f.t.run_for(1s);
      CHECK(f.told.size() == (then == Then::kOther ? 2 : 1));
      if (then == Then::kOther) CHECK(f.told.back() == "4 passing");
      if (then == Then::kSame) CHECK(f.prober->target(0).id == 3);
      if (f.prober) f.prober->set_targets({});
      f.t.settle();
      CHECK(f.t.wheel.size() == 0);
      if (way != Way::kReset) CHECK(open_connections(f) == 0);
    }
  }
}
