// The end of an exchange, whatever brought it about: replies of our own, giving up, the log line, and the
// waits that run out.
#include <array>

#include "proxy/exchange.h"
#include "proxy/http/forwarding.h"

namespace remora::proxy {

namespace {

// A caller's deadline speaks against an endpoint only when the endpoint has had this long.
constexpr Duration kFairPatience = 1s;

}  // namespace

// A reply of our own instead of a response. `blame`: what it says of the endpoint whose attempt ends with it.
void Exchange::reply(const LocalReply& reply, breaker::Result blame) {
  first_.drop();
  second_.drop();
  flag_ = reply.flag;
  status_ = reply.status;
  count_local_reply();
  if (tcp_) return abort(reply.flag, blame);
  LocalReply last = reply;
  last.close = last.close || origin_.listener->closing();
  response_begun_ = response_ended_ = true;
  bytes_out_ += send_local_reply(env_, *client_, last, to_head());
  conclude(blame);
  done();
}

// An answer the operator has configured.
void Exchange::answer(http::ResponseHead& head, std::string_view body) {
  status_ = head.status;
  if (route_ != nullptr && route_->response_headers) apply_edits(*route_->response_headers, head.fields);
  response_begun_ = response_ended_ = true;
  bytes_out_ += send_whole(env_, *client_, head, body, to_head(), origin_.listener->closing());
  conclude(breaker::Result::kIgnored);
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

// The client has seen the beginning of a response that will never be complete, or speaks no HTTP that could
// tell it what is wrong: a reset can.
void Exchange::abort(Flag flag, breaker::Result blame) {
  first_.drop();
  second_.drop();
  flag_ = flag;
  if (client_ != nullptr) client_->reset();
  client_ = nullptr;
  conclude(blame);
  done();
}

// Once per exchange, whatever happened: numbers, the log line, and the leases that are still held.
void Exchange::conclude(breaker::Result blame) {
  if (retried_ && !concluded_) ++cluster().stats().retry_failures;
  write_log();
  if (first_.lease()) first_.give_up({.result = blame});
  if (second_.lease()) second_.give_up({.result = blame});
  leave();
  retry_permit_.release();
}

void Exchange::count_local_reply() {
  if (flag_ != Flag::kNone) ++origin_.listener->stats.local_replies[static_cast<std::size_t>(flag_)];
}

std::string_view Exchange::upstream_text() const {
  if (latest_ != nullptr && latest_->lease()) return latest_->lease().endpoint().address_text;
  return last_upstream_;
}

void Exchange::write_log() {
  if (concluded_) return;
  concluded_ = true;
  const Duration took = env_.now() - started_;
  origin_.listener->counter(cluster_).count(status_, took);
  if (trace_.recording) record_exchange();
  std::array<char, 32> trace_id;
  const bool traced = trace_.context.known();
  if (traced) write_hex(write_hex(trace_id.data(), trace_.context.trace_high), trace_.context.trace_low);
  const bool local = cluster_ == origin_.listener->local();
  const bool tried = latest_ != nullptr;
  const AccessRecord record{
      .listener = origin_.listener->settings.name,
      .client = origin_.peer_host,
      .method = request_.method,
      .host = client_authority_.empty() ? request_.authority : client_authority_,
      .target = client_target_.empty() ? request_.target : client_target_,
      .request_id = request_.fields.get(http::FieldId::kXRequestId).value_or(std::string_view{}),
      .trace_id = traced ? std::string_view(trace_id.data(), trace_id.size()) : std::string_view(),
      .cluster = local ? std::string_view{} : std::string_view(cluster_settings().name),
      .upstream = upstream_text(),
      .status = tcp_ ? 0 : status_,
      .flag = flag_,
      .attempts = attempts_,
      .bytes_in = bytes_in_,
      .bytes_out = bytes_out_,
      .duration = took,
      .connect = tried ? latest_->connect_took().value_or(Duration{-1}) : Duration{-1},
      .response = tried && !tcp_ ? latest_->response_took().value_or(Duration{-1}) : Duration{-1},
  };
  log_.write(record, env_.random);
}

void Exchange::done() {
  state_ = State::kDone;
  timer_.cancel();
  step_timer_.cancel();
  owner_.on_exchange_done(*this);
}

void Exchange::recycle() {
  // What one huge request has made large is not kept for ever. Swapped: assigning an empty string keeps the
  // memory.
  constexpr std::size_t kLargestKept = 16 * 1024;
  if (request_.memory() > kLargestKept) http::RequestHead().swap(request_);
  if (kept_trailers_.memory() > kLargestKept) http::FieldList().swap(kept_trailers_);
  request_.clear();
  kept_trailers_.clear();
  for (std::string* const text : {&kept_body_, &client_target_, &client_authority_}) {
    if (text->capacity() > kLargestKept / 4) std::string().swap(*text);
    text->clear();
  }
  last_upstream_.clear();
  last_failure_.reset();
  tried_.clear();
  client_ = nullptr;
  first_.recycle();
  second_.recycle();
  latest_ = hedge_ = nullptr;
  tried_generation_ = 0;
  route_ = nullptr;
  retry_ = nullptr;
  origin_ = {};  // an older configuration may have waited for this
  trace_ = {};
  key_.reset();
  deadline_.reset();
  client_unconsumed_ = upstream_unconsumed_ = 0;
  body_kept_ = true;
  request_ended_ = response_begun_ = response_ended_ = tunnel_up_ended_ = concluded_ = false;
  replayed_ = retried_ = marked_ = fell_back_ = continued_ = no_authority_ = tcp_ = connect_ = false;
  flag_ = Flag::kNone;
  status_ = attempts_ = 0;
  bytes_in_ = bytes_out_ = 0;
  state_ = State::kIdle;
}

// When the present waiting runs out. One timer serves all of it: armed once, and looked at again when it
// fires.
std::optional<TimePoint> Exchange::due() const {
  const auto& timeouts = origin_.listener->settings.timeouts;
  if (state_ == State::kTunnel) return last_activity_ + timeouts.tunnel_idle;
  if (tcp_) return std::nullopt;  // connecting and waiting for a place have limits of their own
  const bool upstream_is_next = request_ended_ || awaits_continue();
  if (!upstream_is_next || response_begun_) return last_activity_ + timeouts.body_idle;
  std::optional<TimePoint> due = deadline_;
  if (route_ != nullptr && route_->timeout > Duration::zero()) {
    const TimePoint until = (request_ended_ ? request_ended_at_ : started_) + route_->timeout;
    due = std::min(due.value_or(until), until);
  }
  return due;
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
  if (state_ == State::kTunnel || tcp_) return timeouts.tunnel_idle;
  Duration wait = timeouts.body_idle;
  if (route_->timeout > Duration::zero()) wait = std::min(wait, route_->timeout);
  if (deadline_ && !response_begun_) {
    wait = std::clamp(*deadline_ - env_.now(), Duration::zero(), wait);
  }
  return wait;
}

// Never for later than it is: what has begun to wait does not wait longer because something else begins.
void Exchange::arm_timer() {
  const TimePoint then = env_.now() + shortest_wait();
  if (state_ == State::kDone || (timer_.armed() && timer_.due() <= then)) return;
  env_.wheel.arm(timer_, then);
}

void Exchange::on_timer() {
  const auto then = due();
  if (!then) return arm_timer();
  if (*then > env_.now()) return env_.wheel.arm(timer_, std::min(*then, env_.now() + shortest_wait()));
  expire();
}

void Exchange::expire() {
  if (state_ == State::kTunnel) return abort(Flag::kDownstreamTimeout, breaker::Result::kIgnored);
  if (response_begun_) {
    // Whoever we wait for is the slow one: a client that does not read, or an upstream that does not send.
    const bool client_is_slow = upstream_unconsumed_ > 0;
    return abort(client_is_slow ? Flag::kDownstreamTimeout : Flag::kUpstreamTimeout,
                 client_is_slow ? breaker::Result::kIgnored : breaker::Result::kTimeout);
  }
  const bool client_is_slow = !request_ended_ && client_unconsumed_ == 0 && !awaits_continue();
  if (client_is_slow) return reply(reply_to_bad_request(Error(ErrorCode::kTimedOut, Side::kDownstream)));
  // Not the endpoint's fault is what waited elsewhere first, or a caller's patience that was short or is a
  // stranger's.
  const bool callers = deadline_ && *deadline_ <= env_.now();
  const TimePoint asked = request_ended_ ? request_ended_at_ : started_;
  const Duration fair = callers ? kFairPatience : (env_.now() - asked) / 2;
  for (Attempt* attempt : {&first_, &second_}) {
    if (attempt->active() && (env_.now() - attempt->began_at() < fair || (callers && !origin_.trusted))) {
      last_upstream_ = attempt->lease().endpoint().address_text;
      attempt->give_up({});
    }
  }
  reply(reply_to_upstream_failure(Error(ErrorCode::kTimedOut, Side::kUpstream)), breaker::Result::kTimeout);
}

}  // namespace remora::proxy
