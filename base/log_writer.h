// The thread that writes one log. Whoever logs never waits: lines go into memory of a fixed size, and when a
// stalled reader or a full disk keeps that from being emptied, lines are dropped, whole, and counted.
//
// Two ways in. A Producer is a ring of one thread's own, for the lines of the hot path: committing one costs
// no lock and no system call, except that the first line after a silence, and the one that makes the ring a
// quarter full, wake the writer. write_line() is for everybody else. Lines of one producer keep their order;
// between producers there is none.
//
// While there is traffic the writer looks every `nap` by itself; without, it sleeps until woken. When a write
// fails (no space, no reader, an I/O error), what was pending is dropped and counted, the next lines are
// tried again, and a warning goes to the operational log, at most one in ten seconds; a line torn by such a
// failure is ended before the next one starts.
//
// Thread: any for every method here, but each Producer belongs to one. Producers must be gone before the
// writer.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/time.h"

namespace remora {

class LogDestination;

class LogWriter final {
 public:
  struct Settings {
    std::size_t ring_bytes = 256 * 1024;   // of each producer; touched only as far as it is used
    std::size_t queue_bytes = 256 * 1024;  // for write_line()
    Duration nap = 100ms;                  // longest time a producer's line waits while there is traffic
    Duration drain = 1s;  // longest time that flush() and the destructor wait for the destination
    bool quiet = false;   // no warnings: this is where they would go. Always so for "stderr"
  };
  class Producer;

  // `destination`: "stdout", "stderr" or a path (appended to, created when missing). Starts the thread.
  static Result<std::unique_ptr<LogWriter>> open(std::string destination) {
    return open(std::move(destination), Settings());
  }
  static Result<std::unique_ptr<LogWriter>> open(std::string destination, const Settings& settings);
  // Takes over the descriptor; `name` is for messages.
  static Result<std::unique_ptr<LogWriter>> from_descriptor(int descriptor, std::string name,
                                                            const Settings& settings);

  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;
  // Writes what is pending, for at most `drain`; the rest is lost.
  ~LogWriter();

  std::unique_ptr<Producer> make_producer();

  // Queues a line (without its '\n'); false: dropped. Wakes the writer: for lines that are few. Takes a lock,
  // briefly.
  bool write_line(std::string_view line);

  // Waits until every line logged before the call is written or given up; false when `drain` did not suffice.
  bool flush();

  // Opens the destination's path again, soon; for log rotation. Lines that are pending go to either file.
  void reopen();

  // Lines lost so far: no room, or a failed write.
  std::uint64_t dropped() const;

 private:
  struct Core;
  explicit LogWriter(std::unique_ptr<Core> core);
  static Result<std::unique_ptr<LogWriter>> start(LogDestination destination, Settings settings);
  std::unique_ptr<Core> core_;
};

class LogWriter::Producer final {
 public:
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;
  // What was committed is still written.
  ~Producer();

  // Room for a line of up to `max` bytes, its '\n' included; nullptr: no room, and the line counts as
  // dropped. At most half of the ring. Valid until the next call.
  char* reserve(std::size_t max);
  // Publishes the first `size` bytes reserved: one line, '\n' at its end and nowhere else.
  void commit(std::size_t size);
  // Both, for a line without its '\n'; false: dropped.
  bool append(std::string_view line);

 private:
  friend class LogWriter;
  struct Slot;
  Producer(Core& core, Slot& slot) : core_(core), slot_(slot) {}

  Core& core_;
  Slot& slot_;
};

}  // namespace remora
