// A Network in memory, for tests of whole workers in virtual time. Nothing happens by itself: bytes move,
// connections open and listeners accept only in pump() and settle(), one event at a time, with Turn::finish
// after each, as on a real loop. The order is the same in every run.
//
// Thread: the test's. Owner: the test; it outlives the streams and listeners it made, the wheel and the turn
// outlive it.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/error.h"
#include "base/timer_wheel.h"
#include "base/turn.h"
#include "proxy/net/network.h"
#include "tests/support/fake_stream.h"

namespace remora::testing {

class FakeListener;
class FakeDatagrams;

// What happens to connections to one address. Consulted when an attempt is made.
struct AddressKnobs {
  enum class Connect { kAccept, kRefuse, kBlackHole };
  Connect connect = Connect::kAccept;  // without a listener every attempt is refused
  std::optional<Error> connect_error;  // instead of the refusal
  Duration connect_delay = 0us;
  bool accept_exhausted = false;      // listeners find no descriptor
  std::optional<Error> listen_error;  // listen() and bind_datagrams() fail
  bool datagrams_lost = false;        // all to and from this address
  StreamKnobs client;                 // of ends that dial this address
  StreamKnobs server;                 // of ends accepted at it
};

class FakeNetwork final : public net::Network {
 public:
  FakeNetwork(TimerWheel& wheel, Turn& turn) : wheel_(wheel), turn_(turn) {}

  Result<std::unique_ptr<net::Listener>> listen(const Address& address, const net::ListenOptions& options,
                                                net::Acceptor& acceptor) override;
  std::unique_ptr<net::Stream> connect(const Address& address, net::Stream::Events& events) override;
  Result<std::unique_ptr<net::DatagramSocket>> bind_datagrams(const Address& address,
                                                              net::DatagramReceiver& receiver) override;
  // As connect(), but the acceptor sees `from` as the peer.
  std::unique_ptr<net::Stream> connect_from(const Address& from, const Address& address,
                                            net::Stream::Events& events);

  // The knobs of an address; made with defaults when first asked for.
  AddressKnobs& at(const Address& address) { return addresses_[address.to_string()]; }
  // The end itself, and the other one, of a stream that this network made. Null: there is no other end (any
  // more).
  static FakeStream& end_of(net::Stream& stream) { return static_cast<FakeStream&>(stream); }
  static FakeStream* other_end_of(net::Stream& stream) { return end_of(stream).other(); }

  // Where accepted streams were going before they were redirected.
  void set_original(const Address& address) { original_ = address; }
  const Address& original() const { return original_; }

  // How many events make a turn at most, as they do in a loop that finds them ready together; 1.
  void set_events_per_turn(std::size_t most) { events_per_turn_ = most; }
  // One event, round robin over everything that is ready, and the end of the turn if it was the last of one.
  // False: nothing is ready.
  bool pump();
  // Pumps until nothing moves, or `limit` events have happened. Returns the number of events.
  std::size_t settle(std::size_t limit = 1'000'000);
  // Settles, lets virtual time pass until the next timer, and so on, for `span` in all.
  void run_for(Duration span);

  // Attempts to connect to `address` since the start.
  std::size_t attempts(const Address& address) const;
  // Streams that exist, both ends counted, those waiting to be accepted included.
  std::size_t stream_count() const;

 private:
  friend class FakeStream;
  friend class FakeListener;
  friend class FakeDatagrams;

  struct Datagram {
    Address from;
    Address to;
    std::string bytes;
  };

  FakeListener* listener_for(const Address& address);
  void try_connect(FakeStream& client);
  void remove(FakeStream& stream);
  void remove(FakeListener& listener);
  bool deliver();
  bool deliver_datagram();
  void end_turn();

  Address original_;
  TimerWheel& wheel_;
  Turn& turn_;
  std::map<std::string, AddressKnobs> addresses_;
  std::map<std::string, std::size_t> attempts_;
  std::size_t events_per_turn_ = 1;
  std::size_t in_turn_ = 0;
  // In order of creation; null: gone, taken out by the next pump().
  std::vector<FakeStream*> streams_;
  std::vector<FakeListener*> listeners_;
  std::vector<FakeDatagrams*> datagram_sockets_;
  std::deque<Datagram> datagrams_;
  std::size_t cursor_ = 0;         // where the next pump() starts to look
  std::size_t listener_turn_ = 0;  // spreads connections over listeners of one address
  std::uint16_t next_port_ = 20000;
  std::uint16_t next_client_port_ = 40000;
};

}  // namespace remora::testing
