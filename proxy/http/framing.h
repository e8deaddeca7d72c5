// Where a message's body ends (RFC 9112 section 6.3), stricter than the RFC: whatever two recipients could
// understand differently is refused. Pure functions on a head's fields.
#pragma once

#include <cstdint>
#include <optional>

#include "proxy/http/head_scan.h"
#include "proxy/http/message.h"

namespace remora::http {

struct Framing {
  std::optional<std::uint64_t> length;  // Content-Length
  bool chunked = false;
};

// Transfer-Encoding must be one field that says exactly `chunked`, on HTTP/1.1, without Content-Length;
// Content-Length must be one field of digits, below 2^63. Anything else is kForbiddenFraming, or
// kUnsupportedCoding for a coding that is not chunked.
std::optional<Fault> read_framing(const FieldList& fields, Version version, Framing& framing);

// What Connection says (RFC 9110 section 7.6.1).
struct ConnectionOptions {
  bool close = false;
  bool keep_alive = false;
  bool upgrade = false;
};
ConnectionOptions read_connection(const FieldList& fields);

// Whether the sender lets the connection live on after this message (RFC 9112 section 9.3).
inline bool is_persistent(const ConnectionOptions& options, Version version) {
  return !options.close && (version.at_least_1_1() || options.keep_alive);
}

// Whether Upgrade asks for something that is forwarded: anything but HTTP/2 over clear text, which RFC 9113
// section 3.1 took back.
bool is_forwardable_upgrade(const FieldList& fields);

// Removes from a trailer section what must not be there (RFC 9110 section 6.5.1): framing, routing,
// authentication, and what a proxy vouches for. Content-Length and Transfer-Encoding there are refused.
std::optional<Fault> filter_trailers(FieldList& trailers);

}  // namespace remora::http
