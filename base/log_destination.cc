#include "base/log_destination.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <system_error>
#include <utility>

namespace remora {
namespace {

Error system_error(const std::string& name, int error) {
  const ErrorCode code =
      error == EACCES || error == EPERM ? ErrorCode::kPermissionDenied : ErrorCode::kSystem;
  return {code, Side::kInternal, Retry::kNo, name + ": " + std::generic_category().message(error)};
}

Result<int> open_path(const std::string& path) {
  // O_NONBLOCK: a named pipe without a reader is an error instead of a wait.
  const int descriptor =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
  if (descriptor >= 0) return descriptor;
  const int error = errno;
  Error result = system_error(path, error);
  if (error == ENXIO) result.detail = path + ": nobody reads this pipe, or it is a socket";
  return std::unexpected(std::move(result));
}

// A second open file description of the pipe or terminal behind `descriptor`; -1 when there is none to be
// had.
int open_again(int descriptor) {
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  return ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

bool can_take_more(int descriptor) {
  pollfd entry{.fd = descriptor, .events = POLLOUT, .revents = 0};
  return ::poll(&entry, 1, 0) != 0;
}

// Whole lines, as many as fit into one atomic write; a line that is longer than that is cut.
std::string_view pipe_piece(std::string_view data) {
  if (data.size() <= PIPE_BUF) return data;
  const std::size_t end = data.rfind('\n', PIPE_BUF - 1);
  return data.substr(0, end == std::string_view::npos ? PIPE_BUF : end + 1);
}

}  // namespace

LogDestination::LogDestination(int descriptor, std::string name, bool is_path)
    : name_(std::move(name)), descriptor_(descriptor), is_path_(is_path) {
  struct stat status{};
  if (::fstat(descriptor_, &status) != 0) return;
  if (S_ISSOCK(status.st_mode)) {
    kind_ = Kind::kSocket;
    return;
  }
  if (S_ISFIFO(status.st_mode)) kind_ = Kind::kPipe;
  if (S_ISREG(status.st_mode) || is_path_) return;
  if (const int again = open_again(descriptor_); again >= 0) {
    ::close(descriptor_);
    descriptor_ = again;
  } else {
    may_block_ = true;
  }
}

Result<LogDestination> LogDestination::open(std::string name) {
  if (name == "stdout" || name == "stderr") {
    const int descriptor = ::fcntl(name == "stdout" ? STDOUT_FILENO : STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (descriptor < 0) return std::unexpected(system_error(name, errno));
    return LogDestination(descriptor, std::move(name), false);
  }
  const Result<int> descriptor = open_path(name);
  if (!descriptor) return std::unexpected(descriptor.error());
  return LogDestination(*descriptor, std::move(name), true);
}

LogDestination LogDestination::from_descriptor(int descriptor, std::string name) {
  return {descriptor, std::move(name), false};
}

LogDestination::LogDestination(LogDestination&& other) noexcept
    : name_(std::move(other.name_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      is_path_(other.is_path_),
      may_block_(other.may_block_),
      kind_(other.kind_) {}

LogDestination& LogDestination::operator=(LogDestination&& other) noexcept {
  if (this == &other) return *this;
  if (descriptor_ >= 0) ::close(descriptor_);
  name_ = std::move(other.name_);
  descriptor_ = std::exchange(other.descriptor_, -1);
  is_path_ = other.is_path_;
  may_block_ = other.may_block_;
  kind_ = other.kind_;
  return *this;
}

LogDestination::~LogDestination() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

LogDestination::Written LogDestination::write(std::string_view data) {
  if (kind_ == Kind::kPipe) data = pipe_piece(data);
  for (;;) {
    if (may_block_ && !can_take_more(descriptor_)) return {.bytes = 0, .error = EAGAIN};
    const ssize_t written = kind_ == Kind::kSocket
                                ? ::send(descriptor_, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                                : ::write(descriptor_, data.data(), data.size());
    if (written > 0) return {.bytes = static_cast<std::size_t>(written), .error = 0};
    if (written == 0) return {.bytes = 0, .error = EIO};
    if (errno != EINTR) return {.bytes = 0, .error = errno};
  }
}

Result<void> LogDestination::reopen() {
  if (!is_path_) return {};
  const Result<int> descriptor = open_path(name_);
  if (!descriptor) return std::unexpected(descriptor.error());
  *this = LogDestination(*descriptor, name_, true);
  return {};
}

}  // namespace remora
