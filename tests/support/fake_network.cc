#include "tests/support/fake_network.h"

#include <algorithm>
#include <deque>
#include <utility>

namespace remora::testing {

// A listener with its backlog: connections that the client sees as open and nobody has accepted yet.
class FakeListener final : public net::Listener {
 public:
  FakeListener(FakeNetwork& network, Address address, bool shared, net::Acceptor& acceptor)
      : network_(network), address_(std::move(address)), shared_(shared), acceptor_(acceptor) {
    network_.listeners_.push_back(this);
  }
  ~FakeListener() override {
    for (auto& stream : backlog_) stream->reset();
    network_.remove(*this);
  }

  const Address& address() const override { return address_; }
  void pause() override { paused_ = true; }
  void resume() override { paused_ = false; }
  void accept_waiting() override {
    while (!backlog_.empty()) {
      auto stream = std::move(backlog_.front());
      backlog_.pop_front();
      acceptor_.on_accept(std::move(stream));
    }
  }

  bool shared() const { return shared_; }
  void add(std::unique_ptr<net::Stream> stream) { backlog_.push_back(std::move(stream)); }

  bool step() {
    if (paused_ || retry_.armed() || backlog_.empty()) return false;
    if (network_.at(address_).accept_exhausted) {
      network_.wheel_.arm_in(retry_, 1s);
      acceptor_.on_accept_exhausted();
      return true;
    }
    auto stream = std::move(backlog_.front());
    backlog_.pop_front();
    acceptor_.on_accept(std::move(stream));
    return true;
  }

 private:
  void try_again() {}  // that the timer is not armed any more is enough

  FakeNetwork& network_;
  Address address_;
  bool shared_;
  net::Acceptor& acceptor_;
  std::deque<std::unique_ptr<net::Stream>> backlog_;
  bool paused_ = false;
  MemberTimer<FakeListener, &FakeListener::try_again> retry_{*this};
};

class FakeDatagrams final : public net::DatagramSocket {
 public:
  FakeDatagrams(FakeNetwork& network, Address address, net::DatagramReceiver& receiver)
      : network_(network), address_(std::move(address)), receiver_(receiver) {
    network_.datagram_sockets_.push_back(this);
  }
  ~FakeDatagrams() override { std::erase(network_.datagram_sockets_, this); }
  const Address& address() const override { return address_; }
  void send(const Address& to, std::string_view bytes) override {
    network_.datagrams_.push_back({address_, to, std::string(bytes)});
  }
  // Nothing is kept while it is paused.
  void pause() override { paused_ = true; }
  void resume() override { paused_ = false; }
  bool ignore(std::span<const Address> sources) override {
    ignored_.assign(sources.begin(), sources.end());
    return true;
  }
  bool hears(const Address& from) const {
    return !paused_ && std::ranges::none_of(ignored_, [&](Address ignored) {
      ignored.set_port(from.port());
      return ignored == from;
    });
  }
  net::DatagramReceiver& receiver() { return receiver_; }

 private:
  FakeNetwork& network_;
  Address address_;
  net::DatagramReceiver& receiver_;
  bool paused_ = false;
  std::vector<Address> ignored_;
};

Result<std::unique_ptr<net::DatagramSocket>> FakeNetwork::bind_datagrams(const Address& address,
                                                                         net::DatagramReceiver& receiver) {
  if (const auto& error = at(address).listen_error) return std::unexpected(*error);
  Address bound = address;
  if (bound.port() == 0) bound.set_port(next_port_++);
  if (std::ranges::find(datagram_sockets_, bound, &FakeDatagrams::address) != datagram_sockets_.end()) {
    return std::unexpected(Error(ErrorCode::kAddressInUse, Side::kInternal, Retry::kNo,
                                 bound.to_string() + ": address already in use"));
  }
  return std::make_unique<FakeDatagrams>(*this, bound, receiver);
}

// To whoever has the address; to nobody if nobody has.
bool FakeNetwork::deliver_datagram() {
  if (datagrams_.empty()) return false;
  const Datagram datagram = std::move(datagrams_.front());
  datagrams_.pop_front();
  const auto socket = std::ranges::find(datagram_sockets_, datagram.to, &FakeDatagrams::address);
  const bool lost = at(datagram.from).datagrams_lost || at(datagram.to).datagrams_lost;
  if (socket != datagram_sockets_.end() && !lost && (*socket)->hears(datagram.from)) {
    (*socket)->receiver().on_datagram(datagram.from, datagram.bytes);
  }
  return true;
}

Result<std::unique_ptr<net::Listener>> FakeNetwork::listen(const Address& address,
                                                           const net::ListenOptions& options,
                                                           net::Acceptor& acceptor) {
  if (const auto& error = at(address).listen_error) return std::unexpected(*error);
  Address bound = address;
  if (bound.is_ip() && bound.port() == 0) bound.set_port(next_port_++);
  const FakeListener* existing = listener_for(bound);
  if (existing != nullptr && (!options.reuse_port || !existing->shared())) {
    return std::unexpected(Error(ErrorCode::kAddressInUse, Side::kInternal, Retry::kNo,
                                 bound.to_string() + ": address already in use"));
  }
  return std::make_unique<FakeListener>(*this, bound, options.reuse_port, acceptor);
}

std::unique_ptr<net::Stream> FakeNetwork::connect(const Address& address, net::Stream::Events& events) {
  Address from =
      address.is_unix() ? Address::unix_path("") : *Address::parse_ip("127.0.0.1", next_client_port_++);
  return connect_from(from, address, events);
}

std::unique_ptr<net::Stream> FakeNetwork::connect_from(const Address& from, const Address& address,
                                                       net::Stream::Events& events) {
  const AddressKnobs& knobs = at(address);
  ++attempts_[address.to_string()];
  std::unique_ptr<FakeStream> client(new FakeStream(*this, address, knobs.client));
  client->state_ = FakeStream::State::kConnecting;
  client->events_ = &events;
  client->from_ = from;
  if (knobs.connect_delay > 0us) {
    wheel_.arm_in(client->connect_timer_, knobs.connect_delay);
  } else {
    client->connect_due_ = true;
  }
  return client;
}

void FakeNetwork::try_connect(FakeStream& client) {
  const AddressKnobs& knobs = at(client.peer_);
  if (knobs.connect == AddressKnobs::Connect::kBlackHole) return;
  FakeListener* listener = listener_for(client.peer_);
  if (knobs.connect == AddressKnobs::Connect::kRefuse || listener == nullptr || knobs.connect_error) {
    client.failed(knobs.connect_error.value_or(
        Error(ErrorCode::kConnectionRefused, Side::kInternal, Retry::kNo, "connection refused")));
    return;
  }
  std::unique_ptr<FakeStream> server(new FakeStream(*this, client.from_, knobs.server));
  server->other_ = &client;
  client.other_ = server.get();
  listener->add(std::move(server));
  client.opened();
}

// Listeners of one address take turns.
FakeListener* FakeNetwork::listener_for(const Address& address) {
  std::vector<FakeListener*> found;
  for (auto* listener : listeners_) {
    if (listener != nullptr && listener->address() == address) found.push_back(listener);
  }
  return found.empty() ? nullptr : found[listener_turn_++ % found.size()];
}

void FakeNetwork::remove(FakeStream& stream) {
  std::replace(streams_.begin(), streams_.end(), &stream, static_cast<FakeStream*>(nullptr));
}

void FakeNetwork::remove(FakeListener& listener) {
  std::replace(listeners_.begin(), listeners_.end(), &listener, static_cast<FakeListener*>(nullptr));
}

bool FakeNetwork::pump() {
  if (in_turn_ == 0) turn_.finish();
  if (deliver()) {
    if (++in_turn_ >= events_per_turn_) end_turn();
    return true;
  }
  const bool owed = !turn_.idle();
  end_turn();
  return owed;
}

void FakeNetwork::end_turn() {
  in_turn_ = 0;
  turn_.finish();
}

bool FakeNetwork::deliver() {
  std::erase(streams_, nullptr);
  std::erase(listeners_, nullptr);
  const std::size_t streams = streams_.size();
  const std::size_t all = streams + listeners_.size();
  for (std::size_t i = 0; i < all; ++i) {
    const std::size_t index = (cursor_ + i) % all;
    const bool moved = index < streams ? streams_[index]->step() : listeners_[index - streams]->step();
    if (!moved) continue;
    cursor_ = index + 1;
    return true;
  }
  return deliver_datagram();
}

std::size_t FakeNetwork::settle(std::size_t limit) {
  std::size_t events = 0;
  while (events < limit && pump()) ++events;
  return events;
}

void FakeNetwork::run_for(Duration span) {
  const TimePoint until = wheel_.now() + span;
  for (;;) {
    settle();
    const auto next = wheel_.next_expiry();
    if (!next || *next > until) break;
    wheel_.advance(*next);
    turn_.finish();
  }
  wheel_.advance(until);
  turn_.finish();
  settle();
}

std::size_t FakeNetwork::attempts(const Address& address) const {
  const auto found = attempts_.find(address.to_string());
  return found == attempts_.end() ? 0 : found->second;
}

std::size_t FakeNetwork::stream_count() const {
  return static_cast<std::size_t>(
      std::count_if(streams_.begin(), streams_.end(), [](const auto* stream) { return stream != nullptr; }));
}

}  // namespace remora::testing
