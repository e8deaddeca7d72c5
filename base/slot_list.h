// An owning list without order, from which any element can be taken in O(1): each knows its place in its
// public member `slot`.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace remora {

template <typename T>
class SlotList final {
 public:
  T& add(std::unique_ptr<T> item) {
    item->slot = items_.size();
    items_.push_back(std::move(item));
    return *items_.back();
  }

  // Removes `item`, which must be in this list, and hands it over.
  std::unique_ptr<T> take(T& item) {
    const std::size_t slot = item.slot;
    std::unique_ptr<T> taken = std::move(items_[slot]);
    if (slot + 1 != items_.size()) {
      items_[slot] = std::move(items_.back());
      items_[slot]->slot = slot;
    }
    items_.pop_back();
    return taken;
  }

  std::size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  T& back() { return *items_.back(); }
  auto begin() { return items_.begin(); }
  auto end() { return items_.end(); }

 private:
  std::vector<std::unique_ptr<T>> items_;
};

}  // namespace remora
