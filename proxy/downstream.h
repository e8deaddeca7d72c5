// One accepted connection: its codec, and the timeouts of a connection between requests (first bytes, head,
// keep-alive). It knows nothing of what is done with a request: a Handler does (the worker's exchanges, or
// the admin pages).
//
//   waiting for    runs out after             then
//   first bytes    timeouts.header            closed silently
//   rest of head   timeouts.header            408
//   next request   timeouts.keep_alive        closed silently, once the last response has left or makes no
//                                             progress within timeouts.body_idle
//
// Thread: the loop's. Owner: the Handler, which destroys it (through the Turn) after on_downstream_closed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "breaker/limiter.h"
#include "proxy/env.h"
#include "proxy/http/codec.h"
#include "proxy/http_link.h"
#include "proxy/net/tls_peer.h"

namespace remora::proxy {

class WorkerListener;

class Downstream final : private http::Requests, private HttpLink::Owner {
 public:
  class Handler {
   public:
    // As http::Requests, with the connection it came on.
    virtual http::Receiver* on_request(Downstream& downstream, http::ServerStream& stream,
                                       http::RequestHead& head, bool end) = 0;
    virtual void on_bad_request(Downstream& downstream, http::ServerStream& stream, const Error& error) = 0;
    // The connection is over; bury it.
    virtual void on_downstream_closed(Downstream& downstream) = 0;

   protected:
    ~Handler() = default;
  };

  struct Timeouts {
    Duration header = 10s;
    Duration keep_alive = 75s;
    Duration body_idle = 60s;  // a response that is still leaving makes no progress
  };

  // What comes over the connection.
  enum class Carries : std::uint8_t { kHttp, kBytes };

  // `timeouts`, `limits` and `bytes` (may be null) outlive the connection.
  Downstream(Env& env, Handler& handler, const Timeouts& timeouts, const http::H1Limits& limits,
             WireBytes* bytes, Carries carries = Carries::kHttp);

  void start(std::unique_ptr<net::Stream> stream);
  // No further request: closes when idle, else with the next response. One that has had no request yet is
  // served its first.
  void drain();
  // Ends the connection at once; exchanges under way are told. The handler is called back.
  void close();

  const net::Stream& stream() const { return link_.stream(); }
  const Address& peer() const { return stream().peer(); }
  // The peer's address without the port, as text; made once.
  const std::string& peer_host() const { return peer_host_; }
  Carries carries() const { return carries_; }

  // For the owner: its place in the owner's list, the listener it came by (null: admin) and its permit,
  // whether the peer's X-Forwarded-* are believed, and whether it was accepted beyond the connection limit,
  // only to be told so.
  std::size_t slot = 0;
  WorkerListener* listener = nullptr;
  breaker::Permit permit;
  bool trusted = false;
  bool over_limit = false;
  // The connection is encrypted; and who the peer is, null if it has not shown that.
  bool tls = false;
  // An exchange has logged its broken body already; the on_bad_request that follows only has to be answered.
  bool reply_logged = false;
  std::unique_ptr<net::TlsPeer> identity;
  // Of a connection that carries bytes: whom its client asks for, which is what a route can go by. Null:
  // nobody; a pointer, since most connections have none and many are idle.
  std::unique_ptr<const std::string> server_name;
  // Where it was going before it was redirected; null: nobody asks.
  std::unique_ptr<Address> destination;

 private:
  http::Receiver* on_request(http::ServerStream& stream, http::RequestHead& head, bool end) override;
  void on_bad_request(http::ServerStream& stream, const Error& error) override;
  void on_link_turn() override;
  void on_link_closed(const Error* error) override;
  void on_timer();
  TimePoint deadline() const;
  bool response_is_leaving();

  Env& env_;
  Handler& handler_;
  const Timeouts& timeouts_;
  HttpLink link_;
  std::unique_ptr<http::ServerCodec> codec_;
  std::string peer_host_;
  MemberTimer<Downstream, &Downstream::on_timer> timer_{*this};
  std::size_t leaving_ = 0;  // bytes queued when the timer last looked
  TimePoint since_{};        // when the present waiting began
  Carries carries_;
  bool served_ = false;  // a request has come
  bool draining_ = false;
  bool in_head_ = false;  // a part of a head has come
  bool busy_ = false;     // an exchange is under way
};

}  // namespace remora::proxy
