#include "proxy/net/tcp.h"

#include <sys/socket.h>
#include <uv.h>

#include <cerrno>
#include <utility>

#include "base/timer_wheel.h"
#include "proxy/net/listen_socket.h"
#include "proxy/net/udp.h"
#include "proxy/net/uv_error.h"
#include "proxy/net/uv_stream.h"

namespace remora::net {

namespace {

// Connections taken per readiness event; the rest waits for the next loop iteration, after the open
// connections.
constexpr int kAcceptBatch = 16;
constexpr Duration kExhaustedPause = 1s;

// Accepts by hand on a uv_poll_t: libuv's own listener answers a lack of descriptors by dropping connections,
// and does not say who the peer is without another system call.
class UvListener final : public Listener {
 public:
  UvListener(NetworkContext& context, ListenSocket socket, Acceptor& acceptor)
      : context_(context), acceptor_(acceptor), socket_(std::move(socket)) {}

  int start() {
    const int status = poll_.open(
        [&](uv_poll_t* handle) { return uv_poll_init_socket(context_.loop.uv(), handle, socket_.fd()); });
    if (status < 0) return status;
    poll_->data = this;
    update();
    return 0;
  }

  const Address& address() const override { return socket_.address(); }

  void pause() override {
    paused_ = true;
    update();
  }

  void resume() override {
    paused_ = false;
    update();
  }

  void accept_waiting() override {
    while (auto stream = take_one()) acceptor_.on_accept(std::move(stream));
  }

 private:
  void update() {
    const bool wanted = !paused_ && !retry_.armed();
    if (wanted == polling_) return;
    polling_ = wanted;
    if (wanted) {
      uv_poll_start(poll_.get(), UV_READABLE, &UvListener::on_readable);
    } else {
      uv_poll_stop(poll_.get());
    }
  }

  static void on_readable(uv_poll_t* handle, int /*status*/, int /*events*/) {
    // The acceptor may pause or bury the listener; its destruction sets data to null.
    for (int i = 0; i < kAcceptBatch && handle->data != nullptr; ++i) {
      auto& listener = *static_cast<UvListener*>(handle->data);
      if (!listener.polling_ || !listener.accept_one()) return;
    }
  }

  // Whether it is worth trying again at once.
  bool accept_one() {
    auto stream = take_one();
    if (!stream) return accept_failed(errno);
    context_.loop.event([&] { acceptor_.on_accept(std::move(stream)); });
    return true;
  }

  // One waiting connection, or null.
  std::unique_ptr<Stream> take_one() {
    sockaddr_storage name{};
    socklen_t length = sizeof name;
    Fd fd(::accept4(socket_.fd(), reinterpret_cast<sockaddr*>(&name), &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    return fd ? UvStream::accept(context_, std::move(fd), peer_of(name)) : nullptr;
  }

  Address peer_of(const sockaddr_storage& name) const {
    if (address().is_unix()) return Address::unix_path("");  // peers are not named
    return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&name)).value_or(Address());
  }

  bool accept_failed(int error) {
    switch (error) {
      case EAGAIN: return false;
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        context_.loop.event([&] {
          context_.loop.wheel().arm_in(retry_, kExhaustedPause);
          update();
          acceptor_.on_accept_exhausted();
        });
        return false;
      default: return true;  // that one connection is gone, or a signal came
    }
  }

  NetworkContext& context_;
  Acceptor& acceptor_;
  ListenSocket socket_;
  UvHandle<uv_poll_t> poll_;  // declared after, so closed before the socket
  bool paused_ = false;
  bool polling_ = false;
  MemberTimer<UvListener, &UvListener::update> retry_{*this};
};

}  // namespace

UvNetwork::UvNetwork(Loop& loop) : context_(std::make_unique<NetworkContext>(loop)) {}

UvNetwork::~UvNetwork() = default;

Result<std::unique_ptr<Listener>> UvNetwork::listen(const Address& address, const ListenOptions& options,
                                                    Acceptor& acceptor) {
  auto socket = ListenSocket::open(address, options);
  if (!socket) return std::unexpected(std::move(socket.error()));
  auto listener = std::make_unique<UvListener>(*context_, std::move(*socket), acceptor);
  if (const int status = listener->start(); status < 0) {
    return std::unexpected(uv_error(status, Attempt::kListen, address.to_string()));
  }
  return listener;
}

Result<std::unique_ptr<DatagramSocket>> UvNetwork::bind_datagrams(const Address& address,
                                                                  DatagramReceiver& receiver) {
  return bind_udp(*context_, address, receiver);
}

std::unique_ptr<Stream> UvNetwork::connect(const Address& address, Stream::Events& events) {
  return UvStream::connect(*context_, address, events);
}

}  // namespace remora::net
