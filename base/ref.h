// Objects of one thread that several others of the same thread hold, and that end with the last of them: what
// a request needs to its end although a newer configuration has replaced it.
//
// Thread: one, the object's; the count is a plain integer. Owner: the Refs together. The last Ref to go
// destroys the object at once: not inside one of its own methods.
#pragma once

#include <cstddef>
#include <utility>

namespace remora {

template <typename T>
class Ref;

// A base of T.
template <typename T>
class Counted {
 public:
  Counted(const Counted&) = delete;  // NOLINT(bugprone-crtp-constructor-accessibility): nobody can call it
  Counted& operator=(const Counted&) = delete;

  std::size_t holders() const { return holders_; }

 protected:
  ~Counted() = default;

 private:
  friend T;
  friend class Ref<T>;
  Counted() = default;

  std::size_t holders_ = 0;
};

template <typename T>
class Ref final {
 public:
  Ref() = default;
  explicit Ref(T* object) : object_(object) {
    if (object_ != nullptr) ++object_->Counted<T>::holders_;
  }
  template <typename... Args>
  static Ref make(Args&&... args) {
    return Ref(new T(std::forward<Args>(args)...));
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(const Ref& other) {
    if (this != &other) *this = Ref(other);
    return *this;
  }
  Ref& operator=(Ref&& other) noexcept {
    Ref moved(std::move(other));
    std::swap(object_, moved.object_);
    return *this;
  }
  ~Ref() { reset(); }

  void reset() {
    T* const object = std::exchange(object_, nullptr);
    if (object != nullptr && --object->Counted<T>::holders_ == 0) end(object);
  }
  T* get() const { return object_; }
  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  // Not inlined: g++ 12 would see uses after it that cannot happen.
  [[gnu::noinline]] static void end(T* object) { delete object; }

  T* object_ = nullptr;
};

}  // namespace remora
