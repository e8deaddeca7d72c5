// The way up: from a request's head to its last byte at the upstream. Attempts are in exchange_attempts.cc,
// the way down in exchange_response.cc, the end in exchange_end.cc.
#include "proxy/exchange.h"

#include "lb/balancer.h"
#include "proxy/http/forwarding.h"
#include "proxy/identity.h"

namespace remora::proxy {

namespace {

constexpr LocalReply kNoRoute{404, Flag::kNoRoute, "no route matches this request\n"};
constexpr LocalReply kDenied{403, Flag::kDenied, "this caller is not allowed here\n"};
constexpr LocalReply kLoop{508, Flag::kLoopDetected, "this request has been here before\n"};
constexpr LocalReply kBadConnection{400, Flag::kDownstreamProtocolError,
                                    "Connection names a field that must not be removed\n", true};

}  // namespace

Exchange::Exchange(Env& env, AccessLog& log, Owner& owner)
    : env_(env), log_(log), owner_(owner), first_(env, *this), second_(env, *this) {}

void Exchange::begin(const Origin& origin, http::ServerStream& stream, http::RequestHead& head, bool end) {
  request_.swap(head);
  origin_ = origin;
  tcp_ = origin.tcp;
  connect_ = !tcp_ && request_.method == "CONNECT";
  client_ = &stream;
  cluster_ = origin.listener->local();
  started_ = last_activity_ = env_.now();
  state_ = State::kTrying;
  if (const auto text = request_.fields.get(http::FieldId::kXRequestTimeoutMs)) {
    if (const auto patience = breaker::parse_timeout_ms(*text)) deadline_ = started_ + *patience;
  }
  marked_ = request_.fields.has(http::FieldId::kXRemoraAttempt);
  if (end) request_ended();
}

http::Receiver* Exchange::start(const Origin& origin, http::ServerStream& stream, http::RequestHead& head,
                                bool end) {
  begin(origin, stream, head, end);
  if (tcp_) {
    route();
    return &from_client_;
  }
  const http::ForwardingContext context{.peer = *origin.peer,
                                        .peer_host = origin.peer_host,
                                        .peer_trusted = origin.trusted,
                                        .scheme = origin.tls ? "https" : "http",
                                        .owns_client_cert = origin.listener->asks_clients,
                                        .client_cert = origin.identity != nullptr
                                                           ? std::string_view(origin.identity->forwarded)
                                                           : std::string_view(),
                                        .pseudonym = origin.listener->pseudonym};
  const http::Verdict verdict = http::prepare_request(request_, context, env_.random);
  if (origin.listener->tracing != nullptr) begin_trace();
  switch (verdict) {
    case http::Verdict::kForward: route(); break;
    case http::Verdict::kBadConnectionField: reply(kBadConnection); break;
    case http::Verdict::kLoop: reply(kLoop); break;
    case http::Verdict::kAnswerHere: answer_trace(); break;
  }
  return &from_client_;
}

http::Receiver* Exchange::start_refused(const Origin& origin, http::ServerStream& stream,
                                        http::RequestHead& head, bool end, const LocalReply& refusal) {
  begin(origin, stream, head, end);
  if (origin.listener->tracing != nullptr && !tcp_) begin_trace();
  reply(refusal);
  return &from_client_;
}

void Exchange::refuse(const Origin& origin, http::ServerStream& stream, const LocalReply& refusal) {
  request_.clear();
  origin_ = origin;
  client_ = &stream;
  cluster_ = origin.listener->local();
  started_ = last_activity_ = env_.now();
  request_ended();
  state_ = State::kTrying;
  if (origin.listener->tracing != nullptr) begin_trace();
  reply(refusal);
}

void Exchange::route() {
  ListenerContext& listener = *origin_.listener;
  if (denies(listener.settings.allow)) return;
  if (over_rate(listener.rates.all.get(), listener.settings.rate_limit)) return;
  const bool is_rest = tcp_ && listener.settings.detects();
  route_ = is_rest ? &listener.settings.routes.back() : listener.router.match(request_);
  if (route_ == nullptr) return reply(kNoRoute);
  if (denies(route_->allow)) return;
  if (route_->rate_limit) {
    const auto index = static_cast<std::size_t>(route_ - listener.settings.routes.data());
    if (over_rate(listener.rates.by_route[index].get(), route_->rate_limit)) return;
  }
  if (const auto* target = std::get_if<config::Forward>(&route_->action)) return forward(*route_, *target);
  http::ResponseHead& head = env_.scratch.response;
  head.clear();
  if (const auto* redirect = std::get_if<Rare<config::Redirect>>(&route_->action)) {
    head.status = (*redirect)->status;
    head.fields.add("Location", redirect_location(**redirect, request_, scheme()));
    return answer(head, {});
  }
  const auto& respond = *std::get<Rare<config::Respond>>(route_->action);
  head.status = respond.status;
  if (!respond.body.empty()) head.fields.add(http::FieldId::kContentType, respond.content_type);
  answer(head, respond.body);
}

// True: the request was answered with 403.
bool Exchange::denies(const std::vector<std::string>& allow) {
  if (allows(allow, origin_.identity)) return false;
  reply(kDenied);
  return true;
}

// True: the request was answered with 429.
bool Exchange::over_rate(RateLimitState* state, const Rare<config::RateLimit>& limit) {
  if (state == nullptr) return false;
  std::optional<std::uint64_t> key;
  if (limit->key == config::RateLimit::Key::kSourceAddress) {
    key = lb::hash_key(origin_.peer_host);
  } else if (limit->key == config::RateLimit::Key::kHeader) {
    if (const auto value = request_.fields.get(limit->header)) key = lb::hash_key(*value);
  }
  const auto wait = state->try_take(key, env_.now());
  if (!wait) return false;
  reply({.status = 429,
         .flag = Flag::kRateLimited,
         .reason = "too many requests, rate limit reached\n",
         .close = false,
         .retry_after = *wait});
  return true;
}

// As the client used it: a trusted peer in front may have ended TLS.
std::string_view Exchange::scheme() const {
  return request_.fields.get(http::FieldId::kXForwardedProto).value_or("http");
}

void Exchange::forward(const config::Route& route, const config::Forward& forward) {
  std::size_t chosen = forward.clusters.front().cluster;
  if (forward.clusters.size() > 1) {
    std::uint32_t total = 0;
    for (const auto& choice : forward.clusters) total += choice.weight;
    std::uint32_t ticket = env_.random.below(total);
    for (const auto& choice : forward.clusters) {
      chosen = choice.cluster;
      if (ticket < choice.weight) break;
      ticket -= choice.weight;
    }
  }
  if (route.hash.source != config::HashKey::Source::kNone) {
    key_ = request_key(route.hash, request_, origin_.peer_host);
  }
  if (route.rewrite) {
    client_target_ = rewritten_target(route, request_);
    std::swap(client_target_, request_.target);
  }
  if (route.request_headers) apply_request_edits(*route.request_headers);
  use_cluster(chosen);
  acquire();
}

// Host is not an ordinary field: it is the authority, which the codec writes.
void Exchange::apply_request_edits(const config::FieldEdits& edits) {
  apply_edits(edits, request_.fields);
  for (const auto* list : {&edits.set, &edits.add}) {
    for (const auto& [name, value] : *list) {
      if (http::field_id(name) != http::FieldId::kHost) continue;
      if (client_authority_.empty()) client_authority_ = request_.authority;
      request_.authority = value;
    }
  }
}

void Exchange::request_ended() {
  request_ended_ = true;
  request_ended_at_ = env_.now();
}

// Keeps a piece of the body for an upstream that is not there yet, or for another attempt.
void Exchange::keep(std::string_view bytes) {
  if (!body_kept_) return;
  if (taker() != nullptr && (!keeps_body() || kept_body_.size() + bytes.size() > retry_->body_bytes)) {
    body_kept_ = false;
    kept_body_.clear();
    return;
  }
  kept_body_.append(bytes);
}

void Exchange::on_client_body(std::string_view bytes, bool end) {
  if (state_ == State::kDone || state_ == State::kIdle) return;
  bytes_in_ += bytes.size();
  last_activity_ = env_.now();
  if (state_ == State::kTunnel) {
    tunnel_up_ended_ = tunnel_up_ended_ || end;
  } else {
    keep(bytes);
    if (end) request_ended();
  }
  Attempt* to = taker();
  if (to == nullptr) {
    client_unconsumed_ += bytes.size();
    return;
  }
  if (to->stream().send_body(bytes, end)) {
    client_->consume(bytes.size());  // the last ones too: other exchanges may share the window
  } else {
    client_unconsumed_ += bytes.size();
  }
  if (state_ == State::kTunnel && tunnel_up_ended_ && response_ended_) return on_response_complete();
  if (end && state_ == State::kTrying) arm_hedge();
}

bool Exchange::on_client_bulk(Bulk& bulk) {
  Attempt* const to = state_ == State::kTunnel ? taker() : nullptr;
  if (to == nullptr) {
    if (tcp_) bulk.refusal = Bulk::Refusal::kBusy;  // the tunnel is still to come
    return true;
  }
  const bool room = to->stream().send_bulk(bulk);
  bytes_in_ += bulk.moved;
  if (bulk.moved > 0) last_activity_ = env_.now();
  if (!room) client_unconsumed_ += bulk.moved;
  return room;
}

void Exchange::on_client_trailers(const http::FieldList& trailers) {
  if (state_ == State::kDone || state_ == State::kIdle) return;
  last_activity_ = env_.now();
  request_ended();
  Attempt* to = taker();
  if (to == nullptr || keeps_body()) kept_trailers_ = trailers;
  if (to != nullptr) to->stream().send_trailers(trailers);
}

// The client is gone, or what it sent of the body cannot be read on.
void Exchange::on_client_reset(const Error& error) {
  client_ = nullptr;
  if (state_ == State::kDone || state_ == State::kIdle) return;
  if (error.code == ErrorCode::kReset || error.code == ErrorCode::kEndOfStream ||
      error.code == ErrorCode::kCancelled) {
    flag_ = Flag::kDownstreamClosed;
  } else {
    const LocalReply reply = reply_to_bad_request(error);
    flag_ = reply.flag;
    if (!response_begun_) {
      status_ = reply.status;
      count_local_reply();
      *origin_.reply_logged = true;
    }
  }
  conclude(breaker::Result::kIgnored);
  done();
}

}  // namespace remora::proxy
