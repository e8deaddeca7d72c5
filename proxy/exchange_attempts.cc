// The middle: getting an endpoint, sending the request, and what happens when that goes wrong: waiting for a
// place, trying again, trying twice at once.
#include <algorithm>

#include "base/log.h"
#include "proxy/exchange.h"
#include "proxy/http/proxy_header.h"
#include "proxy/transition_log.h"

namespace remora::proxy {

namespace {

constexpr LocalReply kNoEndpoint{503, Flag::kNoHealthyEndpoint, "no endpoint is available\n"};
constexpr LocalReply kDeadlineGone{504, Flag::kUpstreamTimeout, "the caller's deadline has passed\n"};
constexpr LocalReply kPendingTimeout{503, Flag::kOverflow, "waited too long for a place at the upstream\n"};

std::size_t limit_of(Denied denied) {
  const ClusterLimit limit = denied == Denied::kConnections ? ClusterLimit::kConnections
                             : denied == Denied::kAdaptive  ? ClusterLimit::kAdaptive
                             : denied == Denied::kRetries   ? ClusterLimit::kRetries
                                                            : ClusterLimit::kRequests;
  return static_cast<std::size_t>(limit);
}

LocalReply over_limit(Denied denied) {
  switch (denied) {
    case Denied::kConnections:
      return {503, Flag::kOverflow, "the limit of connections is reached, and no request more may wait\n"};
    case Denied::kAdaptive:
      return {503, Flag::kOverflow, "the adaptive limit is reached, and no request more may wait\n"};
    case Denied::kRetries: return {503, Flag::kOverflow, "the limit of retries is reached\n"};
    default:
      return {503, Flag::kOverflow, "the limit of requests is reached, and no request more may wait\n"};
  }
}

LocalReply breaker_open(Duration retry_after) {
  return {.status = 503,
          .flag = Flag::kBreakerOpen,
          .reason = "the circuit breaker of every endpoint is open\n",
          .close = false,
          .retry_after = retry_after};
}

}  // namespace

void Exchange::use_cluster(std::size_t index) {
  cluster_ = index;
  const config::Cluster& settings = cluster_settings();
  retry_ = route_->retry ? &*route_->retry : &settings.retry;
  tried_.clear();
  retry_permit_.release();
  if (retry_->attempts > 1) cluster().state().budget.on_request(env_.now());
}

void Exchange::acquire() {
  if (deadline_ && *deadline_ <= env_.now()) return reply(kDeadlineGone);
  if (std::exchange(tried_generation_, cluster().generation()) != cluster().generation()) tried_.clear();
  Acquired acquired = cluster().acquire(
      key_, tried_, {.retry = retried_, .tunnel = tunnels(), .destination = origin_.destination});
  if (acquired.lease) return begin_attempt(std::move(acquired.lease));
  if (can_wait(acquired.denied)) return wait_for_place(acquired.denied);
  deny(acquired);
}

void Exchange::wait_for_place(Denied denied) {
  ++cluster().stats().limit_hits[limit_of(denied)];
  wait_key = key_;
  wait_tried = tried_;
  wait_terms = {.retry = retried_, .tunnel = tunnels(), .destination = origin_.destination};
  state_ = State::kQueued;
  if (!cluster().wait(*this, denied)) {
    ++cluster().stats().limit_hits[static_cast<std::size_t>(ClusterLimit::kPending)];
    return reply(last_failure_.value_or(over_limit(denied)));
  }
  env_.wheel.arm_in(step_timer_, cluster_settings().limits.pending_timeout);
  arm_timer();
}

void Exchange::on_place(Acquired acquired) {
  step_timer_.cancel();
  state_ = State::kTrying;
  if (deadline_ && *deadline_ <= env_.now()) return reply(kDeadlineGone);
  if (acquired.lease) return begin_attempt(std::move(acquired.lease));
  deny(acquired);
}

// There is no endpoint for this attempt.
void Exchange::deny(const Acquired& acquired) {
  if (acquired.denied == Denied::kRetries) ++cluster().stats().limit_hits[limit_of(acquired.denied)];
  if (last_failure_) return reply(*last_failure_);
  if (acquired.denied == Denied::kNoEndpoint) return reply(kNoEndpoint);
  if (acquired.denied != Denied::kBreakerOpen) return reply(over_limit(acquired.denied));
  const config::Fallback& fallback = cluster_settings().fallback;
  const bool says_something = std::holds_alternative<Rare<config::Respond>>(fallback);  // in HTTP
  if (fell_back_ || std::holds_alternative<std::monostate>(fallback) || (tunnels() && says_something)) {
    return reply(breaker_open(acquired.retry_after));
  }
  fall_back(fallback);
}

void Exchange::fall_back(const config::Fallback& fallback) {
  fell_back_ = true;
  ++cluster().stats().fallbacks;
  if (const auto* other = std::get_if<config::WeightedCluster>(&fallback)) {
    use_cluster(other->cluster);
    return acquire();
  }
  const auto& respond = *std::get<Rare<config::Respond>>(fallback);
  flag_ = Flag::kBreakerOpen;
  count_local_reply();
  http::ResponseHead& head = env_.scratch.response;
  head.clear();
  head.status = respond.status;
  if (!respond.body.empty()) head.fields.add(http::FieldId::kContentType, respond.content_type);
  head.fields.add(http::FieldId::kXRemoraFlag, "x-remora-flag", to_string(flag_));
  answer(head, respond.body);
}

void Exchange::begin_attempt(Lease&& lease) {
  state_ = State::kTrying;
  step_timer_.cancel();
  ++attempts_;
  tried_.push_back(*lease.endpoint().index);
  latest_ = first_.active() ? &second_ : &first_;
  if (trace_.recording) trace_attempt(*latest_);
  if (lease.is_probe()) latest_->watch_probe(cluster_settings().breaker.open_for);
  if (tunnels()) {
    begin_tunnel(std::move(lease));
  } else {
    latest_->begin(std::move(lease), retry_->per_try_timeout, nullptr);
  }
  arm_timer();
}

void Exchange::begin_tunnel(Lease&& lease) {
  std::string header;
  if (cluster_settings().proxy_protocol != config::ProxyProtocol::kNone) {
    header = http::proxy_header(proxy_version(cluster_settings().proxy_protocol), *origin_.peer,
                                origin_.stream->local());
  }
  const std::string_view first(header);
  latest_->begin(std::move(lease), retry_->per_try_timeout, &first);
}

// What of a request's head depends on the attempt.
void Exchange::complete_head(Attempt& attempt) {
  if (retried_ && !marked_) mark_attempt();
  if (deadline_) {
    const auto left = std::max<Duration::rep>((*deadline_ - env_.now()) / 1ms, 1);
    request_.fields.set(http::FieldId::kXRequestTimeoutMs, std::to_string(left));
  }
  no_authority_ = no_authority_ || request_.authority.empty();
  if (no_authority_) {
    const ClusterEndpoint& to = attempt.lease().endpoint();
    request_.authority = to.info().address.is_unix() ? "localhost" : to.address_text;
  }
  if (trace_.recording) write_attempt_trace(attempt);
}

void Exchange::on_attempt_open(Attempt& attempt) {
  if (connect_) return attempt.stream().send_request(request_, false);
  if (!tcp_) complete_head(attempt);
  const bool has_trailers = !kept_trailers_.empty();
  const bool ends_with_head = request_ended_ && kept_body_.empty() && !has_trailers;
  http::ClientStream& stream = attempt.stream();
  stream.send_request(request_, ends_with_head);
  if (ends_with_head) return arm_hedge();
  bool writable = true;
  if (!kept_body_.empty() || (request_ended_ && !has_trailers)) {
    writable = stream.send_body(kept_body_, request_ended_ && !has_trailers);
  }
  if (has_trailers) stream.send_trailers(kept_trailers_);
  if (!keeps_body() || kept_body_.size() > retry_->body_bytes) {
    body_kept_ = kept_body_.empty();
    kept_body_.clear();
  }
  if (writable && client_unconsumed_ > 0) client_->consume(std::exchange(client_unconsumed_, 0));
  arm_hedge();
}

// So that the next hop does not retry what is a retry already: one failure far away would become a storm.
void Exchange::mark_attempt() {
  request_.fields.set(http::FieldId::kXRemoraAttempt, std::to_string(tries()));
}

void Exchange::on_attempt_writable(Attempt& attempt) {
  last_activity_ = env_.now();
  if (&attempt != taker() || client_unconsumed_ == 0 || client_ == nullptr) return;
  client_->consume(std::exchange(client_unconsumed_, 0));
}

// While half-open, everybody else waits for this request. A client that is slow with its body gives the place
// to somebody else; an endpoint that does not answer has failed.
void Exchange::on_probe_unanswered(Attempt& attempt) {
  const breaker::CircuitBreaker::Settings& settings = cluster_settings().breaker;
  if (!request_ended_) return attempt.settle_probe(breaker::Result::kIgnored);
  if (env_.now() - std::max(request_ended_at_, attempt.began_at()) >= settings.max_open_for) {
    return attempt.settle_probe(breaker::Result::kTimeout);
  }
  attempt.watch_probe(settings.max_open_for);
}

void Exchange::on_attempt_failed(Attempt& attempt, const Error& error, breaker::Result result) {
  if (state_ != State::kTrying) return abort(Flag::kUpstreamClosed, result);
  if (!replayed_ && result == breaker::Result::kReset &&
      breaker::is_stale_connection(error, facts(attempt))) {
    if (auto permits = cluster().permits_to_dial(attempt.lease().endpoint())) {
      replayed_ = true;
      ++attempts_;
      ++cluster().stats().transparent_retries;
      if (trace_.recording) {
        record_attempt(attempt, result);
        trace_attempt(attempt);
      }
      return attempt.begin_again(std::move(*permits));
    }
  }
  last_upstream_ = attempt.lease().endpoint().address_text;
  log_tls_failure(error);
  if (rival(attempt).active()) {
    latest_ = &rival(attempt);
    return attempt.fail(result);
  }
  const breaker::FailedAttempt failed{.outcome = {.result = result},
                                      .attempt = facts(attempt),
                                      .made = tries(),
                                      .marked = marked_,
                                      .shed = false,
                                      .retry_after = {}};
  const LocalReply answer = result == breaker::Result::kConnectFailure ? reply_to_connect_failure(error)
                                                                       : reply_to_upstream_failure(error);
  if (!may_try_again(failed)) return reply(answer, result);
  last_failure_ = answer;
  attempt.fail(result);
  try_again(failed);
}

// Why TLS with an endpoint did not come about: no status can say it.
void Exchange::log_tls_failure(const Error& error) {
  if (error.stage != Stage::kTlsHandshake || !may_log_line(cluster().state(), env_.now())) return;
  log_warn("TLS handshake with an endpoint failed", {{"listener", origin_.listener->settings.name},
                                                     {"cluster", cluster_settings().name},
                                                     {"endpoint", last_upstream_},
                                                     {"reason", error.detail}});
}

// A response that asks for another attempt, and gets one: it is dropped.
bool Exchange::retries_response(Attempt& attempt, const http::ResponseHead& head) {
  if (!retry_->on.statuses.contains(head.status) || !cluster().has_candidates()) return false;
  last_upstream_ = attempt.lease().endpoint().address_text;
  if (rival(attempt).active()) {
    attempt.complete(head.status, false);
    return true;
  }
  breaker::FailedAttempt failed{.outcome = {.result = breaker::Result::kResponse, .status = head.status},
                                .attempt = facts(attempt),
                                .made = tries(),
                                .marked = marked_,
                                .shed = attempt.shed(),
                                .retry_after = {}};
  if (const auto after = head.fields.get(http::FieldId::kRetryAfter)) {
    failed.retry_after = breaker::parse_retry_after(*after, env_.date.seconds());
  }
  if (!may_try_again(failed)) return false;
  last_failure_.reset();
  attempt.complete(head.status, false);
  try_again(failed);
  return true;
}

bool Exchange::may_try_again(const breaker::FailedAttempt& failed) {
  return breaker::may_retry(*retry_, failed) == breaker::RetryVerdict::kRetry && take_retry();
}

// One retry or hedge, from the budget and the limits.
bool Exchange::take_retry() {
  ClusterState& state = cluster().state();
  auto permit = state.retries.limited() && !retry_permit_.held() ? state.retries.try_take()
                                                                 : std::optional(std::move(retry_permit_));
  if (!permit || !cluster().has_room_for_retry()) {
    ++cluster().stats().limit_hits[limit_of(Denied::kRetries)];
    return false;
  }
  retry_permit_ = std::move(*permit);
  if (!state.budget.try_retry(env_.now())) {
    retry_permit_.release();
    ++cluster().stats().budget_exhausted;
    return false;
  }
  return true;
}

// At once where another endpoint can do what this one could not; after a pause where the answer was that
// there is too much to do, or where it is the same endpoint again.
void Exchange::try_again(const breaker::FailedAttempt& failed) {
  retried_ = true;
  ++cluster().stats().retries;
  const bool elsewhere = failed.outcome.result != breaker::Result::kResponse && cluster().has_untried(tried_);
  if (elsewhere) return acquire();
  const Duration pause = breaker::backoff(*retry_, failed, env_.random);
  state_ = State::kBackingOff;
  env_.wheel.arm_in(step_timer_, pause);
  arm_timer();
}

bool Exchange::may_hedge() const {
  const bool wanted = retry_->hedge_after > Duration::zero() || retry_->hedge_percentile > 0;
  return wanted && state_ == State::kTrying && request_ended_ && body_kept_ && !marked_ &&
         tries() < retry_->attempts && first_.active() != second_.active() && repeatable();
}

void Exchange::arm_hedge() {
  if (!may_hedge()) return;
  const auto after = retry_->hedge_percentile > 0 ? cluster().latency_quantile(retry_->hedge_percentile)
                                                  : std::optional(retry_->hedge_after);
  if (after) env_.wheel.arm_in(step_timer_, *after);
}

// The answer is late: another endpoint is asked as well, and the first answer wins.
void Exchange::hedge() {
  if (!may_hedge() || taker() == nullptr || !cluster().has_untried(tried_)) return;
  Acquired acquired = cluster().acquire(key_, tried_, {.retry = true});
  if (!acquired.lease) return;
  const auto index = acquired.lease.endpoint().index;
  if (std::ranges::find(tried_, *index) != tried_.end() || !take_retry()) return;
  ++cluster().stats().hedges;
  retried_ = true;
  hedge_ = &rival(*taker());
  begin_attempt(std::move(acquired.lease));
}

void Exchange::on_step_timer() {
  switch (state_) {
    case State::kQueued:
      leave();
      ++cluster().stats().pending_timeouts;
      return reply(last_failure_.value_or(kPendingTimeout));
    case State::kBackingOff: state_ = State::kTrying; return acquire();
    case State::kTrying: return hedge();
    case State::kIdle:
    case State::kRelaying:
    case State::kTunnel:
    case State::kDone: return;
  }
}

breaker::Attempt Exchange::facts(const Attempt& attempt) const {
  return {.method = request_.method,
          .has_idempotency_key = request_.fields.has(http::FieldId::kIdempotencyKey),
          .sent = attempt.was_sent(),
          .reused_connection = attempt.reused(),
          .body_kept = body_kept_,
          .response_begun = response_begun_};
}

bool Exchange::repeatable() const {
  return request_.fields.has(http::FieldId::kIdempotencyKey) || breaker::is_idempotent(request_.method);
}

// Whether the body may have to be sent again once it has been sent.
bool Exchange::keeps_body() const {
  if (response_begun_ || !repeatable()) return false;
  return (tries() < retry_->attempts && !marked_) || (!replayed_ && latest_->reused());
}

}  // namespace remora::proxy
