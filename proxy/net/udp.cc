#include "proxy/net/udp.h"

#include <sys/socket.h>
#include <uv.h>

#include <utility>

#include "proxy/net/uv_error.h"
#include "proxy/net/uv_handle.h"

namespace remora::net {

namespace {

class UvDatagramSocket final : public DatagramSocket {
 public:
  UvDatagramSocket(NetworkContext& context, DatagramReceiver& receiver)
      : context_(context), receiver_(receiver) {}

  int start(const Address& address) {
    sockaddr_storage name{};
    socklen_t length = 0;
    if (!address.to_sockaddr(name, length)) return UV_EINVAL;
    int status = handle_.open([&](uv_udp_t* handle) { return uv_udp_init(context_.loop.uv(), handle); });
    if (status < 0) return status;
    handle_->data = this;
    unsigned flags = 0;
    if (address.kind() == Address::Kind::kIpv6) flags = UV_UDP_IPV6ONLY;
    status = uv_udp_bind(handle_.get(), reinterpret_cast<const sockaddr*>(&name), flags);
    if (status < 0) return status;
    sockaddr_storage bound{};
    int size = sizeof bound;
    status = uv_udp_getsockname(handle_.get(), reinterpret_cast<sockaddr*>(&bound), &size);
    if (status < 0) return status;
    address_ = Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&bound)).value_or(address);
    return uv_udp_recv_start(handle_.get(), &UvDatagramSocket::on_alloc, &UvDatagramSocket::on_received);
  }

  const Address& address() const override { return address_; }

  void send(const Address& to, std::string_view bytes) override {
    sockaddr_storage name{};
    socklen_t length = 0;
    if (!to.to_sockaddr(name, length)) return;
    const uv_buf_t buffer = uv_buf_init(const_cast<char*>(bytes.data()), static_cast<unsigned>(bytes.size()));
    static_cast<void>(uv_udp_try_send(handle_.get(), &buffer, 1, reinterpret_cast<const sockaddr*>(&name)));
  }

 private:
  static void on_alloc(uv_handle_t* handle, std::size_t /*suggested*/, uv_buf_t* buffer) {
    auto* socket = static_cast<UvDatagramSocket*>(handle->data);
    *buffer = socket == nullptr ? uv_buf_init(nullptr, 0)
                                : uv_buf_init(socket->context_.read_buffer.get(), NetworkContext::kReadSize);
  }

  static void on_received(uv_udp_t* handle, ssize_t size, const uv_buf_t* buffer, const sockaddr* from,
                          unsigned flags) {
    auto* socket = static_cast<UvDatagramSocket*>(handle->data);
    const bool whole = size >= 0 && from != nullptr && (flags & UV_UDP_PARTIAL) == 0;
    if (socket == nullptr || !whole) return;
    const auto peer = Address::from_sockaddr(from);
    if (!peer) return;
    socket->context_.loop.event(
        [&] { socket->receiver_.on_datagram(*peer, {buffer->base, static_cast<std::size_t>(size)}); });
  }

  NetworkContext& context_;
  DatagramReceiver& receiver_;
  UvHandle<uv_udp_t> handle_;
  Address address_;
};

}  // namespace

Result<std::unique_ptr<DatagramSocket>> bind_udp(NetworkContext& context, const Address& address,
                                                 DatagramReceiver& receiver) {
  auto socket = std::make_unique<UvDatagramSocket>(context, receiver);
  if (const int status = socket->start(address); status < 0) {
    return std::unexpected(uv_error(status, Attempt::kListen, address.to_string()));
  }
  return socket;
}

}  // namespace remora::net
