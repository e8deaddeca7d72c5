// When a worker is taken for overloaded, and what it then does.
#include "proxy/load_monitor.h"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/proxy/logged.h"
#include "tests/support/test_env.h"
#include "tests/support/world.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::testing;
using namespace remora::proxy;
using Level = breaker::Overload::Level;

namespace {

// A worker whose loop is as late as the test says.
struct Fixture {
  explicit Fixture(const breaker::Overload::Settings& settings = {.loop_lag = 500ms, .memory = 100})
      : monitor(std::make_unique<LoadMonitor>(t.wheel, worker, settings, &resident)) {
    monitor->start([this] {
      ++asked;
      return std::exchange(lag, Duration::zero());
    });
  }
  // The level after a sample that finds this lag.
  Level sample(Duration late) {
    lag = late;
    const int before = asked;
    t.run_for(100ms);
    REQUIRE(asked == before + 1);
    return level();
  }
  Level level() { return worker.report().load; }

  Logged log;
  TestEnv t;
  AccessLog access{nullptr, LogFormat::kJson, 1.0};
  Worker worker{t.env, access, 0, "remora-test"};
  std::atomic<std::uint64_t> resident{0};
  Duration lag{};
  int asked = 0;
  std::unique_ptr<LoadMonitor> monitor;
};

}  // namespace

TEST_CASE("one late wake-up is no load, two in a row are") {
  Fixture f;
  CHECK(f.sample(10s) == Level::kNormal);
  CHECK(f.sample(0ms) == Level::kNormal);
  CHECK(f.sample(10s) == Level::kNormal);
  CHECK(f.sample(500ms) == Level::kShed);
}

TEST_CASE("of two samples in a row the smaller one counts") {
  struct Row {
    Duration first, second;
    Level level;
  };
  const Row rows[] = {
      {10s, 249ms, Level::kNormal}, {249ms, 10s, Level::kNormal}, {250ms, 10s, Level::kTrim},
      {10s, 499ms, Level::kTrim},   {500ms, 999ms, Level::kShed}, {1s, 10s, Level::kRefuse},
  };
  for (const Row& row : rows) {
    CAPTURE(row.first.count());
    CAPTURE(row.second.count());
    Fixture f;
    CHECK(f.sample(row.first) == Level::kNormal);
    CHECK(f.sample(row.second) == row.level);
  }
}

TEST_CASE("a load that is over is taken back step by step") {
  Fixture f;
  f.sample(1s);
  REQUIRE(f.sample(1s) == Level::kRefuse);
  std::vector<Level> steps;
  for (int i = 0; i < 40; ++i) {
    const Level now = f.sample(0ms);
    if (steps.empty() || steps.back() != now) steps.push_back(now);
  }
  CHECK(steps == std::vector{Level::kRefuse, Level::kShed, Level::kTrim, Level::kNormal});
}

TEST_CASE("memory is a load with the first sample, and without any lag") {
  Fixture f;
  f.resident = 89;
  CHECK(f.sample(0ms) == Level::kNormal);
  f.resident = 90;
  CHECK(f.sample(0ms) == Level::kTrim);
  f.resident = 95;
  CHECK(f.sample(0ms) == Level::kShed);
  f.resident = 100;
  CHECK(f.sample(0ms) == Level::kRefuse);
}

TEST_CASE("memory that nobody measures is no load") {
  Fixture f;
  LoadMonitor monitor(f.t.wheel, f.worker, {.loop_lag = 500ms, .memory = 1}, nullptr);
  int asked = 0;
  monitor.start([&] {
    ++asked;
    return Duration::zero();
  });
  f.t.run_for(1s);
  CHECK(asked == 10);
  CHECK(f.level() == Level::kNormal);
}

TEST_CASE("a late wake-up is shown for 15 to 30 s, though it is no load") {
  // How far into a span of 15 s it comes.
  for (const int samples_before : {0, 75, 148}) {
    CAPTURE(samples_before);
    Fixture f;
    for (int i = 0; i < samples_before; ++i) f.sample(1ms);
    CHECK(f.monitor->recent_lag() == (samples_before > 0 ? 1ms : 0ms));
    f.sample(700ms);
    CHECK(f.monitor->recent_lag() == 700ms);
    int shown = 0;  // samples
    while (f.monitor->recent_lag() == 700ms && shown < 1000) {
      f.sample(2ms);
      ++shown;
    }
    CHECK(shown >= 150);
    CHECK(shown <= 300);
    CHECK(f.monitor->recent_lag() == 2ms);
    CHECK(f.level() == Level::kNormal);
  }
}

TEST_CASE("the longest of the recent lags is shown, not the last") {
  Fixture f;
  f.sample(300ms);
  f.sample(20ms);
  CHECK(f.monitor->recent_lag() == 300ms);
  f.sample(400ms);
  CHECK(f.monitor->recent_lag() == 400ms);
}

TEST_CASE("every change of the level is one line with what called for it") {
  Fixture f({.loop_lag = 500ms, .memory = 100, .calm = 1s});
  f.resident = 42;
  f.sample(600ms);
  f.sample(700ms);
  f.sample(800ms);
  f.sample(0ms);
  f.t.run_for(3s);
  const auto lines = f.log.lines();
  REQUIRE(lines.size() == 3);
  CHECK(lines[0] == "warn load level changed level=shed loop_lag_ms=600 resident_bytes=42");
  CHECK(lines[1] == "warn load level changed level=trim loop_lag_ms=0 resident_bytes=42");
  CHECK(lines[2] == "info load level changed level=normal loop_lag_ms=0 resident_bytes=42");
}

TEST_CASE("a monitor that is gone asks no more") {
  Fixture f;
  f.sample(0ms);
  f.monitor.reset();
  f.t.run_for(1s);
  CHECK(f.asked == 1);
}

TEST_CASE("the worker does what its level says, from the sample on") {
  Logged log;
  World w(kOneBackend);
  World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
  std::atomic<std::uint64_t> resident{0};
  LoadMonitor monitor(w.wheel(), w.worker(), {.loop_lag = 0ms, .memory = 100}, &resident);
  monitor.start([] { return Duration::zero(); });
  const auto client = w.client();
  const auto ask = [&] {
    client->take();
    client->send(kGet);
    w.settle();
    return client->received();
  };
  CHECK(status_of(ask()) == 200);
  resident = 96;
  CHECK(status_of(ask()) == 200);  // no sample yet
  w.run_for(100ms);
  const std::string refused = ask();
  CHECK(status_of(refused) == 503);
  CHECK(contains(refused, "overloaded"));
  CHECK(client->ended());

  resident = 100;
  w.run_for(100ms);
  const auto waiting = w.client();
  waiting->send(kGet);
  w.settle();
  CHECK(waiting->received().empty());  // nothing is accepted
  // Back step by step: first it is accepted and refused, in the end it is served.
  resident = 0;
  w.run_for(1500ms);
  CHECK(status_of(waiting->received()) == 503);
  w.run_for(2s);
  const auto late = w.client();
  late->send(kGet);
  w.settle();
  CHECK(status_of(late->received()) == 200);
  CHECK_FALSE(late->ended());
}
