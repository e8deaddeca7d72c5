#include "base/lazy.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

using namespace remora;

namespace {

struct Counted {
  explicit Counted(int given) : value(given) { ++alive; }
  Counted(const Counted&) = delete;
  ~Counted() { --alive; }
  int value;
  static inline std::atomic<int> alive{0};
};

}  // namespace

TEST_SUITE("lazy object") {
  TEST_CASE("it is made when it is needed, once, and goes with its owner") {
    {
      Lazy<Counted> lazy;
      CHECK(lazy.peek() == nullptr);
      CHECK(Counted::alive == 0);
      CHECK(lazy.get(7).value == 7);
      CHECK(&lazy.get(8) == lazy.peek());
      CHECK(lazy.peek()->value == 7);
      CHECK(Counted::alive == 1);
    }
    CHECK(Counted::alive == 0);
  }

  TEST_CASE("threads that need it at once get the same") {
    for (int round = 0; round < 200; ++round) {
      Lazy<Counted> lazy;
      std::array<Counted*, 4> seen{};
      std::atomic<int> waiting{4};
      std::vector<std::jthread> threads;
      for (auto& mine : seen) {
        threads.emplace_back([&] {
          --waiting;
          while (waiting.load() > 0) {
          }
          mine = &lazy.get(1);
        });
      }
      threads.clear();
      for (const Counted* mine : seen) REQUIRE(mine == lazy.peek());
      REQUIRE(Counted::alive == 1);
    }
  }
}
