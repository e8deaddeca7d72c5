// An object that several threads share, and that is made by the first of them to need it: until then it takes
// up a pointer.
//
// Thread: any, but for the destructor. No call blocks; two threads that make it at once make two, of which
// one is used.
#pragma once

#include <atomic>
#include <utility>

namespace remora {

template <typename T>
class Lazy final {
 public:
  Lazy() = default;
  Lazy(const Lazy&) = delete;
  Lazy& operator=(const Lazy&) = delete;
  ~Lazy() { delete object_.load(std::memory_order_acquire); }

  // Null: nobody has needed it yet.
  T* peek() const { return object_.load(); }
  // Made of the arguments if it has to be.
  template <typename... Args>
  T& get(Args&&... args) {
    T* const object = peek();
    return object != nullptr ? *object : make(std::forward<Args>(args)...);
  }

 private:
  template <typename... Args>
  [[gnu::noinline]] T& make(Args&&... args) {
    T* const made = new T(std::forward<Args>(args)...);
    T* found = nullptr;
    if (object_.compare_exchange_strong(found, made)) return *made;
    delete made;
    return *found;
  }

  std::atomic<T*> object_{nullptr};
};

}  // namespace remora
