// The incoming half of an HTTP/1 connection, either role: one message after the other, each a head and a
// body. Pull, not push: the codec asks for the next thing in the bytes it has, so nothing calls back into it.
//
//   scan() until kDone -> request() or response() -> next() until `end` (or the connection's) -> scan() ...
//
// llhttp parses what decides where a body ends: the framing fields, as a second opinion to read_framing's,
// and the chunk framing. All else never reaches it: it knows only some methods, refuses valid pairs of
// extensions, and is slower at taking a field line apart.
//
// The chunk framing may cost the sender at most 16 KiB beyond 16 bytes per chunk and twice the body (RFC 9112
// section 7.1.1 asks for a limit).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/http/framing.h"
#include "proxy/http/h1.h"
#include "proxy/http/head_scan.h"
#include "proxy/http/message.h"

namespace remora::http {

class H1Parser final {
 public:
  struct Step {
    enum class Kind : std::uint8_t {
      kMore,   // `used` bytes are done with; the rest (part of the trailers) must come again with more
      kBytes,  // body bytes; with `end`, the last ones
      kEnd,    // the body has ended; `trailers` may hold some
      kFault,  // see fault()
    };
    Kind kind = Kind::kMore;
    bool end = false;
    std::size_t used = 0;
    std::string_view bytes;
  };

  // What the request was to which a response is read.
  struct Asked {
    bool head = false;  // HEAD
    bool upgrade = false;
  };

  HeadScan::Result scan(std::string_view bytes, HeadScan::Kind kind, const H1Limits& limits) {
    return scan_.scan(bytes, kind, limits);
  }
  // Bytes of the head that scan() completed.
  std::size_t head_size() const { return scan_.size(); }

  // Parse the head that scan() completed; `bytes` as given to it. They fill `head` completely and set up the
  // body.
  std::optional<Fault> request(std::string_view bytes, RequestHead& head);
  std::optional<Fault> response(std::string_view bytes, Asked asked, ResponseHead& head);
  // What the last head said about its connection.
  const ConnectionOptions& connection() const { return connection_; }

  // The next part of the body. Precondition: the head said has_body, and no step has ended it.
  Step next(std::string_view bytes, FieldList& trailers, const H1Limits& limits);

  // A body that only the connection's end will end.
  bool until_close() const { return stage_ == Stage::kUntilClose; }
  // Body bytes still to come: exact under Content-Length, else 0.
  std::uint64_t remaining() const { return stage_ == Stage::kLength ? left_ : 0; }

  const Fault& fault() const { return fault_; }
  const Fault& scan_fault() const { return scan_.fault(); }

  // For the next message.
  void reset() { scan_.reset(); }

 private:
  enum class Stage : std::uint8_t {
    kDone,
    kLength,  // Content-Length: left_ bytes to come
    kUntilClose,
    kSize,  // digits of a chunk's size
    kExtension,
    kSizeEnd,  // CRLF after them
    kData,     // left_ bytes of the chunk
    kDataEnd,  // CRLF after them
    kTrailers,
  };

  // What a head's start line, and for responses the request, say about it.
  struct Shape {
    Version version;
    bool response = false;
    bool bodiless = false;
  };

  std::optional<Fault> parse_fields(std::string_view block, Shape shape, FieldList& fields, Framing& framing);
  void begin_body(const Framing& framing, bool until_close);
  bool feed(std::string_view bytes);
  Step refuse(std::string_view detail);
  bool charge(std::size_t raw);
  Step take_plain(std::string_view bytes);
  Step take_chunked(std::string_view bytes, FieldList& trailers, const H1Limits& limits);
  bool take_size(std::string_view bytes, std::size_t& used);
  bool take_extension(std::string_view bytes, std::size_t& used);
  bool take_line_end(std::string_view bytes, std::size_t& used);
  Step take_trailers(std::string_view bytes, std::size_t used, FieldList& trailers, const H1Limits& limits);

  // Room for an llhttp_t, which only the .cc knows.
  static constexpr std::size_t kLlhttpSize = 104;
  alignas(8) std::byte llhttp_[kLlhttpSize];
  HeadScan scan_;
  Fault fault_;
  std::uint64_t left_ = 0;
  std::uint32_t excess_ = 0;  // chunk framing bytes not yet excused by body bytes
  std::uint8_t digits_ = 0;   // of the chunk size so far
  bool half_line_end_ = false;
  Stage stage_ = Stage::kDone;
  ConnectionOptions connection_;
};

}  // namespace remora::http
