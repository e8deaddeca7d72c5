#include "proxy/http_link.h"

#include <array>

namespace remora::proxy {

namespace {

// Up to here bytes are joined into the event's one write; from here on they go straight to the stream without
// a copy.
constexpr std::size_t kWriteThrough = 8 * 1024;
// What may wait for the peer, in the stream's queue and here, before senders are told to stop.
constexpr std::size_t kHighWater = 256 * 1024;
// How long the peer may take to close after we have, so that it surely gets to read our last response.
constexpr Duration kLinger = 2s;
// How long the peer may take nothing of the rest of what it is sent before a close.
constexpr Duration kFlush = 30s;

}  // namespace

HttpLink::~HttpLink() { close(false); }

void HttpLink::start(std::unique_ptr<net::Stream> stream, http::Codec& codec) {
  stream_ = std::move(stream);
  codec_ = &codec;
  stream_->set_events(this);
}

void HttpLink::close(bool abort) {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  if (linger_) linger_->timer.cancel();
  env_.buffers.give(std::move(output_));
  if (!stream_) return;
  stream_->set_events(nullptr);
  if (abort) stream_->reset();
  env_.turn.bury(std::move(stream_));
}

void HttpLink::finish(const Error* error) {
  if (state_ == State::kClosed) return;
  close(false);
  owner_.on_link_closed(error);
}

void HttpLink::on_open() { owner_.on_link_open(); }

void HttpLink::on_data(std::string_view bytes) {
  if (state_ == State::kLingering || state_ == State::kClosed) return;
  if (bytes_ != nullptr) bytes_->received += bytes.size();
  env_.turn.defer(*this);
  codec_->feed(bytes);
}

void HttpLink::on_bulk(Bulk& bulk) {
  if (state_ != State::kOpen) return;
  env_.turn.defer(*this);
  codec_->feed_bulk(bulk);
  count_bulk(bulk, &WireBytes::received);
}

// Of the two links of a tunnel one counts.
void HttpLink::count_bulk(const Bulk& bulk, std::uint64_t WireBytes::* direction) {
  if (bytes_ == nullptr) return;
  bytes_->*direction += bulk.moved;
  bytes_->spliced += bulk.moved;
  if (bulk.moved == 0 && bulk.refusal == Bulk::Refusal::kNoPipe) ++bytes_->pipes_missing;
}

void HttpLink::on_end() {
  peer_ended_ = true;
  if (state_ == State::kLingering) return finish(nullptr);
  if (state_ == State::kClosed) return;
  env_.turn.defer(*this);
  codec_->feed_end();
}

void HttpLink::on_writable() {
  if (state_ != State::kOpen) return;
  stream_full_ = false;
  resume_senders();
}

void HttpLink::resume_senders() {
  choked_ = false;
  env_.turn.defer(*this);
  codec_->on_writable();
}

void HttpLink::on_drained() {
  if (state_ == State::kFlushing) env_.turn.defer(*this);
}

void HttpLink::on_closed(const Error& error) {
  if (state_ == State::kClosed) return;
  const bool expected = state_ == State::kLingering;
  close(false);
  if (!expected) codec_->on_closed(error);
  owner_.on_link_closed(expected ? nullptr : &error);
}

// A slow reader may take as long as it takes; one that takes nothing may not.
void HttpLink::on_linger_over() {
  if (state_ == State::kFlushing && queued() < linger_->queued) return linger_for(kFlush);
  finish(nullptr);
}

void HttpLink::linger_for(Duration wait) {
  if (!linger_) linger_ = std::make_unique<Linger>(*this);
  linger_->queued = queued();
  env_.wheel.arm_in(linger_->timer, wait);
}

// What this says and what the stream says can differ: written() may still leave at once. Whoever is told to
// stop here is told to go on by the stream if that said stop too, else at the end of the turn.
bool HttpLink::room() {
  choked_ = choked_ || stream_->queued() + written().size() > kHighWater;
  return !choked_;
}

void HttpLink::send(std::span<const std::string_view> pieces, bool last) {
  if (bytes_ != nullptr) {
    for (const auto piece : pieces) bytes_->sent += piece.size();
  }
  stream_full_ = !(last ? stream_->send_last(pieces) : stream_->send(pieces));
  if (output_) output_->clear();
}

bool HttpLink::write(std::string_view bytes) {
  if (state_ != State::kOpen) return true;
  if (!output_) {
    output_ = env_.buffers.take();
    env_.turn.defer(*this);
  }
  output_->append(bytes);
  if (output_->size() >= 8 * kWriteThrough) flush();
  return room();
}

bool HttpLink::write_through(std::string_view prefix, std::string_view bytes, std::string_view suffix) {
  if (state_ != State::kOpen) return true;
  if (bytes.size() < kWriteThrough) {
    write(prefix);
    write(bytes);
    return write(suffix);
  }
  const std::array<std::string_view, 4> pieces{written(), prefix, bytes, suffix};
  send(pieces);
  env_.turn.defer(*this);
  return room();
}

bool HttpLink::write_bulk(Bulk& bulk) {
  if (state_ != State::kOpen) return true;
  flush();
  stream_full_ = !stream_->send_bulk(bulk);
  choked_ = choked_ || stream_full_;
  env_.turn.defer(*this);
  count_bulk(bulk, &WireBytes::sent);
  return room();
}

void HttpLink::end() {
  if (state_ != State::kOpen) return;
  flush();
  stream_->end();
}

void HttpLink::codec_changed() {
  if (state_ == State::kOpen) env_.turn.defer(*this);
}

void HttpLink::flush(bool last) {
  if (written().empty()) return;
  const std::array<std::string_view, 1> pieces{*output_};
  send(pieces, last);
}

// Once per event and connection: what the codec kept is continued, what it wrote is sent, and what it wants
// is done.
void HttpLink::at_end_of_turn() {
  if (state_ == State::kClosed) return;
  if (state_ == State::kOpen) {
    codec_->proceed();
    if (state_ != State::kOpen) return;
  }
  const http::Codec::Fate fate = codec_->fate();
  flush(state_ == State::kOpen && (fate == http::Codec::Fate::kClose || fate == http::Codec::Fate::kFinish));
  env_.buffers.give(std::move(output_));
  if (choked_ && !stream_full_ && state_ == State::kOpen) resume_senders();
  apply_fate();
  if (state_ == State::kClosed) return;
  const bool read = state_ != State::kOpen || codec_->wants_input();
  if (read == paused_) {
    paused_ = !read;
    if (paused_) {
      stream_->pause();
    } else {
      stream_->resume();
    }
  }
  owner_.on_link_turn();
}

void HttpLink::apply_fate() {
  if (state_ == State::kFlushing) return finish_sending();
  if (state_ != State::kOpen) return;
  switch (codec_->fate()) {
    case http::Codec::Fate::kOpen: return;
    case http::Codec::Fate::kClose:
    case http::Codec::Fate::kFinish:
      state_ = State::kFlushing;
      finish_sending();
      if (state_ == State::kFlushing) linger_for(kFlush);
      return;
    case http::Codec::Fate::kAbort:
      close(true);
      owner_.on_link_closed(nullptr);
      return;
  }
}

void HttpLink::finish_sending() {
  if (stream_->queued() > 0) return;  // on_drained comes back here
  // Without end(): a close says it as well, in one system call for two.
  const bool silent = codec_->fate() == http::Codec::Fate::kFinish && !stream_->end_is_answered();
  if (peer_ended_ || silent) return finish(nullptr);
  stream_->end();
  state_ = State::kLingering;
  linger_for(kLinger);
}

}  // namespace remora::proxy
