// An Env in virtual time on a fake network, for tests of parts smaller than a worker (see world.h for a whole
// one).
#pragma once

#include "proxy/env.h"
#include "tests/support/fake_network.h"

namespace remora::testing {

struct TestEnv {
  TimerWheel wheel{TimePoint{1000s}};
  Turn turn;
  FakeNetwork network{wheel, turn};
  Random random{1};
  BufferPool buffers;
  http::H1Scratch scratch;
  proxy::HttpDate date{+[]() -> std::int64_t { return 784111777; }};
  proxy::Env env{.wheel = wheel,
                 .turn = turn,
                 .network = network,
                 .random = random,
                 .buffers = buffers,
                 .scratch = scratch,
                 .date = date};

  TestEnv() = default;
  TestEnv(const TestEnv&) = delete;
  TestEnv& operator=(const TestEnv&) = delete;
  ~TestEnv() { turn.finish(); }  // what is buried needs the network

  void settle() {
    network.settle();
    turn.finish();
  }
  void run_for(Duration span) { network.run_for(span); }
};

}  // namespace remora::testing
