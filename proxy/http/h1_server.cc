// The input half of the server role, and how requests are refused.
#include "proxy/http/h1_server.h"

#include <algorithm>

namespace remora::http {

void H1Server::feed(std::string_view bytes) {
  if (in_ == In::kClosed) return;
  input_.feed(bytes, [this](std::string_view all) { return run(all); });
  if (in_ == In::kClosed) input_.clear();
}

void H1Server::feed_bulk(Bulk& bulk) {
  if (in_ != In::kTunnel) return;
  held_ = !receiver_->on_bulk(bulk) && bulk.moved > 0;
  if (held_) unconsumed_ += bulk.moved;
}

void H1Server::proceed() {
  if (in_ == In::kClosed) return;
  std::size_t used = 0;
  input_.resume([this, &used](std::string_view all) { return used = run(all); });
  if (in_ == In::kClosed) return input_.clear();
  if (!peer_ended_) return;
  if (in_ == In::kTunnel) return end_tunnel();
  // Whole requests may wait behind the one just answered, or for room.
  const bool more = !input_.empty() && (used > 0 || full_);
  if (in_ == In::kHead && !more) close(Fate::kClose);
}

// Processes what can be processed now, at most one head; returns how many bytes.
std::size_t H1Server::run(std::string_view bytes) {
  std::size_t used = 0;
  while (used < bytes.size()) {
    const std::string_view rest = bytes.substr(used);
    std::size_t step = 0;
    switch (in_) {
      case In::kHead:
        if (used != 0 || full_) return used;  // the next one's turn comes with proceed()
        step = take_head(rest);
        break;
      case In::kBody:
      case In::kDiscard: step = take_body(rest); break;
      case In::kTunnel:
        unconsumed_ += rest.size();
        receiver_->on_body(rest, false);
        return bytes.size();
      case In::kDone: return used;
      case In::kEnded:
      case In::kClosed: return bytes.size();
    }
    if (step == 0) return used;
    used += step;
  }
  return used;
}

// Returns the head's size, or 0 when it is not complete.
std::size_t H1Server::take_head(std::string_view bytes) {
  limits_ = latest_limits_;
  switch (parser_.scan(bytes, HeadScan::Kind::kRequest, limits_)) {
    case HeadScan::Result::kMore: return 0;
    case HeadScan::Result::kFault: {
      asked_head_ = false;
      peer_1_1_ = true;
      const Fault& fault = parser_.scan_fault();
      refuse(Error(fault.code, Side::kDownstream, Retry::kNo, std::string(fault.detail)));
      return bytes.size();
    }
    case HeadScan::Result::kDone: break;
  }
  const std::size_t size = parser_.head_size();
  RequestHead& head = scratch_.request;
  auto fault = parser_.request(bytes, head);
  parser_.reset();
  asked_head_ = head.method == "HEAD";
  peer_1_1_ = head.version.at_least_1_1();
  const bool connect = head.method == "CONNECT";
  if (connect && !fault && !limits_.connect)
    fault = Fault{ErrorCode::kMethodNotAllowed, "CONNECT is not served"};
  if (fault) {
    refuse(Error(fault->code, Side::kDownstream, Retry::kNo, std::string(fault->detail)));
    return size;
  }
  if (limits_.body_bytes != 0 && head.content_length.value_or(0) > limits_.body_bytes) {
    refuse(
        Error(ErrorCode::kBodyTooLarge, Side::kDownstream, Retry::kNo, "Content-Length over the body limit"));
    return size;
  }
  // What a client sends behind a CONNECT that is refused may be meant for the tunnel, and is no request.
  final_ = !is_persistent(parser_.connection(), head.version) && !connect;
  persistent_ = !final_ && !connect;
  upgrade_ = head.upgrade || connect;
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
    case H1Parser::Step::Kind::kMore: break;
    case H1Parser::Step::Kind::kBytes: take_bytes(step); break;
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
    case In::kHead: return proceed();  // a whole request may be waiting; if not, this closes
    case In::kBody: {
      Receiver* const receiver = leave();
      close(Fate::kAbort);
      if (receiver != nullptr) {
        receiver->on_reset(
            Error(ErrorCode::kEndOfStream, Side::kDownstream, Retry::kNo, "request cut short"));
      }
      return;
    }
    case In::kDiscard: return close(Fate::kClose);
    case In::kTunnel: return end_tunnel();
    case In::kDone:  // half-closed: it still wants its response
    case In::kEnded:
    case In::kClosed: return;
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
    case In::kBody: return unconsumed_ <= kWindow;
    case In::kTunnel: return !held_ && unconsumed_ <= kWindow;
    case In::kDone: return input_.empty();
    case In::kHead: return !full_;
    case In::kClosed: return false;
    default: return true;
  }
}

void H1Server::drain() {
  draining_ = true;
  if (in_ == In::kHead && input_.empty()) close(Fate::kClose);
}

// ---- refusals

void H1Server::fail(const Error& error) {
  switch (in_) {
    case In::kHead: return input_.empty() ? close(Fate::kClose) : refuse(error);
    case In::kBody:
    case In::kDiscard: return refuse_body(error);
    default: return;
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

std::unique_ptr<ServerCodec> make_h1_server(Transport& transport, Requests& requests, H1Scratch& scratch,
                                            const H1Limits& limits) {
  static_assert(sizeof(H1Server) <= 400);
  return std::make_unique<H1Server>(transport, requests, scratch, limits);
}

}  // namespace remora::http
