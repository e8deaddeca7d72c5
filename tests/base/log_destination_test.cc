// Where log lines go, through the writer: files, pipes, sockets, and what fails there.
#include "base/log_destination.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/log_writer.h"
#include "tests/support/log_writers.h"
#include "tests/support/pipe.h"

namespace remora {
namespace {

using Lines = std::vector<std::string>;
using test::file_content;
using test::fill;
using test::Pipe;
using test::split_lines;
using test::TempDir;
using test::writer_to;

TEST_CASE("log lines are appended to a file that exists, and create one that does not") {
  const TempDir dir;
  const std::string path = dir.file("access.log");
  for (const char* const line : {"first", "second"}) {
    const auto writer = writer_to(path);
    const auto producer = writer->make_producer();
    CHECK(producer->append(line));
  }
  CHECK(file_content(path) == "first\nsecond\n");
  struct stat status{};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07) == 0);
}

TEST_CASE("a log that cannot be opened says why") {
  const auto missing = LogWriter::open("/nonexistent-directory/access.log");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().detail == "/nonexistent-directory/access.log: No such file or directory");
  const auto directory = LogWriter::open("/tmp");
  REQUIRE_FALSE(directory);
  CHECK(directory.error().code == ErrorCode::kSystem);
  const TempDir dir;
  const std::string fifo = dir.file("fifo");
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const auto unread = LogWriter::open(fifo);
  REQUIRE_FALSE(unread);
  CHECK(unread.error().detail.find("nobody reads") != std::string::npos);
}

TEST_CASE("a full disk drops lines and counts them, again and again") {
  const auto writer = writer_to("/dev/full", {.quiet = true});
  const auto producer = writer->make_producer();
  for (std::uint64_t i = 1; i <= 5; ++i) {
    CHECK(producer->append("lost"));
    CHECK(writer->write_line("lost too"));
    CHECK(writer->flush());
    CHECK(writer->dropped() == 2 * i);
  }
}

TEST_CASE("a failing log is reported once in the operational log") {
  Pipe pipe;
  {
    const auto sink = writer_to(pipe, {.quiet = true});
    set_log_sink(sink.get(), LogFormat::kText);
    {
      const auto writer = writer_to("/dev/full");
      for (int i = 0; i < 5; ++i) {
        CHECK(writer->write_line("lost"));
        CHECK(writer->flush());
      }
    }
    set_log_sink(nullptr, LogFormat::kText);
  }
  const Lines lines = split_lines(pipe.read_all());
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].substr(24) ==
        " warn log cannot be written destination=/dev/full reason=\"No space left on device\" dropped=1");
}

TEST_CASE("a reader that has gone is an error, not a signal") {
  for (const bool socket : {false, true}) {
    CAPTURE(socket);
    int ends[2];
    REQUIRE((socket ? ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) : ::pipe(ends)) == 0);
    ::close(ends[0]);
    auto writer = LogWriter::from_descriptor(ends[1], "gone", {.quiet = true});
    REQUIRE(writer);
    CHECK((*writer)->write_line("lost"));
    CHECK((*writer)->flush());
    CHECK((*writer)->dropped() == 1);
  }
}

TEST_CASE("a stalled socket is waited for like a pipe") {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  Pipe reader(ends[0]);
  auto writer = LogWriter::from_descriptor(ends[1], "socket", {.ring_bytes = 8192, .quiet = true});
  REQUIRE(writer);
  const auto producer = (*writer)->make_producer();
  const Lines accepted = fill(*producer, 100, 10);
  CHECK(split_lines(reader.read_lines(accepted.size())) == accepted);
}

TEST_CASE("a line torn by a failure does not swallow the next one") {
  const TempDir dir;
  const std::string path = dir.file("fifo");
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  Pipe first(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  REQUIRE(first.in() >= 0);
  // A second descriptor of ours for writing keeps the pipe's content alive between the two readers.
  const int keep = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  REQUIRE(keep >= 0);
  REQUIRE(::fcntl(keep, F_SETPIPE_SZ, 4096) == 4096);
  const auto writer = writer_to(path, {.drain = 20ms, .quiet = true});
  CHECK(writer->write_line(std::string(6000, 't')));  // more than the pipe holds: written in part
  CHECK_FALSE(writer->flush());
  first.close_in();
  while (!writer->flush()) {
  }
  CHECK(writer->dropped() == 1);

  Pipe second(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ::close(keep);
  CHECK(writer->write_line("next"));
  const Lines lines = split_lines(second.read_lines(2));
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == std::string(4096, 't'));
  CHECK(lines[1] == "next");
}

TEST_CASE("reopen starts a new file after a rotation, and keeps the old one when it cannot") {
  const TempDir dir;
  const std::string path = dir.file("access.log");
  const std::string rotated = dir.file("access.log.1");
  const auto writer = writer_to(path, {.quiet = true});
  CHECK(writer->write_line("old"));
  CHECK(writer->flush());
  std::filesystem::rename(path, rotated);
  writer->reopen();
  CHECK(writer->flush());
  CHECK(writer->write_line("new"));
  CHECK(writer->flush());
  CHECK(file_content(rotated) == "old\n");
  CHECK(file_content(path) == "new\n");

  std::filesystem::rename(path, dir.file("access.log.2"));
  std::filesystem::create_directory(path);
  writer->reopen();
  CHECK(writer->flush());
  CHECK(writer->write_line("still"));
  CHECK(writer->flush());
  CHECK(file_content(dir.file("access.log.2")) == "new\nstill\n");
  CHECK(writer->dropped() == 0);
}

TEST_CASE("whoever shares the descriptor does not become non-blocking") {
  Pipe pipe;
  const int shared = pipe.take_out();
  const int given = ::fcntl(shared, F_DUPFD_CLOEXEC, 0);
  auto writer = LogWriter::from_descriptor(given, "pipe", {});
  REQUIRE(writer);
  CHECK((*writer)->write_line("x"));
  CHECK(pipe.read_lines(1) == "x\n");
  CHECK((::fcntl(shared, F_GETFL) & O_NONBLOCK) == 0);
  ::close(shared);
}

TEST_CASE("two logs on one pipe do not mix their lines") {
  Pipe pipe;
  const int out = pipe.take_out();
  const int again = ::fcntl(out, F_DUPFD_CLOEXEC, 0);
  std::string received;
  std::thread reader([&] { received = pipe.read_all(); });
  constexpr std::size_t kLines = 3000;
  {
    auto a = LogWriter::from_descriptor(out, "pipe", {.ring_bytes = 1 << 20, .drain = 60s});
    auto b = LogWriter::from_descriptor(again, "pipe", {.ring_bytes = 1 << 20, .drain = 60s});
    REQUIRE(a);
    REQUIRE(b);
    const auto one = (*a)->make_producer();
    const auto two = (*b)->make_producer();
    for (std::size_t i = 0; i < kLines; ++i) {
      CHECK(one->append(std::string(1 + i % 250, 'a')));
      CHECK(two->append(std::string(1 + i % 250, 'b')));
    }
  }
  reader.join();
  const Lines lines = split_lines(received);
  CHECK(lines.size() == 2 * kLines);
  for (const std::string& line : lines) REQUIRE(line.find(line[0] == 'a' ? 'b' : 'a') == std::string::npos);
}

}  // namespace
}  // namespace remora
