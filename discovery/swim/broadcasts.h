// News to be passed on: each piece rides on what is sent anyway and on gossip, until it has been sent often
// enough to have reached everybody. Fewest transmissions first, then the largest that fits, then the newest;
// news about a member replaces older news about it.
//
// Bounds: one piece per member, and kUser others.
//
// Thread: the control thread. Owner: Membership.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace remora::discovery::swim {

class Broadcasts final {
 public:
  static constexpr std::size_t kUser = 512;
  static constexpr unsigned kUncounted = 0;  // whom they go to may not hear them

  // News about a member.
  void queue(std::string_view member, std::string message);
  // Anything else; false, and nothing happens, if too much is waiting.
  bool queue_user(std::string message);

  // Appends what fits into `room` bytes, each message costing `overhead` more, and at most `most` messages. A
  // message that has been sent `limit` times is not kept; with kUncounted it does not count as sent. The
  // views are valid until the next call of any method.
  void collect(std::size_t room, std::size_t overhead, std::size_t most, unsigned limit,
               std::vector<std::string_view>& out);

  bool empty() const { return queue_.empty(); }
  std::size_t size() const { return queue_.size(); }
  bool has(std::string_view member) const { return members_.contains(std::string(member)); }

 private:
  struct Rank {
    unsigned transmits;
    std::size_t size;
    std::uint64_t id;

    bool operator<(const Rank& other) const {
      if (transmits != other.transmits) return transmits < other.transmits;
      return size != other.size ? size > other.size : id > other.id;
    }
  };
  struct Entry {
    std::string member;  // empty: a user's
    std::string message;
  };
  using Queue = std::map<Rank, Entry>;

  void insert(Entry entry);

  Queue queue_;
  std::unordered_map<std::string, Rank> members_;
  std::vector<Queue::node_type>
      taken_;  // by the last collect; those that stay dead hold the bytes of its views
  std::size_t user_ = 0;
  std::uint64_t next_id_ = 0;
};

}  // namespace remora::discovery::swim
