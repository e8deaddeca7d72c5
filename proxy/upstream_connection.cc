#include "proxy/upstream_connection.h"

#include "proxy/net/tls_stream.h"
#include "proxy/own_dials.h"

namespace remora::proxy {

UpstreamConnection::UpstreamConnection(UpstreamPool& pool) : pool_(pool), link_(pool.env_, *this, nullptr) {}

UpstreamConnection::~UpstreamConnection() {
  if (noted_in_ != nullptr) noted_in_->forget(this);
}

void UpstreamConnection::dial(http::Responses& responses, UpstreamPool::Waiter& waiter,
                              const std::string_view* tunnel) {
  const Env& env = pool_.env_;
  responses_ = &responses;
  waiter_ = &waiter;
  dialled_at_ = pool_.env_.now();
  tunnel_ = tunnel != nullptr;
  codec_ = tunnel_ ? env.codecs.tunnel_client(link_, env.scratch)
                   : env.codecs.client(link_, env.scratch, pool_.settings_.limits);
  ++pool_.stats_.connections_total;
  link_.start(proxy::dial(pool_.env_, *pool_.address_, pool_.tls(), link_,
                          tunnel_ ? *tunnel : std::string_view(), &tls_),
              *codec_);
  pool_.env_.wheel.arm_in(connect_timer_, pool_.settings_.connect_timeout);
  if (env.dials == nullptr || !env.dials->wanted()) return;
  noted_in_ = env.dials;
  noted_in_->note(this, link_.stream().local());
}

void UpstreamConnection::forget_waiter() {
  waiter_ = nullptr;
  if (!tunnel_) return;
  connect_timer_.cancel();
  link_.close(false);
  gone();
}

void UpstreamConnection::on_link_open() {
  state_ = State::kOpen;
  connect_timer_.cancel();
  if (tls_ != nullptr) ++(tls_->resumed() ? pool_.cluster_.tls.resumed : pool_.cluster_.tls.full);
  pool_.cluster_.connected(pool_.env_.now() - dialled_at_);
  if (waiter_ != nullptr) {
    auto* waiter = std::exchange(waiter_, nullptr);
    pool_.begin(*this, *responses_, *waiter, false);
  } else {
    pool_.on_turn(*this);
  }
}

void UpstreamConnection::on_link_turn() {
  if (state_ == State::kOpen) pool_.on_turn(*this);
}

void UpstreamConnection::on_link_closed(const Error* error) {
  if (state_ == State::kDialling) {
    if (error != nullptr && error->stage == Stage::kTlsHandshake) ++pool_.cluster_.tls.failed;
    fail_waiter(error != nullptr ? *error : Error(ErrorCode::kConnectFailed, Side::kUpstream));
  }
  gone();
}

void UpstreamConnection::on_connect_timeout() {
  const bool shaking = tls_ != nullptr && tls_->in_handshake();
  if (shaking) ++pool_.cluster_.tls.failed;
  link_.close(false);
  Error late(ErrorCode::kTimedOut, Side::kUpstream, Retry::kYes,
             shaking ? "TLS handshake: not done in time" : "connect timed out");
  fail_waiter(shaking ? in_tls_handshake(std::move(late)) : std::move(late));
  gone();
}

// Nothing of the request was sent, so that trying elsewhere is safe whatever the request is.
void UpstreamConnection::fail_waiter(Error error) {
  connect_timer_.cancel();
  permits = {};  // the waiter may try elsewhere at once
  ++pool_.stats_.connect_failures;
  error.side = Side::kUpstream;
  error.retry = Retry::kYes;
  if (auto* waiter = std::exchange(waiter_, nullptr)) waiter->on_connect_failed(error);
}

void UpstreamConnection::gone() {
  if (state_ == State::kGone) return;
  state_ = State::kGone;
  pool_.on_gone(*this);
}

}  // namespace remora::proxy
