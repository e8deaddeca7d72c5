// What Serf, the layer above memberlist, puts into metadata and user messages, as far as a member must know
// it to be one of a Serf pool: tags, the two steps of a departure, and passing on what others have to say.
// Queries, user events and key rotation are passed on and not answered.
//
// Pure. Thread: the control thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace remora::discovery::swim {

using Tags = std::vector<std::pair<std::string, std::string>>;

// Metadata as Serf writes it: 0xff and a map. May be longer than a member's metadata may be: the caller's to
// check.
std::string encode_tags(const Tags& tags);
// What a Serf agent would show for this metadata: without the mark, all of it is the tag "role". Broken:
// empty.
Tags decode_tags(std::string_view meta);

// Serf takes a member that goes without this for a failed one ...
std::string serf_leave_intent(std::string_view member, std::uint64_t clock);
// ... and one that comes back without this, after it has left, for one that is about to leave.
std::string serf_join_intent(std::string_view member, std::uint64_t clock);
// The Lamport clock in a message about members; nullopt if it is another one, or broken.
std::optional<std::uint64_t> serf_clock(std::string_view message);

// Which user messages are to be passed on: each once, as every member of a Serf pool does.
class SerfRelay final {
 public:
  static constexpr std::size_t kRemembered = 1024;

  // The message is one that travels from member to member, and new to us.
  bool fresh(std::string_view message);

 private:
  std::unordered_set<std::size_t> known_;
  std::deque<std::size_t> order_;
};

}  // namespace remora::discovery::swim
