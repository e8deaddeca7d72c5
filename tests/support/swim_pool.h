// A gossip pool in virtual time: members that speak to each other through a network with seeded loss, delay
// and partitions, and that can be killed, frozen (SIGSTOP) or cut off from their sockets for a while.
// Everything they send is encoded and decoded as on a wire. One seed, one history.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "base/random.h"
#include "discovery/swim/membership.h"

namespace remora::discovery::swim::test {

class SwimPool final {
 public:
  struct Options {
    std::size_t members = 5;
    Settings settings = {};
    std::uint64_t seed = 1;
    double loss = 0;         // of a datagram
    Duration delay{200us};   // one way
    Duration jitter{600us};  // at most so much more
    bool joined = true;      // everybody knows everybody; else all but the first dial the first
  };
  struct Seen {
    TimePoint at;
    std::uint32_t observer;
    std::uint32_t subject;
    Change change;
    bool own;  // the observer's own finding, not what it has heard
  };

  explicit SwimPool(Options options);
  ~SwimPool();

  void run_for(Duration time) {
    run_until([] { return false; }, time);
  }
  // True if it has become true within `limit`; it is asked every 50 ms of virtual time.
  bool run_until(const std::function<bool()>& done, Duration limit);

  void kill(std::size_t member);
  // A new process with the same name and address, that dials `contact`.
  void restart(std::size_t member, std::size_t contact);
  void leave(std::size_t member);
  // Runs nothing, then everything that has become due.
  void freeze(std::size_t member, Duration time);
  // Runs, and its datagrams wait in both directions, as in Lifeguard's experiments.
  void block(std::size_t member, Duration time);
  // Nothing passes from one group to another; members not named are in group 0. Empty: healed.
  void partition(std::vector<unsigned> groups) { groups_ = std::move(groups); }
  // Drops what `from` sends to `to`, in this direction only.
  void cut(std::size_t from, std::size_t to);

  TimePoint now() const { return now_; }
  std::size_t size() const { return members_.size(); }
  Membership& at(std::size_t member);
  bool alive(std::size_t member) const;
  // What `observer` believes of `subject`; dead also if it knows nothing.
  State view(std::size_t observer, std::size_t subject);
  // Whether every living member believes this of it.
  bool all_see(std::size_t subject, State state);
  // Whether all living members have the same members, all of them alive.
  bool agreed();

  const std::vector<Seen>& seen() const { return seen_; }
  void forget_seen() { seen_.clear(); }
  std::uint64_t datagrams() const { return datagrams_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  class Node;
  enum class Kind : std::uint8_t { kWakeup, kDatagram, kStreamPing, kStreamAck, kRequest, kReply };
  struct Event {
    TimePoint at;
    std::uint64_t order;
    std::uint32_t to;
    std::uint32_t from;
    std::uint32_t slot;      // of the bytes
    std::uint32_t sequence;  // of a stream ping
    Kind kind;
    bool operator<(const Event& other) const { return at != other.at ? at > other.at : order > other.order; }
  };

  static Peer peer(std::size_t member);
  static std::size_t index(const Peer& peer);
  void make(std::size_t member);
  void push(Event event);
  std::uint32_t keep(std::string_view bytes);
  void handle(const Event& event);
  void deliver(const Event& event);
  void merge(Node& node, const std::string& bytes);
  void schedule(std::size_t member);
  bool connected(std::size_t from, std::size_t to) const;
  TimePoint arrival(std::size_t from, std::size_t to);

  Options options_;
  Random random_;
  Keyring keyring_;
  Wire wire_;
  TimePoint now_ = TimePoint{} + 1h;
  std::vector<std::unique_ptr<Node>> members_;
  std::priority_queue<Event> events_;
  std::vector<std::string> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::vector<unsigned> groups_;
  std::vector<std::pair<std::size_t, std::size_t>> cuts_;
  bool introducing_ = false;  // that everybody joins is not worth remembering
  std::vector<Seen> seen_;
  std::uint64_t order_ = 0;
  std::uint64_t datagrams_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace remora::discovery::swim::test
