#include "proxy/attempt.h"

#include "proxy/cluster.h"
#include "proxy/flag.h"

namespace remora::proxy {

namespace {

// The next hop is a Remora that has refused the request without trying (docs/architecture.md).
bool is_shed(const http::ResponseHead& head) {
  const auto flag = head.fields.get(http::FieldId::kXRemoraFlag);
  if (!flag) return false;
  for (const Flag shed : {Flag::kOverflow, Flag::kBreakerOpen, Flag::kRateLimited, Flag::kShed}) {
    if (*flag == to_string(shed)) return true;
  }
  return false;
}

}  // namespace

void Attempt::begin(Lease&& lease, Duration per_try, const std::string_view* tunnel) {
  lease_ = std::move(lease);
  tunnel_ = tunnel != nullptr;
  per_try_ = per_try;
  began_at_ = env_.now();
  dial(false, lease_.take_connection_permits(), tunnel);
}

void Attempt::begin_again(UpstreamPool::Permits permits) { dial(true, std::move(permits), nullptr); }

void Attempt::dial(bool fresh, UpstreamPool::Permits permits, const std::string_view* tunnel) {
  state_ = State::kDialling;
  opened_at_ = env_.now();
  connect_took_.reset();
  response_took_.reset();
  was_sent_ = false;
  shed_status_ = status_ = 0;
  if (per_try_ > Duration::zero()) env_.wheel.arm_in(timer_, per_try_);
  const std::uint32_t dial = ++dials_;
  auto* dialling = lease_.endpoint().pool.open(*this, *this, fresh, std::move(permits), tunnel);
  // A failed dial may already have been followed by another, and an idle connection is in use by now.
  if (dials_ == dial && state_ == State::kDialling) dialling_ = dialling;
}

void Attempt::on_stream(http::ClientStream& stream, bool reused) {
  if (dialling_ != nullptr) connect_took_ = env_.now() - opened_at_;
  dialling_ = nullptr;
  stream_ = &stream;
  reused_ = reused;
  was_sent_ = true;
  sent_at_ = env_.now();
  state_ = State::kSent;
  owner_.on_attempt_open(*this);
}

void Attempt::on_connect_failed(const Error& error) {
  dialling_ = nullptr;
  timer_.cancel();
  probe_timer_.cancel();
  state_ = State::kFree;
  owner_.on_attempt_failed(*this, error, breaker::Result::kConnectFailure);
}

void Attempt::answered(const http::ResponseHead& head) {
  timer_.cancel();
  probe_timer_.cancel();
  state_ = State::kAnswering;
  response_took_ = tunnel_ ? connect_took_ : env_.now() - sent_at_;
  status_ = head.status;
  shed_status_ = is_shed(head) ? head.status : 0;
  // A tunnel has shown all that a breaker wants to know of it, and may last for days.
  if (lease_.is_probe() || tunnel_) lease_.answered(outcome_of(head.status), response_took_);
}

void Attempt::on_response(http::ResponseHead& head, bool end) {
  answered(head);
  owner_.on_attempt_response(*this, head, end);
}

void Attempt::on_upgrade(http::ResponseHead& head) {
  answered(head);
  owner_.on_attempt_upgrade(*this, head);
}

void Attempt::on_reset(const Error& error) {
  stream_ = nullptr;
  timer_.cancel();
  probe_timer_.cancel();
  state_ = State::kFree;
  owner_.on_attempt_failed(*this, error, breaker::Result::kReset);
}

void Attempt::on_timer() {
  const breaker::Result result =
      state_ == State::kDialling ? breaker::Result::kConnectFailure : breaker::Result::kTimeout;
  drop();
  owner_.on_attempt_failed(*this, Error(ErrorCode::kTimedOut, Side::kUpstream), result);
}

void Attempt::complete(unsigned status, bool request_done) {
  if (request_done) stream_ = nullptr;
  drop();
  conclude(outcome_of(status));
}

void Attempt::give_up(const breaker::Outcome& outcome) {
  drop();
  conclude(outcome);
}

void Attempt::drop() {
  state_ = State::kFree;
  timer_.cancel();
  probe_timer_.cancel();
  if (dialling_ != nullptr) lease_.endpoint().pool.cancel(*std::exchange(dialling_, nullptr));
  if (stream_ != nullptr) std::exchange(stream_, nullptr)->reset();
}

// A refusal by a proxy behind is no answer of the endpoint's, and its speed is not the endpoint's.
breaker::Outcome Attempt::outcome_of(unsigned status) const {
  return {.result = shed() ? breaker::Result::kIgnored : breaker::Result::kResponse, .status = status};
}

void Attempt::conclude(const breaker::Outcome& outcome) {
  if (span_ != 0) {
    owner_.on_attempt_over(*this, outcome.result);
    span_ = 0;
  }
  probe_timer_.cancel();
  lease_.finish(outcome, shed() ? std::nullopt : response_took_);
}

void Attempt::recycle() {
  connect_took_.reset();
  response_took_.reset();
  reused_ = false;
  span_ = 0;
}

}  // namespace remora::proxy
