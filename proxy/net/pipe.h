// A pipe of the kernel's, through which bytes go from one socket to another without a copy (splice), and the
// few of them that a loop keeps.
//
// Thread: the loop's. Owner: the pool, which lends it to the stream that has to send what is in it.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "proxy/net/fd.h"

namespace remora::net {

class Pipe final {
 public:
  // The most that is in it at once.
  static constexpr std::size_t kCapacity = std::size_t{256} * 1024;

  // Null: the system gives none.
  static std::unique_ptr<Pipe> open();

  // Takes what waits at the socket, into the empty pipe. Returns how much; 0 at its end; -1 as errno says.
  ssize_t fill(int socket);
  // Gives the socket what it takes. False: it has failed, as errno says.
  bool drain(int socket);
  // Bytes in it, the first piece included.
  std::size_t size() const { return in_pipe_ + piece_.size(); }

  // Copies the first few bytes out, to be sent in the ordinary way; until forget_piece() nothing else is
  // taken.
  std::string_view take_piece();
  void forget_piece() { piece_ = {}; }

 private:
  Pipe(Fd read, Fd write) : read_(std::move(read)), write_(std::move(write)) {}

  Fd read_;
  Fd write_;
  std::size_t in_pipe_ = 0;
  std::string_view piece_;
  std::array<char, 4096> buffer_;
};

class PipePool final {
 public:
  // Of those that streams have: two descriptors each. And of those that wait here.
  static constexpr std::size_t kMost = 64;
  static constexpr std::size_t kMostIdle = 8;

  // Gives a pipe back; one with something in it is closed. The pool outlives the lease.
  struct Return {
    PipePool* pool = nullptr;
    void operator()(Pipe* pipe) const { pool->give(std::unique_ptr<Pipe>(pipe)); }
  };
  using Lease = std::unique_ptr<Pipe, Return>;

  // An empty one; null: the system gives no more, or this pool does not.
  Lease take();

 private:
  void give(std::unique_ptr<Pipe> pipe);

  std::vector<std::unique_ptr<Pipe>> idle_;
  std::size_t taken_ = 0;
};

}  // namespace remora::net
