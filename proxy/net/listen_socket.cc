#include "proxy/net/listen_socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "proxy/net/uv_error.h"

namespace remora::net {

namespace {

std::unexpected<Error> listen_error(const Address& address, const char* step, int error) {
  return std::unexpected(uv_error(-error, Attempt::kListen, address.to_string() + ": " + step));
}

bool set_option(const Fd& fd, int level, int name) {
  const int on = 1;
  return ::setsockopt(fd.get(), level, name, &on, sizeof on) == 0;
}

struct SocketName {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Fd new_socket(int family) { return Fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }

Result<Fd> bind_tcp(const Address& address, const SocketName& name, bool reuse_port) {
  Fd fd = new_socket(name.storage.ss_family);
  if (!fd) return listen_error(address, "socket", errno);
  const bool ipv6 = name.storage.ss_family == AF_INET6;
  if (!set_option(fd, SOL_SOCKET, SO_REUSEADDR) || !set_option(fd, IPPROTO_TCP, TCP_NODELAY) ||
      (reuse_port && !set_option(fd, SOL_SOCKET, SO_REUSEPORT)) ||
      (ipv6 && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY))) {
    return listen_error(address, "setsockopt", errno);
  }
  if (::bind(fd.get(), name.get(), name.length) != 0) return listen_error(address, "bind", errno);
  return fd;
}

Result<Fd> listen_tcp(const Address& address, const SocketName& name, const ListenOptions& options) {
  auto fd = bind_tcp(address, name, options.reuse_port);
  if (fd && ::listen(fd->get(), options.backlog) != 0) return listen_error(address, "listen", errno);
  return fd;
}

// The Unix sockets this process listens on. Workers on several threads share one of them; the mutex is taken
// when a listener opens or closes, never while serving.
struct SharedUnixSocket {
  std::string path;
  Fd fd;
  dev_t device = 0;  // of the file, to recognise it before removing it
  ino_t inode = 0;
  int users = 0;
};
std::mutex unix_mutex;
std::vector<SharedUnixSocket> unix_sockets;  // guarded by unix_mutex

auto find_unix(const std::string& path) {
  return std::find_if(unix_sockets.begin(), unix_sockets.end(),
                      [&](const auto& s) { return s.path == path; });
}

// Whether the file at `path` is a socket that nobody listens on any more.
bool is_stale_socket(const Address& address, const SocketName& name) {
  struct stat file{};
  if (::lstat(address.path().c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) return false;
  const Fd probe = new_socket(AF_UNIX);
  return probe && ::connect(probe.get(), name.get(), name.length) != 0 && errno == ECONNREFUSED;
}

Result<SharedUnixSocket> bind_unix(const Address& address, const SocketName& name, int backlog) {
  Fd fd = new_socket(AF_UNIX);
  if (!fd) return listen_error(address, "socket", errno);
  int status = ::bind(fd.get(), name.get(), name.length);
  if (status != 0 && errno == EADDRINUSE) {
    if (is_stale_socket(address, name)) {
      ::unlink(address.path().c_str());
      status = ::bind(fd.get(), name.get(), name.length);
    } else {
      errno = EADDRINUSE;
    }
  }
  if (status != 0) return listen_error(address, "bind", errno);
  if (::listen(fd.get(), backlog) != 0) return listen_error(address, "listen", errno);
  struct stat file{};
  ::lstat(address.path().c_str(), &file);
  return SharedUnixSocket{address.path(), std::move(fd), file.st_dev, file.st_ino, 0};
}

Result<Fd> share_unix(const Address& address, const SocketName& name, const ListenOptions& options) {
  const std::lock_guard lock(unix_mutex);
  auto found = find_unix(address.path());
  if (found != unix_sockets.end() && !options.reuse_port) return listen_error(address, "bind", EADDRINUSE);
  if (found == unix_sockets.end()) {
    auto bound = bind_unix(address, name, options.backlog);
    if (!bound) return std::unexpected(std::move(bound.error()));
    unix_sockets.push_back(std::move(*bound));
    found = std::prev(unix_sockets.end());
  }
  Fd copy(::fcntl(found->fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return listen_error(address, "dup", errno);
  ++found->users;
  return copy;
}

void unshare_unix(const std::string& path) {
  const std::lock_guard lock(unix_mutex);
  const auto found = find_unix(path);
  if (found == unix_sockets.end() || --found->users > 0) return;
  struct stat file{};
  const bool ours =
      ::lstat(path.c_str(), &file) == 0 && file.st_dev == found->device && file.st_ino == found->inode;
  if (ours) ::unlink(path.c_str());
  unix_sockets.erase(found);
}

}  // namespace

Result<ListenSocket> ListenSocket::open(const Address& address, const ListenOptions& options) {
  SocketName name;
  if (!address.to_sockaddr(name.storage, name.length)) return listen_error(address, "address", EINVAL);
  auto fd = address.is_unix() ? share_unix(address, name, options) : listen_tcp(address, name, options);
  if (!fd) return std::unexpected(std::move(fd.error()));
  if (address.is_unix()) return ListenSocket(std::move(*fd), address);

  SocketName bound;
  bound.length = sizeof bound.storage;
  if (::getsockname(fd->get(), reinterpret_cast<sockaddr*>(&bound.storage), &bound.length) != 0) {
    return listen_error(address, "getsockname", errno);
  }
  return ListenSocket(std::move(*fd), Address::from_sockaddr(bound.get()).value_or(address));
}

Result<void> ListenSocket::check_free(const Address& address) {
  SocketName name;
  if (!address.is_ip() || !address.to_sockaddr(name.storage, name.length)) {
    return listen_error(address, "address", EINVAL);
  }
  if (auto bound = bind_tcp(address, name, false); !bound) return std::unexpected(std::move(bound.error()));
  return {};
}

ListenSocket::~ListenSocket() {
  if (!fd_) return;
  fd_.reset();
  if (address_.is_unix()) unshare_unix(address_.path());
}

}  // namespace remora::net
