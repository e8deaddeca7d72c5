#include "base/timer_wheel.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

using namespace remora;

namespace {

constexpr Duration kTick = TimerWheel::kTick;
constexpr TimePoint kStart{Duration(1'234'567'891)};

class CallbackTimer final : public Timer {
 public:
  explicit CallbackTimer(std::function<void()> callback = [] {}) : callback_(std::move(callback)) {}
  void on_timer() override {
    ++fired_;
    callback_();
  }
  int fired() const { return fired_; }

 private:
  std::function<void()> callback_;
  int fired_ = 0;
};

// Advances as a loop does: only when next_expiry() says so, and to exactly that instant.
void run_until(TimerWheel& wheel, TimePoint until) {
  for (;;) {
    const auto next = wheel.next_expiry();
    if (!next || *next > until) break;
    wheel.advance(std::max(*next, wheel.now()));
  }
  wheel.advance(until);
}

}  // namespace

TEST_SUITE("timer wheel") {
  TEST_CASE("an empty wheel has nothing to do") {
    TimerWheel wheel(kStart);
    CHECK_FALSE(wheel.next_expiry());
    wheel.advance(kStart + 1h);
    CHECK(wheel.now() == kStart + 1h);
    CHECK(wheel.size() == 0);
  }

  TEST_CASE("a timer fires once, not before it is due and at most one tick after") {
    for (const auto delay : {1us, 9'999us, 10'000us, 10'001us, 637'123us, 640'000us, 41s + 3us, 3h + 7us}) {
      CAPTURE(delay.count());
      TimerWheel wheel(kStart);
      wheel.advance(kStart + 12'345us);
      CallbackTimer timer;
      const TimePoint due = wheel.now() + delay;
      wheel.arm(timer, due);
      CHECK(timer.armed());
      CHECK(timer.due() == due);
      run_until(wheel, due - 1us);
      CHECK(timer.fired() == 0);
      run_until(wheel, due + kTick);
      CHECK(timer.fired() == 1);
      CHECK_FALSE(timer.armed());
      run_until(wheel, due + 1h);
      CHECK(timer.fired() == 1);
    }
  }

  TEST_CASE("a timer due in the past fires at the next tick") {
    TimerWheel wheel(kStart);
    wheel.advance(kStart + 1s);
    CallbackTimer timer;
    wheel.arm(timer, kStart - 5s);
    CHECK(timer.fired() == 0);
    REQUIRE(wheel.next_expiry());
    CHECK(*wheel.next_expiry() <= wheel.now() + kTick);
    wheel.advance(wheel.now() + kTick);
    CHECK(timer.fired() == 1);
  }

  TEST_CASE("set_now moves the clock forward only, and fires nothing") {
    TimerWheel wheel(kStart);
    CallbackTimer timer;
    wheel.arm_in(timer, 20ms);
    wheel.set_now(kStart + 1s);
    CHECK(timer.fired() == 0);
    wheel.set_now(kStart);
    CHECK(wheel.now() == kStart + 1s);
    CHECK(*wheel.next_expiry() <= wheel.now());
    wheel.advance(wheel.now());
    CHECK(timer.fired() == 1);
  }

  TEST_CASE("a timer armed after the clock was noted counts from the noted instant") {
    TimerWheel wheel(kStart);
    wheel.set_now(kStart + 10s);
    CallbackTimer timer;
    wheel.arm_in(timer, 50ms);
    CHECK(timer.due() == kStart + 10s + 50ms);
    run_until(wheel, kStart + 10s + 49ms);
    CHECK(timer.fired() == 0);
    run_until(wheel, kStart + 10s + 60ms);
    CHECK(timer.fired() == 1);
  }

  TEST_CASE("a cancelled timer does not fire, and leaves no wake-up behind") {
    TimerWheel wheel(kStart);
    CallbackTimer timer;
    for (const auto delay : {5ms, 100ms, 5000ms, 500'000ms}) {
      wheel.arm_in(timer, delay);
      CHECK(wheel.size() == 1);
      timer.cancel();
      timer.cancel();
      CHECK(wheel.size() == 0);
      CHECK_FALSE(wheel.next_expiry());
    }
    CallbackTimer other;
    wheel.arm_in(timer, 30ms);
    wheel.arm_in(other, 5min);
    timer.cancel();
    CHECK(*wheel.next_expiry() > kStart + 30s);
    wheel.advance(kStart + 1h);
    CHECK(timer.fired() == 0);
    CHECK(other.fired() == 1);
  }

  TEST_CASE("arming again moves a timer, to earlier and to later") {
    TimerWheel wheel(kStart);
    CallbackTimer timer;
    wheel.arm_in(timer, 1h);
    wheel.arm_in(timer, 20ms);
    CHECK(wheel.size() == 1);
    wheel.arm_in(timer, 40ms);
    run_until(wheel, kStart + 39ms);
    CHECK(timer.fired() == 0);
    run_until(wheel, kStart + 50ms);
    CHECK(timer.fired() == 1);
    run_until(wheel, kStart + 2h);
    CHECK(timer.fired() == 1);
  }

  TEST_CASE("timers fire in order of their tick") {
    TimerWheel wheel(kStart);
    std::vector<int> order;
    std::vector<std::unique_ptr<CallbackTimer>> timers;
    const std::vector<Duration> delays{7s, 20ms, 3min, 640ms, 41s, 630ms, 2h, 650ms};
    for (int i = 0; i < static_cast<int>(delays.size()); ++i) {
      timers.push_back(std::make_unique<CallbackTimer>([&order, i] { order.push_back(i); }));
      wheel.arm_in(*timers.back(), delays[static_cast<std::size_t>(i)]);
    }
    wheel.advance(kStart + 3h);
    CHECK(order == std::vector<int>{1, 5, 3, 7, 0, 4, 2, 6});
  }

  TEST_CASE("a callback may arm its own timer again") {
    TimerWheel wheel(kStart);
    int count = 0;
    CallbackTimer* self = nullptr;
    CallbackTimer timer([&] {
      ++count;
      wheel.arm_in(*self, 100ms);
    });
    self = &timer;
    wheel.arm_in(timer, 100ms);
    run_until(wheel, kStart + 1s + 5ms);
    CHECK(count >= 9);
    CHECK(count <= 10);
  }

  TEST_CASE("a callback that arms for now does not keep advance busy for ever") {
    TimerWheel wheel(kStart);
    CallbackTimer* self = nullptr;
    CallbackTimer timer([&] { wheel.arm_in(*self, 0us); });
    self = &timer;
    wheel.arm_in(timer, 10ms);
    wheel.advance(kStart + 10ms);
    CHECK(timer.fired() == 1);
    CHECK(*wheel.next_expiry() == kStart + 20ms);
  }

  TEST_CASE("a callback may cancel and destroy other timers of the same tick") {
    TimerWheel wheel(kStart);
    auto doomed = std::make_unique<CallbackTimer>();
    CallbackTimer cancelled;
    CallbackTimer first([&] {
      doomed.reset();
      cancelled.cancel();
    });
    wheel.arm_in(first, 30ms);
    wheel.arm_in(*doomed, 30ms);
    wheel.arm_in(cancelled, 30ms);
    wheel.advance(kStart + 1s);
    CHECK(first.fired() == 1);
    CHECK(cancelled.fired() == 0);
    CHECK(wheel.size() == 0);
  }

  TEST_CASE("a callback may destroy its own timer") {
    TimerWheel wheel(kStart);
    std::unique_ptr<CallbackTimer> timer;
    int fired = 0;
    timer = std::make_unique<CallbackTimer>([&] {
      ++fired;
      timer.reset();
    });
    wheel.arm_in(*timer, 30ms);
    CallbackTimer next;
    wheel.arm_in(next, 30ms);
    wheel.advance(kStart + 1s);
    CHECK(fired == 1);
    CHECK(next.fired() == 1);
  }

  TEST_CASE("a member timer calls its owner") {
    struct Owner {
      int called = 0;
      void on_due() { ++called; }
      MemberTimer<Owner, &Owner::on_due> timer{*this};
    } owner;
    TimerWheel wheel(kStart);
    wheel.arm_in(owner.timer, 10ms);
    wheel.advance(kStart + 20ms);
    CHECK(owner.called == 1);
  }

  TEST_CASE("timers survive their wheel, and a wheel its timers") {
    CallbackTimer timer;
    {
      TimerWheel wheel(kStart);
      wheel.arm_in(timer, 1s);
      {
        CallbackTimer gone;
        wheel.arm_in(gone, 1s);
      }
      CHECK(wheel.size() == 1);
    }
    CHECK_FALSE(timer.armed());
    TimerWheel other(kStart);
    other.arm_in(timer, 1s);
    other.advance(kStart + 2s);
    CHECK(timer.fired() == 1);
  }

  TEST_CASE("a timer can move from one wheel to another") {
    TimerWheel a(kStart);
    TimerWheel b(kStart);
    CallbackTimer timer;
    a.arm_in(timer, 1s);
    b.arm_in(timer, 2s);
    CHECK(a.size() == 0);
    a.advance(kStart + 5s);
    CHECK(timer.fired() == 0);
    b.advance(kStart + 5s);
    CHECK(timer.fired() == 1);
  }

  TEST_CASE("timers beyond the horizon of 124 days still fire on time") {
    TimerWheel wheel(kStart);
    for (const auto delay :
         {std::chrono::hours(24 * 123), std::chrono::hours(24 * 125), std::chrono::hours(24 * 900)}) {
      CallbackTimer timer;
      const TimePoint due = wheel.now() + delay;
      wheel.arm(timer, due);
      run_until(wheel, due - 1us);
      CHECK(timer.fired() == 0);
      run_until(wheel, due + kTick);
      CHECK(timer.fired() == 1);
    }
  }

  TEST_CASE("a wheel is woken only when it has something to do") {
    TimerWheel wheel(kStart);
    CallbackTimer timer;
    wheel.arm_in(timer, 24h);
    int wakeups = 0;
    while (const auto next = wheel.next_expiry()) {
      wheel.advance(*next);
      ++wakeups;
    }
    CHECK(timer.fired() == 1);
    CHECK(wakeups <= 5);  // one per level
  }
}
