// Which protocol a new connection speaks: the one place that decides it. Everything else sees
// http::ServerCodec and http::ClientCodec. Tests put other codecs here to show that nothing above depends on
// HTTP/1.
//
// Thread: the loop's. A value; the functions keep no state.
#pragma once

#include <memory>

#include "proxy/http/h1.h"
#include "proxy/http/tunnel.h"

namespace remora::proxy {

struct Codecs {
  std::unique_ptr<http::ServerCodec> (*server)(http::Transport&, http::Requests&, http::H1Scratch&,
                                               const http::H1Limits&) = &http::make_h1_server;
  std::unique_ptr<http::ClientCodec> (*client)(http::Transport&, http::H1Scratch&,
                                               const http::H1Limits&) = &http::make_h1_client;
  // Where no HTTP is spoken.
  std::unique_ptr<http::ServerCodec> (*tunnel_server)(http::Transport&, http::Requests&,
                                                      http::H1Scratch&) = &http::make_tunnel_server;
  std::unique_ptr<http::ClientCodec> (*tunnel_client)(http::Transport&,
                                                      http::H1Scratch&) = &http::make_tunnel_client;
};

}  // namespace remora::proxy
