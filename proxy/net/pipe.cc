#include "proxy/net/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace remora::net {

namespace {

constexpr unsigned kFlags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

ssize_t splice_all(int from, int to, std::size_t size) {
  ssize_t moved = 0;
  do {
    moved = ::splice(from, nullptr, to, nullptr, size, kFlags);
  } while (moved < 0 && errno == EINTR);
  return moved;
}

}  // namespace

std::unique_ptr<Pipe> Pipe::open() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) != 0) return nullptr;
  std::unique_ptr<Pipe> pipe(new Pipe(Fd(ends[0]), Fd(ends[1])));
  // Segments of a network fill a smaller one before it holds much. Beyond the system's limit for one user it
  // stays small.
  ::fcntl(pipe->write_.get(), F_SETPIPE_SZ, static_cast<int>(kCapacity));
  return pipe;
}

ssize_t Pipe::fill(int socket) {
  const ssize_t moved = splice_all(socket, write_.get(), kCapacity);
  if (moved > 0) in_pipe_ += static_cast<std::size_t>(moved);
  return moved;
}

bool Pipe::drain(int socket) {
  while (in_pipe_ > 0) {
    const ssize_t moved = splice_all(read_.get(), socket, in_pipe_);
    if (moved < 0) return errno == EAGAIN;
    if (moved == 0) return true;
    in_pipe_ -= static_cast<std::size_t>(moved);
  }
  return true;
}

std::string_view Pipe::take_piece() {
  const ssize_t size = ::read(read_.get(), buffer_.data(), buffer_.size());
  if (size > 0) {
    piece_ = {buffer_.data(), static_cast<std::size_t>(size)};
    in_pipe_ -= piece_.size();
  }
  return piece_;
}

PipePool::Lease PipePool::take() {
  std::unique_ptr<Pipe> pipe;
  if (!idle_.empty()) {
    pipe = std::move(idle_.back());
    idle_.pop_back();
  } else if (taken_ < kMost) {
    pipe = Pipe::open();
  }
  if (pipe) ++taken_;
  return Lease(pipe.release(), Return{this});
}

void PipePool::give(std::unique_ptr<Pipe> pipe) {
  --taken_;
  if (pipe->size() == 0 && idle_.size() < kMostIdle) idle_.push_back(std::move(pipe));
}

}  // namespace remora::net
