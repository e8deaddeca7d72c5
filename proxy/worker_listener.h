// A listener in one worker: its socket, and what its connections share. It stays while its name and address
// do, whatever else a newer configuration changes; one that goes or moves is retired, and lives until its
// last connection has ended.
//
// Thread: the worker's. Owner: Worker.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "proxy/downstream.h"
#include "proxy/listener_context.h"

namespace remora::proxy {

class WorkerListener;

// A bound socket, which may pass from one listener to another. Made before its listener exists: paused.
class WorkerSocket final : public net::Acceptor {
 public:
  using Accept = std::function<void(WorkerListener&, std::unique_ptr<net::Stream>)>;

  explicit WorkerSocket(Accept accept) : accept_(std::move(accept)) {}

  Result<void> bind(net::Network& network, const Address& address);
  // Connections go to `owner` from now on; it outlives the socket, or another one takes over.
  void serve(WorkerListener& owner);
  void pause() { listener_->pause(); }
  void resume() { listener_->resume(); }
  // Takes what waits, and closes.
  void close();

  const Address& address() const { return listener_->address(); }

 private:
  void on_accept(std::unique_ptr<net::Stream> stream) override;
  void on_accept_exhausted() override;

  Accept accept_;
  WorkerListener* owner_ = nullptr;
  std::unique_ptr<net::Listener> listener_;
};

class WorkerListener final {
 public:
  // `bound`: where. `pseudonym`: as ListenerContext's.
  WorkerListener(const Snapshot& snapshot, std::size_t index, const Upstreams& upstreams,
                 Ref<ListenerTotals> totals, std::string_view pseudonym, std::unique_ptr<WorkerSocket> bound);

  // What the snapshot says of the listener at `index`, which has this one's name and address.
  // False: the settings of TLS or the protocol have changed; connections that are there do not go by them,
  // nor do those with an older tls_epoch().
  bool apply(const Snapshot& snapshot, std::size_t index, const Upstreams& upstreams);
  // How connections are accepted from now on; with every snapshot. Null although the settings want TLS: none
  // is.
  void set_tls(std::shared_ptr<const net::TlsContext> context) { tls_ = std::move(context); }
  const std::shared_ptr<const net::TlsContext>& tls() const { return tls_; }
  unsigned tls_epoch() const { return tls_epoch_; }

  config::Direction direction() const { return context_->settings.direction; }
  ListenerContext& context() const { return *context_; }
  Ref<ListenerTotals> totals() const { return context_->totals; }
  const std::string& name() const { return name_; }
  const Address& address() const { return address_; }
  const Downstream::Timeouts& timeouts() const { return timeouts_; }
  const http::H1Limits& limits() const { return limits_; }
  ListenerState& state() const { return *state_; }

  std::unique_ptr<WorkerSocket> socket;  // null once it accepts no more: retired, or the worker drains
  std::size_t connections = 0;
  std::size_t handshakes = 0;            // of them, how many have not finished theirs
  TimePoint ends_at = TimePoint::max();  // when a retired one's last connections are closed

 private:
  void take_settings();

  std::string name_;
  Address address_;
  std::string_view pseudonym_;
  std::shared_ptr<ListenerState> state_;
  std::shared_ptr<const net::TlsContext> tls_;
  unsigned tls_epoch_ = 0;
  Ref<ListenerContext> context_;
  // Of connections, whose next request goes by them. Changed in place.
  Downstream::Timeouts timeouts_;
  http::H1Limits limits_;
};

}  // namespace remora::proxy
