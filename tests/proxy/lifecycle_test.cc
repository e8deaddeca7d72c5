// How a process ends and what it tells of it, in virtual time: the drain, and the service manager's side.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "proxy/drain.h"
#include "proxy/service_manager.h"

using namespace remora;
using namespace remora::proxy;
using config::Direction;

namespace {

std::string name(Direction direction) { return direction == Direction::kInbound ? "inbound" : "outbound"; }

void run(TimerWheel& wheel, Duration span) {
  const TimePoint end = wheel.now() + span;
  while (wheel.now() < end) wheel.advance(std::min(end, wheel.now() + TimerWheel::kTick));
}

struct Rig {
  TimerWheel wheel{TimePoint{}};
  std::string done;  // what was asked for, in order
  std::function<void()> inbound_ended;
  std::function<void()> outbound_ended;
  bool at_once = false;  // there are no connections
  Drain drain{wheel,
              {.announce = [this](Direction d) { done += "announce " + name(d) + ", "; },
               .finish =
                   [this](Direction d, std::function<void()> ended) {
                     done += "finish " + name(d) + ", ";
                     if (at_once) return ended();
                     (d == Direction::kInbound ? inbound_ended : outbound_ended) = std::move(ended);
                   },
               .changed =
                   [this] {
                     if (drain.phase() == Drain::Phase::kEnded) done += "ended";
                   }}};

  void run_for(Duration span) { run(wheel, span); }
  std::string asked() { return std::exchange(done, {}); }
};

// A service manager with a socket that may be full.
struct Manager {
  TimerWheel wheel{TimePoint{}};
  std::vector<std::string> heard;
  bool full = false;
  std::size_t asked = 0;
  ServiceManager manager{wheel};

  explicit Manager(Duration watchdog = 0s, std::size_t workers = 2) {
    manager.start({.send =
                       [this](std::string_view message) {
                         if (full) return false;
                         heard.emplace_back(message);
                         return true;
                       },
                   .ask = [this] { ++asked; }},
                  watchdog, workers);
  }
  std::vector<std::string> take() { return std::exchange(heard, {}); }
};

using Heard = std::vector<std::string>;

const Drain::Settings kSettings{.delay = 5s, .timeout = 30s, .outbound = true};

}  // namespace

TEST_CASE("a drain serves for its delay, then ends inbound, then outbound") {
  Rig rig;
  CHECK(rig.drain.reason().empty());
  REQUIRE(rig.drain.begin(Drain::Scope::kAll, kSettings));
  CHECK(rig.asked() == "announce inbound, ");
  CHECK(rig.drain.reason() == "draining: inbound traffic is asked to leave");
  rig.run_for(4900ms);
  CHECK(rig.asked().empty());
  rig.run_for(150ms);
  CHECK(rig.asked() == "finish inbound, ");
  CHECK(rig.drain.reason() == "draining: inbound connections end");
  rig.run_for(5s);
  CHECK(rig.asked().empty());  // the application still answers, and calls others
  rig.inbound_ended();
  CHECK(rig.asked() == "announce outbound, ");
  rig.run_for(300ms);
  CHECK(rig.asked() == "finish outbound, ");
  CHECK(rig.drain.reason() == "draining: outbound connections end");
  rig.outbound_ended();
  CHECK(rig.asked() == "ended");
  CHECK(rig.drain.complete());
  rig.run_for(60s);
  CHECK(rig.asked().empty());
}

TEST_CASE("idle connections are asked for a last request even without a delay") {
  Rig rig;
  rig.at_once = true;
  rig.drain.begin(Drain::Scope::kAll, {.delay = 0s, .timeout = 30s, .outbound = true});
  rig.run_for(Drain::kLastCall - 20ms);
  CHECK(rig.asked() == "announce inbound, ");
  rig.run_for(40ms);
  CHECK(rig.asked() == "finish inbound, announce outbound, ");
  rig.run_for(300ms);
  CHECK(rig.asked() == "finish outbound, ended");
}

TEST_CASE("a process without outbound listeners does not wait for them") {
  Rig rig;
  rig.at_once = true;
  rig.drain.begin(Drain::Scope::kAll, {.delay = 1s, .timeout = 30s, .outbound = false});
  rig.run_for(1100ms);
  CHECK(rig.asked() == "announce inbound, finish inbound, ended");
}

TEST_CASE("the timeout ends a drain in every phase, and then nothing more is done") {
  Rig rig;
  auto phase = Drain::Phase::kDelay;
  Duration timeout = 2s;
  SUBCASE("while it serves") {}
  SUBCASE("while inbound ends") {
    phase = Drain::Phase::kInbound;
    timeout = 10s;
  }
  SUBCASE("while outbound ends") {
    phase = Drain::Phase::kOutbound;
    timeout = 10s;
  }
  rig.drain.begin(Drain::Scope::kAll, {.delay = 5s, .timeout = timeout, .outbound = true});
  run(rig.wheel, 1900ms);
  if (phase != Drain::Phase::kDelay) run(rig.wheel, 4s);
  if (phase == Drain::Phase::kOutbound) {
    rig.inbound_ended();
    run(rig.wheel, 1s);
  }
  CHECK(rig.drain.phase() == phase);
  run(rig.wheel, timeout);
  CHECK(rig.drain.phase() == Drain::Phase::kEnded);
  CHECK_FALSE(rig.drain.complete());
  rig.asked();
  for (const auto& ended : {rig.inbound_ended, rig.outbound_ended}) {
    if (ended) ended();  // comes too late
  }
  run(rig.wheel, 60s);
  CHECK(rig.asked().empty());
}

TEST_CASE("a drain of inbound alone holds outbound until the rest is asked for") {
  Rig rig;
  REQUIRE(rig.drain.begin(Drain::Scope::kInbound, kSettings));
  CHECK_FALSE(rig.drain.begin(Drain::Scope::kInbound, kSettings));
  rig.run_for(6s);
  CHECK(rig.asked() == "announce inbound, finish inbound, ");
  rig.inbound_ended();
  rig.run_for(1h);
  CHECK(rig.asked().empty());  // no timeout either: the application decides how long it takes
  CHECK(rig.drain.reason() == "draining: inbound traffic has ended, outbound is served");
  REQUIRE(rig.drain.begin(Drain::Scope::kAll, kSettings));
  CHECK_FALSE(rig.drain.begin(Drain::Scope::kAll, kSettings));
  CHECK_FALSE(rig.drain.begin(Drain::Scope::kInbound, kSettings));
  CHECK(rig.asked() == "announce outbound, ");  // no second delay
  rig.run_for(300ms);
  rig.outbound_ended();
  CHECK(rig.asked() == "finish outbound, ended");
  CHECK(rig.drain.complete());
}

TEST_CASE("the whole drain takes over one of inbound where it stands") {
  Rig rig;
  rig.drain.begin(Drain::Scope::kInbound, kSettings);
  SUBCASE("in its delay") {
    rig.run_for(3s);
    rig.drain.begin(Drain::Scope::kAll, kSettings);
    rig.run_for(2100ms);  // the delay has not begun anew
  }
  SUBCASE("while inbound connections end") {
    rig.run_for(6s);
    rig.drain.begin(Drain::Scope::kAll, kSettings);
  }
  CHECK(rig.asked() == "announce inbound, finish inbound, ");
  rig.inbound_ended();
  CHECK(rig.asked() == "announce outbound, ");
}

TEST_CASE("the service manager is told of start, reload and stop") {
  Manager m;
  m.manager.reloading();  // before it is ready there is nothing that reloads
  m.manager.reloaded("ready: 1 listener");
  CHECK(m.take() == Heard{"STATUS=starting\n"});
  m.manager.ready("ready: 1 listener");
  run(m.wheel, 1500ms);
  m.manager.reloading();
  m.manager.reloading();
  m.manager.reloaded("ready: 2 listeners");
  m.manager.reloaded("ready: 2 listeners");
  CHECK(m.take() == Heard{"READY=1\nSTATUS=ready: 1 listener\n",
                          "RELOADING=1\nMONOTONIC_USEC=1500000\nSTATUS=reloading\n",
                          "READY=1\nSTATUS=ready: 2 listeners\n"});
  m.manager.reloading();
  m.manager.stopping("draining");
  m.manager.reloaded("ready: 2 listeners");  // refused, since it drains
  CHECK(m.take().back() == "STOPPING=1\nSTATUS=draining\n");
  run(m.wheel, 1h);
  CHECK(m.take().empty());  // no watchdog was asked for
  CHECK(m.asked == 0);
}

TEST_CASE("what the service manager has no room for is sent later, in order") {
  Manager m;
  m.take();
  m.full = true;
  m.manager.ready("ready");
  m.manager.stopping("draining");
  run(m.wheel, 1s);
  m.full = false;
  run(m.wheel, 200ms);
  CHECK(m.take() == Heard{"READY=1\nSTATUS=ready\n", "STOPPING=1\nSTATUS=draining\n"});
  m.full = true;
  for (int i = 0; i < 100; ++i) m.manager.status(std::to_string(i));
  m.full = false;
  run(m.wheel, 200ms);
  CHECK(m.heard.size() == ServiceManager::kMostWaiting);
  CHECK(m.heard.back() == "STATUS=99\n");
}

TEST_CASE("the watchdog hears of every half of its time, as long as every worker answers") {
  Manager m(2s, 2);
  m.take();
  CHECK(m.asked == 1);
  m.manager.answered();
  CHECK(m.take().empty());  // one of two
  m.manager.answered();
  CHECK(m.take() == Heard{"WATCHDOG=1\n"});
  run(m.wheel, 1100ms);
  CHECK(m.asked == 2);
  m.manager.answered();
  run(m.wheel, 1min);  // the other one hangs
  CHECK(m.take().empty());
  CHECK(m.asked == 2);
  m.manager.answered();  // and answers after all
  CHECK(m.take() == Heard{"WATCHDOG=1\n"});
  run(m.wheel, 1s);
  CHECK(m.asked == 3);
}
