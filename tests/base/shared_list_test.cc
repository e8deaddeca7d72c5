#include "base/shared_list.h"

#include <doctest/doctest.h>

#include <string>

using namespace remora;

TEST_SUITE("shared list") {
  TEST_CASE("copies share their elements until one is changed") {
    SharedList<std::string> list{"a", "b"};
    SharedList<std::string> copy = list;
    CHECK(copy.is(list));
    CHECK(copy.data() == list.data());
    copy.edit()[1] = "c";
    CHECK_FALSE(copy.is(list));
    CHECK(list[1] == "b");
    CHECK(copy[1] == "c");
    CHECK(copy[0] == "a");
  }

  TEST_CASE("what nobody shares is changed in place") {
    SharedList<int> list{1, 2};
    const int* const before = list.data();
    list.edit()[0] = 7;
    CHECK(list.data() == before);
    CHECK(list.front() == 7);
  }

  TEST_CASE("lists are equal by their elements") {
    const SharedList<int> list{1, 2};
    CHECK(list == SharedList<int>{1, 2});
    CHECK_FALSE(list.is(SharedList<int>{1, 2}));
    CHECK_FALSE(list == SharedList<int>{1, 3});
    CHECK_FALSE(list == SharedList<int>{1});
    CHECK(SharedList<int>() == SharedList<int>(std::vector<int>()));
  }

  TEST_CASE("an empty list is one that can be walked through and added to") {
    SharedList<int> list;
    CHECK(list.empty());
    CHECK(list.begin() == list.end());
    list.push_back(5);
    list.emplace_back() = 6;
    CHECK(list.size() == 2);
    CHECK(list.back() == 6);
    CHECK(list.at(0) == 5);
  }
}
