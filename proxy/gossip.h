// This process as a member of a gossip pool: drives a discovery::swim::Membership with sockets, and remembers
// the other members on disk.
//
//   bind()     keys read, UDP and TCP bound at one port: what can fail at start fails here
//   start()    the member exists, and looks for the pool (proxy/gossip_join.h)
//   leave()    it says goodbye; ends when the pool has been told, or after kGoodbye
//
// Destroyed without leave(), it has failed in the eyes of the others.
//
// Members say of themselves what they like: find_service() takes one of each at most, at its address.
//
// A flood of datagrams: a sender that is loud is ignored by the kernel for kIgnore, and when all together
// send too much the socket rests for kRest, again and again. Members are reached by streams meanwhile.
//
// Bounds: kAccepted connections accepted at a time, more wait in the backlog; kHeld bytes of all connections
// together. What the protocol holds is bounded in discovery/swim/.
//
// Thread: the control thread, whose loop carries no traffic. Owner: Server.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/slot_list.h"
#include "breaker/rate_limiter.h"
#include "discovery/swim/membership.h"
#include "discovery/swim/serf.h"
#include "discovery/swim/service.h"
#include "discovery/swim/service_index.h"
#include "discovery/swim/service_sets.h"
#include "proxy/endpoint_source.h"
#include "proxy/env.h"
#include "proxy/event_ring.h"
#include "proxy/gossip_join.h"
#include "proxy/gossip_stream.h"
#include "proxy/mesh_view.h"

namespace remora::proxy {

class Gossip final : private discovery::swim::Effects,
                     private net::DatagramReceiver,
                     private net::Acceptor,
                     private GossipStream::Host {
 public:
  static constexpr std::size_t kAccepted = 128;
  static constexpr std::size_t kHeld = std::size_t{64} << 20U;
  static constexpr Duration kGoodbye = 5s;
  static constexpr Duration kTellAfter = 20ms;
  static constexpr Duration kIgnore = 5s;
  static constexpr Duration kRest = 10ms;

  struct Ways {
    GossipJoin::Resolve resolve;
    // Something has changed that people want to see.
    std::function<void(Event)> tell;
    // settled() has become true.
    std::function<void()> settled;
    // A source may say something else than before. From an event of its own, once for all that came
    // within kTellAfter: what a pool that falls apart, or a hostile one, costs the workers has this bound.
    std::function<void()> changed;
  };

  // `seed`: from the operating system, of this process alone; the nonces of encryption begin with it.
  Gossip(Env& env, const config::Mesh& settings, std::uint64_t seed, Ways ways);
  ~Gossip() override;
  Gossip(const Gossip&) = delete;
  Gossip& operator=(const Gossip&) = delete;

  // An error's detail is a sentence for people.
  Result<void> bind();
  // In an event of the loop, after bind().
  void start();
  // Reads the file with the keys anew, if there is one. A file that cannot be used changes nothing.
  void read_keys();
  // `left` is called once, later or now.
  void leave(std::function<void()> left);

  // What this process serves now; the others hear of it at once if it is something else than before.
  void announce(const std::vector<discovery::swim::ServiceSettings>& services);

  // Who serves it: alive, or suspected; by address, each once. Not ourselves: a request that came back to
  // this process would look like a loop (Via), and be refused. Good while anybody else is there. From the
  // first on, sets of services that are too large for metadata are asked for.
  std::unique_ptr<EndpointSource> source(const discovery::swim::WantedSettings& wanted);

  // The first attempt to find the pool has ended, well or not.
  bool settled() const { return join_.settled(); }
  MeshNumbers numbers() const;
  MeshView view() const;

 private:
  using Member = discovery::swim::Member;
  using Change = discovery::swim::Change;

  // Effects
  void send(const discovery::swim::Peer& to, std::string_view datagram) override;
  void ping_stream(const discovery::swim::Peer& to, const discovery::swim::Ping& ping) override;
  void exchange(const discovery::swim::Peer& to, bool join) override;
  void on_change(const Member& member, Change change, std::string_view source) override;
  void on_user(std::string_view message) override;
  discovery::swim::Keyring::Nonce nonce() override;

  void on_datagram(const Address& from, std::string_view bytes) override;
  void on_accept(std::unique_ptr<net::Stream> stream) override;
  void on_accept_exhausted() override {}

  std::string on_stream_open(GossipStream& stream) override;
  std::string on_stream_message(GossipStream& stream, const discovery::swim::StreamMessage& message) override;
  void on_stream_over(GossipStream& stream, std::string_view problem) override;
  bool hold(std::size_t bytes) override { return (held_ += bytes) <= kHeld; }
  void release(std::size_t bytes) override { held_ -= bytes; }

  Result<void> bind_sockets();
  void dial(GossipStream::Purpose purpose);
  bool known(const Address& address) const;
  bool alone() const;
  void report(const Member& member, Change change, std::string_view source);
  void remember();
  void ignore(const Address& source);
  void set_ignored();
  void rest();
  void on_rested() { socket_->resume(); }
  void wake();
  void after();
  void on_goodbye();
  void tell_changed();
  void look_for_company();
  void follow();
  void fetch_sets();
  discovery::swim::Tags tags_of(const Member& member) const;
  EndpointSource::List find(const discovery::swim::WantedSettings& wanted) const;
  std::string on_user_stream(GossipStream& stream, std::string_view message);

  Env& env_;
  const config::Mesh settings_;
  Ways ways_;
  discovery::swim::Keyring keyring_;
  discovery::swim::Wire wire_;
  std::unique_ptr<net::Listener> listener_;
  std::unique_ptr<net::DatagramSocket> socket_;
  struct Ignored {
    Address source;
    TimePoint until;
  };
  std::vector<Ignored> ignored_;  // the first stands longest
  Address advertised_;
  std::string name_;
  std::unique_ptr<discovery::swim::Membership> membership_;
  GossipJoin join_;
  SlotList<GossipStream> streams_;
  std::size_t accepted_ = 0;
  std::size_t held_ = 0;
  std::string meta_;      // as announced
  std::string set_;       // what others ask for; "" = meta_ says all
  bool changed_ = false;  // in this call of the membership

  Random nonces_;
  std::uint64_t nonce_prefix_;
  std::uint32_t nonce_count_ = 0;

  discovery::swim::SerfRelay relay_;
  std::vector<std::string> to_pass_on_;
  std::uint64_t serf_clock_ = 0;
  bool coming_told_ = false;  // in Serf's way

  MeshNumbers counted_;
  breaker::TokenBucket log_lines_{{.requests = 20, .per = 1s, .burst = 200}};
  std::uint64_t log_lines_left_out_ = 0;
  bool remember_failed_ = false;
  bool following_ = false;  // somebody looks for services
  discovery::swim::ServiceSets sets_;
  discovery::swim::ServiceIndex services_;  // of the others, once somebody looks for any
  bool leaving_ = false;
  discovery::SourceRecord company_;  // answered: somebody else is there; failed: nobody is
  std::function<void()> left_;
  MemberTimer<Gossip, &Gossip::wake> timer_{*this};
  MemberTimer<Gossip, &Gossip::remember> remember_timer_{*this};
  MemberTimer<Gossip, &Gossip::on_goodbye> goodbye_timer_{*this};
  MemberTimer<Gossip, &Gossip::tell_changed> tell_timer_{*this};
  MemberTimer<Gossip, &Gossip::fetch_sets> sets_timer_{*this};
  MemberTimer<Gossip, &Gossip::set_ignored> ignored_timer_{*this};
  MemberTimer<Gossip, &Gossip::on_rested> rest_timer_{*this};
};

}  // namespace remora::proxy
