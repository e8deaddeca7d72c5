#include "proxy/prober.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/proxy/prober_fixture.h"
#include "tests/support/log_writers.h"
#include "tests/support/pipe.h"

using namespace remora;
using namespace remora::proxy;
using namespace remora::testing;
using health::Checker;

namespace {

constexpr std::string_view kA = "10.0.0.1:80";
constexpr std::string_view kB = "10.0.0.2:80";

}  // namespace

TEST_CASE("the first result decides, and is told once") {
  ProberFixture f;
  Backend& a = f.backend(kA);
  Lines first{"1 passing"};
  SUBCASE("passing") {}
  SUBCASE("failing") {
    a.answer = kUnwell;
    first = {"1 failing: status 503"};
  }
  f.watch(kA);
  CHECK_FALSE(f.prober->settled());
  CHECK(f.told.empty());
  f.t.run_for(200ms);
  CHECK(f.prober->settled());
  CHECK(f.news() == first);
  f.t.run_for(60s);
  CHECK(f.told.empty());
  CHECK(a.asked == 61);
  CHECK(f.t.network.attempts(*Address::parse(kA)) == 1);
}

TEST_CASE("a prober is settled when every target has had a result, and when there is none") {
  ProberFixture f;
  CHECK(f.prober->settled());
  f.backend(kA);
  f.backend(kB).answer.clear();
  std::vector<Prober::Target> both;
  both.push_back(f.target(1, kA));
  both.push_back(f.target(2, kB));
  f.prober->set_targets(both);
  f.t.run_for(200ms);
  CHECK(f.told == Lines{"1 passing"});
  CHECK_FALSE(f.prober->settled());
  f.t.run_for(500ms);
  CHECK(f.told == Lines{"1 passing", "2 failing: no answer within 500ms"});
  CHECK(f.prober->settled());
}

TEST_CASE("fall failures in a row take an endpoint out, rise passes bring it back") {
  ProberFixture f;
  f.settings.schedule.fall = 3;
  f.settings.schedule.rise = 2;
  Backend& a = f.backend(kA);
  f.watch(kA);
  f.t.run_for(2500ms);
  CHECK(f.news() == Lines{"1 passing"});
  const std::size_t asked = a.asked;

  a.answer = kUnwell;
  f.t.run_for(2s);
  CHECK(f.told.empty());
  a.answer = kWell;
  f.t.run_for(1s);
  a.answer = kUnwell;
  f.t.run_for(2s);
  CHECK(f.told.empty());
  f.t.run_for(1s);
  CHECK(f.news() == Lines{"1 failing: status 503"});
  CHECK(a.asked == asked + 6);

  a.answer = kWell;
  f.t.run_for(1s);
  CHECK(f.told.empty());
  f.t.run_for(1s);
  CHECK(f.news() == Lines{"1 passing"});
}

TEST_CASE("what the pages show of a target") {
  ProberFixture f;
  Backend& a = f.backend(kA);
  f.watch(kA);
  CHECK(f.prober->size() == 1);
  CHECK(f.prober->target(0).id == 1);
  const Checker& checker = f.prober->checker(0);
  CHECK(checker.state() == Checker::State::kUnknown);
  f.t.run_for(3500ms);
  CHECK(checker.state() == Checker::State::kPassing);
  CHECK(checker.passes() == 4);
  a.answer = kUnwell;
  f.t.run_for(3s);
  const TimePoint failed = checker.last_failure();
  CHECK(failed > f.t.wheel.now() - 1s);
  CHECK(checker.changed_at() == failed);
  CHECK(checker.state() == Checker::State::kFailing);
  CHECK(checker.last_reason() == "status 503");
  CHECK(checker.failures() == 3);
}

TEST_CASE("a failing endpoint is checked in an interval of its own") {
  ProberFixture f;
  f.settings.schedule.interval = 5s;
  f.settings.schedule.failing_interval = 1s;
  Backend& a = f.backend(kA);
  a.answer = kUnwell;
  f.watch(kA);
  f.t.run_for(10600ms);
  CHECK(a.asked == 11);
  a.answer = kWell;
  f.t.run_for(2s);
  CHECK(f.told == Lines{"1 failing: status 503", "1 passing"});
  const std::size_t asked = a.asked;
  f.t.run_for(20s);
  CHECK(a.asked == asked + 4);
}

TEST_CASE("a check has its timeout, connecting included") {
  ProberFixture f;
  std::string reason;
  SUBCASE("while it connects") {
    f.backend(kA);
    f.t.network.at(*Address::parse(kA)).connect = AddressKnobs::Connect::kBlackHole;
    reason = "no connection within 500ms";
  }
  SUBCASE("while it waits") {
    f.backend(kA).answer.clear();
    f.t.network.at(*Address::parse(kA)).connect_delay = 400ms;
    reason = "no answer within 500ms";
  }
  SUBCASE("while it reads") {
    f.backend(kA).answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab";
    reason = "no end of the answer within 500ms";
  }
  SUBCASE("of a TCP check") {
    f.settings.protocol = config::HealthCheck::Protocol::kTcp;
    f.settings.receive = "hello";
    f.backend(kA);
    reason = "no answer within 500ms";
  }
  f.watch(kA);
  const TimePoint due = f.prober->checker(0).next_wakeup();
  f.t.run_for(due - f.t.wheel.now() + 500ms - 10ms);
  CHECK(f.told.empty());
  f.t.run_for(30ms);
  CHECK(f.told == Lines{"1 failing: " + reason});
  // What is too late comes to nobody.
  RawServer& server = f.backend(kA).server;
  if (server.size() > 0) {
    CHECK(server[0].error().has_value());
    server[0].send(f.settings.receive.empty() ? kWell : "hello");
    f.t.settle();
    CHECK(f.prober->checker(0).passes() == 0);
  }
  // The next check begins anew.
  f.backend(kA).answer = kWell;
  f.t.network.at(*Address::parse(kA)) = {};
  if (f.settings.receive.empty()) {
    f.news();
    f.t.run_for(3s);
    CHECK(f.told == Lines{"1 passing"});
  }
}

TEST_CASE("an answer that waited while this process did not run is not too late") {
  ProberFixture f;
  Backend& a = f.backend(kA);
  a.answer.clear();
  f.watch(kA);
  f.t.run_for(200ms);
  REQUIRE(a.asked == 1);
  SUBCASE("it is read first") {
    a.server[0].send(kWell);
    f.t.wheel.advance(f.t.wheel.now() + 30s);
    f.t.settle();
    CHECK(f.told == Lines{"1 passing"});
  }
  SUBCASE("one that does not come has its timeout, and no more") {
    f.t.wheel.advance(f.t.wheel.now() + 30s);
    f.t.run_for(490ms);
    CHECK(f.told.empty());
    f.t.run_for(30ms);
    CHECK(f.told == Lines{"1 failing: no answer within 500ms"});
  }
}

TEST_CASE("a check that was abandoned is no result, and the next one comes in its time") {
  ProberFixture f;
  f.settings.reuse_connection = false;
  Backend& a = f.backend(kA);
  auto& knobs = f.t.network.at(*Address::parse(kA));
  knobs.connect_error = Error(ErrorCode::kLimit, Side::kInternal, Retry::kNo, "too many open files");
  f.watch(kA);
  f.t.run_for(10200ms);
  CHECK(f.told.empty());
  CHECK_FALSE(f.prober->settled());
  CHECK(f.prober->checker(0).failures() == 0);
  CHECK(f.t.network.attempts(*Address::parse(kA)) == 11);
  knobs.connect_error.reset();
  f.t.run_for(1s);
  CHECK(f.told == Lines{"1 passing"});
  CHECK(a.asked == 1);
}

TEST_CASE("the first checks of a thousand targets are spread") {
  ProberFixture f;
  f.settings.schedule.interval = 5s;  // spread over a tenth of it
  std::vector<Prober::Target> targets;
  targets.reserve(1000);
  for (std::size_t i = 0; i < 1000; ++i) {
    targets.push_back(f.target(i, "10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ":80"));
  }
  f.prober->set_targets(std::move(targets));
  for (int i = 0; i < 10; ++i) {
    f.t.run_for(50ms);
    const std::size_t checked = f.news().size();
    CHECK(checked > 60);
    CHECK(checked < 140);
  }
  f.t.run_for(20ms);
  CHECK(f.prober->settled());
}

TEST_CASE("intervals are jittered, so that targets do not fall into step") {
  ProberFixture f;
  f.settings.schedule.jitter = 0.1;
  Backend& a = f.backend(kA);
  f.watch(kA);
  std::vector<TimePoint> at;
  for (std::size_t asked = 0; at.size() < 50;) {
    f.t.run_for(10ms);
    if (a.asked > asked) at.push_back(f.t.wheel.now());
    asked = a.asked;
  }
  std::vector<Duration> apart;
  for (std::size_t i = 1; i < at.size(); ++i) apart.push_back(at[i] - at[i - 1]);
  const auto [least, most] = std::ranges::minmax(apart);
  CHECK(least >= 880ms);
  CHECK(least < 950ms);
  CHECK(most > 1050ms);
  CHECK(most <= 1120ms);
}

TEST_CASE("every change of a state is one line of the log") {
  ProberFixture f;
  Backend& a = f.backend(kA);
  test::Pipe pipe;
  auto writer = test::writer_to(pipe, {.quiet = true});
  set_log_level(LogLevel::kInfo);
  set_log_sink(writer.get(), LogFormat::kText);
  f.watch(kA);
  f.t.run_for(5s);
  a.answer = kUnwell;
  f.t.run_for(5s);
  a.answer = kWell;
  f.t.run_for(5s);
  set_log_sink(nullptr, LogFormat::kText);
  writer.reset();
  const auto lines = test::split_lines(pipe.read_all());
  REQUIRE(lines.size() == 3);
  CHECK(contains(lines[0], " info health check passes cluster=app endpoint=10.0.0.1:80"));
  CHECK(
      contains(lines[1], " warn health check fails cluster=app endpoint=10.0.0.1:80 reason=\"status 503\""));
  CHECK(contains(
      lines[2],
      " info health check passes again cluster=app endpoint=10.0.0.1:80 last_failure=\"status 503\""));
}
