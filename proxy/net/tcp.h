// The kernel's Network: TCP and UDP over IPv4 and IPv6, and Unix sockets, on one Loop.
//
// Thread: the loop's. Owner: the worker. The loop must outlive it; it must outlive its streams and listeners.
// The process must ignore SIGPIPE.
#pragma once

#include <memory>

#include "proxy/net/loop.h"
#include "proxy/net/network.h"

namespace remora::net {

struct NetworkContext;

class UvNetwork final : public Network {
 public:
  explicit UvNetwork(Loop& loop);
  ~UvNetwork() override;
  UvNetwork(const UvNetwork&) = delete;
  UvNetwork& operator=(const UvNetwork&) = delete;

  Result<std::unique_ptr<Listener>> listen(const Address& address, const ListenOptions& options,
                                           Acceptor& acceptor) override;
  std::unique_ptr<Stream> connect(const Address& address, Stream::Events& events) override;
  Result<std::unique_ptr<DatagramSocket>> bind_datagrams(const Address& address,
                                                         DatagramReceiver& receiver) override;

 private:
  std::unique_ptr<NetworkContext> context_;
};

}  // namespace remora::net
