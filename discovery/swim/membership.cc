#include "discovery/swim/membership.h"

#include <algorithm>
#include <utility>

namespace remora::discovery::swim {

std::string_view to_string(Change change) {
  switch (change) {
    case Change::kJoined: return "joined";
    case Change::kUpdated: return "updated";
    case Change::kSuspected: return "suspected";
    case Change::kRecovered: return "recovered";
    case Change::kFailed: return "failed";
    case Change::kLeft: return "left";
    case Change::kForgotten: return "forgotten";
    case Change::kRefuted: return "refuted";
    case Change::kConflict: return "conflict";
  }
  return "?";
}

Membership::Membership(const Settings& settings, const Identity& self, const Wire& wire, Effects& effects,
                       Random& random, TimePoint now)
    : settings_(settings),
      wire_(wire),
      effects_(effects),
      random_(random),
      self_(&insert(self.name, self.peer, now)),
      now_(now),
      rates_(settings.packets_per_second, random, now) {
  // Members that were started together must not act together.
  const auto staggered = [&](Duration interval) {
    return now + Duration{static_cast<Duration::rep>(random.unit() * static_cast<double>(interval.count()))};
  };
  next_probe_ = staggered(settings.probe_interval);
  gossip_phase_ = staggered(settings.gossip_interval);
  next_push_pull_ = staggered(settings.push_pull_interval) + settings.push_pull_interval;
  next_reconnect_ = staggered(settings.reconnect_interval);

  self_->set_meta(self.meta);
  self_->versions = self.versions;
  self_->incarnation = 1;
  self_->state = State::kAlive;
  pass_on(*self_);
}

Member* Membership::lookup(std::string_view name) const {
  const auto found = members_.find(name);
  return found == members_.end() ? nullptr : const_cast<Member*>(&*found);
}

Member& Membership::insert(std::string_view name, const Peer& peer, TimePoint now) {
  Member member;
  member.name = name;
  member.peer = peer;
  member.since = now;
  order_.push_back(const_cast<Member*>(&*members_.insert(std::move(member)).first));
  return *order_.back();
}

const Member* Membership::find(std::string_view name) const { return lookup(name); }

SourceRates::Verdict Membership::receive(const Peer& from, std::string_view datagram, TimePoint now) {
  ++numbers_.received;
  const SourceRates::Verdict verdict = rates_.on_datagram(from, now);
  if (verdict != SourceRates::Verdict::kRead) {
    ++numbers_.unread;
    return verdict;
  }
  now_ = now;
  from_ = from;
  if (wire_.open_packet(datagram, *this) != Drop::kNone) ++numbers_.dropped;
  return verdict;
}

void Membership::on_message(MessageType type, std::string_view body) {
  switch (type) {
    case MessageType::kPing:
      if (const auto ping = decode_ping(body)) on_ping(*ping);
      break;
    case MessageType::kIndirectPing:
      if (const auto ping = decode_indirect_ping(body)) on_indirect_ping(*ping);
      break;
    case MessageType::kAck:
      if (const auto ack = decode_ack(body)) on_ack(*ack);
      break;
    case MessageType::kNack:
      if (const auto nack = decode_ack(body)) on_nack(nack->sequence);
      break;
    case MessageType::kSuspect:
      if (const auto suspect = decode_accusation(body)) on_suspect(*suspect, now_);
      break;
    case MessageType::kAlive:
      if (const auto alive = decode_alive(body)) on_alive(*alive, now_);
      break;
    case MessageType::kDead:
      if (const auto dead = decode_accusation(body)) on_dead(*dead, now_);
      break;
    case MessageType::kUser: effects_.on_user(body); break;
    default: break;
  }
}

void Membership::send(const Peer& to, bool crc, std::string_view message, std::string_view second) {
  parts_.assign(1, message);
  std::size_t used = 2 + message.size();
  if (!second.empty()) {
    parts_.push_back(second);
    used += 2 + second.size();
  }
  const std::size_t room = wire_.packet_room();
  // A second message is for a suspect, and what a suspect is told may not have been heard.
  const unsigned limit = second.empty() ? retransmit_limit(settings_, size()) : Broadcasts::kUncounted;
  if (used < room) news_.collect(room - used, 2, Wire::kCompoundParts - parts_.size(), limit, parts_);
  datagram_.clear();
  wire_.seal_packet(parts_, crc, effects_.nonce(), datagram_);
  ++numbers_.sent;
  numbers_.sent_bytes += datagram_.size();
  effects_.send(to, datagram_);
}

void Membership::pass_on(const Member& record) {
  if (quiet_ && &record != self_) return;
  std::string message;
  encode(Alive{.incarnation = record.incarnation,
               .node = record.name,
               .peer = record.peer,
               .meta = record.meta(),
               .versions = record.versions},
         message);
  news_.queue(record.name, std::move(message));
  schedule_gossip();
}

void Membership::set_health(int change) {
  const int worst = static_cast<int>(std::max(settings_.awareness_max, 1U)) - 1;
  health_ = static_cast<unsigned>(std::clamp(static_cast<int>(health_) + change, 0, worst));
}

std::string Membership::state(bool join, std::string_view user) const {
  std::string out;
  encode(PushPullHeader{.nodes = static_cast<std::uint32_t>(order_.size()),
                        .user_bytes = static_cast<std::uint32_t>(user.size()),
                        .join = join},
         out);
  for (const Member* record : order_) {
    encode(NodeState{.name = record->name,
                     .peer = record->peer,
                     .meta = record->meta(),
                     .incarnation = record->incarnation,
                     .state = record->state,
                     .versions = record->versions},
           out);
  }
  return out.append(user);
}

void Membership::update(std::string_view meta, TimePoint now) {
  now_ = now;
  self_->set_meta(meta);
  ++self_->incarnation;
  pass_on(*self_);
}

void Membership::leave(TimePoint now) {
  if (std::exchange(leaving_, true)) return;
  now_ = now;
  on_dead({.incarnation = self_->incarnation, .node = self_->name, .from = self_->name}, now);
}

bool Membership::broadcast(std::string_view user) {
  const bool queued = news_.queue_user(std::string(1, static_cast<char>(MessageType::kUser)).append(user));
  if (queued) schedule_gossip();
  return queued;
}

TimePoint Membership::next_wakeup() const {
  TimePoint next =
      std::min({next_probe_, next_gossip_, next_push_pull_, next_reconnect_, suspects_.first_deadline()});
  if (probe_.active) next = std::min(next, probe_.others_asked ? probe_.deadline : probe_.ask_others);
  if (!relays_.empty()) next = std::min(next, relays_.front().until);
  return next;
}

void Membership::on_wakeup(TimePoint now) {
  const Duration late = now - next_wakeup();
  if (late < Duration::zero()) return;
  now_ = now;
  if (late > settings_.probe_timeout) {
    set_health(1);
    probe_.active = false;
    suspects_.extend(late);
  }
  expire_relays(now);
  expire_suspicions(now);
  if (probe_.active && !probe_.others_asked && probe_.ask_others <= now) ask_others();
  if (probe_.active && probe_.deadline <= now) probe_failed(now);
  if (next_probe_ <= now) {
    while (next_probe_ <= now) next_probe_ += settings_.probe_interval;
    // A timer that came late has put the end of this probe a little behind the slot: the slot waits.
    if (probe_.active) next_probe_ = std::min(next_probe_, probe_.deadline);
    if (!probe_.active && !leaving_) probe_next(now);
  }
  if (next_gossip_ <= now) gossip(now);
  if (next_push_pull_ <= now) push_pull(now);
  if (next_reconnect_ <= now) reconnect(now);
}

}  // namespace remora::discovery::swim
