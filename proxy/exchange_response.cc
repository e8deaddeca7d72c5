// The way down: from the upstream's first byte to its last.
#include "proxy/exchange.h"
#include "proxy/http/forwarding.h"

namespace remora::proxy {

void Exchange::on_attempt_informational(Attempt& attempt, http::ResponseHead& head) {
  last_activity_ = env_.now();
  if (rival(attempt).active()) return;  // the client is to hear one upstream only
  continued_ = continued_ || head.status == 100;
  http::prepare_response(head);
  client_->send_informational(head);
}

// This attempt's answer is the one.
void Exchange::win(Attempt& attempt, State next) {
  last_activity_ = env_.now();
  if (&attempt == hedge_) ++cluster().stats().hedge_wins;
  if (Attempt& loser = rival(attempt); loser.active()) loser.give_up({});
  latest_ = &attempt;
  step_timer_.cancel();
  state_ = next;
  response_begun_ = true;
  body_kept_ = false;
  kept_body_.clear();
}

void Exchange::on_attempt_response(Attempt& attempt, http::ResponseHead& head, bool end) {
  if (retries_response(attempt, head)) return;
  win(attempt, State::kRelaying);
  status_ = head.status;
  http::prepare_response(head);
  if (route_->response_headers) apply_edits(*route_->response_headers, head.fields);
  if (!head.fields.has(http::FieldId::kDate))
    head.fields.add(http::FieldId::kDate, env_.date.text(env_.now()));
  client_->send_response(head, end, origin_.listener->closing());
  if (end) on_response_complete();
}

void Exchange::on_attempt_upgrade(Attempt& attempt, http::ResponseHead& head) {
  win(attempt, State::kTunnel);
  status_ = head.status;
  http::prepare_response(head);
  client_->send_upgrade(head);
  tunnel_up_ended_ = tcp_ && request_ended_;  // the client's end came before the tunnel did
  arm_timer();
}

void Exchange::on_attempt_body(Attempt& attempt, std::string_view bytes, bool end) {
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
    attempt.stream().consume(bytes.size());
  } else {
    upstream_unconsumed_ += bytes.size();
  }
}

bool Exchange::on_attempt_bulk(Attempt& /*attempt*/, Bulk& bulk) {
  if (state_ != State::kTunnel) return true;
  const bool room = client_->send_bulk(bulk);
  bytes_out_ += bulk.moved;
  if (bulk.moved > 0) last_activity_ = env_.now();
  if (!room) upstream_unconsumed_ += bulk.moved;
  return room;
}

void Exchange::on_attempt_trailers(Attempt& /*attempt*/, const http::FieldList& trailers) {
  client_->send_trailers(trailers);
  on_response_complete();
}

void Exchange::on_client_writable() {
  last_activity_ = env_.now();
  if (upstream_unconsumed_ == 0 || latest_ == nullptr || !latest_->sent()) return;
  latest_->stream().consume(std::exchange(upstream_unconsumed_, 0));
}

// The response is out, and with it the exchange has ended for the client's side: what is left of the
// request's body is its codec's to discard.
void Exchange::on_response_complete() {
  response_ended_ = true;
  if (replayed_ || retried_) flag_ = Flag::kUpstreamRetried;
  if (retried_) ++cluster().stats().retry_successes;
  const bool request_done = state_ == State::kTunnel || request_ended_;
  write_log();
  latest_->complete(status_, request_done);
  conclude(breaker::Result::kIgnored);
  done();
}

}  // namespace remora::proxy
