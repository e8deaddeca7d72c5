// HTTP/1.1 (RFC 9112), both roles: a raw scan, lines taken apart, and a framing policy that is stricter than
// llhttp and that llhttp must agree with (docs/http.md lists every rule).
//
// Memory: an idle codec holds no buffers. A head that arrives in pieces is kept until it is whole, bounded by
// Limits::header_bytes; at most one read of pipelined input is kept while an exchange is active.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "proxy/http/codec.h"
#include "proxy/http/message.h"

namespace remora::http {

struct H1Limits {
  std::uint32_t header_bytes = 60 * 1024;  // of a head, its request or status line included
  std::uint32_t header_fields = 100;
  std::uint64_t body_bytes = 0;  // of a request body; 0 = unlimited
  bool connect = false;          // CONNECT is a request; otherwise kMethodNotAllowed
};

// What codecs of one thread share so that nothing is allocated per exchange: the head being parsed and the
// bytes being written. Outlives them.
struct H1Scratch {
  RequestHead request;
  ResponseHead response;
  FieldList trailers;
  std::string out;
};

// The server role: `transport` and `requests` outlive the codec. `limits` too.
std::unique_ptr<ServerCodec> make_h1_server(Transport& transport, Requests& requests, H1Scratch& scratch,
                                            const H1Limits& limits);

// The client role: one exchange at a time, available() again when request and response have ended and the
// connection may be reused.
std::unique_ptr<ClientCodec> make_h1_client(Transport& transport, H1Scratch& scratch, const H1Limits& limits);

}  // namespace remora::http
