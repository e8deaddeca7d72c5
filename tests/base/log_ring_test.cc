#include "base/log_ring.h"

#include <doctest/doctest.h>

#include <cstring>
#include <deque>
#include <string>
#include <thread>

#include "base/random.h"

namespace remora {
namespace {

bool put(LogRing& ring, std::string_view text, std::size_t room) {
  char* const out = ring.reserve(room);
  if (out == nullptr) return false;
  std::memcpy(out, text.data(), text.size());
  ring.commit(text.size());
  return true;
}

bool put(LogRing& ring, std::string_view text) { return put(ring, text, text.size()); }

std::string take_all(LogRing& ring) {
  std::string all;
  for (std::string_view data = ring.readable(); !data.empty(); data = ring.readable()) {
    all.append(data);
    ring.consume(data.size());
  }
  return all;
}

TEST_CASE("a ring gives back what was put in, in order") {
  LogRing ring(64);
  CHECK(ring.readable().empty());
  CHECK(put(ring, "one,"));
  CHECK(put(ring, "two,"));
  CHECK(ring.unread() == 8);
  CHECK(take_all(ring) == "one,two,");
  CHECK(ring.unread() == 0);
}

TEST_CASE("a reservation may be larger than what is committed, or be given up") {
  LogRing ring(64);
  CHECK(put(ring, "a", 32));
  CHECK(ring.reserve(20) != nullptr);
  CHECK(put(ring, "b", 32));
  CHECK(take_all(ring) == "ab");
}

TEST_CASE("a ring refuses when it is full and accepts again when it was read") {
  LogRing ring(64);
  const std::string piece(16, 'x');
  for (int i = 0; i < 4; ++i) CHECK(put(ring, piece));
  CHECK_FALSE(put(ring, "y"));
  ring.consume(16);
  CHECK(put(ring, piece));
  CHECK_FALSE(put(ring, "y"));
  CHECK(take_all(ring) == std::string(64, 'x'));
}

TEST_CASE("more than half of a ring is never granted, half of an empty one always is") {
  LogRing ring(64);
  CHECK(ring.reserve(33) == nullptr);
  for (int start = 0; start < 200; ++start) {
    CHECK(put(ring, "z"));
    CHECK(take_all(ring) == "z");
    CHECK(ring.reserve(32) != nullptr);
  }
}

TEST_CASE("pending is exact from the asked size on") {
  LogRing ring(64);
  CHECK(put(ring, "0123456789"));
  CHECK(ring.pending(64) == 10);
  ring.consume(4);
  CHECK(ring.pending(64) == 10);
  CHECK(ring.pending(10) == 6);
}

TEST_CASE("a ring agrees with a queue over many random steps and laps") {
  Random random(7);
  for (const std::size_t size : {64U, 256U}) {
    LogRing ring(size);
    std::deque<char> model;
    char next = 0;
    for (int step = 0; step < 200'000; ++step) {
      if (random.below(2) == 0) {
        const std::size_t room = 1 + random.below(static_cast<std::uint32_t>(size / 2));
        const std::size_t used = 1 + random.below(static_cast<std::uint32_t>(room));
        std::string text(used, '\0');
        for (char& c : text) c = next++;
        if (put(ring, text, room)) {
          model.insert(model.end(), text.begin(), text.end());
        } else {
          next = static_cast<char>(next - static_cast<char>(used));
        }
      } else {
        const std::string_view data = ring.readable();
        REQUIRE(data.empty() == model.empty());
        const std::size_t count =
            data.empty() ? 0 : 1 + random.below(static_cast<std::uint32_t>(data.size()));
        for (std::size_t i = 0; i < count; ++i) {
          REQUIRE(data[i] == model.front());
          model.pop_front();
        }
        if (count != 0) ring.consume(count);
      }
    }
  }
}

TEST_CASE("one thread's bytes reach another one whole and in order") {
  LogRing ring(256);
  constexpr int kLines = 50'000;
  std::thread producer([&ring] {
    Random random(3);
    for (int i = 0; i < kLines;) {
      const std::string line = std::to_string(i) + std::string(random.below(60), '.') + '\n';
      if (put(ring, line, line.size() + random.below(20))) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
  });
  int expected = 0;
  std::string rest;
  while (expected < kLines) {
    const std::string_view data = ring.readable();
    if (data.empty()) {
      std::this_thread::yield();
      continue;
    }
    rest.append(data);
    ring.consume(data.size());
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = rest.find('\n', begin)) != std::string::npos; begin = end + 1) {
      if (std::stoi(rest.substr(begin, end - begin)) != expected) FAIL("line out of order");
      ++expected;
    }
    rest.erase(0, begin);
  }
  producer.join();
  CHECK(rest.empty());
}

}  // namespace
}  // namespace remora
