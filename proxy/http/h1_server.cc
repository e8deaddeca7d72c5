// The server role of HTTP/1 (h1.h).
//
//   in_        means                                          leaves by
//   kHead      between requests, or part of a head is here    a whole head: kBody or kDone
//   kBody      the request's body is coming                   its end: kDone; the response's end: kDiscard
//   kDone      the request is complete                        the response's end: kHead; send_upgrade: kTunnel
//   kDiscard   answered, the rest of the body is thrown away  its end: kHead; too much of it: kClosed
//   kTunnel    bytes are the tunnel's                         the peer's FIN: kEnded
//   kEnded     the tunnel's peer sends no more                our end: kClosed
//   kClosed    nothing is read any more
//
//   out_ goes kIdle -> kWaiting (for the response's head) -> the body's framing -> kIdle, or -> kTunnel -> kEnded.
//
// When the codec calls out, its state is already that of after the event, and afterwards it looks at its state again: the
// callee may have answered, reset or finished.
#include <algorithm>

#include "proxy/http/h1.h"
#include "proxy/http/h1_parser.h"
#include "proxy/http/h1_writer.h"
#include "proxy/http/kept_input.h"

namespace remora::http {
namespace {

constexpr std::uint64_t kWindow = 64 * 1024;         // bytes received and not consumed
constexpr std::uint64_t kMostDiscarded = 256 * 1024;  // of a request that was answered before its end

class H1Server final : public ServerCodec, private ServerStream {
 public:
  H1Server(Transport& transport, Requests& requests, H1Scratch& scratch, const H1Limits& limits)
      : transport_(transport), requests_(requests), scratch_(scratch), limits_(limits) {}

  // Codec
  void feed(std::string_view bytes) override;
  void feed_end() override;
  void proceed() override;
  void on_writable() override;
  void on_closed(const Error& error) override;
  bool wants_input() const override;
  Fate fate() const override { return fate_; }
  std::size_t active() const override { return out_ == Out::kIdle ? 0 : 1; }

  // ServerCodec
  bool reading_head() const override { return in_ == In::kHead && out_ == Out::kIdle && !input_.empty(); }
  void drain() override;
  void fail(const Error& error) override;

 private:
  enum class In : std::uint8_t { kHead, kBody, kDone, kDiscard, kTunnel, kEnded, kClosed };
  enum class Out : std::uint8_t { kIdle, kWaiting, kNone, kLength, kChunked, kUntilClose, kTunnel, kEnded };

  // ServerStream
  void send_informational(const ResponseHead& head) override;
  void send_response(const ResponseHead& head, bool end, bool close) override;
  void send_upgrade(const ResponseHead& head) override;
  bool send_body(std::string_view bytes, bool end) override;
  void send_trailers(const FieldList& trailers) override;
  void consume(std::size_t n) override;
  void reset() override;

  std::size_t run(std::string_view bytes);
  std::size_t take_head(std::string_view bytes);
  std::size_t take_body(std::string_view bytes);
  void take_bytes(const H1Parser::Step& step);
  void refuse(const Error& error);
  void refuse_body(const Error& error);
  Delivery choose_delivery(const ResponseHead& head, bool end, bool close);
  bool may_discard_rest() const;
  bool send_framed(std::string_view bytes, bool end);
  bool send_tunnelled(std::string_view bytes, bool end);
  void finish();
  void end_tunnel();
  void close(Fate fate);
  Receiver* leave();

  Transport& transport_;
  Requests& requests_;
  H1Scratch& scratch_;
  const H1Limits& limits_;
  Receiver* receiver_ = nullptr;
  H1Parser parser_;
  KeptInput input_;
  std::uint64_t left_ = 0;        // response body bytes still owed under Content-Length
  std::uint64_t received_ = 0;    // request body bytes; while discarding: those discarded
  std::uint64_t unconsumed_ = 0;
  In in_ = In::kHead;
  Out out_ = Out::kIdle;
  Fate fate_ = Fate::kOpen;
  bool draining_ = false;
  bool peer_ended_ = false;
  // Of the current exchange:
  bool asked_head_ = false;       // HEAD
  bool peer_1_1_ = true;
  bool persistent_ = true;        // as far as is known
  bool upgrade_ = false;          // asked for
  bool expects_ = false;          // 100-continue, and none was sent yet
  bool blocked_ = false;          // send_body returned false
};

// ---- input

void H1Server::feed(std::string_view bytes) {
  if (in_ == In::kClosed) return;
  input_.feed(bytes, [this](std::string_view all) { return run(all); });
  if (in_ == In::kClosed) input_.clear();
}

void H1Server::proceed() {
  if (in_ == In::kClosed) return;
  input_.resume([this](std::string_view all) { return run(all); });
  if (in_ == In::kClosed) return input_.clear();
  if (!peer_ended_) return;
  if (in_ == In::kHead) close(Fate::kClose);
  if (in_ == In::kTunnel) end_tunnel();
}

// Processes what can be processed now, at most one head; returns how many bytes.
std::size_t H1Server::run(std::string_view bytes) {
  std::size_t used = 0;
  while (used < bytes.size()) {
    const std::string_view rest = bytes.substr(used);
    std::size_t step = 0;
    switch (in_) {
      case In::kHead:
        if (used != 0) return used;  // the next one's turn comes with proceed()
        step = take_head(rest);
        break;
      case In::kBody:
      case In::kDiscard:
        step = take_body(rest);
        break;
      case In::kTunnel:
        unconsumed_ += rest.size();
        receiver_->on_body(rest, false);
        return bytes.size();
      case In::kDone:
        return used;
      case In::kEnded:
      case In::kClosed:
        return bytes.size();
    }
    if (step == 0) return used;
    used += step;
  }
  return used;
}

// Returns the head's size, or 0 when it is not complete.
std::size_t H1Server::take_head(std::string_view bytes) {
  switch (parser_.scan(bytes, HeadScan::Kind::kRequest, limits_)) {
    case HeadScan::Result::kMore:
      return 0;
    case HeadScan::Result::kFault: {
      asked_head_ = false;
      peer_1_1_ = true;
      const Fault& fault = parser_.scan_fault();
      refuse(Error(fault.code, Side::kDownstream, Retry::kNo, std::string(fault.detail)));
      return bytes.size();
    }
    case HeadScan::Result::kDone:
      break;
  }
  const std::size_t size = parser_.head_size();
  RequestHead& head = scratch_.request;
  const auto fault = parser_.request(bytes, head);
  parser_.reset();
  asked_head_ = head.method == "HEAD";
  peer_1_1_ = head.version.at_least_1_1();
  if (fault) {
    refuse(Error(fault->code, Side::kDownstream, Retry::kNo, std::string(fault->detail)));
    return size;
  }
  if (limits_.body_bytes != 0 && head.content_length.value_or(0) > limits_.body_bytes) {
    refuse(Error(ErrorCode::kBodyTooLarge, Side::kDownstream, Retry::kNo, "Content-Length over the body limit"));
    return size;
  }
  persistent_ = is_persistent(parser_.connection(), head.version);
  upgrade_ = head.upgrade;
  expects_ = head.has_body && head.fields.has(FieldId::kExpect);
  blocked_ = false;
  received_ = 0;
  unconsumed_ = 0;
  in_ = head.has_body ? In::kBody : In::kDone;
  out_ = Out::kWaiting;
  Receiver* const receiver = requests_.on_request(*this, head, !head.has_body);
  // Unless it was answered or given up inside the call.
  if (out_ != Out::kIdle) receiver_ = receiver;
  return size;
}

std::size_t H1Server::take_body(std::string_view bytes) {
  const H1Parser::Step step = parser_.next(bytes, scratch_.trailers, limits_);
  switch (step.kind) {
    case H1Parser::Step::Kind::kMore:
      break;
    case H1Parser::Step::Kind::kBytes:
      take_bytes(step);
      break;
    case H1Parser::Step::Kind::kEnd:
      parser_.reset();
      if (in_ == In::kDiscard) {
        finish();
      } else {
        in_ = In::kDone;
        if (scratch_.trailers.empty()) {
          receiver_->on_body({}, true);
        } else {
          receiver_->on_trailers(scratch_.trailers);
        }
      }
      break;
    case H1Parser::Step::Kind::kFault: {
      const Fault& fault = parser_.fault();
      refuse_body(Error(fault.code, Side::kDownstream, Retry::kNo, std::string(fault.detail)));
      return bytes.size();
    }
  }
  return step.used;
}

void H1Server::take_bytes(const H1Parser::Step& step) {
  received_ += step.bytes.size();
  if (in_ == In::kDiscard) {
    if (step.end) {
      finish();
    } else if (received_ > kMostDiscarded) {
      close(Fate::kClose);
    }
    return;
  }
  if (limits_.body_bytes != 0 && received_ > limits_.body_bytes) {
    return refuse_body(Error(ErrorCode::kBodyTooLarge, Side::kDownstream, Retry::kNo, "body over its limit"));
  }
  unconsumed_ += step.bytes.size();
  if (step.end) in_ = In::kDone;
  receiver_->on_body(step.bytes, step.end);
}

void H1Server::feed_end() {
  peer_ended_ = true;
  switch (in_) {
    case In::kHead:
      return proceed();  // a whole request may be waiting; if not, this closes
    case In::kBody: {
      Receiver* const receiver = leave();
      close(Fate::kAbort);
      if (receiver != nullptr) {
        receiver->on_reset(Error(ErrorCode::kEndOfStream, Side::kDownstream, Retry::kNo, "request cut short"));
      }
      return;
    }
    case In::kDiscard:
      return close(Fate::kClose);
    case In::kTunnel:
      return end_tunnel();
    case In::kDone:  // half-closed: it still wants its response
    case In::kEnded:
    case In::kClosed:
      return;
  }
}

void H1Server::on_closed(const Error& error) {
  Receiver* const receiver = leave();
  in_ = In::kClosed;
  fate_ = Fate::kAbort;
  if (receiver == nullptr) return;
  receiver->on_reset(Error(error.code, Side::kDownstream, Retry::kNo, error.detail));
}

bool H1Server::wants_input() const {
  switch (in_) {
    case In::kBody:
    case In::kTunnel:
      return unconsumed_ <= kWindow;
    case In::kDone:
      return input_.empty();
    case In::kClosed:
      return false;
    default:
      return true;
  }
}

void H1Server::drain() {
  draining_ = true;
  if (in_ == In::kHead && input_.empty()) close(Fate::kClose);
}

// ---- refusals

void H1Server::fail(const Error& error) {
  switch (in_) {
    case In::kHead:
      return input_.empty() ? close(Fate::kClose) : refuse(error);
    case In::kBody:
    case In::kDiscard:
      return refuse_body(error);
    default:
      return;
  }
}

// Nothing more is read; the owner may answer once.
void H1Server::refuse(const Error& error) {
  in_ = In::kClosed;
  out_ = Out::kWaiting;
  persistent_ = false;
  upgrade_ = false;
  requests_.on_bad_request(*this, error);
  if (out_ == Out::kWaiting) close(Fate::kAbort);
}

void H1Server::refuse_body(const Error& error) {
  if (in_ == In::kDiscard) return close(Fate::kClose);
  const bool answerable = out_ == Out::kWaiting;
  Receiver* const receiver = leave();
  in_ = In::kClosed;
  if (receiver != nullptr) receiver->on_reset(error);
  if (answerable) {
    refuse(error);
  } else {
    close(Fate::kAbort);
  }
}

// Ends the exchange for the receiver, which is returned to be told.
Receiver* H1Server::leave() {
  Receiver* const receiver = receiver_;
  receiver_ = nullptr;
  out_ = Out::kIdle;
  return receiver;
}

// ---- output

void H1Server::send_informational(const ResponseHead& head) {
  if (out_ != Out::kWaiting || !peer_1_1_ || !head.informational() || head.status == 101) return;
  if (head.status == 100) expects_ = false;
  write_response_head(head, Delivery{}, scratch_.out);
  transport_.write(scratch_.out);
}

// Whether the rest of the request is small enough to be read and thrown away, so that the connection can live on. A client that
// still waits for 100 may or may not send it (RFC 9110 section 10.1.1).
bool H1Server::may_discard_rest() const {
  if (in_ == In::kDone) return true;
  return in_ == In::kBody && !expects_ && parser_.remaining() <= kMostDiscarded;
}

Delivery H1Server::choose_delivery(const ResponseHead& head, bool end, bool close) {
  Delivery delivery;
  const bool bodiless = asked_head_ || head.status == 204 || head.status == 304;
  if (bodiless) {
    out_ = Out::kNone;
    // What a GET would have had (RFC 9110 section 8.6); never with 204.
    if (head.content_length && head.status != 204) {
      delivery.body = Delivery::Body::kLength;
      delivery.length = *head.content_length;
    }
  } else if (end || head.content_length) {
    out_ = Out::kLength;
    left_ = end ? 0 : *head.content_length;
    delivery.body = Delivery::Body::kLength;
    delivery.length = left_;
  } else if (peer_1_1_) {
    out_ = Out::kChunked;
    delivery.body = Delivery::Body::kChunked;
  } else {
    out_ = Out::kUntilClose;
  }
  persistent_ = persistent_ && !close && !draining_ && out_ != Out::kUntilClose && may_discard_rest() &&
                !(peer_ended_ && input_.empty());
  if (!persistent_) {
    delivery.connection = Delivery::Connection::kClose;
  } else if (!peer_1_1_) {
    delivery.connection = Delivery::Connection::kKeepAlive;
  }
  return delivery;
}

void H1Server::send_response(const ResponseHead& head, bool end, bool close) {
  if (out_ != Out::kWaiting) return;
  Delivery delivery = choose_delivery(head, end, close);
  delivery.upgrade = head.fields.has(FieldId::kUpgrade);
  write_response_head(head, delivery, scratch_.out);
  transport_.write(scratch_.out);
  if (end) finish();
}

void H1Server::send_upgrade(const ResponseHead& head) {
  if (out_ != Out::kWaiting) return;
  if (!upgrade_ || in_ != In::kDone) return reset();
  write_response_head(head, Delivery{.upgrade = true}, scratch_.out);
  transport_.write(scratch_.out);
  in_ = In::kTunnel;
  out_ = Out::kTunnel;
  transport_.codec_changed();  // input may be waiting for this
}

bool H1Server::send_body(std::string_view bytes, bool end) {
  bool room = true;
  switch (out_) {
    case Out::kIdle:
    case Out::kWaiting:
    case Out::kEnded:
      return true;
    case Out::kTunnel:
      room = send_tunnelled(bytes, end);
      break;
    case Out::kNone:
      if (end) finish();
      break;
    default:
      room = send_framed(bytes, end);
      break;
  }
  blocked_ = !room && out_ != Out::kIdle;
  return room;
}

bool H1Server::send_framed(std::string_view bytes, bool end) {
  const BodyWritten written = write_body(transport_, out_ == Out::kChunked, out_ == Out::kLength ? &left_ : nullptr, bytes, end);
  if (written.broken) {
    reset();
  } else if (end) {
    finish();
  }
  return written.room;
}

bool H1Server::send_tunnelled(std::string_view bytes, bool end) {
  bool room = true;
  if (!bytes.empty()) room = transport_.write_through({}, bytes, {});
  if (!end) return room;
  transport_.end();
  out_ = Out::kEnded;
  if (in_ == In::kEnded) {
    leave();
    close(Fate::kClose);
  }
  return room;
}

// The peer's half of the tunnel has ended.
void H1Server::end_tunnel() {
  in_ = In::kEnded;
  if (out_ == Out::kEnded) {
    Receiver* const receiver = leave();
    close(Fate::kClose);
    receiver->on_body({}, true);
    return;
  }
  receiver_->on_body({}, true);
}

void H1Server::send_trailers(const FieldList& trailers) {
  if (out_ != Out::kChunked) {
    send_body({}, true);
    return;
  }
  write_last_chunk(trailers, scratch_.out);
  transport_.write(scratch_.out);
  finish();
}

// The response is complete, or both halves are.
void H1Server::finish() {
  leave();
  if (!persistent_) return close(Fate::kClose);
  if (in_ == In::kBody) {
    in_ = In::kDiscard;
    received_ = 0;
    unconsumed_ = 0;
  } else {
    in_ = In::kHead;
  }
  // Asked to drain in the meantime: the response was the last, though it could not say so.
  if (draining_ && in_ == In::kHead && input_.empty()) return close(Fate::kClose);
  transport_.codec_changed();
}

void H1Server::consume(std::size_t n) {
  const bool waited = unconsumed_ > kWindow;
  unconsumed_ -= std::min<std::uint64_t>(n, unconsumed_);
  if (waited && unconsumed_ <= kWindow) transport_.codec_changed();
}

void H1Server::reset() {
  if (out_ == Out::kIdle) return;
  leave();
  close(Fate::kAbort);
}

void H1Server::close(Fate fate) {
  in_ = In::kClosed;
  out_ = Out::kIdle;
  fate_ = fate;
  transport_.codec_changed();
}

void H1Server::on_writable() {
  if (!blocked_ || receiver_ == nullptr) return;
  blocked_ = false;
  receiver_->on_writable();
}

}  // namespace

std::unique_ptr<ServerCodec> make_h1_server(Transport& transport, Requests& requests, H1Scratch& scratch,
                                            const H1Limits& limits) {
  static_assert(sizeof(H1Server) <= 400);
  return std::make_unique<H1Server>(transport, requests, scratch, limits);
}

}  // namespace remora::http
