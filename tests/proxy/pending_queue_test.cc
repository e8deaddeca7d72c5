// Who waits for a place, and in which order they get it.
#include "proxy/pending_queue.h"

#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "tests/support/start.h"

using namespace remora;
using namespace remora::proxy;

namespace {

struct Waiter final : PendingQueue::Member {};

// A queue with a place for `most` that wait, and four who may.
struct Queue {
  explicit Queue(std::uint32_t most = 4) : limit(most) {}

  bool add(std::size_t index, TimePoint now = kStart) {
    auto permit = limit.try_take();
    if (!permit) return false;
    queue->add(waiters[index], std::move(*permit), now);
    return true;
  }
  // Who is next, by number, and gone with it; -1: nobody.
  int serve(TimePoint now = kStart) {
    PendingQueue::Member* const next = queue->next(now);
    if (next == nullptr) return -1;
    next->leave();
    return static_cast<int>(static_cast<Waiter*>(next) - waiters);
  }

  breaker::Limiter limit;
  std::unique_ptr<PendingQueue> queue = std::make_unique<PendingQueue>();
  Waiter waiters[4];
};

}  // namespace

TEST_CASE("who came first is served first") {
  Queue q;
  CHECK(q.queue->empty());
  CHECK(q.queue->next(kStart) == nullptr);
  for (std::size_t i = 0; i < 3; ++i) REQUIRE(q.add(i, kStart + i * 10ms));
  CHECK(q.queue->size() == 3);
  CHECK(q.queue->next(kStart + 30ms) == &q.waiters[0]);
  CHECK(q.queue->next(kStart + 30ms) == &q.waiters[0]);  // it was only asked for
  CHECK(q.serve(kStart + 30ms) == 0);
  REQUIRE(q.add(0, kStart + 40ms));  // again, and last
  CHECK(q.serve(kStart + 50ms) == 1);
  CHECK(q.serve(kStart + 60ms) == 2);
  CHECK(q.serve(kStart + 70ms) == 0);
  CHECK(q.serve(kStart + 80ms) == -1);
  CHECK(q.queue->empty());
}

TEST_CASE("when the queue has not been empty for 100 ms the newest is served first") {
  Queue q;
  for (std::size_t i = 0; i < 3; ++i) REQUIRE(q.add(i, kStart + i * 10ms));
  CHECK(q.queue->next(kStart + 99ms) == &q.waiters[0]);
  CHECK(q.queue->next(kStart + 100ms) == &q.waiters[2]);
  CHECK(q.serve(kStart + 100ms) == 2);
  // It gets shorter but not empty: that it is served now and then is no sign that it drains.
  CHECK(q.serve(kStart + 110ms) == 1);
  REQUIRE(q.add(3, kStart + 120ms));
  CHECK(q.serve(kStart + 130ms) == 3);
  CHECK(q.serve(kStart + 140ms) == 0);
  // Empty for an instant: from here on the order is that of arrival again, for another 100 ms.
  for (std::size_t i = 0; i < 3; ++i) REQUIRE(q.add(i, kStart + 140ms + i * 10ms));
  CHECK(q.serve(kStart + 239ms) == 0);
  CHECK(q.serve(kStart + 240ms) == 2);
  CHECK(q.serve(kStart + 250ms) == 1);
}

TEST_CASE("a queue that somebody's leaving has emptied begins anew, too") {
  Queue q;
  REQUIRE(q.add(0));
  q.waiters[0].leave();
  REQUIRE(q.add(1, kStart + 90ms));
  REQUIRE(q.add(2, kStart + 95ms));
  CHECK(q.serve(kStart + 150ms) == 1);
  CHECK(q.serve(kStart + 190ms) == 2);
}

TEST_CASE("anyone may leave, from either end and from the middle, and twice") {
  for (std::size_t gone = 0; gone < 4; ++gone) {
    CAPTURE(gone);
    Queue q;
    for (std::size_t i = 0; i < 4; ++i) REQUIRE(q.add(i));
    CHECK(q.waiters[gone].waiting());
    q.waiters[gone].leave();
    CHECK_FALSE(q.waiters[gone].waiting());
    q.waiters[gone].leave();
    CHECK(q.queue->size() == 3);
    REQUIRE(q.add(gone));  // a link left behind would show here
    for (std::size_t i = 0; i < 4; ++i) {
      if (i != gone) CHECK(q.serve() == static_cast<int>(i));
    }
    CHECK(q.serve() == static_cast<int>(gone));
    CHECK(q.serve() == -1);
  }
}

TEST_CASE("newest first holds also when the newest has left") {
  Queue q;
  for (std::size_t i = 0; i < 4; ++i) REQUIRE(q.add(i));
  q.waiters[3].leave();
  q.waiters[1].leave();
  CHECK(q.serve(kStart + 1s) == 2);
  CHECK(q.serve(kStart + 1s) == 0);
}

TEST_CASE("each that waits has a permit, which it gives back when it leaves") {
  Queue q(2);
  REQUIRE(q.add(0));
  REQUIRE(q.add(1));
  CHECK_FALSE(q.add(2));
  CHECK(q.limit.in_use() == 2);
  q.waiters[0].leave();
  CHECK(q.limit.in_use() == 1);
  REQUIRE(q.add(2));
  CHECK(q.limit.in_use() == 2);
  CHECK(q.serve() == 1);
  CHECK(q.serve() == 2);
  CHECK(q.limit.in_use() == 0);
}

TEST_CASE("who is destroyed waits no longer") {
  Queue q;
  REQUIRE(q.add(0));
  {
    Waiter short_lived;
    q.queue->add(short_lived, std::move(*q.limit.try_take()), kStart);
    REQUIRE(q.add(1));
    CHECK(q.queue->size() == 3);
  }
  CHECK(q.queue->size() == 2);
  CHECK(q.limit.in_use() == 2);
  CHECK(q.serve() == 0);
  CHECK(q.serve() == 1);
}

TEST_CASE("when the queue goes nobody waits, and all permits are back") {
  Queue q;
  for (std::size_t i = 0; i < 3; ++i) REQUIRE(q.add(i));
  q.queue = std::make_unique<PendingQueue>();
  for (const Waiter& waiter : q.waiters) CHECK_FALSE(waiter.waiting());
  CHECK(q.limit.in_use() == 0);
  REQUIRE(q.add(1));  // in another queue now
  CHECK(q.serve() == 1);
}
