#include "proxy/net/udp.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <sys/socket.h>
#include <uv.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "proxy/net/uv_error.h"
#include "proxy/net/uv_handle.h"

namespace remora::net {

namespace {

// A program of the kernel's (socket(7), SO_ATTACH_FILTER) that lets all pass but these senders: the words of
// each address in the IP header are compared in turn.
std::vector<sock_filter> filter_of(std::span<const Address> sources) {
  constexpr std::uint32_t kIpv4Source = 12;
  constexpr std::uint32_t kIpv6Source = 8;
  std::vector<sock_filter> filter;
  for (const Address& source : sources) {
    const bool v4 = source.kind() == Address::Kind::kIpv4;
    const std::uint32_t words = v4 ? 1 : 4;
    for (std::uint32_t word = 0; word < words; ++word) {
      std::uint32_t value = 0;
      std::memcpy(&value, source.bytes().data() + std::size_t{4} * word, sizeof value);
      const std::uint32_t offset = (v4 ? kIpv4Source : kIpv6Source) + 4 * word;
      filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(SKF_NET_OFF) + offset));
      // Another word: on behind this address.
      const auto rest = static_cast<std::uint8_t>(2 * (words - word - 1) + 1);
      filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohl(value), 0, rest));
    }
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, 0));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, 0xffffffff));
  return filter;
}

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

  void pause() override { uv_udp_recv_stop(handle_.get()); }
  void resume() override {
    uv_udp_recv_start(handle_.get(), &UvDatagramSocket::on_alloc, &UvDatagramSocket::on_received);
  }

  bool ignore(std::span<const Address> sources) override {
    uv_os_fd_t fd = -1;
    if (uv_fileno(reinterpret_cast<const uv_handle_t*>(handle_.get()), &fd) < 0) return false;
    std::vector<sock_filter> filter = filter_of(sources.first(std::min(sources.size(), kIgnored)));
    const sock_fprog program{.len = static_cast<unsigned short>(filter.size()), .filter = filter.data()};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
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
