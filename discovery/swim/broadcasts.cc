#include "discovery/swim/broadcasts.h"

#include <utility>

namespace remora::discovery::swim {

void Broadcasts::insert(Entry entry) {
  const Rank rank{.transmits = 0, .size = entry.message.size(), .id = next_id_++};
  if (!entry.member.empty()) members_.insert_or_assign(entry.member, rank);
  queue_.emplace(rank, std::move(entry));
}

void Broadcasts::queue(std::string_view member, std::string message) {
  std::string name(member);
  if (const auto old = members_.find(name); old != members_.end()) queue_.erase(old->second);
  insert({.member = std::move(name), .message = std::move(message)});
}

bool Broadcasts::queue_user(std::string message) {
  if (user_ == kUser) return false;
  ++user_;
  insert({.member = {}, .message = std::move(message)});
  return true;
}

void Broadcasts::collect(std::size_t room, std::size_t overhead, std::size_t most, unsigned limit,
                         std::vector<std::string_view>& out) {
  taken_.clear();
  const std::size_t full = out.size() + most;
  for (auto next = queue_.begin(); next != queue_.end() && out.size() < full && room > overhead;) {
    const Rank rank = next->first;
    if (rank.size + overhead > room) {
      // The first of as many transmissions that fits, or of more.
      next =
          queue_.lower_bound({.transmits = rank.transmits, .size = room - overhead, .id = ~std::uint64_t{0}});
      continue;
    }
    const auto taken = next++;
    room -= rank.size + overhead;
    out.push_back(taken->second.message);
    if (limit != kUncounted) taken_.push_back(queue_.extract(taken));
  }
  std::vector<Queue::node_type> spent;
  for (Queue::node_type& node : taken_) {
    const std::string& member = node.mapped().member;
    if (++node.key().transmits < limit) {
      if (!member.empty()) members_.insert_or_assign(member, node.key());
      queue_.insert(std::move(node));
      continue;
    }
    if (member.empty()) {
      --user_;
    } else {
      members_.erase(member);
    }
    spent.push_back(std::move(node));
  }
  taken_ = std::move(spent);
}

}  // namespace remora::discovery::swim
