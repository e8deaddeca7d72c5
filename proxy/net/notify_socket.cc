#include "proxy/net/notify_socket.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <system_error>

namespace remora::net {

namespace {

std::string from(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::uint64_t number_from(const char* name) {
  const std::string text = from(name);
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() ? value : 0;
}

Error cannot(const std::string& path, const std::string& why) {
  return {ErrorCode::kSystem, Side::kInternal, Retry::kNo,
          "cannot notify " + path + " (NOTIFY_SOCKET): " + why};
}

}  // namespace

Result<std::unique_ptr<NotifySocket>> NotifySocket::from_environment() {
  std::string path = from("NOTIFY_SOCKET");
  if (path.empty()) return nullptr;
  if (path.front() != '/' && path.front() != '@')
    return std::unexpected(cannot(path, "no such kind of address"));
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return std::unexpected(cannot(path, "the path is too long"));
  Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return std::unexpected(cannot(path, std::generic_category().message(errno)));
  if (path.front() == '@') path.front() = '\0';
  return std::unique_ptr<NotifySocket>(new NotifySocket(std::move(fd), std::move(path)));
}

Duration NotifySocket::watchdog_of_environment() {
  if (!from("WATCHDOG_PID").empty() &&
      number_from("WATCHDOG_PID") != static_cast<std::uint64_t>(::getpid())) {
    return Duration::zero();
  }
  constexpr std::uint64_t kLongest = 24ULL * 3600 * 1'000'000;
  return std::chrono::microseconds(std::min(number_from("WATCHDOG_USEC"), kLongest));
}

bool NotifySocket::send(std::string_view state) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, path_.data(), path_.size());
  // An abstract name ends where the address does, a path with a '\0'.
  const std::size_t size = offsetof(sockaddr_un, sun_path) + path_.size() + (path_.front() == '/' ? 1 : 0);
  for (;;) {
    const auto* const address = reinterpret_cast<const sockaddr*>(&to);
    const auto sent =
        ::sendto(fd_.get(), state.data(), state.size(), MSG_NOSIGNAL, address, static_cast<socklen_t>(size));
    if (sent >= 0 || (errno != EINTR && errno != EAGAIN && errno != ENOBUFS)) return true;
    if (errno != EINTR) return false;
  }
}

}  // namespace remora::net
