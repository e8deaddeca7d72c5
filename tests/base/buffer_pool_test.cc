#include "base/buffer_pool.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using remora::BufferPool;

namespace {

const char* memory_of(const std::string& buffer) { return buffer.data(); }

}  // namespace

TEST_CASE("a buffer comes back empty and with its memory") {
  BufferPool pool;
  std::string buffer = pool.take();
  CHECK(buffer.empty());
  CHECK(buffer.capacity() >= 4096);
  buffer.assign(10'000, 'x');
  const char* memory = memory_of(buffer);
  pool.give(std::move(buffer));
  const std::string again = pool.take();
  CHECK(again.empty());
  CHECK(memory_of(again) == memory);
  CHECK(again.capacity() >= 10'000);
}

TEST_CASE("the buffer given last is taken first, while it is warm") {
  BufferPool pool;
  std::string a = pool.take();
  std::string b = pool.take();
  const char* memory = memory_of(b);
  pool.give(std::move(a));
  pool.give(std::move(b));
  CHECK(memory_of(pool.take()) == memory);
}

TEST_CASE("a buffer that has grown large is not kept") {
  BufferPool pool;
  std::string large = pool.take();
  large.reserve(1'000'000);
  pool.give(std::move(large));
  CHECK(pool.take().capacity() < 1'000'000);
}

TEST_CASE("only so many buffers are kept") {
  BufferPool pool;
  std::vector<std::string> buffers;
  for (int i = 0; i < 100; ++i) {
    buffers.push_back(pool.take());
    buffers.back().reserve(8192);  // marks it as used before
  }
  for (auto& buffer : buffers) pool.give(std::move(buffer));
  int kept = 0;
  while (pool.take().capacity() >= 8192) ++kept;
  CHECK(kept == 32);
}
