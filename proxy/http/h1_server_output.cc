// The output half of the server role: responses, their framing, and how exchanges end.
#include <algorithm>
#include <utility>

#include "proxy/http/h1_server.h"

namespace remora::http {

void H1Server::send_informational(const ResponseHead& head) {
  if (out_ != Out::kWaiting || !peer_1_1_ || !head.informational() || head.status == 101) return;
  if (head.status == 100) expects_ = false;
  write_response_head(head, Delivery{}, scratch_.out);
  transport_.write(scratch_.out);
}

// Whether the rest of the request is small enough to be read and thrown away, so that the connection can live
// on. A client that still waits for 100 may or may not send it (RFC 9110 section 10.1.1).
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
  full_ = !transport_.write(scratch_.out);
  if (end) finish();
}

void H1Server::send_upgrade(const ResponseHead& head) {
  if (out_ != Out::kWaiting) return;
  if (!upgrade_ || in_ != In::kDone) return reset();
  write_response_head(head, Delivery{.upgrade = head.status == 101}, scratch_.out);
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
    case Out::kEnded: return true;
    case Out::kTunnel: room = send_tunnelled(bytes, end); break;
    case Out::kNone:
      if (end) finish();
      break;
    default: room = send_framed(bytes, end); break;
  }
  blocked_ = !room && out_ != Out::kIdle;
  full_ = !room;
  return room;
}

bool H1Server::send_bulk(Bulk& bulk) {
  const bool room = out_ != Out::kTunnel || transport_.write_bulk(bulk);
  if (!room) blocked_ = true;
  return room;
}

bool H1Server::send_framed(std::string_view bytes, bool end) {
  const BodyWritten written =
      write_body(transport_, out_ == Out::kChunked, out_ == Out::kLength ? &left_ : nullptr, bytes, end);
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
  full_ = !transport_.write(scratch_.out);
  finish();
}

// The response is complete, or both halves are.
void H1Server::finish() {
  leave();
  if (!persistent_) return close(final_ && in_ == In::kDone ? Fate::kFinish : Fate::kClose);
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
  const std::uint64_t before = unconsumed_;
  unconsumed_ -= std::min<std::uint64_t>(n, unconsumed_);
  const bool held = held_ && unconsumed_ > 0;
  if (held != std::exchange(held_, held) || (before > kWindow && unconsumed_ <= kWindow)) {
    transport_.codec_changed();
  }
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
  if (std::exchange(full_, false)) transport_.codec_changed();  // for a request that waits
  if (!blocked_ || receiver_ == nullptr) return;
  blocked_ = false;
  receiver_->on_writable();
}

}  // namespace remora::http
