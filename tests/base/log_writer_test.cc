#include "base/log_writer.h"

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/log_writers.h"
#include "tests/support/pipe.h"

namespace remora {
namespace {

using Lines = std::vector<std::string>;
using test::fill;
using test::Pipe;
using test::split_lines;
using test::writer_to;

TEST_CASE("the first log line after a silence arrives without a flush") {
  Pipe pipe;
  const auto writer = writer_to(pipe, {.nap = 1ms});
  const auto producer = writer->make_producer();
  for (int round = 0; round < 20; ++round) {
    CHECK(producer->append("line " + std::to_string(round)));
    CHECK(pipe.read_lines(1) == "line " + std::to_string(round) + "\n");
    CHECK(writer->write_line("other"));
    CHECK(pipe.read_lines(1) == "other\n");
  }
}

TEST_CASE("a line that is formatted in place may be shorter than its room") {
  Pipe pipe;
  {
    const auto writer = writer_to(pipe);
    const auto producer = writer->make_producer();
    char* const room = producer->reserve(1000);
    REQUIRE(room != nullptr);
    std::memcpy(room, "abc\n", 4);
    producer->commit(4);
    CHECK(producer->reserve(10) != nullptr);  // given up
    CHECK(producer->append(""));
  }
  CHECK(pipe.read_all() == "abc\n\n");
}

TEST_CASE("lines of a producer that is gone are still written") {
  Pipe pipe;
  {
    const auto writer = writer_to(pipe);
    for (int i = 0; i < 50; ++i) CHECK(writer->make_producer()->append(std::to_string(i)));
    CHECK(writer->flush());
  }
  CHECK(split_lines(pipe.read_all()).size() == 50);
}

TEST_CASE("a stalled pipe costs lines, never time") {
  Pipe pipe;
  auto writer = writer_to(pipe, {.ring_bytes = 8192, .quiet = true});
  auto producer = writer->make_producer();
  const Lines accepted = fill(*producer, 100, 1000);
  CHECK(writer->dropped() == 1000);
  // The ring and the pipe hold so much; what came through is whole and in order.
  CHECK(accepted.size() >= (8192 - 200) / 101);
  Lines received = split_lines(pipe.read_lines(accepted.size()));
  CHECK(received == accepted);
  // And it goes on when the reader does.
  CHECK(producer->append("on"));
  CHECK(pipe.read_lines(1) == "on\n");
  CHECK(writer->dropped() == 1000);
}

TEST_CASE("the queue for single lines is bounded too") {
  Pipe pipe;
  auto writer = writer_to(pipe, {.queue_bytes = 4096, .drain = 1ms, .quiet = true});
  const std::string line(100, 'q');
  std::size_t refused = 0;
  std::size_t accepted = 0;
  while (refused < 100) writer->write_line(line) ? ++accepted : ++refused;
  CHECK(writer->dropped() == 100);
  CHECK_FALSE(writer->write_line(std::string(5000, 'q')));
  CHECK(split_lines(pipe.read_lines(accepted)).size() == accepted);
}

TEST_CASE("a line longer than half of the ring is dropped at once") {
  Pipe pipe;
  const auto writer = writer_to(pipe, {.ring_bytes = 8192});
  const auto producer = writer->make_producer();
  CHECK_FALSE(producer->append(std::string(5000, 'x')));
  CHECK(producer->append(std::string(4000, 'x')));
  CHECK(writer->dropped() == 1);
}

TEST_CASE("a flush and the end do not wait longer for a stalled pipe than they should") {
  Pipe pipe;
  {
    const auto writer = writer_to(pipe, {.drain = 20ms, .quiet = true});
    const auto producer = writer->make_producer();
    fill(*producer, 1000, 1);
    writer->write_line("never read");
    CHECK_FALSE(writer->flush());
  }
  // The thread has ended: the pipe has no writer any more.
  pipe.read_all();
}

TEST_CASE("the end waits for a slow reader") {
  Pipe pipe;
  std::string received;
  std::thread reader;
  Lines accepted;
  {
    const auto writer = writer_to(pipe, {.drain = 60s, .quiet = true});
    const auto producer = writer->make_producer();
    accepted = fill(*producer, 200, 1);
    reader = std::thread([&] { received = pipe.read_all(); });
  }
  reader.join();
  CHECK(split_lines(received) == accepted);
}

TEST_CASE("many threads log at once, and every line is whole, counted, and in its thread's order") {
  Pipe pipe;
  std::string received;
  std::thread reader([&] { received = pipe.read_all(); });
  constexpr std::size_t kThreads = 4;
  constexpr std::size_t kLines = 20'000;
  std::array<std::size_t, kThreads> refused{};
  std::uint64_t dropped = 0;
  {
    // Small rings: laps, refusals and wake-ups all happen.
    const auto writer =
        writer_to(pipe, {.ring_bytes = 16384, .queue_bytes = 16384, .nap = 1ms, .drain = 60s, .quiet = true});
    std::vector<std::thread> threads;
    threads.reserve(kThreads);
    for (std::size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&writer, &refused, t] {
        const bool queued = t == 0;
        const auto producer = writer->make_producer();
        for (std::size_t i = 0; i < kLines; ++i) {
          const std::string line =
              std::to_string(t) + ' ' + std::to_string(i) + ' ' + std::string(i % 97, 'x') + " end";
          if (!(queued ? writer->write_line(line) : producer->append(line))) ++refused[t];
          if (i % 1000 == 0) writer->flush();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    dropped = writer->dropped();
  }
  reader.join();
  CHECK(dropped == refused[0] + refused[1] + refused[2] + refused[3]);
  std::map<std::size_t, std::size_t> next;
  const Lines lines = split_lines(received);
  CHECK(lines.size() + dropped == kThreads * kLines);
  for (const std::string& line : lines) {
    std::istringstream fields(line);
    std::size_t thread = 0;
    std::size_t number = 0;
    fields >> thread >> number;
    REQUIRE(line.ends_with(" end"));
    REQUIRE(line.size() == std::to_string(thread).size() + std::to_string(number).size() + 6 + number % 97);
    REQUIRE(number >= next[thread]);
    next[thread] = number + 1;
  }
}

}  // namespace
}  // namespace remora
