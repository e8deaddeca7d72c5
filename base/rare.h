// A value that most objects lack, and many of the others have in common: two pointers where it is missing,
// and shared by copies until one of them is changed. Else it is used as std::optional is.
//
// Thread: any; a value that copies share is never changed. Owner: the copies together.
#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace remora {

template <typename T>
class Rare final {
 public:
  Rare() = default;
  Rare(std::nullopt_t /*none*/) {}  // NOLINT(google-explicit-constructor)
  template <std::convertible_to<T> From>
    requires(!std::same_as<std::remove_cvref_t<From>, Rare> && !std::same_as<std::remove_cvref_t<From>, T>)
  Rare(From&& from) : Rare(T(std::forward<From>(from))) {}          // NOLINT(google-explicit-constructor)
  Rare(T value) : value_(std::make_shared<T>(std::move(value))) {}  // NOLINT(google-explicit-constructor)

  bool has_value() const { return value_ != nullptr; }
  explicit operator bool() const { return has_value(); }
  const T& operator*() const { return *value_; }
  const T* operator->() const { return value_.get(); }
  // For changing it: its own from now on. The reference is valid until it is copied.
  T& operator*() { return own(); }
  T* operator->() { return &own(); }
  T& emplace() {
    value_ = std::make_shared<T>();
    return *value_;
  }
  void reset() { value_ = nullptr; }

  // Takes the other's value if it is equal, so that there is one of them.
  void share(const Rare& other) {
    if (value_ != other.value_ && *this == other) value_ = other.value_;
  }
  bool operator==(const Rare& other) const {
    if (value_ == other.value_) return true;
    return value_ && other.value_ && *value_ == *other.value_;
  }

 private:
  T& own() {
    if (value_.use_count() > 1) value_ = std::make_shared<T>(std::as_const(*value_));
    return *value_;
  }

  std::shared_ptr<T> value_;
};

}  // namespace remora
