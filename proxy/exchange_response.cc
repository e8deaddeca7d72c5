// The way down: from the upstream's first byte to the log line, and everything that can go wrong on the way.
#include "proxy/exchange.h"
#include "proxy/http/forwarding.h"

namespace remora::proxy {

namespace {

bool blames_upstream(Flag flag) {
  return flag == Flag::kUpstreamConnectFailure || flag == Flag::kUpstreamClosed ||
         flag == Flag::kUpstreamProtocolError || flag == Flag::kUpstreamTimeout;
}

}  // namespace

void Exchange::on_informational(http::ResponseHead& head) {
  last_activity_ = env_.now();
  continued_ = continued_ || head.status == 100;
  http::prepare_response(head);
  client_->send_informational(head);
}

void Exchange::on_response(http::ResponseHead& head, bool end) {
  last_activity_ = env_.now();
  response_took_ = last_activity_ - sent_at_;
  response_begun_ = true;
  body_kept_ = false;
  kept_body_.clear();
  status_ = head.status;
  http::prepare_response(head);
  if (!route_->response_headers.empty()) apply_edits(route_->response_headers, head.fields);
  if (!head.fields.has(http::FieldId::kDate))
    head.fields.add(http::FieldId::kDate, env_.date.text(env_.now()));
  client_->send_response(head, end, origin_.listener->draining);
  if (end) on_response_complete();
}

void Exchange::on_upgrade(http::ResponseHead& head) {
  last_activity_ = env_.now();
  response_took_ = last_activity_ - sent_at_;
  response_begun_ = true;
  status_ = head.status;
  state_ = State::kTunnel;
  http::prepare_response(head);
  client_->send_upgrade(head);
  arm_timer();
}

void Exchange::on_upstream_body(std::string_view bytes, bool end) {
  last_activity_ = env_.now();
  bytes_out_ += bytes.size();
  const bool writable = client_->send_body(bytes, end);
  if (end && state_ == State::kTunnel) {
    response_ended_ = true;
    if (tunnel_up_ended_) on_response_complete();
    return;
  }
  if (end) return on_response_complete();
  if (writable) {
    upstream_->consume(bytes.size());
  } else {
    upstream_unconsumed_ += bytes.size();
  }
}

void Exchange::on_upstream_trailers(const http::FieldList& trailers) {
  client_->send_trailers(trailers);
  on_response_complete();
}

void Exchange::on_client_writable() {
  last_activity_ = env_.now();
  if (upstream_ == nullptr || upstream_unconsumed_ == 0) return;
  upstream_->consume(std::exchange(upstream_unconsumed_, 0));
}

// The response is out, and with it the exchange has ended for the client's side: what is left of the
// request's body is its codec's to discard.
void Exchange::on_response_complete() {
  response_ended_ = true;
  const bool request_done = state_ == State::kTunnel || request_ended_;
  if (request_done) {
    upstream_ = nullptr;
  } else {
    drop_upstream();
  }
  if (replayed_) flag_ = Flag::kUpstreamRetried;
  conclude(Lease::Outcome::kSuccess);
  done();
}

void Exchange::on_upstream_reset(const Error& error) {
  upstream_ = nullptr;
  if (response_begun_) return abort(Flag::kUpstreamClosed);
  if (!replayed_ && breaker::is_stale_connection(error, attempt())) {
    replayed_ = true;
    ++upstreams_.at(cluster_).stats().transparent_retries;
    return open(true);
  }
  reply(reply_to_upstream_failure(error));
}

// A reply of our own instead of a response.
void Exchange::reply(const LocalReply& reply) {
  drop_upstream();
  flag_ = reply.flag;
  status_ = reply.status;
  count_local_reply();
  LocalReply last = reply;
  last.close = last.close || origin_.listener->draining;
  response_begun_ = response_ended_ = true;
  bytes_out_ += send_local_reply(env_, *client_, last, to_head());
  conclude(blames_upstream(flag_) ? Lease::Outcome::kFailure : Lease::Outcome::kCancelled);
  done();
}

// An answer the operator has configured.
void Exchange::answer(http::ResponseHead& head, std::string_view body) {
  status_ = head.status;
  if (route_ != nullptr) apply_edits(route_->response_headers, head.fields);
  response_begun_ = response_ended_ = true;
  bytes_out_ += send_whole(env_, *client_, head, body, to_head(), origin_.listener->draining);
  conclude(Lease::Outcome::kSuccess);
  done();
}

// Max-Forwards has reached zero here (RFC 9110 section 7.6.2): we are the final recipient.
void Exchange::answer_trace() {
  http::ResponseHead& head = env_.scratch.response;
  head.clear();
  head.status = 200;
  std::string body;
  if (request_.method == "TRACE") {
    body = http::trace_body(request_);
    head.fields.add(http::FieldId::kContentType, "message/http");
  }
  answer(head, body);
}

// The client has seen the beginning of a response that will never be complete: it must be able to tell.
void Exchange::abort(Flag flag) {
  drop_upstream();
  flag_ = flag;
  if (client_ != nullptr) client_->reset();
  client_ = nullptr;
  conclude(blames_upstream(flag) ? Lease::Outcome::kFailure : Lease::Outcome::kCancelled);
  done();
}

void Exchange::drop_upstream() {
  if (dialling_ != nullptr) lease_.endpoint().pool.cancel(*std::exchange(dialling_, nullptr));
  if (upstream_ != nullptr) std::exchange(upstream_, nullptr)->reset();
}

// Reports the outcome: once per exchange, whatever happened.
void Exchange::conclude(Lease::Outcome outcome) {
  if (concluded_) return;
  concluded_ = true;
  origin_.listener->exchanges[cluster_].count(status_, env_.now() - started_);
  write_log();
  lease_.finish(outcome, response_took_);
}

void Exchange::count_local_reply() {
  if (flag_ != Flag::kNone) ++origin_.listener->stats.local_replies[static_cast<std::size_t>(flag_)];
}

void Exchange::write_log() {
  const bool local = cluster_ == origin_.listener->local();
  const AccessRecord record{
      .listener = origin_.listener->settings.name,
      .client = origin_.peer_host,
      .method = request_.method,
      .host = client_authority_.empty() ? request_.authority : client_authority_,
      .target = client_target_.empty() ? request_.target : client_target_,
      .request_id = request_.fields.get(http::FieldId::kXRequestId).value_or(std::string_view{}),
      .cluster = local ? std::string_view{} : std::string_view(upstreams_.at(cluster_).name()),
      .upstream = lease_ ? std::string_view(lease_.endpoint().address_text) : std::string_view{},
      .status = status_,
      .flag = flag_,
      .attempts = attempts_,
      .bytes_in = bytes_in_,
      .bytes_out = bytes_out_,
      .duration = env_.now() - started_,
      .connect = connect_took_.value_or(Duration{-1}),
      .response = response_took_.value_or(Duration{-1}),
  };
  log_.write(record, env_.random);
}

void Exchange::done() {
  state_ = State::kDone;
  timer_.cancel();
  owner_.on_exchange_done(*this);
}

void Exchange::recycle() {
  // What one huge head has made large is not kept for ever.
  constexpr std::size_t kLargestKept = 8192;
  if (request_.fields.bytes() + request_.target.size() > kLargestKept) request_ = http::RequestHead();
  if (kept_trailers_.bytes() > kLargestKept) kept_trailers_ = http::FieldList();
  request_.clear();
  kept_body_.clear();
  if (kept_body_.capacity() > 4096) kept_body_ = std::string();
  kept_trailers_.clear();
  client_target_.clear();
  client_authority_.clear();
  tried_.clear();
  client_ = nullptr;
  upstream_ = nullptr;
  dialling_ = nullptr;
  route_ = nullptr;
  key_.reset();
  client_unconsumed_ = upstream_unconsumed_ = 0;
  body_kept_ = true;
  request_ended_ = response_begun_ = response_ended_ = tunnel_up_ended_ = concluded_ = reused_ = replayed_ =
      continued_ = false;
  flag_ = Flag::kNone;
  status_ = attempts_ = 0;
  bytes_in_ = bytes_out_ = 0;
  connect_took_.reset();
  response_took_.reset();
  state_ = State::kIdle;
}

// When the present waiting runs out. One timer serves all of it: armed once, and looked at again when it
// fires.
std::optional<TimePoint> Exchange::deadline() const {
  const auto& timeouts = origin_.listener->settings.timeouts;
  if (state_ == State::kTunnel) return last_activity_ + timeouts.tunnel_idle;
  const bool upstream_is_next = request_ended_ || awaits_continue();
  if (!upstream_is_next || response_begun_) return last_activity_ + timeouts.body_idle;
  if (route_ != nullptr && route_->timeout > Duration::zero()) {
    return (request_ended_ ? request_ended_at_ : started_) + route_->timeout;
  }
  return std::nullopt;
}

// The client holds its body back until the upstream says 100 (RFC 9110 section 10.1.1): the upstream is the
// one to wait for.
bool Exchange::awaits_continue() const {
  return !request_ended_ && !continued_ && bytes_in_ == 0 && request_.fields.has(http::FieldId::kExpect);
}

// The shortest of the waits that may follow: the timer is never armed for later, since a longer wait may turn
// into a shorter one.
Duration Exchange::shortest_wait() const {
  const auto& timeouts = origin_.listener->settings.timeouts;
  if (state_ == State::kTunnel) return timeouts.tunnel_idle;
  return route_->timeout > Duration::zero() ? std::min(timeouts.body_idle, route_->timeout)
                                            : timeouts.body_idle;
}

void Exchange::arm_timer() {
  if (state_ != State::kDone) env_.wheel.arm_in(timer_, shortest_wait());
}

void Exchange::on_timer() {
  const auto due = deadline();
  if (!due) return arm_timer();
  if (*due > env_.now()) return env_.wheel.arm(timer_, std::min(*due, env_.now() + shortest_wait()));
  expire();
}

void Exchange::expire() {
  if (state_ == State::kTunnel) return abort(Flag::kDownstreamTimeout);
  if (response_begun_) {
    // Whoever we wait for is the slow one: a client that does not read, or an upstream that does not send.
    return abort(upstream_unconsumed_ > 0 ? Flag::kDownstreamTimeout : Flag::kUpstreamTimeout);
  }
  const bool client_is_slow = !request_ended_ && client_unconsumed_ == 0 && !awaits_continue();
  if (client_is_slow) return reply(reply_to_bad_request(Error(ErrorCode::kTimedOut, Side::kDownstream)));
  reply(reply_to_upstream_failure(Error(ErrorCode::kTimedOut, Side::kUpstream)));
}

}  // namespace remora::proxy
