// A small multiplexed protocol for tests: many exchanges at a time on one connection, in both roles, behind
// the same interfaces as HTTP/1. It exists to prove that nothing above the codecs knows how many exchanges
// share a connection.
//
// A frame: stream id (4 bytes, big-endian), type (1), flags (1), length (2), payload. A longer body is
// several frames.
//
//   type        payload
//   kHead       a request's or final response's head as text (see mux_wire.cc)
//   kInterim    an interim response's head
//   kUpgrade    a 101 response's head; from then on kData is the tunnel's
//   kData       body bytes
//   kTrailers   fields; ends the half
//   kReset      the exchange is given up
//   kGoAway     (stream 0) no new exchanges
// Flag kEnd: the sender's half ends with this frame.
//
// Server codecs accept any stream id above those seen. Limits: none but those of the frame; not for
// production.
#pragma once

#include <memory>

#include "proxy/http/codec.h"

namespace remora::http::test {

std::unique_ptr<ServerCodec> make_mux_server(Transport& transport, Requests& requests);

// At most `exchanges` at a time.
std::unique_ptr<ClientCodec> make_mux_client(Transport& transport, std::size_t exchanges = 100);

}  // namespace remora::http::test
