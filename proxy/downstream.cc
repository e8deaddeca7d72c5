#include "proxy/downstream.h"

namespace remora::proxy {

Downstream::Downstream(Env& env, Handler& handler, const Timeouts& timeouts, const http::H1Limits& limits,
                       WireBytes* bytes, Carries carries)
    : env_(env),
      handler_(handler),
      timeouts_(timeouts),
      link_(env, *this, bytes),
      codec_(carries == Carries::kHttp ? env.codecs.server(link_, *this, env.scratch, limits)
                                       : env.codecs.tunnel_server(link_, *this, env.scratch)),
      carries_(carries) {}

void Downstream::start(std::unique_ptr<net::Stream> stream) {
  peer_host_ = stream->peer().host();
  since_ = env_.now();
  env_.wheel.arm(timer_, deadline());
  link_.start(std::move(stream), *codec_);
  if (carries_ == Carries::kBytes) link_.codec_changed();  // it begins without a word of the client's
}

// A connection that has not yet had its first request may have it on the way: its answer will say close, and
// the header timeout bounds the wait.
void Downstream::drain() {
  draining_ = true;
  if (served_) codec_->drain();
  link_.codec_changed();
}

void Downstream::close() {
  link_.close(true);
  codec_->on_closed(Error(ErrorCode::kCancelled, Side::kInternal));
  on_link_closed(nullptr);
}

http::Receiver* Downstream::on_request(http::ServerStream& stream, http::RequestHead& head, bool end) {
  served_ = true;
  if (draining_) codec_->drain();
  if (carries_ == Carries::kBytes) head.authority = server_name ? *server_name : std::string();
  in_head_ = false;  // a part of the next head may be here already: its time begins with this turn's end
  return handler_.on_request(*this, stream, head, end);
}

void Downstream::on_bad_request(http::ServerStream& stream, const Error& error) {
  handler_.on_bad_request(*this, stream, error);
}

// Notes which waiting has begun. The timer is left where it is unless it must fire earlier: a keep-alive
// connection that is in use costs no timer work at all.
void Downstream::on_link_turn() {
  const bool busy = codec_->active() > 0;
  const bool in_head = !busy && codec_->reading_head();
  if (busy == busy_ && in_head == in_head_) {
    if (!busy && !in_head) since_ = env_.now();
    return;
  }
  busy_ = busy;
  in_head_ = in_head;
  since_ = env_.now();
  if (in_head) env_.wheel.arm(timer_, deadline());
}

TimePoint Downstream::deadline() const {
  const bool short_wait = in_head_ || !served_;
  return since_ + (short_wait ? timeouts_.header : timeouts_.keep_alive);
}

void Downstream::on_timer() {
  if (link_.closing()) return;  // it has a limit of its own
  if (busy_) {
    env_.wheel.arm_in(timer_, timeouts_.keep_alive);
    return;
  }
  if (deadline() > env_.now()) {
    env_.wheel.arm(timer_, deadline());
    return;
  }
  if (in_head_) {
    codec_->fail(Error(ErrorCode::kTimedOut, Side::kDownstream));
    link_.codec_changed();
    return;
  }
  if (response_is_leaving()) return env_.wheel.arm_in(timer_, timeouts_.body_idle);
  link_.close(false);
  handler_.on_downstream_closed(*this);
}

// The exchange is over, but a slow reader still has the end of its response before it.
bool Downstream::response_is_leaving() {
  const std::size_t before = std::exchange(leaving_, link_.queued());
  return leaving_ > 0 && (before == 0 || leaving_ < before);
}

void Downstream::on_link_closed(const Error* /*error*/) {
  timer_.cancel();
  handler_.on_downstream_closed(*this);
}

}  // namespace remora::proxy
