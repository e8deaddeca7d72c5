#include "base/random.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <set>
#include <vector>

using namespace remora;

TEST_SUITE("random") {
  TEST_CASE("the same seed gives the same numbers, another seed others") {
    Random a(42);
    Random b(42);
    Random c(43);
    int same_as_c = 0;
    for (int i = 0; i < 1000; ++i) {
      const auto value = a.next();
      REQUIRE(value == b.next());
      if (value == c.next()) ++same_as_c;
    }
    CHECK(same_as_c == 0);
  }

  TEST_CASE("seed 0 is as good as any") {
    Random random(0);
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 1000; ++i) seen.insert(random.next());
    CHECK(seen.size() == 1000);
  }

  // The authors' xoshiro256plusplus.c, seeded by their splitmix64.c from 1234567.
  TEST_CASE("the numbers are those of the published algorithm") {
    const auto splitmix = [state = std::uint64_t{1234567}]() mutable {
      std::uint64_t z = (state += 0x9e3779b97f4a7c15U);
      z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
      z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
      return z ^ (z >> 31U);
    };
    auto first = splitmix;
    CHECK(first() == 6457827717110365317U);
    CHECK(first() == 3203168211198807973U);
    auto words = splitmix;
    std::array<std::uint64_t, 4> s{};
    for (auto& word : s) word = words();
    const std::uint64_t sum = s[0] + s[3];
    CHECK(Random(1234567).next() == ((sum << 23U) | (sum >> 41U)) + s[0]);
  }

  TEST_CASE("below stays below and is even") {
    Random random(7);
    CHECK(random.below(1) == 0);
    std::array<int, 10> counts{};
    for (int i = 0; i < 100'000; ++i) ++counts.at(random.below(10));
    for (const int count : counts) {
      CHECK(count > 9'500);
      CHECK(count < 10'500);
    }
    std::uint32_t largest = 0;
    for (int i = 0; i < 1000; ++i) largest = std::max(largest, random.below(0xffffffffU));
    CHECK(largest > 0xf0000000U);
    CHECK(largest < 0xffffffffU);
  }

  TEST_CASE("unit is at least 0, below 1, and its mean is one half") {
    Random random(9);
    double sum = 0;
    for (int i = 0; i < 100'000; ++i) {
      const double value = random.unit();
      REQUIRE(value >= 0.0);
      REQUIRE(value < 1.0);
      sum += value;
    }
    CHECK(sum / 100'000 == doctest::Approx(0.5).epsilon(0.01));
  }

  TEST_CASE("it is a generator for the standard library") {
    std::vector<int> values(100);
    std::iota(values.begin(), values.end(), 0);
    Random random(3);
    std::shuffle(values.begin(), values.end(), random);
    CHECK_FALSE(std::is_sorted(values.begin(), values.end()));
    CHECK(std::set<int>(values.begin(), values.end()).size() == 100);
  }
}
