#include "breaker/limiter.h"

#include <doctest/doctest.h>

#include <atomic>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

using namespace remora::breaker;

TEST_CASE("a limiter gives so many permits and no more until one comes back") {
  Limiter limiter(2);
  auto a = limiter.try_take();
  auto b = limiter.try_take();
  CHECK(a.has_value());
  CHECK(b.has_value());
  CHECK_FALSE(limiter.try_take().has_value());
  CHECK(limiter.in_use() == 2);
  a.reset();
  CHECK(limiter.in_use() == 1);
  CHECK(limiter.try_take().has_value());
  CHECK(limiter.in_use() == 1);
}

TEST_CASE("zero is no limit, but what exists is counted") {
  Limiter limiter(0);
  std::vector<Permit> permits;
  for (int i = 0; i < 1000; ++i) {
    auto permit = limiter.try_take();
    REQUIRE(permit.has_value());
    permits.push_back(std::move(*permit));
  }
  CHECK(limiter.in_use() == 1000);
  permits.clear();
  CHECK(limiter.in_use() == 0);
}

TEST_CASE("another limit holds from now on, and who is beyond it may stay") {
  Limiter limiter(2);
  CHECK(limiter.limited());
  auto a = limiter.try_take();
  auto b = limiter.try_take();
  limiter.set_most(1);
  CHECK(limiter.most() == 1);
  CHECK(limiter.in_use() == 2);
  a.reset();
  CHECK_FALSE(limiter.try_take().has_value());
  limiter.set_most(0);
  CHECK_FALSE(limiter.limited());
  CHECK(limiter.try_take().has_value());
}

TEST_CASE("a permit is held until it is moved from or released") {
  Limiter limiter(1);
  CHECK_FALSE(Permit().held());
  Permit a = std::move(*limiter.try_take());
  CHECK(a.held());
  Permit b(std::move(a));
  CHECK_FALSE(a.held());  // NOLINT(bugprone-use-after-move): that is the point
  CHECK(b.held());
  b.release();
  CHECK_FALSE(b.held());
  CHECK(limiter.in_use() == 0);
}

TEST_CASE("a permit that is moved gives its place back once") {
  Limiter limiter(3);
  {
    Permit empty;
    Permit a = std::move(*limiter.try_take());
    Permit b(std::move(a));
    CHECK(limiter.in_use() == 1);
    empty = std::move(b);
    CHECK(limiter.in_use() == 1);
    Permit other = std::move(*limiter.try_take());
    CHECK(limiter.in_use() == 2);
    empty = std::move(other);
  }
  CHECK(limiter.in_use() == 0);
}

TEST_CASE("threads that compete never hold more permits than the limit") {
  constexpr unsigned kMost = 3;
  Limiter limiter(kMost);
  std::atomic<unsigned> held{0};
  std::atomic<unsigned> peak{0};
  std::atomic<unsigned> granted{0};
  const auto work = [&] {
    for (int i = 0; i < 20'000; ++i) {
      auto permit = limiter.try_take();
      if (!permit) continue;
      granted.fetch_add(1);
      const unsigned now = held.fetch_add(1) + 1;
      for (unsigned seen = peak.load(); now > seen && !peak.compare_exchange_weak(seen, now);) {
      }
      held.fetch_sub(1);
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) threads.emplace_back(work);
  }
  CHECK(peak.load() <= kMost);
  CHECK(granted.load() > 0);
  CHECK(limiter.in_use() == 0);
}
