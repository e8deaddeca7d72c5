// Where streams come from: the kernel in production (UvNetwork, proxy/net/tcp.h), memory in tests
// (tests/support/fake_network.h).
//
// Thread: one, the loop's. Owner: the worker thread, or a test's World. Outlives every stream and listener it
// made.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "base/address.h"
#include "base/error.h"
#include "proxy/net/stream.h"

namespace remora::net {

// A bound, listening socket. Destroying it stops accepting; accepted streams live on, connections that still
// wait in its backlog are reset. Not to be destroyed inside its acceptor's callbacks: bury it in the Turn.
class Listener {
 public:
  virtual ~Listener() = default;
  // The bound address, with the real port when 0 was asked for.
  virtual const Address& address() const = 0;
  // Stops and resumes taking connections (a limit is reached); they wait in the kernel's backlog meanwhile.
  // Idempotent.
  virtual void pause() = 0;
  virtual void resume() = 0;
  // Takes every connection that waits in the backlog now, inside this call: before a listener is destroyed,
  // so that nobody who has connected is reset. Only from an event of the loop.
  virtual void accept_waiting() = 0;
};

// Who is told of new connections. Outlives the listener.
class Acceptor {
 public:
  // One new connection. The acceptor owns it and calls set_events, or destroys it to refuse.
  virtual void on_accept(std::unique_ptr<Stream> stream) = 0;
  // No descriptor is left for another connection. The listener pauses by itself and tries again after a
  // second.
  virtual void on_accept_exhausted() = 0;

 protected:
  ~Acceptor() = default;
};

struct ListenOptions {
  int backlog = 4096;
  // Several listeners, one per worker, may listen on the same address and share its connections. TCP:
  // SO_REUSEPORT, so another process of the same user that asks for it, too, joins unnoticed
  // (ListenSocket::check_free finds out before). Unix: bound once per process and shared by
  // descriptor; another process is an error.
  bool reuse_port = true;
};

// A bound UDP socket. Destroying it closes it, and no callback comes after. Not to be destroyed inside its
// receiver's callback: bury it in the Turn.
class DatagramSocket {
 public:
  virtual ~DatagramSocket() = default;
  // The bound address, with the real port when 0 was asked for.
  virtual const Address& address() const = 0;
  // Sends one datagram, or loses it: the network does not tell, and neither does this.
  virtual void send(const Address& to, std::string_view bytes) = 0;
  // While paused nothing is received: the kernel keeps some datagrams and loses the rest, at no cost of ours.
  virtual void pause() = 0;
  virtual void resume() = 0;
  // From now on, what comes from these addresses, whatever the port, is lost before it is received: at most
  // kIgnored, and instead of those that were ignored before. False: the kernel cannot.
  static constexpr std::size_t kIgnored = 16;
  virtual bool ignore(std::span<const Address> sources) = 0;
};

// Who gets the datagrams. Outlives the socket.
class DatagramReceiver {
 public:
  // One whole datagram; valid until the call returns.
  virtual void on_datagram(const Address& from, std::string_view bytes) = 0;

 protected:
  ~DatagramReceiver() = default;
};

class Network {
 public:
  virtual ~Network() = default;

  // Binds and listens. Errors: kAddressInUse, kPermissionDenied, kInvalid, kSystem, with a detail for people.
  virtual Result<std::unique_ptr<Listener>> listen(const Address& address, const ListenOptions& options,
                                                   Acceptor& acceptor) = 0;

  // Starts connecting. The stream is returned at once; events get on_open or on_closed later, never inside
  // this call. There is no timeout: the caller has a timer and destroys the stream. Destroying it cancels.
  virtual std::unique_ptr<Stream> connect(const Address& address, Stream::Events& events) = 0;

  // A UDP socket at an IP address, which nobody else has. Errors: as listen().
  virtual Result<std::unique_ptr<DatagramSocket>> bind_datagrams(const Address& address,
                                                                 DatagramReceiver& receiver) = 0;
};

}  // namespace remora::net
