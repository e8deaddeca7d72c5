// Membership: how news spreads, and how what it missed is repaired.
#include <algorithm>
#include <utility>

#include "discovery/swim/membership.h"

namespace remora::discovery::swim {

void Membership::schedule_gossip() {
  if (next_gossip_ != TimePoint::max()) return;
  // On the grid that began at a random phase; without news nobody wakes up for it.
  const Duration interval = settings_.gossip_interval;
  next_gossip_ = gossip_phase_;
  if (now_ >= gossip_phase_) next_gossip_ += ((now_ - gossip_phase_) / interval + 1) * interval;
}

void Membership::gossip(TimePoint now) {
  const auto listens = [&](const Member& record) {
    if (record.state == State::kDead) return now - record.since < settings_.gossip_to_dead;
    return record.state != State::kLeft;
  };
  pick(settings_.gossip_nodes, listens, picked_);
  // The suspect and the dead hear what is said of them; in a small pool what is spent on them would be
  // missing where it matters.
  const auto well = [](const Member* record) { return record->state == State::kAlive; };
  const bool some_well = std::ranges::any_of(picked_, well);
  for (const Member* record : picked_) {
    if (news_.empty()) break;
    parts_.clear();
    const bool counts = well(record) || !some_well;
    news_.collect(wire_.packet_room(), 2, Wire::kCompoundParts,
                  counts ? retransmit_limit(settings_, size()) : Broadcasts::kUncounted, parts_);
    if (parts_.empty()) break;
    datagram_.clear();
    wire_.seal_packet(parts_, record->versions.most_protocol() >= 5, effects_.nonce(), datagram_);
    ++numbers_.sent;
    numbers_.sent_bytes += datagram_.size();
    effects_.send(record->peer, datagram_);
  }
  next_gossip_ = TimePoint::max();
  if (!news_.empty()) schedule_gossip();
}

void Membership::push_pull(TimePoint now) {
  next_push_pull_ = now + push_pull_every(settings_, size());
  if (leaving_) return;
  pick(1, [](const Member& record) { return record.state == State::kAlive; }, picked_);
  if (!picked_.empty()) effects_.exchange(picked_.front()->peer, false);
}

void Membership::lose(const Member& record, TimePoint now) {
  find_again(record.name);
  if (lost_.size() == kLost) lost_.erase(lost_.begin());
  lost_.push_back({.name = record.name, .peer = record.peer, .since = now});
}

void Membership::find_again(std::string_view name) {
  std::erase_if(lost_, [&](const Lost& lost) { return lost.name == name; });
}

void Membership::reconnect(TimePoint now) {
  next_reconnect_ = now + settings_.reconnect_interval;
  std::erase_if(lost_, [&](const Lost& lost) { return now - lost.since > settings_.reconnect_timeout; });
  if (lost_.empty() || leaving_) return;
  // All members together dial about as often as there are lost ones, however many members there are.
  const auto alive = std::ranges::count(order_, State::kAlive, &Member::state);
  if (random_.unit() * static_cast<double>(alive) >= static_cast<double>(lost_.size())) return;
  effects_.exchange(lost_[random_.below(static_cast<std::uint32_t>(lost_.size()))].peer, true);
}

}  // namespace remora::discovery::swim
