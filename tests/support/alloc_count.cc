#include "tests/support/alloc_count.h"

#include <malloc.h>

#include <cstddef>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define REMORA_ALLOCATION_HOOKS
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define REMORA_ALLOCATION_HOOKS
#endif
#endif

#ifdef REMORA_ALLOCATION_HOOKS
// Of <sanitizer/allocator_interface.h>, which comes with clang but not with g++; both runtimes have the
// function.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*, std::size_t),
                                                         void (*on_free)(const volatile void*));
#endif

namespace {

struct Counts {
  std::uint64_t news = 0;
  std::uint64_t bytes = 0;
  std::uint64_t deletes = 0;
  std::int64_t held = 0;
};
// Constant-initialised: memory is allocated before anything else is, and on threads that are just starting.
constinit thread_local Counts counts;

}  // namespace

#ifdef REMORA_ALLOCATION_HOOKS

namespace {

std::int64_t size_of(const volatile void* memory) {
  return static_cast<std::int64_t>(malloc_usable_size(const_cast<void*>(memory)));
}

void on_malloc(const volatile void* memory, std::size_t size) {
  ++counts.news;
  counts.bytes += size;
  counts.held += size_of(memory);
}

void on_free(const volatile void* memory) {
  if (memory == nullptr) return;
  ++counts.deletes;
  counts.held -= size_of(memory);
}

[[maybe_unused]] const int installed = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);

}  // namespace

#else

namespace {

void* allocate(std::size_t size, std::size_t alignment) noexcept {
  ++counts.news;
  counts.bytes += size;
  if (size == 0) size = 1;
  void* memory = nullptr;
  if (alignment <= alignof(std::max_align_t)) {
    memory = std::malloc(size);
  } else if (posix_memalign(&memory, alignment, size) != 0) {
    memory = nullptr;
  }
  counts.held += static_cast<std::int64_t>(malloc_usable_size(memory));
  return memory;
}

void* allocate_or_throw(std::size_t size, std::size_t alignment) {
  void* memory = allocate(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void release(void* memory) noexcept {
  if (memory != nullptr) ++counts.deletes;
  counts.held -= static_cast<std::int64_t>(malloc_usable_size(memory));
  std::free(memory);
}

constexpr std::size_t kDefault = alignof(std::max_align_t);

}  // namespace

// All forms, so that no allocation of one kind meets a deallocation of another (AddressSanitizer would
// object).
void* operator new(std::size_t size) { return allocate_or_throw(size, kDefault); }
void* operator new[](std::size_t size) { return allocate_or_throw(size, kDefault); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size, kDefault); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate(size, kDefault); }
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(size, static_cast<std::size_t>(alignment));
}

void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { release(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept { release(memory); }
void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept { release(memory); }

#endif

namespace remora::test {

AllocCount::AllocCount()
    : news_(counts.news), bytes_(counts.bytes), deletes_(counts.deletes), held_(counts.held) {}

std::uint64_t AllocCount::news() const { return counts.news - news_; }
std::uint64_t AllocCount::bytes() const { return counts.bytes - bytes_; }
std::uint64_t AllocCount::deletes() const { return counts.deletes - deletes_; }
std::int64_t AllocCount::held() const { return counts.held - held_; }
bool AllocCount::sees_malloc() {
#ifdef REMORA_ALLOCATION_HOOKS
  return true;
#else
  return false;
#endif
}

}  // namespace remora::test
