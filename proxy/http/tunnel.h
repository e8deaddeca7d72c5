// Connections that carry no messages: each is one exchange, a tunnel from its first byte to its last. This is
// how plain TCP goes through the same exchanges, pools, limits and logs as HTTP does.
//
//   server   an empty request head at once, with the connection; its body is what the peer sends. Any
//   response
//            but send_upgrade() resets the connection: the peer could not tell it from data, nor an empty one
//            from a complete one
//   client   on_upgrade() with status 200 and nothing else as soon as an exchange has begun
//
// Half-close, back-pressure and resets are those of a tunnel that began as a request (codec.h).
#pragma once

#include <memory>

#include "proxy/http/codec.h"
#include "proxy/http/h1.h"

namespace remora::http {

// proceed() begins the exchange. The references outlive the codec.
std::unique_ptr<ServerCodec> make_tunnel_server(Transport& transport, Requests& requests, H1Scratch& scratch);

// For one exchange: it is never available() again.
std::unique_ptr<ClientCodec> make_tunnel_client(Transport& transport, H1Scratch& scratch);

}  // namespace remora::http
