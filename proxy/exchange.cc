// The way up: from a request's head to its last byte at the upstream. The way down is in
// exchange_response.cc.
#include "proxy/exchange.h"

#include "proxy/http/forwarding.h"

namespace remora::proxy {

namespace {

// A request body up to this size is kept while it may have to be sent again.
constexpr std::size_t kReplayBuffer = 64 * 1024;

constexpr LocalReply kNoRoute{404, Flag::kNoRoute, "no route matches this request\n"};
constexpr LocalReply kLoop{508, Flag::kLoopDetected, "this request has been here before\n"};
constexpr LocalReply kBadConnection{400, Flag::kDownstreamProtocolError,
                                    "Connection names a field that must not be removed\n", true};
constexpr LocalReply kNoEndpoint{503, Flag::kNoHealthyEndpoint, "no endpoint is available\n"};

}  // namespace

Exchange::Exchange(Env& env, Upstreams& upstreams, AccessLog& log, Owner& owner)
    : env_(env), upstreams_(upstreams), log_(log), owner_(owner) {}

void Exchange::begin(const Origin& origin, http::ServerStream& stream, http::RequestHead& head, bool end) {
  std::swap(request_, head);
  origin_ = origin;
  client_ = &stream;
  cluster_ = origin.listener->local();
  started_ = last_activity_ = env_.now();
  state_ = State::kOpening;
  if (end) request_ended();
}

http::Receiver* Exchange::start(const Origin& origin, http::ServerStream& stream, http::RequestHead& head,
                                bool end) {
  begin(origin, stream, head, end);
  const http::ForwardingContext context{.peer = *origin.peer,
                                        .peer_host = origin.peer_host,
                                        .peer_trusted = origin.trusted,
                                        .scheme = "http",
                                        .pseudonym = origin.listener->pseudonym};
  switch (http::prepare_request(request_, context, env_.random)) {
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
  state_ = State::kOpening;
  reply(refusal);
}

void Exchange::route() {
  route_ = origin_.listener->router.match(request_);
  if (route_ == nullptr) return reply(kNoRoute);
  if (const auto* target = std::get_if<config::Forward>(&route_->action)) return forward(*route_, *target);
  http::ResponseHead& head = env_.scratch.response;
  head.clear();
  if (const auto* redirect = std::get_if<config::Redirect>(&route_->action)) {
    head.status = redirect->status;
    head.fields.add("Location", redirect_location(*redirect, request_, scheme()));
    return answer(head, {});
  }
  const auto& respond = std::get<config::Respond>(route_->action);
  head.status = respond.status;
  if (!respond.body.empty()) head.fields.add(http::FieldId::kContentType, respond.content_type);
  answer(head, respond.body);
}

// As the client used it: a trusted peer in front may have ended TLS.
std::string_view Exchange::scheme() const {
  return request_.fields.get(http::FieldId::kXForwardedProto).value_or("http");
}

void Exchange::forward(const config::Route& route, const config::Forward& forward) {
  cluster_ = forward.clusters.front().cluster;
  if (forward.clusters.size() > 1) {
    std::uint32_t total = 0;
    for (const auto& choice : forward.clusters) total += choice.weight;
    std::uint32_t ticket = env_.random.below(total);
    for (const auto& choice : forward.clusters) {
      cluster_ = choice.cluster;
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
  if (!route.request_headers.empty()) apply_request_edits(route.request_headers);
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

void Exchange::acquire() {
  lease_ = upstreams_.at(cluster_).acquire(key_, tried_);
  if (!lease_) return reply(kNoEndpoint);
  open(false);
}

void Exchange::open(bool fresh) {
  state_ = State::kOpening;
  ++attempts_;
  opened_at_ = env_.now();
  auto* dialling = lease_.endpoint().pool.open(from_upstream_, *this, fresh);
  // A failed dial may already have been answered, and an idle connection is in use by now.
  if (state_ == State::kOpening) dialling_ = dialling;
  arm_timer();
}

void Exchange::on_stream(http::ClientStream& stream, bool reused) {
  if (dialling_ != nullptr) connect_took_ = env_.now() - opened_at_;
  dialling_ = nullptr;
  upstream_ = &stream;
  reused_ = reused;
  sent_at_ = env_.now();
  state_ = State::kRelaying;
  const bool has_trailers = !kept_trailers_.empty();
  const bool ends_with_head = request_ended_ && kept_body_.empty() && !has_trailers;
  if (request_.authority.empty()) {  // an HTTP/1.0 client's
    const ClusterEndpoint& to = lease_.endpoint();
    request_.authority = to.info.address.is_unix() ? "localhost" : to.address_text;
  }
  upstream_->send_request(request_, ends_with_head);
  if (ends_with_head) return;
  bool writable = true;
  if (!kept_body_.empty() || (request_ended_ && !has_trailers)) {
    writable = upstream_->send_body(kept_body_, request_ended_ && !has_trailers);
  }
  if (has_trailers) upstream_->send_trailers(kept_trailers_);
  if (!reused_) {
    body_kept_ = kept_body_.empty();
    kept_body_.clear();
  }
  if (writable && client_unconsumed_ > 0) client_->consume(std::exchange(client_unconsumed_, 0));
}

void Exchange::on_connect_failed(const Error& error) {
  dialling_ = nullptr;
  reply(reply_to_connect_failure(error));
}

void Exchange::request_ended() {
  request_ended_ = true;
  request_ended_at_ = env_.now();
}

// Keeps a piece of the body for an upstream that is not there yet, or that may turn out to be gone.
void Exchange::keep(std::string_view bytes) {
  if (!body_kept_) return;
  if (state_ == State::kRelaying &&
      (!reused_ || response_begun_ || kept_body_.size() + bytes.size() > kReplayBuffer)) {
    body_kept_ = false;
    kept_body_.clear();
    return;
  }
  kept_body_.append(bytes);
}

void Exchange::on_client_body(std::string_view bytes, bool end) {
  bytes_in_ += bytes.size();
  last_activity_ = env_.now();
  if (end && state_ != State::kTunnel) request_ended();
  switch (state_) {
    case State::kOpening:
      keep(bytes);
      client_unconsumed_ += bytes.size();
      break;
    case State::kRelaying: keep(bytes); [[fallthrough]];
    case State::kTunnel:
      if (state_ == State::kTunnel && end) tunnel_up_ended_ = true;
      if (upstream_->send_body(bytes, end)) {
        client_->consume(bytes.size());  // the last ones too: other exchanges may share the window
      } else {
        client_unconsumed_ += bytes.size();
      }
      if (state_ == State::kTunnel && tunnel_up_ended_ && response_ended_) on_response_complete();
      break;
    case State::kIdle:
    case State::kDone: break;
  }
}

void Exchange::on_client_trailers(const http::FieldList& trailers) {
  last_activity_ = env_.now();
  request_ended();
  if (state_ == State::kOpening || (state_ == State::kRelaying && reused_)) kept_trailers_ = trailers;
  if (state_ == State::kRelaying) upstream_->send_trailers(trailers);
}

void Exchange::on_upstream_writable() {
  last_activity_ = env_.now();
  if (client_unconsumed_ == 0 || client_ == nullptr) return;
  client_->consume(std::exchange(client_unconsumed_, 0));
}

// The client is gone, or what it sent of the body cannot be read on.
void Exchange::on_client_reset(const Error& error) {
  client_ = nullptr;
  if (state_ == State::kDone || state_ == State::kIdle) return;
  drop_upstream();
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
  conclude(Lease::Outcome::kCancelled);
  done();
}

breaker::Attempt Exchange::attempt() const {
  return {.method = request_.method,
          .has_idempotency_key = request_.fields.has(http::FieldId::kIdempotencyKey),
          .sent = true,
          .reused_connection = reused_,
          .body_kept = body_kept_,
          .response_begun = response_begun_};
}

}  // namespace remora::proxy
