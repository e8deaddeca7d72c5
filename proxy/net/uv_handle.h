// The owner of one libuv handle. libuv may touch a handle until its close callback, which comes a loop
// iteration after uv_close(): so the handle lives on the heap and frees itself there, while its owner is gone
// at once.
//
// The close protocol exists only here. While it is owned, handle->data belongs to the owner; close() sets it
// to null, so that a callback still on its way (a cancelled request) can see that nobody is interested any
// more.
//
// Thread: the loop's. For proxy/net only.
#pragma once

#include <uv.h>

#include <new>
#include <type_traits>
#include <utility>

namespace remora::net {

template <typename Handle>
class UvHandle final {
 public:
  UvHandle() = default;
  ~UvHandle() { close(); }
  UvHandle(UvHandle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  UvHandle& operator=(UvHandle&& other) noexcept {
    if (this != &other) {
      close();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }

  // Takes over as the common base: UvHandle<uv_stream_t> from UvHandle<uv_tcp_t>.
  template <typename Derived>
    requires(!std::is_same_v<Derived, Handle>)
  explicit UvHandle(UvHandle<Derived>&& other) noexcept
      : handle_(reinterpret_cast<Handle*>(other.release())) {}

  // Allocates a handle and calls `initialise(handle)`, which returns a libuv status. On failure it stays
  // empty.
  template <typename Initialise>
  int open(Initialise&& initialise) {
    close();
    auto* handle = static_cast<Handle*>(::operator new(sizeof(Handle)));
    const int status = initialise(handle);
    if (status < 0) {
      ::operator delete(handle);
      return status;
    }
    handle->data = nullptr;
    handle_ = handle;
    return status;
  }

  // No callback of the handle comes after this, except those of its requests (with UV_ECANCELED).
  void close() {
    auto* handle = release();
    if (handle == nullptr) return;
    handle->data = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(handle), [](uv_handle_t* closed) { ::operator delete(closed); });
  }

  // Gives up ownership without closing.
  Handle* release() { return std::exchange(handle_, nullptr); }

  Handle* get() const { return handle_; }
  Handle* operator->() const { return handle_; }
  explicit operator bool() const { return handle_ != nullptr; }

 private:
  Handle* handle_ = nullptr;
};

}  // namespace remora::net
