// An ordered stream of bytes with back-pressure and half-close: TCP, a Unix socket, TLS over either, or a
// test's pipe. Everything above sees only this.
//
// Thread: one, the loop's. Owner: whoever asked Network for it; destroying it closes the connection at once
// and no callback comes after. With bytes still queued they are lost and the connection is reset, so that the
// peer can tell: wait for on_drained first. It must not be destroyed inside one of its own callbacks: bury it
// in the Turn. In callbacks of other streams, and anywhere else, it may be.
//
// No callback comes inside a call to a stream, to Network::connect or to Network::listen.
//
//   state        enters by                          callbacks that may come
//   connecting   Network::connect                   on_open, on_closed
//   open         on_open, or accepted               on_data, on_end, on_writable, on_drained, on_closed
//   half-closed  on_end (read side), end() (write)  the other side's
//   closed       on_closed                          none
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "base/address.h"
#include "base/bulk.h"
#include "base/error.h"

namespace remora::net {

class Stream {
 public:
  class Events {
   public:
    // A dialled stream is connected; an accepted one of TLS has shaken hands. No others are told.
    virtual void on_open() {}
    // Bytes arrived; valid until the call returns.
    virtual void on_data(std::string_view bytes) = 0;
    // Much arrives, and waits in the kernel: hand it to another stream's send_bulk(). What is not moved there
    // comes by on_data.
    virtual void on_bulk(Bulk& /*bulk*/) {}
    // The peer has sent all it will (FIN). The write side stays open.
    virtual void on_end() = 0;
    // send() returned false before, and the queue is now below the low-water mark.
    virtual void on_writable() = 0;
    // The queue is empty after send() or end() had left something in it. The FIN that end() asked for is on
    // its way. If queued() is 0 after send() and end() on an open stream, nothing was left and this does not
    // come.
    virtual void on_drained() {}
    // The connection failed (refused, timed out, reset). Last callback; the socket is closed already. What
    // the peer sent before is delivered first, unless reading is paused or the connection itself failed. Side
    // and retry are the owner's business: the error says only what happened.
    //   kConnectionRefused, kTimedOut, kConnectFailed, kPermissionDenied, kLimit, kInvalid: before on_open
    //   kReset, kTimedOut: after it
    virtual void on_closed(const Error& error) = 0;

   protected:
    ~Events() = default;
  };

  virtual ~Stream() = default;

  // Who is told. May be exchanged at any time, inside a callback too. Null: nobody is told any more, and
  // nothing is read. An accepted stream starts reading when it first gets its events.
  virtual void set_events(Events* events) = 0;

  // Sends all pieces in order: what the kernel does not take at once is copied and queued. Returns false when
  // the queue is above the high-water mark (256 KiB), and until on_writable then: stop feeding. Everything
  // given is accepted in any case. While connecting everything is queued. Ignored after end(), reset() or
  // on_closed, and when writing has failed: on_closed follows once everything readable has been read.
  virtual bool send(std::span<const std::string_view> pieces) = 0;

  // As send(), when end() follows at once: a stream that has something to say at its end sends it along.
  virtual bool send_last(std::span<const std::string_view> pieces) { return send(pieces); }

  // As send(), with what waits at another socket (base/bulk.h): moves what it can, and says how much. False
  // also when the kernel has not taken all of that: stop until on_writable. A stream that is no plain socket
  // moves nothing.
  virtual bool send_bulk(Bulk& /*bulk*/) { return true; }

  // Half-close: FIN after what is queued. Idempotent.
  virtual void end() = 0;
  // The peer answers an end with bytes that are not of the application: a stream that is destroyed before
  // they came meets them with a reset.
  virtual bool end_is_answered() const { return false; }

  // Closes at once with RST where the transport has one, so that the peer can tell it from a clean end. No
  // callback comes after; the object remains to be destroyed.
  virtual void reset() = 0;

  // Stops and resumes delivery of on_data and on_end. Idempotent, free of system calls if no bytes come in
  // between. While paused, a failure may go unnoticed.
  virtual void pause() = 0;
  virtual void resume() = 0;

  // Bytes queued and not yet taken by the kernel.
  virtual std::size_t queued() const = 0;

  virtual const Address& peer() const = 0;
  // Where the peer has reached us, of an accepted stream. Once the stream is closed, or if nobody knows,
  // kNone. A system call.
  virtual Address local() const = 0;
  // Where the peer of an accepted stream was going before the firewall sent it here (SO_ORIGINAL_DST): the
  // same as local() if it came by itself. kNone: nobody knows. A system call.
  virtual Address original() const { return {}; }
};

}  // namespace remora::net
