#include "base/slot_list.h"

#include <doctest/doctest.h>

#include <memory>
#include <set>
#include <vector>

using remora::SlotList;

namespace {

struct Item {
  explicit Item(int n, int* deaths = nullptr) : number(n), died(deaths) {}
  Item(const Item&) = delete;
  Item& operator=(const Item&) = delete;
  ~Item() {
    if (died != nullptr) ++*died;
  }
  int number;
  int* died;
  std::size_t slot = 0;
};

std::multiset<int> numbers(SlotList<Item>& list) {
  std::multiset<int> all;
  for (const auto& item : list) all.insert(item->number);
  return all;
}

// Every element must know where it is.
bool slots_are_right(SlotList<Item>& list) {
  std::size_t at = 0;
  for (const auto& item : list) {
    if (item->slot != at++) return false;
  }
  return at == list.size();
}

}  // namespace

TEST_CASE("a slot list gives back what was put in, from any place") {
  for (int gone = 0; gone < 5; ++gone) {
    SlotList<Item> list;
    std::vector<Item*> items;
    for (int i = 0; i < 5; ++i) items.push_back(&list.add(std::make_unique<Item>(i)));
    CAPTURE(gone);
    const auto taken = list.take(*items[static_cast<std::size_t>(gone)]);
    REQUIRE(taken != nullptr);
    CHECK(taken->number == gone);
    CHECK(list.size() == 4);
    CHECK(slots_are_right(list));
    CHECK_FALSE(numbers(list).contains(gone));
    // The others are where they say they are, so they can be taken as well.
    for (Item* item : items) {
      if (item->number != gone) CHECK(list.take(*item).get() == item);
    }
    CHECK(list.empty());
  }
}

TEST_CASE("an element can be put back after it was taken") {
  SlotList<Item> list;
  Item& a = list.add(std::make_unique<Item>(1));
  list.add(std::make_unique<Item>(2));
  list.add(list.take(a));
  CHECK(numbers(list) == std::multiset<int>{1, 2});
  CHECK(slots_are_right(list));
  CHECK(&list.back() == &a);
}

TEST_CASE("a slot list owns what it holds and nothing else") {
  int died = 0;
  std::unique_ptr<Item> kept;
  {
    SlotList<Item> list;
    Item& first = list.add(std::make_unique<Item>(1, &died));
    list.add(std::make_unique<Item>(2, &died));
    kept = list.take(first);
    CHECK(died == 0);
  }
  CHECK(died == 1);
  kept.reset();
  CHECK(died == 2);
}
