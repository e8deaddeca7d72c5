#include "proxy/net/loop.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "proxy/net/background.h"

using namespace remora;
using remora::net::Background;
using remora::net::Loop;

namespace {

class CallbackTimer final : public Timer {
 public:
  explicit CallbackTimer(std::function<void()> callback) : callback_(std::move(callback)) {}
  void on_timer() override { callback_(); }

 private:
  std::function<void()> callback_;
};

class CallbackTask final : public TurnTask {
 public:
  explicit CallbackTask(std::function<void()> callback) : callback_(std::move(callback)) {}
  void at_end_of_turn() override { callback_(); }

 private:
  std::function<void()> callback_;
};

}  // namespace

TEST_SUITE("loop") {
  TEST_CASE("posted tasks run in order, and one that is posted meanwhile after them") {
    Loop loop;
    std::string log;
    loop.post([&] { log += "1 "; });
    loop.post([&] {
      log += "2 ";
      loop.post([&] {
        log += "3 ";
        loop.stop();
      });
    });
    loop.run();
    CHECK(log == "1 2 3 ");
  }

  TEST_CASE("events that are ready together are one turn, unless it becomes too long") {
    const auto order = [](Duration longest_turn) {
      Loop loop(longest_turn);
      std::string log;
      CallbackTask task([&] { log += "end "; });
      loop.post([&] {
        log += "1 ";
        loop.turn().defer(task);
      });
      loop.post([&] {
        log += "2 ";
        loop.stop();
      });
      loop.run();
      return log;
    };
    CHECK(order(1h) == "1 2 end ");
    CHECK(order(Duration::zero()) == "1 end 2 ");
  }

  TEST_CASE("a turn that has become long ends with an event, so that none begins with what it buries") {
    Loop loop(Duration::zero());
    auto owned = std::make_unique<int>(1);
    CallbackTask task([&] { owned.reset(); });
    loop.event([&] { loop.turn().defer(task); });
    const bool there = owned != nullptr;  // as a callback looks before it opens its event
    CHECK_FALSE(there);
    loop.event([&] { CHECK((owned != nullptr) == there); });
  }

  TEST_CASE("a turn can be ended between two events") {
    Loop loop(1h);
    int ended = 0;
    CallbackTask task([&] { ++ended; });
    loop.event([&] { loop.turn().defer(task); });
    CHECK(ended == 0);
    loop.end_turn();
    CHECK(ended == 1);
  }

  TEST_CASE("tasks from many threads all run, each thread's in order") {
    Loop loop;
    constexpr int kThreads = 4;
    constexpr int kTasks = 5000;
    std::vector<int> last(kThreads, -1);
    int ran = 0;
    bool in_order = true;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kTasks; ++i) {
          loop.post([&, t, i] {
            int& previous = last[static_cast<std::size_t>(t)];
            in_order = in_order && previous == i - 1;
            previous = i;
            if (++ran == kThreads * kTasks) loop.stop();
          });
        }
      });
    }
    loop.run();
    for (auto& thread : threads) thread.join();
    CHECK(ran == kThreads * kTasks);
    CHECK(in_order);
  }

  TEST_CASE("stop works from another thread, before run, and run works again") {
    Loop loop;
    std::thread stopper([&] { loop.stop(); });
    loop.run();
    stopper.join();
    loop.stop();
    loop.run();
    bool ran = false;
    loop.post([&] {
      ran = true;
      loop.stop();
    });
    loop.run();
    CHECK(ran);
  }

  TEST_CASE("tasks that did not run die with the loop") {
    auto alive = std::make_shared<int>(0);
    {
      Loop loop;
      loop.post([alive] {});
      CHECK(alive.use_count() == 2);
    }
    CHECK(alive.use_count() == 1);
  }

  TEST_CASE("what a task owns dies within its event") {
    Loop loop;
    std::string log;
    struct Noisy {
      std::string* log;
      ~Noisy() { *log += "dead "; }
    };
    auto owned = std::unique_ptr<Noisy>(new Noisy{&log});
    loop.post([moved = std::move(owned)] {});
    loop.post([&] {
      log += "next ";
      loop.stop();
    });
    loop.run();
    CHECK(log == "dead next ");
  }

  TEST_CASE("timers fire in order and never early") {
    Loop loop;
    std::vector<int> order;
    bool early = false;
    std::vector<std::unique_ptr<CallbackTimer>> timers;
    const std::vector<Duration> delays{70ms, 0us, 30ms, 50ms};
    for (std::size_t i = 0; i < delays.size(); ++i) {
      timers.push_back(std::make_unique<CallbackTimer>([&, i] {
        early = early || loop.wheel().now() < timers[i]->due();
        order.push_back(static_cast<int>(i));
        if (i == 0) loop.stop();
      }));
      loop.wheel().arm_in(*timers[i], delays[i]);
    }
    loop.run();
    CHECK(order == std::vector<int>{1, 2, 3, 0});
    CHECK_FALSE(early);
  }

  TEST_CASE("an earlier timer armed later is not held up by the later one") {
    Loop loop;
    std::string log;
    CallbackTimer late([&] { log += "late "; });
    CallbackTimer soon([&] {
      log += "soon ";
      loop.stop();
    });
    loop.wheel().arm_in(late, 1h);
    loop.post([&] { loop.wheel().arm_in(soon, 10ms); });
    loop.run();
    CHECK(log == "soon ");
  }

  TEST_CASE("a cancelled timer does not stop the next one from firing") {
    Loop loop;
    bool fired = false;
    CallbackTimer cancelled([] { FAIL("cancelled"); });
    CallbackTimer next([&] {
      fired = true;
      loop.stop();
    });
    loop.wheel().arm_in(cancelled, 20ms);
    loop.wheel().arm_in(next, 60ms);
    loop.post([&] { cancelled.cancel(); });
    loop.run();
    CHECK(fired);
  }

  TEST_CASE("the clock stands still within an event and moves between events") {
    Loop loop;
    TimePoint first{};
    loop.post([&] {
      first = loop.wheel().now();
      std::atomic<int> work{0};
      while (work.fetch_add(1) < 100'000) {
      }
      CHECK(loop.wheel().now() == first);
    });
    loop.post([&] {
      CHECK(loop.wheel().now() > first);
      loop.stop();
    });
    loop.run();
  }

  TEST_CASE("an event inside an event is part of it") {
    Loop loop;
    std::string log;
    CallbackTask task([&] { log += "end "; });
    loop.event([&] {
      loop.turn().defer(task);
      const TimePoint now = loop.wheel().now();
      loop.event([&] { log += "inner "; });
      CHECK(loop.wheel().now() == now);
      log += "outer ";
    });
    loop.end_turn();
    CHECK(log == "inner outer end ");
  }

  TEST_CASE("what is deferred before the loop turns happens when it does") {
    Loop loop;
    bool done = false;
    CallbackTask task([&] {
      done = true;
      loop.stop();
    });
    loop.turn().defer(task);
    CHECK_FALSE(done);
    loop.run();
    CHECK(done);
  }

  TEST_CASE("what is buried on a loop that never turns dies with it") {
    auto alive = std::make_shared<int>(0);
    {
      Loop loop;
      loop.turn().bury(std::make_unique<std::shared_ptr<int>>(alive));
    }
    CHECK(alive.use_count() == 1);
  }

  TEST_CASE("signals are events, and a second handler replaces the first") {
    Loop loop;
    int first = 0;
    int second = 0;
    loop.on_signal(SIGUSR1, [&] { ++first; });
    loop.on_signal(SIGUSR1, [&] {
      ++second;
      loop.stop();
    });
    loop.post([] { std::raise(SIGUSR1); });
    loop.run();
    CHECK(first == 0);
    CHECK(second == 1);
  }

  TEST_CASE("lag shows how late a timer was, once") {
    Loop loop;
    CallbackTimer timer([&] { loop.stop(); });
    loop.wheel().arm_in(timer, 10ms);
    loop.post([&] {
      // A task that hogs the loop until long after the timer is due.
      std::atomic<bool> done{false};
      std::thread([&] {
        Loop clock;
        CallbackTimer hog([&] { clock.stop(); });
        clock.wheel().arm_in(hog, 80ms);
        clock.run();
        done = true;
      }).join();
      CHECK(done);
    });
    loop.run();
    const Duration lag = loop.take_max_lag();
    CHECK(lag >= 50ms);
    CHECK(lag < 60s);
    CHECK(loop.take_max_lag() == 0us);
  }

  TEST_CASE("loops of several threads post to each other") {
    Loop a;
    Loop b;
    int rallies = 0;
    std::thread other([&] { b.run(); });
    std::function<void()> serve = [&] {
      if (++rallies == 1000) {
        b.stop();
        a.stop();
        return;
      }
      b.post([&] { a.post([&] { serve(); }); });
    };
    a.post([&] { serve(); });
    a.run();
    other.join();
    CHECK(rallies == 1000);
  }

  TEST_CASE("work in the background is done in order on a thread that gives way, and ends on the loop") {
    Loop loop;
    Background background(loop);
    const auto loop_thread = std::this_thread::get_id();
    const int niceness = ::getpriority(PRIO_PROCESS, 0);
    std::string log;
    std::function<void(int)> ask = [&](int pieces) {
      background.run([&, pieces, seen = std::make_unique<int>(pieces)]() mutable {
        const bool elsewhere = std::this_thread::get_id() != loop_thread;
        const int here = ::getpriority(PRIO_PROCESS, 0);
        return [&, pieces, elsewhere, here, seen = std::move(seen)] {
          CHECK(std::this_thread::get_id() == loop_thread);
          CHECK(elsewhere);
          CHECK(here > niceness);
          log += std::to_string(*seen);
          if (pieces == 4) ask(5);  // anew, when all was done
          if (pieces == 5) loop.stop();
        };
      });
    };
    loop.post([&] {
      ask(1);
      ask(2);
      ask(3);
      ask(4);
      CHECK(log.empty());
    });
    loop.run();
    CHECK(log == "12345");
    CHECK(::getpriority(PRIO_PROCESS, 0) == niceness);
  }

  TEST_CASE("who destroys a Background waits for the piece at hand and hears of none") {
    Loop loop;
    std::atomic<int> done = 0;
    auto background = std::make_unique<Background>(loop);
    for (int i = 0; i < 3; ++i) {
      background->run([&] {
        ++done;
        return [&] { FAIL("called after the end"); };
      });
    }
    background.reset();
    CHECK(done == 1);
  }
}
