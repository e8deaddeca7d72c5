// A client or backend that speaks literal bytes over a Network: it records what it receives and sends what it
// is told.
//
// Thread: the test's. Owner: the test; the network outlives it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/error.h"
#include "proxy/net/network.h"

namespace remora::testing {

class RawPeer final : public net::Stream::Events {
 public:
  // Starts connecting; whether it worked shows when the network has moved.
  static std::unique_ptr<RawPeer> connect(net::Network& network, const Address& address);
  // Takes over a stream that somebody else dialled or accepted.
  static std::unique_ptr<RawPeer> adopt(std::unique_ptr<net::Stream> stream);
  // As connect(), for networks that dial in their own way (FakeNetwork::connect_from).
  using Dial = std::function<std::unique_ptr<net::Stream>(net::Stream::Events&)>;
  static std::unique_ptr<RawPeer> dial(const Dial& dial);

  // False: the stream's queue is full.
  bool send(std::string_view bytes);
  void end();    // FIN
  void reset();  // RST
  void close();  // both directions; not inside a callback
  void pause() { stream_->pause(); }
  void resume() { stream_->resume(); }

  bool open() const { return opened_ && stream_ != nullptr && !error_; }
  bool ended() const { return ended_; }  // the other side's FIN arrived
  const std::optional<Error>& error() const { return error_; }
  // Neither bytes nor an end can come any more.
  bool finished() const { return ended_ || error_ || stream_ == nullptr; }

  // Everything received since the start, or since take().
  const std::string& received() const { return received_; }
  std::string take() { return std::exchange(received_, {}); }
  int writable_count() const { return writable_; }
  int drained_count() const { return drained_; }

  // Called inside the events, after they are recorded.
  std::function<void(RawPeer&)> when_open;
  std::function<void(RawPeer&)> when_received;
  std::function<void(RawPeer&)> when_ended;
  std::function<void(RawPeer&)> when_writable;
  std::function<void(RawPeer&)> when_closed;

  // Null after close().
  net::Stream* stream() { return stream_.get(); }

 private:
  RawPeer() = default;
  void on_open() override;
  void on_data(std::string_view bytes) override;
  void on_end() override;
  void on_writable() override;
  void on_drained() override { ++drained_; }
  void on_closed(const Error& error) override;
  void call(const std::function<void(RawPeer&)>& hook) {
    if (hook) hook(*this);
  }

  std::unique_ptr<net::Stream> stream_;
  std::string received_;
  std::optional<Error> error_;
  bool opened_ = false;
  bool ended_ = false;
  int writable_ = 0;
  int drained_ = 0;
};

// Accepts connections at one address as RawPeers: a scripted backend.
class RawServer final : public net::Acceptor {
 public:
  RawServer(net::Network& network, const Address& address, const net::ListenOptions& options = {});

  const Address& address() const { return listener_->address(); }
  std::size_t size() const { return peers_.size(); }
  // In order of acceptance. They stay until the server dies or remove() is called.
  RawPeer& operator[](std::size_t index) { return *peers_.at(index); }
  RawPeer& last() { return *peers_.back(); }
  void remove(std::size_t index) { peers_.erase(peers_.begin() + static_cast<std::ptrdiff_t>(index)); }

  // Called with every new connection, before anything is read from it: sets the hooks.
  std::function<void(RawPeer&)> when_accepted;
  int exhausted_count() const { return exhausted_; }

  // Null after stop().
  net::Listener* listener() { return listener_.get(); }
  void stop() { listener_.reset(); }

 private:
  void on_accept(std::unique_ptr<net::Stream> stream) override;
  void on_accept_exhausted() override { ++exhausted_; }

  std::vector<std::unique_ptr<RawPeer>> peers_;
  std::unique_ptr<net::Listener> listener_;
  int exhausted_ = 0;
};

}  // namespace remora::testing
