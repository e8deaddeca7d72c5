// Counts what a piece of code allocates. Linking alloc_count.cc replaces the global operator new and delete
// of the program by ones that count and otherwise call malloc and free, so that sanitizers see every
// allocation as before.
//
// Thread: counts only what its own thread allocates with operator new; malloc called directly is not seen but
// with a sanitizer.
#pragma once

#include <cstdint>

namespace remora::test {

// `AllocCount count; work(); CHECK(count.news() == 0);` Read the numbers before checking: an assertion
// allocates too.
class AllocCount final {
 public:
  AllocCount();
  AllocCount(const AllocCount&) = delete;
  AllocCount& operator=(const AllocCount&) = delete;
  ~AllocCount() = default;

  // Since construction, on this thread: calls of operator new in any form, the bytes they asked for, and
  // calls of operator delete with something to delete.
  std::uint64_t news() const;
  std::uint64_t bytes() const;
  std::uint64_t deletes() const;
  // Bytes allocated and not freed, as malloc rounds them; negative when what was there before has been freed.
  std::int64_t held() const;
  // With a sanitizer, malloc called directly is seen all the same.
  static bool sees_malloc();

 private:
  std::uint64_t news_;
  std::uint64_t bytes_;
  std::uint64_t deletes_;
  std::int64_t held_;
};

}  // namespace remora::test
