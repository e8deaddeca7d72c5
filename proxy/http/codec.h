// The seam between a connection's bytes and the messages on it. HTTP/1 (h1_server.h, h1_client.h) is one
// implementation, a multiplexed protocol another: nothing here says how many messages share a connection.
//
//   bytes in  -> ServerCodec::feed -> Requests::on_request -> (Receiver::on_body)*  -> end
//   ServerStream::send_response -> send_body* -> Transport (bytes out)
// and the mirror image with ClientCodec, ClientStream and Responses.
//
// One rule of back-pressure, both ways: send_body() returns false -> stop feeding -> on_writable. What was
// received and passed on is acknowledged by consume(n); a codec takes no more from its connection than the
// window (64 KiB) of bytes not yet consumed.
//
// Thread: the loop's. Codecs do no I/O and know no time. A stream is owned by its codec and is valid until
// its message exchange has ended in both directions, on_reset was delivered, or reset() was called, whichever
// comes first; after that the handle must not be touched. Nothing a codec hands out dies before the end of
// the turn. Re-entrancy: a Receiver may call any Sender method from inside its callbacks, on its own stream
// or others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bulk.h"
#include "base/error.h"
#include "proxy/http/message.h"

namespace remora::http {

// What one side can do to its half of a message exchange.
class Sender {
 public:
  // Sends body bytes (valid until return), the last ones with `end` (an empty call with `end` is allowed).
  // False: more than the high-water mark is queued; stop until on_writable. Never fewer bytes than given are
  // taken.
  virtual bool send_body(std::string_view bytes, bool end) = 0;
  // The same with bytes that the kernel may move, as many as can be (base/bulk.h); of a tunnel alone.
  virtual bool send_bulk(Bulk& /*bulk*/) { return true; }
  // Ends the message with trailers. Dropped where the peer cannot receive them (HTTP/1.0, Content-Length
  // framing).
  virtual void send_trailers(const FieldList& trailers) = 0;
  // `n` more received body bytes were passed on or discarded.
  virtual void consume(std::size_t n) = 0;
  // Gives the exchange up: the peer must be able to tell that what it got is incomplete. No callback follows.
  virtual void reset() = 0;

 protected:
  ~Sender() = default;
};

// What one side is told about the other half.
class Receiver {
 public:
  // Body bytes, valid until return; consume() them. `end`: the message is complete (bytes may be empty).
  virtual void on_body(std::string_view bytes, bool end) = 0;
  // Body bytes that are still in the kernel: send_bulk() them. What was moved is consumed, unless this says
  // false; then consume() it once there is room. What was not moved comes by on_body.
  virtual bool on_bulk(Bulk& /*bulk*/) { return true; }
  // The message is complete and had trailers. Instead of a last on_body with end.
  virtual void on_trailers(const FieldList& trailers) = 0;
  // send_body returned false before; there is room again.
  virtual void on_writable() = 0;
  // The exchange is over without having completed. The stream handle is gone.
  virtual void on_reset(const Error& error) = 0;

 protected:
  ~Receiver() = default;
};

// Our side of an exchange in which we answer. The end of the response ends the exchange: the handle is gone
// (calls on it until the end of the turn do nothing), the Receiver hears no more, and what is still to come
// of the request is the codec's to discard.
class ServerStream : public Sender {
 public:
  // 1xx other than 101: any number before the response. Dropped for HTTP/1.0 peers.
  virtual void send_informational(const ResponseHead& head) = 0;
  // The response's head; `end`: no body follows. `head.content_length`/`has_body` describe the body, whose
  // framing the codec chooses; Content-Length, Transfer-Encoding and Connection are the codec's to write.
  // `close`: this is the last exchange of the connection (HTTP/1: Connection: close; HTTP/2: GOAWAY).
  virtual void send_response(const ResponseHead& head, bool end, bool close) = 0;
  // Answers 101, or 2xx to CONNECT, and turns the exchange into a tunnel: from now on send_body/on_body carry
  // its raw bytes, `end` is the half-close of that direction.
  virtual void send_upgrade(const ResponseHead& head) = 0;

 protected:
  ~ServerStream() = default;
};

// Our side of an exchange in which we ask. It lasts until both halves have ended: when the response ends
// first, the request may still be finished, or reset().
class ClientStream : public Sender {
 public:
  // The request's head; `end`: no body follows. Once, before send_body.
  virtual void send_request(const RequestHead& head, bool end) = 0;

 protected:
  ~ClientStream() = default;
};

// Implemented by whoever serves a connection.
class Requests {
 public:
  // A request head has arrived. `head` may be taken (swapped or moved from). Returns who is told of the rest;
  // never null. The stream may be answered at once, inside this call. `end`: the request has no body.
  virtual Receiver* on_request(ServerStream& stream, RequestHead& head, bool end) = 0;
  // The peer broke the protocol (HTTP/1: a malformed head or body, or it was too slow). The codec accepts
  // exactly one response on `stream`, given inside this call, and the connection closes after it. When a
  // request had been handed over already, its Receiver got on_reset just before; that happens only while its
  // response has not begun.
  virtual void on_bad_request(ServerStream& stream, const Error& error) = 0;

 protected:
  ~Requests() = default;
};

// Implemented by whoever asked.
class Responses : public Receiver {
 public:
  // 1xx other than 101; any number.
  virtual void on_informational(ResponseHead& head) = 0;
  // The final response's head. `end`: no body.
  virtual void on_response(ResponseHead& head, bool end) = 0;
  // 101 to a request that asked for it: from now on a tunnel (see ServerStream::send_upgrade).
  virtual void on_upgrade(ResponseHead& head) = 0;

 protected:
  ~Responses() = default;
};

// A codec's view of its connection; implemented by proxy::HttpLink and by the tests' recorder.
class Transport {
 public:
  // Sends the pieces in order, at once or soon (small writes of one event are joined). False: above high
  // water.
  virtual bool write(std::string_view bytes) = 0;
  // For large spans, so that they need not be copied: `prefix` and `suffix` are framing around `bytes`.
  virtual bool write_through(std::string_view prefix, std::string_view bytes, std::string_view suffix) = 0;
  // As write_through, with what the kernel can move of it.
  virtual bool write_bulk(Bulk& /*bulk*/) { return true; }
  // FIN after what was written; reading goes on and feed() is still called. Only a tunnel's half-close does
  // this.
  virtual void end() = 0;
  // wants_input() or fate() may have changed, or input is waiting: call ServerCodec::proceed after the event.
  virtual void codec_changed() = 0;

 protected:
  ~Transport() = default;
};

// What every codec is to its connection.
class Codec {
 public:
  virtual ~Codec() = default;

  // Bytes from the peer, any split. All are taken: what cannot be processed yet is kept (bounded:
  // wants_input()).
  virtual void feed(std::string_view bytes) = 0;
  // Bytes that are still in the kernel. What is not moved on is fed.
  virtual void feed_bulk(Bulk& /*bulk*/) {}
  // The peer's FIN.
  virtual void feed_end() = 0;
  // Continues with kept input; called after codec_changed(), from the end of the turn.
  virtual void proceed() = 0;
  // Room again in the transport after write() returned false.
  virtual void on_writable() = 0;
  // The connection is gone; every open exchange gets on_reset(error).
  virtual void on_closed(const Error& error) = 0;

  // Whether the connection should go on reading.
  virtual bool wants_input() const = 0;
  // Nothing more will be sent and nothing more is expected. The connection should flush and close:
  // kOpen: go on; kClose: flush, FIN, linger for the peer's FIN (RFC 9112 section 9.6), close; kFinish: the
  // peer has said that it sends nothing more, so flush and close; kAbort: reset.
  enum class Fate : std::uint8_t { kOpen, kClose, kFinish, kAbort };
  virtual Fate fate() const = 0;
  // Exchanges that have begun and not ended.
  virtual std::size_t active() const = 0;
};

class ServerCodec : public Codec {
 public:
  // A part of a request head has arrived but not all of it: the header timeout runs (RFC 9110
  // section 15.5.9).
  virtual bool reading_head() const = 0;
  // Asks the peer to go: no further request is accepted after those active; the next response says close.
  // With none active, the fate becomes kClose.
  virtual void drain() = 0;
  // The peer was too slow with a head or a body (408), as if it had been malformed.
  virtual void fail(const Error& error) = 0;
};

class ClientCodec : public Codec {
 public:
  // Whether another exchange may be started now.
  virtual bool available() const = 0;
  // Starts an exchange; `responses` is told. Precondition: available().
  virtual ClientStream& start(Responses& responses) = 0;
};

}  // namespace remora::http
