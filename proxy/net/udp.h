// UDP sockets on a libuv loop.
//
// Thread: the loop's. Owner: see DatagramSocket. For proxy/net only.
#pragma once

#include <memory>

#include "base/address.h"
#include "base/error.h"
#include "proxy/net/network.h"
#include "proxy/net/uv_stream.h"

namespace remora::net {

// Reads into the network's one buffer. IPv6 sockets take IPv6 only.
Result<std::unique_ptr<DatagramSocket>> bind_udp(NetworkContext& context, const Address& address,
                                                 DatagramReceiver& receiver);

}  // namespace remora::net
