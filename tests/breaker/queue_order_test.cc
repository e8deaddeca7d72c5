#include "breaker/queue_order.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <deque>

#include "tests/support/start.h"

using namespace remora;
using namespace remora::breaker;

namespace {

// A queue in front of one server: every `gap` somebody comes, one is served every `service`, and whoever has
// waited for `patience` leaves. How many were served, and how many of them within a tenth of their patience?
struct Served {
  int all = 0;
  int soon = 0;
};

Served serve(Duration gap, Duration service, bool by_order) {
  constexpr Duration kPatience = 1s;
  QueueOrder order;
  std::deque<TimePoint> waiting;
  Served served;
  TimePoint next_arrival = kStart;
  TimePoint next_service = kStart;
  for (TimePoint now = kStart; now < kStart + 60s; now += 1ms) {
    while (!waiting.empty() && now - waiting.front() >= kPatience) waiting.pop_front();
    for (; next_arrival <= now; next_arrival += gap) waiting.push_back(now);
    order.on_length(waiting.size(), now);
    if (waiting.empty() || next_service > now) continue;
    const bool newest = by_order && order.newest_first(now);
    const TimePoint came = newest ? waiting.back() : waiting.front();
    newest ? waiting.pop_back() : waiting.pop_front();
    order.on_length(waiting.size(), now);
    next_service = now + service;
    ++served.all;
    if (now - came <= kPatience / 10) ++served.soon;
  }
  return served;
}

}  // namespace

TEST_CASE("first come first served, until the queue has not been empty for 100 ms") {
  QueueOrder order;
  CHECK_FALSE(order.newest_first(kStart));
  order.on_length(1, kStart);
  CHECK_FALSE(order.newest_first(kStart));
  CHECK_FALSE(order.newest_first(kStart + 99'999us));
  CHECK(order.newest_first(kStart + 100ms));
  CHECK(order.newest_first(kStart + 1h));
  CHECK_FALSE(QueueOrder().newest_first(TimePoint{-1h}));
}

TEST_CASE("how long the queue is does not matter, only that it never drains") {
  QueueOrder order;
  for (int i = 0; i < 100; ++i) {
    const TimePoint now = kStart + i * 10ms;
    order.on_length(static_cast<std::size_t>(1 + i * 7 % 5), now);
    CHECK(order.newest_first(now) == (i >= 10));
  }
}

TEST_CASE("an empty queue restores the order, and the time begins anew") {
  QueueOrder order;
  order.on_length(5, kStart);
  CHECK(order.newest_first(kStart + 1s));
  order.on_length(0, kStart + 1s);
  CHECK_FALSE(order.newest_first(kStart + 1s));
  CHECK_FALSE(order.newest_first(kStart + 1h));
  order.on_length(1, kStart + 2s);
  CHECK_FALSE(order.newest_first(kStart + 2'099ms));
  CHECK(order.newest_first(kStart + 2'100ms));
}

TEST_CASE("a queue that drains within the time is never overloaded") {
  QueueOrder order;
  for (int i = 0; i < 100; ++i) {
    const TimePoint now = kStart + i * 100ms;
    order.on_length(1, now);
    CHECK_FALSE(order.newest_first(now + 99ms));
    order.on_length(0, now + 99ms);
  }
}

TEST_CASE("the time after which the newest come first can be chosen") {
  QueueOrder at_once(0ms);
  CHECK_FALSE(at_once.newest_first(kStart));
  at_once.on_length(1, kStart);
  CHECK(at_once.newest_first(kStart));
  QueueOrder late(5s);
  late.on_length(1, kStart);
  CHECK_FALSE(late.newest_first(kStart + 4'999ms));
  CHECK(late.newest_first(kStart + 5s));
}

TEST_CASE("under overload as many are served, but nearly all at once instead of nearly none") {
  const Served in_turn = serve(5ms, 10ms, false);
  const Served newest_first = serve(5ms, 10ms, true);
  CHECK(newest_first.all == in_turn.all);
  CHECK(newest_first.soon >= newest_first.all * 0.95);
  CHECK(in_turn.soon <= in_turn.all * 0.05);
}
