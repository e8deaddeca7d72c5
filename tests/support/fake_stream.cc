#include "tests/support/fake_stream.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "tests/support/fake_network.h"

namespace remora::testing {

namespace {

Error connection_reset() {
  return {ErrorCode::kReset, Side::kInternal, Retry::kNo, "connection reset by peer"};
}

}  // namespace

FakeStream::FakeStream(FakeNetwork& network, Address peer, StreamKnobs knobs)
    : network_(network), peer_(std::move(peer)), knobs_(knobs) {
  network_.streams_.push_back(this);
}

Address FakeStream::original() const { return network_.original(); }

FakeStream::~FakeStream() {
  if (telling_) {
    std::fputs("a stream was destroyed inside its own callback: bury it in the Turn\n", stderr);
    std::abort();
  }
  detach(queue_.empty() && inbox_.empty());
  network_.remove(*this);
}

// The only way to the owner: a callback in which the stream must not die.
template <typename Callback>
void FakeStream::tell(Callback&& callback) {
  if (events_ == nullptr) return;
  struct Guard {  // also when a failed REQUIRE throws through the callback
    bool& flag;
    ~Guard() { flag = false; }
  } guard{telling_ = true};
  callback(*events_);
}

// Leaves the connection: the other end sees a FIN or a RST behind what is on the way to it.
void FakeStream::detach(bool clean) {
  state_ = State::kClosed;
  FakeStream* other = std::exchange(other_, nullptr);
  if (other == nullptr) return;
  other->other_ = nullptr;
  if (!clean) {
    other->inbox_reset_ = true;
  } else {
    other->inbox_end_ = true;
  }
}

void FakeStream::break_connection() {
  if (state_ != State::kOpen) return;
  if (other_ != nullptr) {
    other_->inbox_reset_ = true;
    std::exchange(other_, nullptr)->other_ = nullptr;
  }
  inbox_reset_ = true;
}

void FakeStream::reset() {
  detach(false);
  queue_.consume(queue_.size());
}

void FakeStream::failed(const Error& error) {
  detach(false);
  queue_.consume(queue_.size());
  tell([&](Events& events) { events.on_closed(error); });
}

// ---- Writing

std::size_t FakeStream::wire_room() const {
  if (state_ != State::kOpen || knobs_.stall_writing) return 0;
  if (other_ == nullptr) return ~std::size_t{0};  // the reset has not been noticed yet
  const std::size_t on_the_way = other_->inbox_.size();
  return knobs_.wire_capacity - std::min(knobs_.wire_capacity, on_the_way);
}

void FakeStream::move_to_wire(std::string_view bytes) {
  if (knobs_.break_after_sent)
    bytes = bytes.substr(0, *knobs_.break_after_sent - std::min(sent_, *knobs_.break_after_sent));
  sent_ += bytes.size();
  if (other_ != nullptr) {
    other_->inbox_.append(bytes);
  } else {
    inbox_reset_ = true;  // nobody is there
  }
  if (knobs_.break_after_sent && sent_ >= *knobs_.break_after_sent) break_connection();
}

bool FakeStream::send(std::span<const std::string_view> pieces) {
  if (state_ == State::kClosed || end_asked_ || write_failed_) return true;
  ++sends_;
  for (auto piece : pieces) {
    if (piece.empty()) continue;
    if (inbox_reset_ && state_ == State::kOpen && queue_.empty()) {
      write_failed_ = true;  // step() reports it
      return true;
    }
    if (queue_.empty()) {
      const auto taken = piece.substr(0, wire_room());
      if (!taken.empty()) move_to_wire(taken);
      piece.remove_prefix(taken.size());
    }
    if (piece.empty()) continue;
    queue_.append(piece);
    owes_drained_ = true;
  }
  peak_queued_ = std::max(peak_queued_, queue_.size());
  if (queue_.size() > knobs_.high_water) above_high_water_ = true;
  return !above_high_water_;
}

void FakeStream::end() {
  if (state_ == State::kClosed || end_asked_ || write_failed_) return;
  end_asked_ = true;
  if (state_ == State::kOpen && queue_.empty()) {
    end_sent_ = true;
    if (other_ != nullptr) other_->inbox_end_ = true;
  } else {
    owes_drained_ = true;
  }
}

bool FakeStream::step_write() {
  if (queue_.empty() && (!end_asked_ || end_sent_)) return false;
  if (inbox_reset_) {
    write_failed_ = true;
    queue_.consume(queue_.size());
    end_sent_ = end_asked_;
    above_high_water_ = owes_drained_ = false;
    return true;
  }
  if (!queue_.empty()) {
    std::array<std::string_view, 1> piece;
    if (queue_.front(piece, wire_room()) == 0) return false;
    move_to_wire(piece[0]);
    queue_.consume(piece[0].size());
  }
  if (queue_.empty() && end_asked_ && !end_sent_) {
    end_sent_ = true;
    if (other_ != nullptr) other_->inbox_end_ = true;
  }
  if (above_high_water_ && queue_.size() < knobs_.low_water) {
    above_high_water_ = false;
    tell([](Events& events) { events.on_writable(); });
  }
  if (owes_drained_ && queue_.empty() && state_ == State::kOpen) {
    owes_drained_ = false;
    tell([](Events& events) { events.on_drained(); });
  }
  return true;
}

// ---- Reading

bool FakeStream::step_read() {
  if (paused_ || knobs_.stall_reading) return false;
  if (!inbox_.empty()) {
    std::array<std::string_view, 1> piece;
    std::size_t limit = std::max<std::size_t>(knobs_.read_limit, 1);
    if (knobs_.break_after_received && *knobs_.break_after_received > received_) {
      limit = std::min(limit, *knobs_.break_after_received - received_);
    }
    if (inbox_.front(piece, limit) == 0) return false;
    const std::string bytes(piece[0]);  // its own memory: reading behind its end, or after the call, is found
    inbox_.consume(bytes.size());
    received_ += bytes.size();
    if (knobs_.break_after_received && received_ >= *knobs_.break_after_received) {
      inbox_.consume(inbox_.size());
      break_connection();
    }
    tell([&](Events& events) { events.on_data(bytes); });
    return true;
  }
  if (inbox_end_ && !read_ended_) {
    read_ended_ = true;
    tell([](Events& events) { events.on_end(); });
    return true;
  }
  if (inbox_reset_ && !read_ended_) {
    failed(connection_reset());
    return true;
  }
  return false;
}

// ---- Stepping

void FakeStream::opened() {
  state_ = State::kOpen;
  tell([](Events& events) { events.on_open(); });
}

bool FakeStream::step_connect() {
  if (!connect_due_) return false;
  connect_due_ = false;
  network_.try_connect(*this);
  return true;
}

bool FakeStream::step() {
  if (state_ == State::kClosed) return false;
  if (state_ == State::kConnecting) return step_connect();
  if (events_ == nullptr) return false;
  if (write_failed_ && read_ended_) {
    failed(connection_reset());
    return true;
  }
  return step_write() || step_read();
}

}  // namespace remora::testing
