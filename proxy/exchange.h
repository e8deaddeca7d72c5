// One request with its response: the place where routing, balancing, pools, timeouts and the log meet. The
// code is in the order in which a request lives: start -> acquire -> open -> relay -> conclude
// (docs/architecture.md, "the life of a request").
//
//   state      enters by                               leaves by
//   kIdle      made, or recycled                       start
//   kOpening   a connection is being dialled           on_stream -> kRelaying; on_connect_failed -> reply
//   kRelaying  the request went up                     response complete, reply or reset -> kDone
//   kTunnel    101                                     both directions ended, reset, idle -> kDone
//   kDone      everything ended                        recycle -> kIdle
//
// Thread: the worker's. Owner: ExchangePool, which recycles it at the end of the turn: an exchange at rest
// keeps its memory, so that a request on a warm worker allocates nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "breaker/replay.h"
#include "proxy/access_log.h"
#include "proxy/env.h"
#include "proxy/http/codec.h"
#include "proxy/listener_context.h"
#include "proxy/local_reply.h"
#include "proxy/upstreams.h"

namespace remora::proxy {

// Where a request came from. The references outlive the exchange's stay in any state but kDone.
struct Origin {
  ListenerContext* listener = nullptr;
  const Address* peer = nullptr;
  std::string_view peer_host;
  bool trusted = false;
  // Set when the exchange has logged a broken request body, whose reply the codec asks for next
  // (Downstream::reply_logged).
  bool* reply_logged = nullptr;
};

class Exchange final : private UpstreamPool::Waiter {
 public:
  class Owner {
   public:
    // The exchange is in kDone: recycle it at the end of the turn.
    virtual void on_exchange_done(Exchange& exchange) = 0;

   protected:
    ~Owner() = default;
  };

  Exchange(Env& env, Upstreams& upstreams, AccessLog& log, Owner& owner);

  // Begins with a request's head, which is taken. Returns who is told of the request's body.
  http::Receiver* start(const Origin& origin, http::ServerStream& stream, http::RequestHead& head, bool end);
  // Begins and ends with a reply to something that is no request.
  void refuse(const Origin& origin, http::ServerStream& stream, const LocalReply& reply);
  // As start, but the only answer is `reply`.
  http::Receiver* start_refused(const Origin& origin, http::ServerStream& stream, http::RequestHead& head,
                                bool end, const LocalReply& reply);

  // For the pool: ready for another request. Only in kDone.
  void recycle();
  std::size_t slot = 0;

 private:
  enum class State : std::uint8_t { kIdle, kOpening, kRelaying, kTunnel, kDone };

  // What the client's side of the connection tells us.
  struct FromClient final : http::Receiver {
    explicit FromClient(Exchange& x) : exchange(x) {}
    void on_body(std::string_view bytes, bool end) override { exchange.on_client_body(bytes, end); }
    void on_trailers(const http::FieldList& trailers) override { exchange.on_client_trailers(trailers); }
    void on_writable() override { exchange.on_client_writable(); }
    void on_reset(const Error& error) override { exchange.on_client_reset(error); }
    Exchange& exchange;
  };
  // What the upstream's side tells us.
  struct FromUpstream final : http::Responses {
    explicit FromUpstream(Exchange& x) : exchange(x) {}
    void on_informational(http::ResponseHead& head) override { exchange.on_informational(head); }
    void on_response(http::ResponseHead& head, bool end) override { exchange.on_response(head, end); }
    void on_upgrade(http::ResponseHead& head) override { exchange.on_upgrade(head); }
    void on_body(std::string_view bytes, bool end) override { exchange.on_upstream_body(bytes, end); }
    void on_trailers(const http::FieldList& trailers) override { exchange.on_upstream_trailers(trailers); }
    void on_writable() override { exchange.on_upstream_writable(); }
    void on_reset(const Error& error) override { exchange.on_upstream_reset(error); }
    Exchange& exchange;
  };

  // In the order of a request's life.
  void begin(const Origin& origin, http::ServerStream& stream, http::RequestHead& head, bool end);
  void route();
  void forward(const config::Route& route, const config::Forward& forward);
  void apply_request_edits(const config::FieldEdits& edits);
  void acquire();
  void open(bool fresh);
  void on_stream(http::ClientStream& stream, bool reused) override;
  void on_connect_failed(const Error& error) override;

  void on_client_body(std::string_view bytes, bool end);
  void on_client_trailers(const http::FieldList& trailers);
  void on_client_writable();
  void on_client_reset(const Error& error);
  void keep(std::string_view bytes);
  void request_ended();

  void on_informational(http::ResponseHead& head);
  void on_response(http::ResponseHead& head, bool end);
  void on_upgrade(http::ResponseHead& head);
  void on_upstream_body(std::string_view bytes, bool end);
  void on_upstream_trailers(const http::FieldList& trailers);
  void on_upstream_writable();
  void on_upstream_reset(const Error& error);
  void on_response_complete();

  void reply(const LocalReply& reply);
  void answer(http::ResponseHead& head, std::string_view body);
  void answer_trace();
  void abort(Flag flag);
  void drop_upstream();
  void conclude(Lease::Outcome outcome);
  void write_log();
  void count_local_reply();
  void done();

  void on_timer();
  std::optional<TimePoint> deadline() const;
  Duration shortest_wait() const;
  void arm_timer();
  void expire();
  std::string_view scheme() const;
  bool awaits_continue() const;
  bool to_head() const { return request_.method == "HEAD"; }
  breaker::Attempt attempt() const;

  Env& env_;
  Upstreams& upstreams_;
  AccessLog& log_;
  Owner& owner_;
  FromClient from_client_{*this};
  FromUpstream from_upstream_{*this};

  State state_ = State::kIdle;
  Origin origin_;
  http::RequestHead request_;
  std::string client_target_;  // for the log, where a route has changed them
  std::string client_authority_;
  http::ServerStream* client_ = nullptr;    // null once its exchange has ended
  http::ClientStream* upstream_ = nullptr;  // null before and after
  UpstreamConnection* dialling_ = nullptr;
  const config::Route* route_ = nullptr;
  std::size_t cluster_ = 0;  // index into the statistics; the listener's local() if none
  std::optional<std::uint64_t> key_;
  Lease lease_;
  std::vector<std::uint32_t> tried_;

  std::string kept_body_;  // request bytes that an upstream may still have to be sent
  http::FieldList kept_trailers_;
  std::size_t client_unconsumed_ = 0;  // received from the client, not yet passed on
  std::size_t upstream_unconsumed_ = 0;
  bool body_kept_ = true;  // kept_body_ holds all of the body so far
  bool request_ended_ = false;
  bool response_begun_ = false;
  bool response_ended_ = false;
  bool tunnel_up_ended_ = false;
  bool concluded_ = false;
  bool reused_ = false;
  bool replayed_ = false;
  bool continued_ = false;  // a 100 came

  Flag flag_ = Flag::kNone;
  unsigned status_ = 0;
  unsigned attempts_ = 0;
  std::uint64_t bytes_in_ = 0;
  std::uint64_t bytes_out_ = 0;
  TimePoint started_{};
  TimePoint request_ended_at_{};
  TimePoint opened_at_{};
  TimePoint sent_at_{};
  TimePoint last_activity_{};
  std::optional<Duration> connect_took_;
  std::optional<Duration> response_took_;
  MemberTimer<Exchange, &Exchange::on_timer> timer_{*this};
};

}  // namespace remora::proxy
