// One request with its response, or one TCP connection, which is a request without a head whose only response
// is to become a tunnel: the place where routing, balancing, limits, retries, timeouts and the log
// meet. The code is in the order in which a request lives: start -> acquire -> try -> relay -> conclude
// (docs/architecture.md, "the life of a request").
//
//   state        enters by                           leaves by
//   kIdle        made, or recycled                   start
//   kQueued      the cluster's limits are reached    a place -> kTrying; pending timeout -> reply
//   kBackingOff  an attempt failed, another is due   the pause is over -> kTrying
//   kTrying      one attempt (or two) under way      response head -> kRelaying; failed -> kBackingOff,
//                                                    kTrying again, or reply
//   kRelaying    a response head went down           response complete, reset -> kDone
//   kTunnel      101, or a TCP connection is open    both directions ended, reset, idle -> kDone
//   kDone        everything ended                    recycle -> kIdle
//
// Thread: the worker's. Owner: ExchangePool, which recycles it at the end of the turn: an exchange at rest
// keeps its memory, so that a request on a warm worker allocates nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "breaker/retry_policy.h"
#include "proxy/access_log.h"
#include "proxy/attempt.h"
#include "proxy/env.h"
#include "proxy/http/codec.h"
#include "proxy/listener_context.h"
#include "proxy/local_reply.h"
#include "proxy/span_ring.h"
#include "proxy/trace_context.h"

namespace remora::net {
class Stream;
struct TlsPeer;
}  // namespace remora::net

namespace remora::proxy {

// Where a request came from. The pointers outlive the exchange's stay in any state but kDone.
struct Origin {
  Ref<ListenerContext> listener;
  const Address* peer = nullptr;
  const net::Stream* stream = nullptr;
  const Address* destination = nullptr;  // where it was going before it was redirected; null: nobody knows
  std::string_view peer_host;
  bool trusted = false;
  bool tcp = false;                        // it carries no HTTP: one exchange, a tunnel
  bool tls = false;                        // the connection is encrypted ...
  const net::TlsPeer* identity = nullptr;  // ... and the peer has shown who it is
  // Set when the exchange has logged a broken request body, whose reply the codec asks for next
  // (Downstream::reply_logged).
  bool* reply_logged = nullptr;
};

class Exchange final : private Attempt::Owner, private Cluster::Waiter {
 public:
  class Owner {
   public:
    // The exchange is in kDone: recycle it at the end of the turn.
    virtual void on_exchange_done(Exchange& exchange) = 0;

   protected:
    ~Owner() = default;
  };

  Exchange(Env& env, AccessLog& log, Owner& owner);

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
  enum class State : std::uint8_t { kIdle, kQueued, kBackingOff, kTrying, kRelaying, kTunnel, kDone };

  // The trace that the request belongs to; unknown without [tracing].
  struct Trace {
    TraceContext context;
    std::uint64_t span = 0;    // the exchange's
    std::uint64_t parent = 0;  // the caller's; 0: none
    bool recording = false;
  };

  // What the client's side of the connection tells us.
  struct FromClient final : http::Receiver {
    explicit FromClient(Exchange& x) : exchange(x) {}
    void on_body(std::string_view bytes, bool end) override { exchange.on_client_body(bytes, end); }
    bool on_bulk(Bulk& bulk) override { return exchange.on_client_bulk(bulk); }
    void on_trailers(const http::FieldList& trailers) override { exchange.on_client_trailers(trailers); }
    void on_writable() override { exchange.on_client_writable(); }
    void on_reset(const Error& error) override { exchange.on_client_reset(error); }
    Exchange& exchange;
  };

  // The way up (exchange.cc).
  void begin(const Origin& origin, http::ServerStream& stream, http::RequestHead& head, bool end);
  void route();
  bool denies(const std::vector<std::string>& allow);
  bool over_rate(RateLimitState* state, const Rare<config::RateLimit>& limit);
  void forward(const config::Route& route, const config::Forward& forward);
  void apply_request_edits(const config::FieldEdits& edits);
  void on_client_body(std::string_view bytes, bool end);
  bool on_client_bulk(Bulk& bulk);
  void on_client_trailers(const http::FieldList& trailers);
  void on_client_reset(const Error& error);
  void keep(std::string_view bytes);
  void request_ended();

  // Attempts (exchange_attempts.cc).
  void use_cluster(std::size_t index);
  void acquire();
  void on_place(Acquired acquired) override;
  void wait_for_place(Denied denied);
  void deny(const Acquired& acquired);
  void fall_back(const config::Fallback& fallback);
  void begin_attempt(Lease&& lease);
  void begin_tunnel(Lease&& lease);
  void on_attempt_open(Attempt& attempt) override;
  void complete_head(Attempt& attempt);
  void on_attempt_writable(Attempt& attempt) override;
  void on_probe_unanswered(Attempt& attempt) override;
  void on_attempt_failed(Attempt& attempt, const Error& error, breaker::Result result) override;
  void log_tls_failure(const Error& error);
  bool retries_response(Attempt& attempt, const http::ResponseHead& head);
  bool may_try_again(const breaker::FailedAttempt& failed);
  bool take_retry();
  void try_again(const breaker::FailedAttempt& failed);
  void mark_attempt();
  bool may_hedge() const;
  void arm_hedge();
  void hedge();
  void on_step_timer();
  breaker::Attempt facts(const Attempt& attempt) const;
  bool repeatable() const;
  bool keeps_body() const;
  unsigned tries() const { return attempts_ - (replayed_ ? 1U : 0U); }
  Attempt& rival(const Attempt& attempt) { return &attempt == &first_ ? second_ : first_; }
  // The attempt that takes the request's body as it comes; null while none can.
  Attempt* taker() { return first_.sent() ? &first_ : second_.sent() ? &second_ : nullptr; }
  // Both of the configuration that the exchange began with.
  Cluster& cluster() { return *origin_.listener->clusters[cluster_]; }
  const config::Cluster& cluster_settings() const { return origin_.listener->config->clusters[cluster_]; }

  // The way down (exchange_response.cc).
  void on_attempt_informational(Attempt& attempt, http::ResponseHead& head) override;
  void on_attempt_response(Attempt& attempt, http::ResponseHead& head, bool end) override;
  void on_attempt_upgrade(Attempt& attempt, http::ResponseHead& head) override;
  void on_attempt_body(Attempt& attempt, std::string_view bytes, bool end) override;
  bool on_attempt_bulk(Attempt& attempt, Bulk& bulk) override;
  void on_attempt_trailers(Attempt& attempt, const http::FieldList& trailers) override;
  void on_client_writable();
  void on_response_complete();
  void win(Attempt& attempt, State next);

  // Its trace (exchange_trace.cc). begin_trace() where there is [tracing], the others while spans are
  // recorded.
  void begin_trace();
  void trace_attempt(Attempt& attempt);
  void write_attempt_trace(const Attempt& attempt);
  void on_attempt_over(Attempt& attempt, breaker::Result result) override { record_attempt(attempt, result); }
  void record_attempt(const Attempt& attempt, breaker::Result result);
  void record_exchange();
  Span span_of_request() const;

  // The end, and the waits (exchange_end.cc).
  void reply(const LocalReply& reply, breaker::Result blame = breaker::Result::kIgnored);
  void answer(http::ResponseHead& head, std::string_view body);
  void answer_trace();
  void abort(Flag flag, breaker::Result blame);
  void conclude(breaker::Result blame);
  void write_log();
  void count_local_reply();
  void done();
  void on_timer();
  std::optional<TimePoint> due() const;
  Duration shortest_wait() const;
  void arm_timer();
  void expire();
  std::string_view scheme() const;
  std::string_view upstream_text() const;
  bool awaits_continue() const;
  // The endpoint gets bytes, and no HTTP.
  bool tunnels() const { return tcp_ || connect_; }
  bool to_head() const { return request_.method == "HEAD"; }

  Env& env_;
  AccessLog& log_;
  Owner& owner_;
  FromClient from_client_{*this};

  State state_ = State::kIdle;
  Origin origin_;
  http::RequestHead request_;
  std::string client_target_;  // for the log, where a route has changed them
  std::string client_authority_;
  http::ServerStream* client_ = nullptr;  // null once its exchange has ended
  const config::Route* route_ = nullptr;
  const breaker::RetrySettings* retry_ = nullptr;
  std::size_t cluster_ = 0;  // index into the statistics; the listener's local() if none
  std::optional<std::uint64_t> key_;

  Trace trace_;
  Attempt first_;
  Attempt second_;                    // when hedging
  Attempt* latest_ = nullptr;         // the winner, or the one begun last
  Attempt* hedge_ = nullptr;          // the one begun because another was late
  std::vector<std::uint32_t> tried_;  // of the cluster's generation
  std::uint64_t tried_generation_ = 0;
  std::string last_upstream_;               // of an attempt that has given its lease back, for the log
  std::optional<LocalReply> last_failure_;  // what to say if no further attempt can be made
  breaker::Permit retry_permit_;

  std::string kept_body_;  // request bytes that an upstream may still have to be sent
  http::FieldList kept_trailers_;
  std::size_t client_unconsumed_ = 0;  // received from the client, not yet passed on
  std::size_t upstream_unconsumed_ = 0;
  bool tcp_ = false;       // no HTTP (Origin::tcp)
  bool connect_ = false;   // CONNECT: a tunnel once the endpoint is reached
  bool body_kept_ = true;  // kept_body_ holds all of the body so far
  bool request_ended_ = false;
  bool response_begun_ = false;
  bool response_ended_ = false;
  bool tunnel_up_ended_ = false;
  bool concluded_ = false;
  bool replayed_ = false;  // a dead pooled connection was replaced
  bool retried_ = false;   // by policy, or hedged
  bool marked_ = false;    // another hop retries this request
  bool fell_back_ = false;
  bool continued_ = false;     // a 100 came
  bool no_authority_ = false;  // an HTTP/1.0 client's: each endpoint gets its own

  Flag flag_ = Flag::kNone;
  unsigned status_ = 0;
  unsigned attempts_ = 0;
  std::uint64_t bytes_in_ = 0;
  std::uint64_t bytes_out_ = 0;
  TimePoint started_{};
  TimePoint request_ended_at_{};
  TimePoint last_activity_{};
  std::optional<TimePoint> deadline_;  // the caller's (x-request-timeout-ms)
  MemberTimer<Exchange, &Exchange::on_timer> timer_{*this};
  MemberTimer<Exchange, &Exchange::on_step_timer> step_timer_{*this};  // pending, backoff, hedge
};

}  // namespace remora::proxy
