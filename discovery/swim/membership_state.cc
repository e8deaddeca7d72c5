// Membership: what is believed of whom, and when that changes.
#include <algorithm>
#include <limits>
#include <utility>

#include "discovery/swim/membership.h"

namespace remora::discovery::swim {

bool Membership::acceptable(const Versions& versions) const {
  const auto& own = self_->versions.value;
  const auto speaks = [&](std::size_t at) {
    return own[at] <= versions.value[at + 2] && versions.value[at + 2] <= own[at + 1];
  };
  // One member of other versions makes every state exchange of the pool fail: it must not come in by the side
  // door.
  return versions.consistent() && speaks(0) && speaks(3);
}

bool Membership::compatible(const std::vector<NodeState>& nodes) const {
  std::array<std::uint8_t, 2> least{};
  std::array<std::uint8_t, 2> most{0xff, 0xff};
  const auto narrow = [&](const Versions& versions) {
    for (std::size_t layer = 0; layer < 2; ++layer) {
      least[layer] = std::max(least[layer], versions.value[3 * layer]);
      most[layer] = std::min(most[layer], versions.value[3 * layer + 1]);
    }
  };
  const auto inside = [&](const Versions& versions) {
    for (std::size_t layer = 0; layer < 2; ++layer) {
      const std::uint8_t current = versions.value[3 * layer + 2];
      if (current < least[layer] || current > most[layer]) return false;
    }
    return true;
  };
  for (const NodeState& node : nodes) {
    if (node.state == State::kAlive) narrow(node.versions);
  }
  for (const Member* record : order_) {
    if (record->state == State::kAlive) narrow(record->versions);
  }
  return std::ranges::all_of(
             nodes,
             [&](const NodeState& node) { return node.state != State::kAlive || inside(node.versions); }) &&
         std::ranges::all_of(order_, [&](const Member* record) {
           return record->state != State::kAlive || inside(record->versions);
         });
}

bool Membership::merge(const std::vector<NodeState>& nodes, TimePoint now) {
  now_ = now;
  if (!compatible(nodes)) return false;
  quiet_ = size() == 1 && nodes.size() > kStorm;
  for (const NodeState& node : nodes) {
    switch (node.state) {
      case State::kAlive:
        on_alive({.incarnation = node.incarnation,
                  .node = node.name,
                  .peer = node.peer,
                  .meta = node.meta,
                  .versions = node.versions},
                 now);
        break;
      case State::kLeft:
        on_dead({.incarnation = node.incarnation, .node = node.name, .from = node.name}, now);
        break;
      case State::kSuspect:
      case State::kDead:
        // Second-hand, so it may be contradicted: never dead at once.
        on_suspect({.incarnation = node.incarnation, .node = node.name, .from = self_->name}, now);
        break;
    }
  }
  quiet_ = false;
  return true;
}

bool Membership::may_move(const Member& record, TimePoint now) const {
  if (record.state == State::kLeft) return true;
  return record.state == State::kDead && settings_.dead_reclaim > Duration::zero() &&
         now - record.since >= settings_.dead_reclaim;
}

Member& Membership::admit(const Alive& alive, TimePoint now) {
  Member& record = insert(alive.node, alive.peer, now);
  // At a random place, so that those who join together are not probed together.
  std::swap(order_[random_.below(static_cast<std::uint32_t>(order_.size()))], order_.back());
  return record;
}

void Membership::on_alive(const Alive& alive, TimePoint now) {
  if (!acceptable(alive.versions) || alive.peer.port == 0) return;
  Member* record = lookup(alive.node);
  if (record == self_ && leaving_) return;
  bool moved = false;
  const bool known = record != nullptr;
  if (!known) {
    if (order_.size() >= settings_.members_max) return;
    record = &admit(alive, now);
  } else if (record->peer != alive.peer) {
    if (record == self_ || !may_move(*record, now)) {
      return effects_.on_change(*record, Change::kConflict, alive.peer.bytes());
    }
    moved = true;
  }
  if (record == self_) {
    const bool same = alive.incarnation == record->incarnation && alive.meta == record->meta() &&
                      alive.versions == record->versions;
    // Our own past, or the pool remembers an incarnation of a former life: be newer than that.
    if (alive.incarnation >= record->incarnation && !same) refute(alive.incarnation, {});
    return;
  }
  if (known && !moved && alive.incarnation <= record->incarnation) return;

  suspects_.erase(record->name);
  const State before = std::exchange(record->state, State::kAlive);
  const bool changed = moved || record->meta() != alive.meta;
  record->incarnation = alive.incarnation;
  record->peer = alive.peer;
  if (changed || !known) record->set_meta(alive.meta);
  record->versions = alive.versions;
  if (before != State::kAlive) record->since = now;
  pass_on(*record);
  if (before == State::kDead || before == State::kLeft) {
    find_again(record->name);
    effects_.on_change(*record, Change::kJoined, {});
    return;
  }
  if (before == State::kSuspect) effects_.on_change(*record, Change::kRecovered, {});
  if (changed) effects_.on_change(*record, Change::kUpdated, {});
}

void Membership::on_suspect(const Accusation& suspect, TimePoint now) {
  Member* record = lookup(suspect.node);
  if (record == nullptr || suspect.incarnation < record->incarnation) return;
  const auto tell = [&] {
    std::string message;
    encode_suspect(suspect, message);
    news_.queue(record->name, std::move(message));
    schedule_gossip();
  };
  if (record->state == State::kSuspect) {
    if (suspects_.confirm(record->name, suspect.from)) tell();
    return;
  }
  if (record->state != State::kAlive) return;
  if (record == self_) return refute(suspect.incarnation, suspect.from);
  tell();
  record->incarnation = suspect.incarnation;
  record->state = State::kSuspect;
  record->since = now;
  const Duration least = suspicion_least(settings_, size());
  suspects_.add(record->name, Suspicion(suspicion_confirmations(settings_, size()), least,
                                        least * settings_.suspicion_max_mult, suspect.from, now));
  effects_.on_change(*record, Change::kSuspected, suspect.from);
}

void Membership::on_dead(const Accusation& dead, TimePoint now) {
  Member* record = lookup(dead.node);
  if (record == nullptr || dead.incarnation < record->incarnation) return;
  if (record->state == State::kDead || record->state == State::kLeft) return;
  if (record == self_ && !leaving_) return refute(dead.incarnation, dead.from);
  suspects_.erase(record->name);
  std::string message;
  encode_dead(dead, message);
  news_.queue(record->name, std::move(message));
  schedule_gossip();
  record->incarnation = dead.incarnation;
  record->state = dead.from == dead.node ? State::kLeft : State::kDead;
  record->since = now;
  if (record->state == State::kDead) lose(*record, now);
  effects_.on_change(*record, record->state == State::kLeft ? Change::kLeft : Change::kFailed, dead.from);
}

void Membership::refute(std::uint32_t accused, std::string_view accuser) {
  ++numbers_.refutations;
  constexpr std::uint32_t kLast = std::numeric_limits<std::uint32_t>::max();
  const std::uint32_t least = std::max(self_->incarnation, accused);
  self_->incarnation = least == kLast ? kLast : least + 1;
  set_health(1);
  pass_on(*self_);
  effects_.on_change(*self_, Change::kRefuted, accuser);
}

void Membership::expire_suspicions(TimePoint now) {
  while (suspects_.first_deadline() <= now) {
    const Member& member = *lookup(suspects_.first());
    on_dead({.incarnation = member.incarnation, .node = member.name, .from = self_->name}, now);
  }
}

}  // namespace remora::discovery::swim
