#include "base/ref.h"

#include <doctest/doctest.h>

#include <vector>

using namespace remora;

namespace {

struct Thing final : Counted<Thing> {
  explicit Thing(int& ended) : ends(ended) {}
  ~Thing() { ++ends; }
  int& ends;
};

}  // namespace

TEST_CASE("what is held lives until its last holder lets go") {
  int ended = 0;
  auto first = Ref<Thing>::make(ended);
  CHECK(first->holders() == 1);
  {
    const Ref<Thing> second = first;
    CHECK(first->holders() == 2);
    const Ref<Thing> third(first.get());
    CHECK(first->holders() == 3);
  }
  CHECK(first->holders() == 1);
  CHECK(ended == 0);
  first.reset();
  CHECK(ended == 1);
  CHECK(!first);
  first.reset();
  CHECK(ended == 1);
}

TEST_CASE("moving hands the place over, assigning lets go of what was held") {
  int ended_a = 0;
  int ended_b = 0;
  auto a = Ref<Thing>::make(ended_a);
  auto b = Ref<Thing>::make(ended_b);
  Ref<Thing> moved = std::move(a);
  CHECK(moved->holders() == 1);
  moved = b;
  CHECK(ended_a == 1);
  CHECK(b->holders() == 2);
  const auto& alias = moved;
  moved = alias;
  CHECK(b->holders() == 2);
  moved = Ref<Thing>();
  b = std::move(moved);
  CHECK(ended_b == 1);
}
