// One try of an exchange at one endpoint: its lease, its connection, its own timeout. An exchange has one at
// a time, or two when it hedges.
//
//   state        enters by                    leaves by
//   kFree        made, or the try is over     begin -> kDialling
//   kDialling    begin                        on_stream -> kSent; failed -> kFree
//   kSent        a stream is there            response head -> kAnswering; failed, timeout -> kFree
//   kAnswering   response head or 101         complete, cancel -> kFree; failed -> kFree
//
// Thread: the worker's. Owner: the Exchange, which is told everything through Owner, and gives the lease's
// outcome back with complete(), give_up() or after on_attempt_failed().
#pragma once

#include <cstdint>
#include <optional>

#include "proxy/env.h"
#include "proxy/http/codec.h"
#include "proxy/lease.h"

namespace remora::proxy {

class Attempt final : private http::Responses, private UpstreamPool::Waiter {
 public:
  class Owner {
   public:
    // A stream is there: the request is to be sent.
    virtual void on_attempt_open(Attempt& attempt) = 0;
    virtual void on_attempt_informational(Attempt& attempt, http::ResponseHead& head) = 0;
    virtual void on_attempt_response(Attempt& attempt, http::ResponseHead& head, bool end) = 0;
    virtual void on_attempt_upgrade(Attempt& attempt, http::ResponseHead& head) = 0;
    virtual void on_attempt_body(Attempt& attempt, std::string_view bytes, bool end) = 0;
    virtual bool on_attempt_bulk(Attempt& attempt, Bulk& bulk) = 0;
    virtual void on_attempt_trailers(Attempt& attempt, const http::FieldList& trailers) = 0;
    virtual void on_attempt_writable(Attempt& attempt) = 0;
    // It is the breaker's probe, and has not been answered for a while: others are kept out meanwhile.
    virtual void on_probe_unanswered(Attempt& attempt) = 0;
    // It is over without a complete response; the lease is still held: fail() or begin_again() follows.
    virtual void on_attempt_failed(Attempt& attempt, const Error& error, breaker::Result result) = 0;
    // A traced one is over, whatever came of it; the lease is still held.
    virtual void on_attempt_over(Attempt& attempt, breaker::Result result) = 0;

   protected:
    ~Owner() = default;
  };

  Attempt(Env& env, Owner& owner) : env_(env), owner_(owner) {}

  // `per_try`: from here to the response's head; zero = none. `tunnel`: no HTTP, on a connection of its own
  // that begins with these bytes; on_attempt_upgrade follows once that is there. Any callback may come before
  // it returns.
  void begin(Lease&& lease, Duration per_try, const std::string_view* tunnel);
  // What the breaker is to know of a probe that has not been answered yet.
  void settle_probe(breaker::Result result) { lease_.answered({.result = result}, std::nullopt); }
  void watch_probe(Duration patience) { env_.wheel.arm_in(probe_timer_, patience); }
  // Once more on a fresh connection to the same endpoint, with the same lease, after a failure.
  void begin_again(UpstreamPool::Permits permits);

  // Ends what is under way; the lease is still held: give_up() or complete() follows.
  void drop();
  // The response is complete, or of no further interest: tells the lease what it said. `request_done`: the
  // connection may be used again.
  void complete(unsigned status, bool request_done);
  // Gives up what is under way. `outcome`: what it says of the endpoint.
  void give_up(const breaker::Outcome& outcome);
  // After on_attempt_failed: tells the lease.
  void fail(breaker::Result result) { conclude({.result = result}); }

  bool active() const { return state_ != State::kFree; }
  bool sent() const { return state_ == State::kSent || state_ == State::kAnswering; }
  // A byte of the request may have reached the endpoint.
  bool was_sent() const { return was_sent_; }
  // On a connection that has waited in the pool.
  bool reused() const { return reused_; }
  // The response says that a proxy behind has refused the request: it says nothing about the endpoint.
  bool shed() const { return shed_status_ != 0; }
  http::ClientStream& stream() { return *stream_; }
  const Lease& lease() const { return lease_; }

  TimePoint began_at() const { return began_at_; }
  // When the latest dial began.
  TimePoint opened_at() const { return opened_at_; }
  // Of the response's head; 0: none came.
  unsigned status() const { return status_; }

  // From here to its end it is traced, as this span (not 0), the `resend`-th after the first attempt.
  void trace(std::uint64_t span, std::uint32_t resend) {
    span_ = span;
    resend_ = resend;
  }
  std::uint64_t span() const { return span_; }
  std::uint32_t resend() const { return resend_; }

  // For the log, of the latest try.
  std::optional<Duration> connect_took() const { return connect_took_; }
  std::optional<Duration> response_took() const { return response_took_; }

  void recycle();

 private:
  enum class State : std::uint8_t { kFree, kDialling, kSent, kAnswering };

  void on_stream(http::ClientStream& stream, bool reused) override;
  void on_connect_failed(const Error& error) override;
  void on_informational(http::ResponseHead& head) override { owner_.on_attempt_informational(*this, head); }
  void on_response(http::ResponseHead& head, bool end) override;
  void on_upgrade(http::ResponseHead& head) override;
  void on_body(std::string_view bytes, bool end) override { owner_.on_attempt_body(*this, bytes, end); }
  bool on_bulk(Bulk& bulk) override { return owner_.on_attempt_bulk(*this, bulk); }
  void on_trailers(const http::FieldList& trailers) override { owner_.on_attempt_trailers(*this, trailers); }
  void on_writable() override { owner_.on_attempt_writable(*this); }
  void on_reset(const Error& error) override;

  void dial(bool fresh, UpstreamPool::Permits permits, const std::string_view* tunnel);
  void answered(const http::ResponseHead& head);
  void on_timer();
  void on_probe_timer() { owner_.on_probe_unanswered(*this); }
  breaker::Outcome outcome_of(unsigned status) const;
  void conclude(const breaker::Outcome& outcome);

  Env& env_;
  Owner& owner_;
  State state_ = State::kFree;
  bool reused_ = false;
  bool was_sent_ = false;
  bool tunnel_ = false;
  unsigned shed_status_ = 0;
  unsigned status_ = 0;
  std::uint32_t resend_ = 0;
  std::uint64_t span_ = 0;   // 0: it is not traced
  std::uint32_t dials_ = 0;  // so that a dial that ends inside open() is told from the one that follows it
  Lease lease_;
  http::ClientStream* stream_ = nullptr;
  UpstreamConnection* dialling_ = nullptr;
  Duration per_try_{};
  TimePoint began_at_{};
  TimePoint opened_at_{};
  TimePoint sent_at_{};
  std::optional<Duration> connect_took_;
  std::optional<Duration> response_took_;
  MemberTimer<Attempt, &Attempt::on_timer> timer_{*this};
  MemberTimer<Attempt, &Attempt::on_probe_timer> probe_timer_{*this};
};

}  // namespace remora::proxy
