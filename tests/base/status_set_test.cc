#include "base/status_set.h"

#include <doctest/doctest.h>

#include <limits>

using namespace remora;

namespace {

constexpr unsigned kBeyond = 1'100;  // every status up to here is looked at

unsigned size_of(const StatusSet& set) {
  unsigned size = 0;
  for (unsigned status = 0; status < kBeyond; ++status) size += set.contains(status) ? 1 : 0;
  return size;
}

}  // namespace

TEST_SUITE("status set") {
  TEST_CASE("a new set holds nothing") {
    const StatusSet set;
    CHECK(set.empty());
    CHECK(size_of(set) == 0);
  }

  TEST_CASE("a single status is in, its neighbours are not") {
    StatusSet set;
    set.add(429);
    CHECK_FALSE(set.empty());
    CHECK(set.contains(429));
    CHECK(size_of(set) == 1);
  }

  TEST_CASE("a range has both its ends, and nothing beside it") {
    struct Row {
      unsigned first, last, size;
    };
    for (const Row row : {Row{500, 599, 100}, Row{502, 504, 3}, Row{100, 100, 1}, Row{100, 599, 500}}) {
      CAPTURE(row.first);
      const StatusSet set = StatusSet::range(row.first, row.last);
      CHECK(size_of(set) == row.size);
      for (unsigned status = 0; status < kBeyond; ++status) {
        REQUIRE(set.contains(status) == (status >= row.first && status <= row.last));
      }
    }
  }

  TEST_CASE("what lies outside 100 to 599 is left out") {
    constexpr unsigned kMost = std::numeric_limits<unsigned>::max();
    CHECK(size_of(StatusSet::range(0, kMost)) == 500);
    CHECK(size_of(StatusSet::range(0, 100)) == 1);
    CHECK(size_of(StatusSet::range(599, kMost)) == 1);
    for (const unsigned status : {0U, 99U, 600U, 999U, kMost}) {
      CAPTURE(status);
      CHECK(StatusSet::range(status, status).empty());
      CHECK_FALSE(StatusSet::range(100, 599).contains(status));
    }
  }

  TEST_CASE("a range whose end is before its beginning is empty") {
    CHECK(StatusSet::range(599, 500).empty());
    CHECK(StatusSet::range(600, 99).empty());
  }

  TEST_CASE("what is added comes to what is there, and twice is once") {
    StatusSet set = StatusSet::range(502, 504);
    set.add(429);
    set.add(503);
    set.add(500, 502);
    CHECK(size_of(set) == 6);
    CHECK(set.contains(429));
    CHECK(set.contains(500));
    CHECK(set.contains(504));
  }

  TEST_CASE("sets are equal when they hold the same, however they came to it") {
    StatusSet one_by_one;
    for (unsigned status = 599; status >= 500; --status) one_by_one.add(status);
    CHECK(one_by_one == StatusSet::range(500, 599));
    one_by_one.add(499);
    CHECK(one_by_one != StatusSet::range(500, 599));
    CHECK(StatusSet() == StatusSet::range(600, 700));
  }

  TEST_CASE("a set takes 64 bytes") { CHECK(sizeof(StatusSet) == 64); }
}
