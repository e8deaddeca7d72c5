// One end of an in-memory connection; see fake_network.h. It keeps the contract of net::Stream and behaves as
// a socket does where the contract leaves room: bytes already sent arrive before the reset that follows them,
// closing with unread or queued bytes resets the connection, sending to a closed peer answers with a reset.
//
// Thread: the test's. Owner: as for any Stream. Destroying it inside its own callback aborts the test: the
// contract forbids it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/address.h"
#include "base/timer_wheel.h"
#include "proxy/net/send_queue.h"
#include "proxy/net/stream.h"

namespace remora::testing {

class FakeNetwork;

// How one end behaves. May be changed at any time.
struct StreamKnobs {
  std::size_t read_limit = std::size_t{64} * 1024;  // most bytes per on_data
  std::size_t wire_capacity =
      std::size_t{64} * 1024;  // bytes this end may have on the way, not yet read by the peer
  std::size_t high_water = std::size_t{256} * 1024;
  std::size_t low_water = std::size_t{64} * 1024;
  bool stall_reading = false;  // nothing is delivered to this end
  bool stall_writing = false;  // the "kernel" takes nothing from this end
  // The connection breaks (both ends see a reset) when this end has sent, or has been given, so many bytes.
  std::optional<std::size_t> break_after_sent;
  std::optional<std::size_t> break_after_received;
};

class FakeStream final : public net::Stream {
 public:
  ~FakeStream() override;

  void set_events(Events* events) override { events_ = events; }
  bool send(std::span<const std::string_view> pieces) override;
  void end() override;
  void reset() override;
  void pause() override { paused_ = true; }
  void resume() override { paused_ = false; }
  std::size_t queued() const override { return queue_.size(); }
  const Address& peer() const override { return peer_; }
  Address local() const override { return other_ != nullptr ? other_->peer_ : Address(); }
  Address original() const override;

  StreamKnobs& knobs() { return knobs_; }
  // The other end; null before the connection is made and once the other end is gone.
  FakeStream* other() { return other_; }
  // Both ends see a reset, as when the network between them fails.
  void break_connection();

  // The most that was ever queued.
  std::size_t peak_queued() const { return peak_queued_; }
  // How often it was given something to send.
  std::size_t sends() const { return sends_; }
  std::size_t total_sent() const { return sent_; }
  std::size_t total_received() const { return received_; }

 private:
  friend class FakeNetwork;
  enum class State : std::uint8_t { kConnecting, kOpen, kClosed };

  FakeStream(FakeNetwork& network, Address peer, StreamKnobs knobs);

  // Does one thing that is ready, at most one event. False: nothing is.
  bool step();
  bool step_connect();
  bool step_write();
  bool step_read();
  void on_connect_due() { connect_due_ = true; }
  void opened();
  void failed(const Error& error);
  void move_to_wire(std::string_view bytes);
  std::size_t wire_room() const;
  void detach(bool clean);
  template <typename Callback>
  void tell(Callback&& callback);

  FakeNetwork& network_;
  Events* events_ = nullptr;
  FakeStream* other_ = nullptr;
  Address peer_;
  Address from_;  // of a dialled one: what the acceptor sees as its peer
  StreamKnobs knobs_;
  net::SendQueue queue_;  // not yet taken by the "kernel"
  net::SendQueue inbox_;  // on the way to this end
  MemberTimer<FakeStream, &FakeStream::on_connect_due> connect_timer_{*this};
  State state_ = State::kOpen;
  bool connect_due_ = false;
  bool inbox_end_ = false;    // FIN behind the inbox
  bool inbox_reset_ = false;  // RST behind the inbox
  bool write_failed_ = false;
  bool paused_ = false;
  bool read_ended_ = false;
  bool end_asked_ = false;
  bool end_sent_ = false;
  bool above_high_water_ = false;
  bool owes_drained_ = false;
  bool telling_ = false;
  std::size_t peak_queued_ = 0;
  std::size_t sends_ = 0;
  std::size_t sent_ = 0;
  std::size_t received_ = 0;
};

}  // namespace remora::testing
