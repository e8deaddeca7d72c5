// Where a log goes: a file, a pipe, a terminal or a socket, written without ever waiting in the kernel for a
// reader, so that the thread that writes can always be stopped. (A disk that hangs is waited for: no file
// system offers anything else.)
//
//   regular file   appended to, as much as there is
//   pipe           at most PIPE_BUF bytes at once and whole lines where they fit: such writes are atomic, so
//   that lines do
//                  not mix with those of another writer of the same pipe
//   terminal ...   opened a second time where possible, so that O_NONBLOCK does not leak to whoever shares it
//
// Thread: one at a time. The descriptor is closed by the destructor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace remora {

class LogDestination final {
 public:
  // "stdout", "stderr" or the path of a file, which is created (mode 0640) and appended to.
  static Result<LogDestination> open(std::string name);
  // Takes over a descriptor; `name` is for messages.
  static LogDestination from_descriptor(int descriptor, std::string name);

  LogDestination(LogDestination&& other) noexcept;
  LogDestination& operator=(LogDestination&& other) noexcept;
  ~LogDestination();

  struct Written {
    std::size_t bytes = 0;  // written, or 0 with:
    int error = 0;          // errno; EAGAIN: wait for the descriptor to become writable
  };
  // Writes a beginning of `data` (complete lines, but the first may be the rest of one).
  Written write(std::string_view data);

  // Opens the path again, for log rotation; on failure the old file stays in use. Nothing for stdout, stderr
  // and descriptors.
  Result<void> reopen();

  const std::string& name() const { return name_; }
  int descriptor() const { return descriptor_; }

 private:
  enum class Kind : std::uint8_t { kPlain, kPipe, kSocket };

  LogDestination(int descriptor, std::string name, bool is_path);

  std::string name_;
  int descriptor_ = -1;
  bool is_path_ = false;    // opened by name: reopen() makes sense
  bool may_block_ = false;  // O_NONBLOCK could not be had: ask poll() before each write
  Kind kind_ = Kind::kPlain;
};

}  // namespace remora
