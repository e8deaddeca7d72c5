#include "proxy/net/send_queue.h"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <string_view>

#include "base/random.h"

using remora::Random;
using remora::net::SendQueue;

namespace {

std::string all_of(const SendQueue& queue) {
  std::array<std::string_view, 256> pieces;
  const std::size_t used = queue.front(pieces, ~std::size_t{0});
  std::string all;
  for (std::size_t i = 0; i < used; ++i) all += pieces[i];
  return all;
}

}  // namespace

TEST_SUITE("send queue") {
  TEST_CASE("what goes in comes out") {
    SendQueue queue;
    CHECK(queue.empty());
    CHECK(all_of(queue).empty());
    queue.append("hello ");
    queue.append("");
    queue.append("world");
    CHECK(queue.size() == 11);
    CHECK(all_of(queue) == "hello world");
    queue.consume(6);
    CHECK(all_of(queue) == "world");
    queue.consume(5);
    CHECK(queue.empty());
    queue.consume(0);
    queue.append("again");
    CHECK(all_of(queue) == "again");
  }

  TEST_CASE("small appends share a block, large ones are split") {
    SendQueue queue;
    for (int i = 0; i < 100; ++i) queue.append("0123456789");
    std::array<std::string_view, 8> pieces;
    CHECK(queue.front(pieces, ~std::size_t{0}) == 1);
    queue.append(std::string(200'000, 'x'));
    const std::size_t used = queue.front(pieces, ~std::size_t{0});
    CHECK(used > 3);
    for (std::size_t i = 0; i < used; ++i) CHECK(pieces[i].size() <= SendQueue::kLargestBlock);
  }

  TEST_CASE("front keeps to its limits") {
    SendQueue queue;
    queue.append(std::string(200'000, 'x'));
    std::array<std::string_view, 1> one;
    CHECK(queue.front(one, 10) == 1);
    CHECK(one[0].size() == 10);
    CHECK(queue.front(one, 0) == 0);
    CHECK(queue.front({}, 10) == 0);
  }

  TEST_CASE("what is in flight does not move while more is appended") {
    SendQueue queue;
    queue.append("in flight");
    std::array<std::string_view, 1> piece;
    REQUIRE(queue.front(piece, 100) == 1);
    const std::string_view in_flight = piece[0];
    for (int i = 0; i < 1000; ++i) queue.append(std::string(1000, 'y'));
    REQUIRE(queue.front(piece, in_flight.size()) == 1);
    CHECK(piece[0].data() == in_flight.data());
    CHECK(in_flight == "in flight");
  }

  TEST_CASE("random appends and consumes agree with a string") {
    Random random(5);
    SendQueue queue;
    std::string model;
    for (int i = 0; i < 5000; ++i) {
      if (random.below(2) == 0) {
        const std::string bytes(random.below(3) == 0 ? random.below(100'000) : random.below(100),
                                static_cast<char>('a' + random.below(26)));
        queue.append(bytes);
        model += bytes;
      } else {
        const auto count = random.below(static_cast<std::uint32_t>(model.size() + 1));
        queue.consume(count);
        model.erase(0, count);
      }
      REQUIRE(queue.size() == model.size());
      if (i % 50 == 0) REQUIRE(all_of(queue) == model);
    }
  }
}
