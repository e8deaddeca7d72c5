#include "breaker/overload.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <string_view>

#include "base/random.h"
#include "tests/support/start.h"

using namespace remora;
using namespace remora::breaker;

namespace {

using Level = Overload::Level;
using Cause = Overload::Cause;

constexpr Overload::Settings kBoth{.loop_lag = 500ms, .memory = 1'000'000, .calm = 1s};

}  // namespace

TEST_CASE("each level is reached at its share of a watermark") {
  struct Row {
    Duration lag;
    std::uint64_t memory;
    Level level;
    Cause cause;
  };
  const std::array<Row, 20> rows{{
      {0ms, 0, Level::kNormal, Cause::kNone},
      {249'999us, 0, Level::kNormal, Cause::kNone},
      {250ms, 0, Level::kTrim, Cause::kLoopLag},
      {499'999us, 0, Level::kTrim, Cause::kLoopLag},
      {500ms, 0, Level::kShed, Cause::kLoopLag},
      {999'999us, 0, Level::kShed, Cause::kLoopLag},
      {1s, 0, Level::kRefuse, Cause::kLoopLag},
      {Duration::max(), 0, Level::kRefuse, Cause::kLoopLag},
      {0ms, 899'999, Level::kNormal, Cause::kNone},
      {0ms, 900'000, Level::kTrim, Cause::kMemory},
      {0ms, 949'999, Level::kTrim, Cause::kMemory},
      {0ms, 950'000, Level::kShed, Cause::kMemory},
      {0ms, 999'999, Level::kShed, Cause::kMemory},
      {0ms, 1'000'000, Level::kRefuse, Cause::kMemory},
      {0ms, ~std::uint64_t{0}, Level::kRefuse, Cause::kMemory},
      {250ms, 950'000, Level::kShed, Cause::kMemory},
      {500ms, 900'000, Level::kShed, Cause::kLoopLag},
      {1s, 950'000, Level::kRefuse, Cause::kLoopLag},
      {250ms, 1'000'000, Level::kRefuse, Cause::kMemory},
      {500ms, 950'000, Level::kShed, Cause::kLoopLag},
  }};
  for (const Row& row : rows) {
    CAPTURE(row.lag.count());
    CAPTURE(row.memory);
    Overload overload(kBoth);
    CHECK(overload.on_sample(row.lag, row.memory, kStart) == (row.level != Level::kNormal));
    CHECK(overload.level() == row.level);
    CHECK(overload.cause() == row.cause);
  }
}

TEST_CASE("the level goes up at once, step by step or all steps together") {
  Overload overload(kBoth);
  CHECK(overload.on_sample(300ms, 0, kStart));
  CHECK(overload.level() == Level::kTrim);
  CHECK(overload.on_sample(600ms, 0, kStart));
  CHECK(overload.level() == Level::kShed);
  CHECK_FALSE(overload.on_sample(700ms, 0, kStart + 1us));
  CHECK(overload.on_sample(2s, 0, kStart + 2us));
  CHECK(overload.level() == Level::kRefuse);
  Overload other(kBoth);
  CHECK(other.on_sample(0ms, 2'000'000, kStart));
  CHECK(other.level() == Level::kRefuse);
}

TEST_CASE("the level comes down by one step after each calm") {
  Overload overload(kBoth);
  overload.on_sample(1s, 0, kStart);
  struct Row {
    Duration at;
    bool changed;
    Level level;
  };
  const std::array<Row, 8> rows{{
      {100ms, false, Level::kRefuse},
      {1'099'999us, false, Level::kRefuse},
      {1'100ms, true, Level::kShed},
      {2'099'999us, false, Level::kShed},
      {2'100ms, true, Level::kTrim},
      {3'099'999us, false, Level::kTrim},
      {3'100ms, true, Level::kNormal},
      {9s, false, Level::kNormal},
  }};
  for (const Row& row : rows) {
    CAPTURE(row.at.count());
    CHECK(overload.on_sample(0ms, 0, kStart + row.at) == row.changed);
    CHECK(overload.level() == row.level);
    CHECK(overload.cause() == (row.level == Level::kNormal ? Cause::kNone : Cause::kLoopLag));
  }
}

TEST_CASE("one sample at the level begins the calm anew") {
  Overload overload(kBoth);
  overload.on_sample(500ms, 0, kStart);
  for (int i = 1; i <= 50; ++i) {
    const Duration lag = i % 9 == 0 ? 500ms : 0ms;
    CHECK_FALSE(overload.on_sample(lag, 0, kStart + i * 100ms));
  }
  CHECK(overload.level() == Level::kShed);
}

TEST_CASE("a load that swings around a watermark faster than the calm does not make the level swing") {
  Overload overload(kBoth);
  int changes = 0;
  for (int i = 0; i < 600; ++i) {
    changes += overload.on_sample(i % 2 == 0 ? 510ms : 490ms, 0, kStart + i * 100ms) ? 1 : 0;
  }
  CHECK(changes == 1);
  CHECK(overload.level() == Level::kShed);
}

TEST_CASE("the level comes down no further than what is called for") {
  Overload overload(kBoth);
  overload.on_sample(1s, 0, kStart);
  for (int i = 1; i <= 100; ++i) overload.on_sample(300ms, 0, kStart + i * 100ms);
  CHECK(overload.level() == Level::kTrim);
  // At the level until now: the calm begins with the first sample below.
  CHECK_FALSE(overload.on_sample(0ms, 0, kStart + 10'100ms));
  CHECK_FALSE(overload.on_sample(0ms, 0, kStart + 11'000ms));
  CHECK(overload.on_sample(0ms, 0, kStart + 11'100ms));
  CHECK(overload.level() == Level::kNormal);
}

TEST_CASE("the calm begins with a sample below the level, not with the step that led there") {
  Overload overload(kBoth);
  overload.on_sample(1s, 0, kStart);
  overload.on_sample(600ms, 0, kStart + 100ms);
  CHECK(overload.on_sample(600ms, 0, kStart + 1'100ms));
  CHECK(overload.level() == Level::kShed);
  CHECK_FALSE(overload.on_sample(0ms, 0, kStart + 1'200ms));
  CHECK_FALSE(overload.on_sample(0ms, 0, kStart + 2'100ms));
  CHECK(overload.on_sample(0ms, 0, kStart + 2'200ms));
}

TEST_CASE("a long silence counts as one calm") {
  Overload overload(kBoth);
  overload.on_sample(1s, 0, kStart);
  CHECK_FALSE(overload.on_sample(0ms, 0, kStart + 1h));
  CHECK(overload.on_sample(0ms, 0, kStart + 2h));
  CHECK(overload.level() == Level::kShed);
}

TEST_CASE("the cause is what called for the level last") {
  Overload overload(kBoth);
  overload.on_sample(1s, 960'000, kStart);
  CHECK(overload.cause() == Cause::kLoopLag);
  overload.on_sample(0ms, 960'000, kStart + 100ms);
  CHECK(overload.level() == Level::kRefuse);
  CHECK(overload.cause() == Cause::kLoopLag);  // memory alone would not refuse
  CHECK(overload.on_sample(0ms, 960'000, kStart + 1'100ms));
  CHECK(overload.level() == Level::kShed);
  CHECK(overload.cause() == Cause::kMemory);
  CHECK_FALSE(overload.on_sample(600ms, 0, kStart + 1'200ms));
  CHECK(overload.cause() == Cause::kLoopLag);
}

TEST_CASE("zero switches a cause off") {
  Overload no_lag({.loop_lag = 0ms, .memory = 1'000});
  CHECK_FALSE(no_lag.on_sample(1h, 0, kStart));
  CHECK(no_lag.on_sample(1h, 1'000, kStart));
  CHECK(no_lag.cause() == Cause::kMemory);
  Overload no_memory({.loop_lag = 500ms, .memory = 0});
  CHECK_FALSE(no_memory.on_sample(0ms, ~std::uint64_t{0}, kStart));
  CHECK(no_memory.on_sample(500ms, ~std::uint64_t{0}, kStart));
  CHECK(no_memory.cause() == Cause::kLoopLag);
  Overload nothing({.loop_lag = 0ms, .memory = 0});
  CHECK_FALSE(nothing.on_sample(1h, ~std::uint64_t{0}, kStart));
}

TEST_CASE("watermarks too small to be divided still give no level below their share") {
  Overload lag({.loop_lag = 3us});
  CHECK_FALSE(lag.on_sample(1us, 0, kStart));
  CHECK(lag.on_sample(2us, 0, kStart));
  Overload memory({.memory = 9});
  CHECK_FALSE(memory.on_sample(0us, 8, kStart));
  CHECK(memory.on_sample(0us, 9, kStart));
}

TEST_CASE("without calm the level follows, one step at each sample") {
  Overload overload({.loop_lag = 500ms, .calm = 0s});
  overload.on_sample(1s, 0, kStart);
  for (const Level level : {Level::kShed, Level::kTrim, Level::kNormal}) {
    CHECK(overload.on_sample(0ms, 0, kStart));
    CHECK(overload.level() == level);
  }
}

TEST_CASE(
    "in whatever order samples come, the level is never below what is called for, and leaves by single "
    "steps") {
  Random random(31);
  Overload overload(kBoth);
  struct Past {
    TimePoint at;
    Level level;
  };
  std::deque<Past> past;  // samples of the last calm
  TimePoint now = kStart;
  int downs = 0;
  for (int i = 0; i < 100'000; ++i) {
    now += Duration(random.below(i % 1'000 < 900 ? 100'000 : 700'000));
    const Duration lag{random.below(3) == 0 ? random.below(1'300'000) : random.below(300'000)};
    const std::uint64_t memory = 700'000 + random.below(i % 100 < 10 ? 310'000 : 210'000);
    Overload fresh(kBoth);
    fresh.on_sample(lag, memory, now);
    const Level before = overload.level();
    const bool changed = overload.on_sample(lag, memory, now);
    const Level after = overload.level();
    past.push_back({now, fresh.level()});
    while (past.front().at < now - kBoth.calm) past.pop_front();
    REQUIRE(changed == (before != after));
    REQUIRE(after >= fresh.level());
    if (after > before) REQUIRE(after == fresh.level());
    if (after < before) {
      ++downs;
      REQUIRE(static_cast<int>(after) == static_cast<int>(before) - 1);
      REQUIRE(std::ranges::all_of(past, [&](const Past& sample) { return sample.level < before; }));
    }
    REQUIRE((overload.cause() == Cause::kNone) == (after == Level::kNormal));
  }
  CHECK(downs > 100);
}

TEST_CASE("levels and causes have names") {
  CHECK(to_string(Level::kNormal) == std::string_view("normal"));
  CHECK(to_string(Level::kTrim) == std::string_view("trim"));
  CHECK(to_string(Level::kShed) == std::string_view("shed"));
  CHECK(to_string(Level::kRefuse) == std::string_view("refuse"));
  CHECK(to_string(Cause::kNone) == std::string_view("none"));
  CHECK(to_string(Cause::kLoopLag) == std::string_view("loop_lag"));
  CHECK(to_string(Cause::kMemory) == std::string_view("memory"));
}
