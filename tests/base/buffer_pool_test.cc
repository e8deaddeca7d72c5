#include "base/buffer_pool.h"

#include <doctest/doctest.h>

#include <utility>
#include <vector>

using remora::BufferPool;

TEST_CASE("a buffer comes back empty and with its memory") {
  BufferPool pool;
  auto buffer = pool.take();
  REQUIRE(buffer != nullptr);
  CHECK(buffer->empty());
  CHECK(buffer->capacity() >= 4096);
  buffer->assign(10'000, 'x');
  const char* memory = buffer->data();
  pool.give(std::move(buffer));
  const auto again = pool.take();
  CHECK(again->empty());
  CHECK(again->data() == memory);
  CHECK(again->capacity() >= 10'000);
}

TEST_CASE("the buffer given last is taken first, while it is warm") {
  BufferPool pool;
  auto a = pool.take();
  auto b = pool.take();
  const auto* last = b.get();
  pool.give(std::move(a));
  pool.give(std::move(b));
  CHECK(pool.take().get() == last);
}

TEST_CASE("giving nothing back is allowed") {
  BufferPool pool;
  pool.give(nullptr);
  CHECK(pool.take() != nullptr);
}

TEST_CASE("a buffer that has grown large is not kept") {
  BufferPool pool;
  auto large = pool.take();
  large->reserve(1'000'000);
  pool.give(std::move(large));
  CHECK(pool.take()->capacity() < 1'000'000);
}

TEST_CASE("only so many buffers are kept") {
  BufferPool pool;
  std::vector<BufferPool::Buffer> buffers;
  for (int i = 0; i < 100; ++i) {
    buffers.push_back(pool.take());
    buffers.back()->reserve(8192);  // marks it as used before
  }
  for (auto& buffer : buffers) pool.give(std::move(buffer));
  int kept = 0;
  while (pool.take()->capacity() >= 8192) ++kept;
  CHECK(kept == 32);
}
