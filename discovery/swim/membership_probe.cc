// Membership: finding out who is silent, and answering who asks.
#include <algorithm>

#include "discovery/swim/membership.h"

namespace remora::discovery::swim {
namespace {

constexpr unsigned kSpeaksStreamPing = 3;  // protocol versions from which a member understands these
constexpr unsigned kSpeaksNack = 4;
constexpr unsigned kSpeaksCrc = 5;

// What helpers get of a probe timeout once a stream has been refused: a ping's way there and back, twice.
constexpr int kHelpersShare = 5;

Peer answer_to(const Peer& source, const Peer& from) {
  return source.size != 0 && source.port != 0 ? source : from;
}

}  // namespace

void Membership::on_ping(const Ping& ping) {
  if (!ping.node.empty() && ping.node != self_->name) return;
  scratch_.clear();
  encode(Ack{.sequence = ping.sequence, .payload = {}}, scratch_);
  send(answer_to(ping.source, from_), false, scratch_);
}

std::optional<std::string> Membership::on_stream_ping(const Ping& ping) const {
  if (!ping.node.empty() && ping.node != self_->name) return std::nullopt;
  std::string ack;
  encode(Ack{.sequence = ping.sequence, .payload = {}}, ack);
  return ack;
}

void Membership::on_indirect_ping(const IndirectPing& ping) {
  if (relays_.size() == kRelays) return;
  const std::uint32_t sequence = ++sequence_;
  relays_.push_back({.sequence = sequence,
                     .original = ping.sequence,
                     .back_to = answer_to(ping.source, from_),
                     .nack = ping.nack,
                     .until = now_ + settings_.probe_timeout});
  scratch_.clear();
  encode(Ping{.sequence = sequence, .node = ping.node, .source = self_->peer, .source_node = self_->name},
         scratch_);
  send(ping.target, false, scratch_);
}

void Membership::on_ack(const Ack& ack) {
  if (probe_.active && ack.sequence == probe_.sequence) {
    probe_.active = false;
    set_health(-1);
    return;
  }
  const auto relay = std::ranges::find(relays_, ack.sequence, &Relay::sequence);
  if (relay == relays_.end()) return;
  const Peer back_to = relay->back_to;
  scratch_.clear();
  encode(Ack{.sequence = relay->original, .payload = {}}, scratch_);
  relays_.erase(relay);
  send(back_to, false, scratch_);
}

void Membership::on_nack(std::uint32_t sequence) {
  if (probe_.active && sequence == probe_.sequence && probe_.nacks < probe_.nacks_expected) ++probe_.nacks;
}

void Membership::on_stream_ack(std::uint32_t sequence) {
  if (probe_.active && sequence == probe_.sequence) probe_.stream_acked = true;
}

void Membership::on_stream_refused(std::uint32_t sequence, TimePoint now) {
  if (!probe_.active || sequence != probe_.sequence) return;
  probe_.stream_refused = true;
  probe_.deadline = std::min(probe_.deadline, now + settings_.probe_timeout / kHelpersShare);
}

void Membership::expire_relays(TimePoint now) {
  // They all wait equally long, so the oldest stand first.
  while (!relays_.empty() && relays_.front().until <= now) {
    const Relay relay = relays_.front();
    relays_.erase(relays_.begin());
    if (!relay.nack) continue;
    scratch_.clear();
    encode_nack(relay.original, scratch_);
    send(relay.back_to, false, scratch_);
  }
}

void Membership::probe_next(TimePoint now) {
  for (std::size_t looked = 0; looked <= order_.size(); ++looked) {
    if (next_in_order_ >= order_.size()) {
      reap(now);
      std::shuffle(order_.begin(), order_.end(), random_);
      next_in_order_ = 0;
    }
    const Member& record = *order_[next_in_order_++];
    if (&record == self_ || record.state == State::kDead || record.state == State::kLeft) continue;
    return probe(record, now);
  }
}

void Membership::probe(const Member& target, TimePoint now) {
  ++numbers_.probes;
  probe_ = {.name = target.name,
            .peer = target.peer,
            .sequence = ++sequence_,
            .ask_others = now + settings_.probe_timeout,
            .deadline = now + settings_.probe_interval * (health_ + 1),
            .active = true};
  const bool crc = target.versions.most_protocol() >= kSpeaksCrc;
  scratch_.clear();
  encode(Ping{.sequence = probe_.sequence,
              .node = target.name,
              .source = self_->peer,
              .source_node = self_->name},
         scratch_);
  if (target.state != State::kSuspect) return send(target.peer, crc, scratch_);
  // Told that it is suspected, it can contradict at once.
  std::string suspect;
  encode_suspect({.incarnation = target.incarnation, .node = target.name, .from = self_->name}, suspect);
  send(target.peer, crc, scratch_, suspect);
}

void Membership::ask_others() {
  probe_.others_asked = true;
  const Member* target = lookup(probe_.name);
  pick(
      settings_.indirect_checks,
      [&](const Member& record) { return &record != target && record.state == State::kAlive; }, picked_);
  for (const Member* helper : picked_) {
    const bool nack = helper->versions.most_protocol() >= kSpeaksNack;
    if (nack) ++probe_.nacks_expected;
    scratch_.clear();
    encode(IndirectPing{.sequence = probe_.sequence,
                        .target = probe_.peer,
                        .node = probe_.name,
                        .nack = nack,
                        .source = self_->peer,
                        .source_node = self_->name},
           scratch_);
    send(helper->peer, helper->versions.most_protocol() >= kSpeaksCrc, scratch_);
  }
  if (target != nullptr && target->versions.most_protocol() >= kSpeaksStreamPing) {
    effects_.ping_stream(probe_.peer, {.sequence = probe_.sequence,
                                       .node = probe_.name,
                                       .source = self_->peer,
                                       .source_node = self_->name});
  }
}

void Membership::probe_failed(TimePoint now) {
  probe_.active = false;
  if (probe_.stream_acked) return set_health(-1);  // it lives, and UDP between us does not
  ++numbers_.probes_failed;
  // Helpers that do not even say that they heard nothing: the fault may be ours. Not if we heard a refusal.
  if (!probe_.stream_refused) {
    set_health(probe_.nacks_expected > 0 ? static_cast<int>(probe_.nacks_expected - probe_.nacks) : 1);
  }
  const Member* target = lookup(probe_.name);
  if (target == nullptr) return;
  const std::string name = probe_.name;
  on_suspect({.incarnation = target->incarnation, .node = name, .from = self_->name}, now);
}

void Membership::reap(TimePoint now) {
  std::erase_if(order_, [&](const Member* record) {
    const bool gone = record->state == State::kDead || record->state == State::kLeft;
    if (!gone || record == self_ || now - record->since <= settings_.gossip_to_dead) return false;
    effects_.on_change(*record, Change::kForgotten, {});
    members_.erase(members_.find(std::string_view(record->name)));
    return true;
  });
}

}  // namespace remora::discovery::swim
