// One member of a gossip pool: who is there, and who is well. SWIM with the Lifeguard extensions, as
// memberlist's members speak it. Pure: datagrams, stream messages and `now` go in; datagrams, wishes for
// streams and changes come out through Effects.
//
//                accused               nobody heard of it in time
//     alive ------------------> suspect ------------------> dead --+
//       ^ ^                       |                                | forgotten after
//       | +-----------------------+ refuted: a higher incarnation  | gossip_to_dead
//       +----------------------------------------------------------+
//       | says goodbye                                             |
//       +--------------------------------------> left -------------+
//
// Only a member itself raises its incarnation. For one incarnation dead beats suspect beats alive, so that
// news may come in any order, and twice.
//
// What peers can make us hold: Settings::members_max members of at most 1 KiB, as much news, kRelays pings
// for others, kLost members to dial again. A packet that breaks a rule changes nothing.
//
// If on_wakeup() comes more than a probe timeout late, we have been
// asleep, and what we did not hear meanwhile is nobody else's fault. The probe under way is void, suspects
// get the time back, and our own health suffers.
//
// Thread: the control thread. Owner: the gossip driver.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "discovery/swim/broadcasts.h"
#include "discovery/swim/message.h"
#include "discovery/swim/settings.h"
#include "discovery/swim/source_rates.h"
#include "discovery/swim/stream.h"
#include "discovery/swim/suspicion.h"
#include "discovery/swim/wire.h"

namespace remora::discovery::swim {

// 80 bytes: what costs most of a large pool, and nearly everything of a simulated one.
struct Member {
  std::string name;
  std::unique_ptr<const std::string> said;  // the metadata; null: none
  TimePoint since;                          // of the state
  Peer peer;
  std::uint32_t incarnation = 0;
  Versions versions;
  State state = State::kDead;

  std::string_view meta() const { return said ? std::string_view(*said) : std::string_view(); }
  void set_meta(std::string_view meta) {
    said = meta.empty() ? nullptr : std::make_unique<const std::string>(meta);
  }
};

enum class Change : std::uint8_t {
  kJoined,     // new, or back from the dead
  kUpdated,    // other metadata or address
  kSuspected,  // by `source`
  kRecovered,  // a suspect has spoken up
  kFailed,     // declared dead by `source`
  kLeft,       // has said goodbye
  kForgotten,  // dead or gone for long enough; the member ceases to exist after the call
  kRefuted,    // we had to contradict; `source` is who accused us
  kConflict,   // another address claims this name; `source` is that address's bytes
};
std::string_view to_string(Change change);

// What a member wants done. None of these may call back into it.
class Effects {
 public:
  virtual ~Effects() = default;
  // The bytes are valid during the call.
  virtual void send(const Peer& to, std::string_view datagram) = 0;
  // Connect, send seal_stream(the ping), and report an ack with on_stream_ack(), that nobody listens there
  // with on_stream_refused(); silence needs no report.
  virtual void ping_stream(const Peer& to, const Ping& ping) = 0;
  // Connect, send seal_stream(state(join)), and hand the answer to merge().
  virtual void exchange(const Peer& to, bool join) = 0;
  virtual void on_change(const Member& member, Change change, std::string_view source) = 0;
  virtual void on_user(std::string_view message) = 0;
  // Never the same twice.
  virtual Keyring::Nonce nonce() = 0;
};

struct MembershipNumbers {
  std::uint64_t received = 0;  // datagrams
  std::uint64_t unread = 0;    // of these, beyond the rate of their sender, or of all
  std::uint64_t dropped = 0;   // of these, in whole or in part
  std::uint64_t sent = 0;
  std::uint64_t sent_bytes = 0;
  std::uint64_t probes = 0;
  std::uint64_t probes_failed = 0;
  std::uint64_t refutations = 0;
};

class Membership final : private MessageSink {
 public:
  static constexpr std::size_t kRelays = 256;
  static constexpr std::size_t kLost = 1024;
  static constexpr std::size_t kStorm = 64;

  struct Identity {
    std::string name;       // 1 to 255 bytes, unique in the pool
    Peer peer;              // where others reach us
    std::string meta = {};  // at most 512 bytes
    Versions versions = {};
  };

  Membership(const Settings& settings, const Identity& self, const Wire& wire, Effects& effects,
             Random& random, TimePoint now);

  // What to make of its sender.
  SourceRates::Verdict receive(const Peer& from, std::string_view datagram, TimePoint now);
  void on_wakeup(TimePoint now);
  TimePoint next_wakeup() const;

  // The whole state, as the message of a push/pull, with `user` bytes of the layer above.
  std::string state(bool join, std::string_view user = {}) const;
  // A peer's state. False, and nothing is taken, if its versions and ours exclude each other. What the first
  // one says is not passed on if it is more than kStorm members: whoever sent it has the same news, and a
  // thousand members told by each newcomer of a thousand others would be a storm. In small pools it makes up
  // for gossip that got lost.
  bool merge(const std::vector<NodeState>& nodes, TimePoint now);
  // A ping that came on a stream; nullopt if it is for another member: close the stream then.
  std::optional<std::string> on_stream_ping(const Ping& ping) const;
  void on_stream_ack(std::uint32_t sequence);
  // Its host lives, and the process does not: the helpers get a moment more to contradict, not the rest of
  // the interval.
  void on_stream_refused(std::uint32_t sequence, TimePoint now);

  // New metadata of ours, passed on at once.
  void update(std::string_view meta, TimePoint now);
  // Says goodbye. The pool has been told once departed() is true; who waits for it sets himself a limit.
  void leave(TimePoint now);
  bool departed() const { return leaving_ && (members_.size() == 1 || !news_.has(self_->name)); }
  // A message of the layer above, to everybody; false if too many wait.
  bool broadcast(std::string_view user);

  const Member& self() const { return *self_; }
  const Member* find(std::string_view name) const;
  // In the order of probing, which is random; includes us.
  template <typename Visit>
  void each(Visit visit) const {
    for (const Member* record : order_) visit(*record);
  }
  std::size_t size() const { return order_.size(); }
  // 0: healthy. Each more makes probing slower by one interval.
  unsigned health() const { return health_; }
  std::size_t news() const { return news_.size(); }
  const MembershipNumbers& numbers() const { return numbers_; }

 private:
  struct ByName {
    using is_transparent = void;
    static std::string_view name(std::string_view name) { return name; }
    static std::string_view name(const Member& member) { return member.name; }
    std::size_t operator()(const auto& of) const noexcept { return std::hash<std::string_view>{}(name(of)); }
    bool operator()(const auto& a, const auto& b) const noexcept { return name(a) == name(b); }
  };
  // The probe under way: a copy, since the member may be forgotten meanwhile.
  struct Probe {
    std::string name;
    Peer peer;
    std::uint32_t sequence = 0;
    TimePoint ask_others;
    TimePoint deadline;
    bool active = false;
    bool others_asked = false;
    bool stream_acked = false;
    bool stream_refused = false;
    unsigned nacks_expected = 0;
    unsigned nacks = 0;
  };
  // A ping we sent for somebody else.
  struct Relay {
    std::uint32_t sequence;
    std::uint32_t original;
    Peer back_to;
    bool nack;
    TimePoint until;
  };
  struct Lost {
    std::string name;
    Peer peer;
    TimePoint since;
  };

  // membership.cc: life, sending, what comes in
  void on_message(MessageType type, std::string_view body) override;
  void send(const Peer& to, bool crc, std::string_view message, std::string_view second = {});
  void pass_on(const Member& record);
  void set_health(int change);
  // Only the name may not be changed: it is what a member is found by.
  Member* lookup(std::string_view name) const;

  // membership_probe.cc
  void on_ping(const Ping& ping);
  void on_indirect_ping(const IndirectPing& ping);
  void on_ack(const Ack& ack);
  void on_nack(std::uint32_t sequence);
  void probe_next(TimePoint now);
  void probe(const Member& target, TimePoint now);
  void ask_others();
  void probe_failed(TimePoint now);
  void expire_relays(TimePoint now);
  void reap(TimePoint now);
  template <typename Suits>
  void pick(std::size_t count, Suits suits, std::vector<Member*>& out);

  // membership_state.cc
  void on_alive(const Alive& alive, TimePoint now);
  void on_suspect(const Accusation& suspect, TimePoint now);
  void on_dead(const Accusation& dead, TimePoint now);
  Member& insert(std::string_view name, const Peer& peer, TimePoint now);
  Member& admit(const Alive& alive, TimePoint now);
  bool may_move(const Member& record, TimePoint now) const;
  void refute(std::uint32_t accused, std::string_view accuser);
  void expire_suspicions(TimePoint now);
  bool acceptable(const Versions& versions) const;
  bool compatible(const std::vector<NodeState>& nodes) const;

  // membership_gossip.cc
  void gossip(TimePoint now);
  void schedule_gossip();
  void push_pull(TimePoint now);
  void reconnect(TimePoint now);
  void lose(const Member& record, TimePoint now);
  void find_again(std::string_view name);

  Settings settings_;
  const Wire& wire_;
  Effects& effects_;
  Random& random_;
  std::unordered_set<Member, ByName, ByName> members_;
  std::vector<Member*> order_;
  std::size_t next_in_order_ = 0;
  Member* self_ = nullptr;
  Broadcasts news_;
  Probe probe_;
  std::vector<Relay> relays_;
  Suspects suspects_;  // the names are the members' own
  std::vector<Lost> lost_;
  std::uint32_t sequence_ = 0;
  unsigned health_ = 0;
  bool leaving_ = false;
  bool quiet_ = false;  // what we learn is no news to others

  TimePoint now_;  // of the call under way
  Peer from_;      // of the datagram under way
  TimePoint next_probe_;
  TimePoint gossip_phase_;
  TimePoint next_gossip_ = TimePoint::max();  // none while there is no news
  TimePoint next_push_pull_;
  TimePoint next_reconnect_;
  SourceRates rates_;

  std::string scratch_;
  std::string datagram_;
  std::vector<std::string_view> parts_;
  std::vector<Member*> picked_;
  MembershipNumbers numbers_;
};

// Up to `count` different members that suit, at random.
template <typename Suits>
void Membership::pick(std::size_t count, Suits suits, std::vector<Member*>& out) {
  out.clear();
  const auto size = static_cast<std::uint32_t>(order_.size());
  // In a small pool draws would miss the few that suit: there, all are looked at from a random place on.
  const bool small = size < 8 * count;
  const std::uint32_t start = random_.below(size);
  for (std::uint32_t draw = 0; draw < (small ? size : 3 * size) && out.size() < count; ++draw) {
    Member* record = order_[small ? (start + draw) % size : random_.below(size)];
    if (record == self_ || !suits(*record)) continue;
    if (std::find(out.begin(), out.end(), record) == out.end()) out.push_back(record);
  }
}

}  // namespace remora::discovery::swim
