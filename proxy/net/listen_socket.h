// Listening sockets, made by hand: libuv 1.44 has no way to ask for SO_REUSEPORT.
//
// Thread: any. Owner: the listener.
#pragma once

#include <string>

#include "base/address.h"
#include "base/error.h"
#include "proxy/net/fd.h"
#include "proxy/net/network.h"

namespace remora::net {

// A bound and listening socket, non-blocking and close-on-exec. Destroying it closes it; with the last one of
// this process for a Unix path, the file goes too.
class ListenSocket final {
 public:
  // IPv6 sockets take IPv6 only, so that "[::]:80" and "0.0.0.0:80" can stand side by side. TCP sockets have
  // TCP_NODELAY, which Linux hands down to what they accept. A Unix path that this process already listens on
  // is shared if options.reuse_port; a socket file left behind by a dead process is replaced.
  static Result<ListenSocket> open(const Address& address, const ListenOptions& options);

  // Whether a socket of an IP address could be had for oneself: an error if anybody listens there, also with
  // SO_REUSEPORT. It binds but does not listen, so that nobody is accepted who would be reset at once.
  static Result<void> check_free(const Address& address);

  ~ListenSocket();
  ListenSocket(ListenSocket&&) noexcept = default;
  ListenSocket& operator=(ListenSocket&&) = delete;

  int fd() const { return fd_.get(); }
  // As bound: with the real port when 0 was asked for.
  const Address& address() const { return address_; }

 private:
  ListenSocket(Fd fd, Address address) : fd_(std::move(fd)), address_(std::move(address)) {}

  Fd fd_;
  Address address_;
};

}  // namespace remora::net
