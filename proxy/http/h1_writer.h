// The outgoing half of HTTP/1: heads and chunk framing as bytes. Everything Connection, Content-Length and
// Transfer-Encoding say is written here and nowhere else; fields of these names in a head are left out.
//
// The heads come from the parser, the configuration or Remora itself and are valid; should a control
// character be in one all the same, it leaves as a space (RFC 9110 section 5.5), and a name that is not a
// token not at all: no value can start a new line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/http/codec.h"
#include "proxy/http/message.h"

namespace remora::http {

// How a message's body is delimited and what is said about the connection.
struct Delivery {
  enum class Body : std::uint8_t { kUnsaid, kLength, kChunked };  // kUnsaid: none, or until close
  enum class Connection : std::uint8_t { kUnsaid, kClose, kKeepAlive };

  Body body = Body::kUnsaid;
  std::uint64_t length = 0;
  Connection connection = Connection::kUnsaid;
  bool upgrade = false;  // Connection: upgrade; the Upgrade field is the head's
};

// Replaces `out` by the head's bytes. The version is always HTTP/1.1 (RFC 9110 section 2.5).
void write_request_head(const RequestHead& head, const Delivery& delivery, std::string& out);
void write_response_head(const ResponseHead& head, const Delivery& delivery, std::string& out);

// Replaces `out` by the last chunk with `trailers` behind it.
void write_last_chunk(const FieldList& trailers, std::string& out);

// Sends body bytes framed as chunks, or plainly. `left` (null: no Content-Length): what of it is still owed;
// more is cut off, so that it is not taken for the next message, and too little at the end is noticed:
// `broken`, the connection cannot go on.
struct BodyWritten {
  bool room = true;  // what Transport said
  bool broken = false;
};
BodyWritten write_body(Transport& transport, bool chunked, std::uint64_t* left, std::string_view bytes,
                       bool end);

}  // namespace remora::http
