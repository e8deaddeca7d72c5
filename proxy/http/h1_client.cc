// The client role of HTTP/1 (h1.h): one exchange at a time.
//
//   in_        means                                        leaves by
//   kIdle      no exchange; any byte is a stray one         start(): kHead
//   kHead      a response's head is coming                  a final head: kBody or kDone; 101: kTunnel
//   kBody      its body is coming                           its end: kDone
//   kDone      the response is complete, the request not    the request's end: kIdle; reset(): kClosed
//   kTunnel    bytes are the tunnel's                       the peer's FIN: kEnded
//   kEnded     the tunnel's peer sends no more              our end: kClosed
//   kClosed    nothing is read any more
//
//   out_: kIdle -> kReady (for the request's head) -> the body's framing -> kDone -> kIdle
//                                                                           kDone -> kTunnel -> kEnded
//
// When the codec calls out, its state is already that of after the event: inside the callback that ends a
// response, available() tells whether the connection may be used again.
#include <algorithm>

#include "proxy/http/h1.h"
#include "proxy/http/h1_parser.h"
#include "proxy/http/h1_writer.h"
#include "proxy/http/kept_input.h"

namespace remora::http {
namespace {

constexpr std::uint64_t kWindow = 64 * 1024;  // bytes received and not consumed
constexpr std::uint8_t kMostInterim = 64;     // 1xx before a final response

class H1Client final : public ClientCodec, private ClientStream {
 public:
  H1Client(Transport& transport, H1Scratch& scratch, const H1Limits& limits)
      : transport_(transport), scratch_(scratch), limits_(limits) {}

  // Codec
  void feed(std::string_view bytes) override;
  void feed_bulk(Bulk& bulk) override {
    if (in_ != In::kTunnel) return;
    held_ = !responses_->on_bulk(bulk) && bulk.moved > 0;
    if (held_) unconsumed_ += bulk.moved;
  }
  void feed_end() override;
  void proceed() override {}
  void on_writable() override;
  void on_closed(const Error& error) override;
  bool wants_input() const override { return in_ != In::kClosed && !held_ && unconsumed_ <= kWindow; }
  Fate fate() const override { return fate_; }
  std::size_t active() const override { return responses_ == nullptr ? 0 : 1; }

  // ClientCodec
  bool available() const override { return in_ == In::kIdle; }
  ClientStream& start(Responses& responses) override;

 private:
  enum class In : std::uint8_t { kIdle, kHead, kBody, kDone, kTunnel, kEnded, kClosed };
  enum class Out : std::uint8_t { kIdle, kReady, kLength, kChunked, kDone, kTunnel, kEnded };

  // ClientStream
  void send_request(const RequestHead& head, bool end) override;
  bool send_body(std::string_view bytes, bool end) override;
  bool send_bulk(Bulk& bulk) override {
    const bool room = out_ != Out::kTunnel || transport_.write_bulk(bulk);
    if (!room) blocked_ = true;
    return room;
  }
  void send_trailers(const FieldList& trailers) override;
  void consume(std::size_t n) override;
  void reset() override;

  std::size_t run(std::string_view bytes);
  std::size_t take_head(std::string_view bytes);
  void take_interim(ResponseHead& head);
  void take_final(ResponseHead& head, bool more_behind);
  std::size_t take_body(std::string_view bytes);
  bool send_framed(std::string_view bytes, bool end);
  bool send_tunnelled(std::string_view bytes, bool end);
  void finish_request();
  Responses* finish_response();
  void end_tunnel();
  void give_up(ErrorCode code, std::string_view detail, Retry retry = Retry::kNo);
  void end_exchange();
  void close(Fate fate);

  Transport& transport_;
  H1Scratch& scratch_;
  const H1Limits& limits_;
  Responses* responses_ = nullptr;
  H1Parser parser_;
  KeptInput input_;
  std::uint64_t left_ = 0;  // request body bytes still owed under Content-Length
  std::uint64_t unconsumed_ = 0;
  In in_ = In::kIdle;
  Out out_ = Out::kIdle;
  Fate fate_ = Fate::kOpen;
  std::uint8_t interim_ = 0;
  H1Parser::Asked asked_;
  bool reusable_ = true;   // as far as is known
  bool answered_ = false;  // a byte of the response has come
  bool blocked_ = false;   // send_body returned false
  bool held_ = false;      // of a tunnel: nothing more until what was moved has been taken
};

// ---- input

void H1Client::feed(std::string_view bytes) {
  if (bytes.empty()) return;
  if (in_ == In::kIdle) return close(Fate::kAbort);  // nobody asked: an attack or a confused server
  if (in_ == In::kClosed) return;
  answered_ = true;
  input_.feed(bytes, [this](std::string_view all) { return run(all); });
  if (in_ == In::kClosed) input_.clear();
}

std::size_t H1Client::run(std::string_view bytes) {
  std::size_t used = 0;
  while (used < bytes.size()) {
    const std::string_view rest = bytes.substr(used);
    std::size_t step = 0;
    switch (in_) {
      case In::kHead: step = take_head(rest); break;
      case In::kBody: step = take_body(rest); break;
      case In::kTunnel:
        unconsumed_ += rest.size();
        responses_->on_body(rest, false);
        return bytes.size();
      case In::kDone:  // bytes behind a complete response
        reusable_ = false;
        return bytes.size();
      case In::kIdle:
      case In::kEnded:
      case In::kClosed: return bytes.size();
    }
    if (step == 0) return used;
    used += step;
  }
  return used;
}

// Returns the head's size, or 0 when it is not complete.
std::size_t H1Client::take_head(std::string_view bytes) {
  if (out_ == Out::kReady) {
    give_up(ErrorCode::kMalformedMessage, "response before the request");
    return bytes.size();
  }
  switch (parser_.scan(bytes, HeadScan::Kind::kResponse, limits_)) {
    case HeadScan::Result::kMore: return 0;
    case HeadScan::Result::kFault:
      give_up(parser_.scan_fault().code, parser_.scan_fault().detail);
      return bytes.size();
    case HeadScan::Result::kDone: break;
  }
  const std::size_t size = parser_.head_size();
  ResponseHead& head = scratch_.response;
  const auto fault = parser_.response(bytes, asked_, head);
  parser_.reset();
  if (fault) {
    give_up(fault->code, fault->detail);
  } else if (head.informational()) {
    take_interim(head);
  } else {
    take_final(head, size < bytes.size());
  }
  return size;
}

void H1Client::take_interim(ResponseHead& head) {
  if (head.status != 101) {
    if (++interim_ > kMostInterim) return give_up(ErrorCode::kMalformedMessage, "too many interim responses");
    return responses_->on_informational(head);
  }
  if (out_ != Out::kDone) return give_up(ErrorCode::kMalformedMessage, "101 before the end of the request");
  reusable_ = false;
  in_ = In::kTunnel;
  out_ = Out::kTunnel;
  responses_->on_upgrade(head);
}

void H1Client::take_final(ResponseHead& head, bool more_behind) {
  reusable_ = reusable_ && is_persistent(parser_.connection(), head.version) && !parser_.until_close();
  if (head.has_body) {
    in_ = In::kBody;
    return responses_->on_response(head, false);
  }
  reusable_ = reusable_ && !more_behind;
  finish_response()->on_response(head, true);
}

std::size_t H1Client::take_body(std::string_view bytes) {
  const H1Parser::Step step = parser_.next(bytes, scratch_.trailers, limits_);
  if (step.kind == H1Parser::Step::Kind::kFault) {
    give_up(parser_.fault().code, parser_.fault().detail);
    return bytes.size();
  }
  if (step.kind == H1Parser::Step::Kind::kMore) return step.used;
  if (step.end && step.used < bytes.size()) reusable_ = false;
  if (step.kind == H1Parser::Step::Kind::kBytes) {
    unconsumed_ += step.bytes.size();
    Responses* const responses = step.end ? finish_response() : responses_;
    responses->on_body(step.bytes, step.end);
    return step.used;
  }
  parser_.reset();
  Responses* const responses = finish_response();
  if (scratch_.trailers.empty()) {
    responses->on_body({}, true);
  } else {
    responses->on_trailers(scratch_.trailers);
  }
  return step.used;
}

void H1Client::feed_end() {
  switch (in_) {
    case In::kIdle: return close(Fate::kClose);
    case In::kHead:
      return give_up(ErrorCode::kEndOfStream, "closed before a response",
                     answered_ ? Retry::kNo : Retry::kIfReused);
    case In::kBody:
      if (!parser_.until_close()) return give_up(ErrorCode::kEndOfStream, "response cut short");
      finish_response()->on_body({}, true);
      return;
    case In::kDone: reusable_ = false; return;
    case In::kTunnel: return end_tunnel();
    case In::kEnded:
    case In::kClosed: return;
  }
}

void H1Client::on_closed(const Error& error) {
  Responses* const responses = responses_;
  responses_ = nullptr;
  in_ = In::kClosed;
  out_ = Out::kIdle;
  fate_ = Fate::kAbort;
  if (responses == nullptr) return;
  Error copy(error.code, Side::kUpstream, error.retry, error.detail);
  if (answered_) {
    copy.retry = Retry::kNo;
  } else if (copy.retry == Retry::kNo) {
    copy.retry = Retry::kIfReused;
  }
  responses->on_reset(copy);
}

// The exchange is over without having completed, and the connection with it.
void H1Client::give_up(ErrorCode code, std::string_view detail, Retry retry) {
  Responses* const responses = responses_;
  responses_ = nullptr;
  close(Fate::kAbort);
  if (responses != nullptr) responses->on_reset(Error(code, Side::kUpstream, retry, std::string(detail)));
}

// The response is complete; returns who is to be told.
Responses* H1Client::finish_response() {
  Responses* const responses = responses_;
  in_ = In::kDone;
  if (out_ == Out::kDone) end_exchange();
  return responses;
}

void H1Client::end_exchange() {
  responses_ = nullptr;
  unconsumed_ = 0;
  if (!reusable_) return close(Fate::kClose);
  in_ = In::kIdle;
  out_ = Out::kIdle;
  transport_.codec_changed();
}

// ---- output

ClientStream& H1Client::start(Responses& responses) {
  responses_ = &responses;
  in_ = In::kHead;
  out_ = Out::kReady;
  interim_ = 0;
  asked_ = {};
  reusable_ = true;
  answered_ = false;
  blocked_ = false;
  unconsumed_ = 0;
  return *this;
}

// Methods whose body has a meaning, so that its absence is to be said (RFC 9110 section 8.6).
bool expects_body(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

void H1Client::send_request(const RequestHead& head, bool end) {
  if (out_ != Out::kReady) return;
  asked_ = {.head = head.method == "HEAD", .upgrade = head.upgrade};
  Delivery delivery;
  delivery.upgrade = head.upgrade;
  out_ = Out::kLength;
  left_ = end ? 0 : head.content_length.value_or(0);
  if (!end && !head.content_length) {
    out_ = Out::kChunked;
    delivery.body = Delivery::Body::kChunked;
  } else if (!end || head.content_length || expects_body(head.method)) {
    delivery.body = Delivery::Body::kLength;
    delivery.length = left_;
  }
  write_request_head(head, delivery, scratch_.out);
  transport_.write(scratch_.out);
  if (end) out_ = Out::kDone;
}

bool H1Client::send_body(std::string_view bytes, bool end) {
  bool room = true;
  if (out_ == Out::kLength || out_ == Out::kChunked) {
    room = send_framed(bytes, end);
  } else if (out_ == Out::kTunnel) {
    room = send_tunnelled(bytes, end);
  }
  blocked_ = !room && responses_ != nullptr;
  return room;
}

bool H1Client::send_framed(std::string_view bytes, bool end) {
  const BodyWritten written =
      write_body(transport_, out_ == Out::kChunked, out_ == Out::kLength ? &left_ : nullptr, bytes, end);
  if (written.broken) {
    reset();
  } else if (end) {
    finish_request();
  }
  return written.room;
}

bool H1Client::send_tunnelled(std::string_view bytes, bool end) {
  bool room = true;
  if (!bytes.empty()) room = transport_.write_through({}, bytes, {});
  if (!end) return room;
  transport_.end();
  out_ = Out::kEnded;
  if (in_ == In::kEnded) end_exchange();
  return room;
}

void H1Client::send_trailers(const FieldList& trailers) {
  if (out_ != Out::kChunked) {
    send_body({}, true);
    return;
  }
  write_last_chunk(trailers, scratch_.out);
  transport_.write(scratch_.out);
  finish_request();
}

void H1Client::finish_request() {
  out_ = Out::kDone;
  if (in_ == In::kDone) end_exchange();
}

// The peer's half of the tunnel has ended.
void H1Client::end_tunnel() {
  Responses* const responses = responses_;
  in_ = In::kEnded;
  if (out_ == Out::kEnded) end_exchange();
  responses->on_body({}, true);
}

void H1Client::consume(std::size_t n) {
  const bool waited = !wants_input();
  unconsumed_ -= std::min<std::uint64_t>(n, unconsumed_);
  if (unconsumed_ == 0) held_ = false;
  if (waited && wants_input()) transport_.codec_changed();
}

void H1Client::reset() {
  if (responses_ == nullptr) return;
  responses_ = nullptr;
  close(Fate::kAbort);
}

void H1Client::close(Fate fate) {
  in_ = In::kClosed;
  out_ = Out::kIdle;
  fate_ = fate;
  transport_.codec_changed();
}

void H1Client::on_writable() {
  if (!blocked_ || responses_ == nullptr) return;
  blocked_ = false;
  responses_->on_writable();
}

}  // namespace

std::unique_ptr<ClientCodec> make_h1_client(Transport& transport, H1Scratch& scratch,
                                            const H1Limits& limits) {
  static_assert(sizeof(H1Client) <= 400);
  return std::make_unique<H1Client>(transport, scratch, limits);
}

}  // namespace remora::http
