// A list that copies share until one of them is changed: what a newer configuration has in common with an
// older one exists once, and is found equal without being looked at.
//
// Thread: any; the elements that copies share are never changed. Owner: the copies together.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

namespace remora {

template <typename T>
class SharedList final {
 public:
  using value_type = T;
  using const_iterator = const T*;

  SharedList() = default;
  SharedList(std::vector<T> items)  // NOLINT(google-explicit-constructor): it is one
      : items_(items.empty() ? nullptr : std::make_shared<std::vector<T>>(std::move(items))) {}
  SharedList(std::initializer_list<T> items) : SharedList(std::vector<T>(items)) {}

  std::size_t size() const { return items_ ? items_->size() : 0; }
  bool empty() const { return size() == 0; }
  const T& operator[](std::size_t index) const { return (*items_)[index]; }
  const T& at(std::size_t index) const { return items_->at(index); }
  const T& front() const { return items_->front(); }
  const T& back() const { return items_->back(); }
  const T* data() const { return items_ ? items_->data() : nullptr; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size(); }

  // For changing it: its own from now on. The reference is valid until it is copied.
  std::vector<T>& edit() {
    if (!items_) {
      items_ = std::make_shared<std::vector<T>>();
    } else if (items_.use_count() > 1) {
      items_ = std::make_shared<std::vector<T>>(*items_);
    }
    return *items_;
  }
  void push_back(T item) { edit().push_back(std::move(item)); }
  T& emplace_back() { return edit().emplace_back(); }

  // They are the very same elements.
  bool is(const SharedList& other) const { return items_ == other.items_; }
  bool operator==(const SharedList& other) const {
    if (is(other)) return true;
    if (size() != other.size()) return false;
    for (std::size_t i = 0; i < size(); ++i) {
      if (!((*this)[i] == other[i])) return false;
    }
    return true;
  }

 private:
  std::shared_ptr<std::vector<T>> items_;  // null: empty
};

}  // namespace remora
