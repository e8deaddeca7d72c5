#include "tests/support/swim_pool.h"

#include <algorithm>
#include <utility>

namespace remora::discovery::swim::test {
namespace {

std::string name(std::size_t member) { return "m" + std::to_string(member); }

}  // namespace

class SwimPool::Node final : public Effects {
 public:
  Node(SwimPool& pool, std::uint32_t self)
      : pool_(pool),
        self_(self),
        random_(pool.options_.seed * 1000003 + self + (pool.order_ << 20U)),
        membership(pool.options_.settings, {.name = name(self), .peer = peer(self)}, pool.wire_, *this,
                   random_, pool.now_) {}

  void send(const Peer& to, std::string_view datagram) override {
    ++pool_.datagrams_;
    pool_.bytes_ += datagram.size();
    const std::size_t target = index(to);
    if (target >= pool_.size() || !pool_.connected(self_, target)) return;
    if (pool_.random_.unit() < pool_.options_.loss) return;
    pool_.push({.at = pool_.arrival(self_, target),
                .order = 0,
                .to = static_cast<std::uint32_t>(target),
                .from = self_,
                .slot = pool_.keep(datagram),
                .sequence = 0,
                .kind = Kind::kDatagram});
  }
  void ping_stream(const Peer& to, const Ping& ping) override {
    stream(to, Kind::kStreamPing, 0, ping.sequence);
  }
  void exchange(const Peer& to, bool join) override {
    stream(to, Kind::kRequest, pool_.keep(membership.state(join)), 0);
  }
  void on_change(const Member& member, Change change, std::string_view source) override {
    if (pool_.introducing_) return;
    pool_.seen_.push_back({.at = pool_.now_,
                           .observer = self_,
                           .subject = static_cast<std::uint32_t>(index(member.peer)),
                           .change = change,
                           .own = source == membership.self().name});
  }
  void on_user(std::string_view) override { ++user_messages; }
  Keyring::Nonce nonce() override { return {}; }

  // A connection loses nothing, and is not made where a datagram would not pass.
  void stream(const Peer& to, Kind kind, std::uint32_t slot, std::uint32_t sequence) {
    const std::size_t target = index(to);
    if (target >= pool_.size() || !pool_.connected(self_, target) || !pool_.connected(target, self_)) return;
    pool_.push({.at = pool_.arrival(self_, target),
                .order = 0,
                .to = static_cast<std::uint32_t>(target),
                .from = self_,
                .slot = slot,
                .sequence = sequence,
                .kind = kind});
  }

  bool up = true;
  TimePoint frozen_until;
  TimePoint blocked_until;
  TimePoint wakeup = TimePoint::max();  // that is in the queue
  std::size_t user_messages = 0;

 private:
  SwimPool& pool_;
  std::uint32_t self_;
  Random random_;

 public:
  Membership membership;
};

SwimPool::SwimPool(Options options)
    : options_(options), random_(options.seed), wire_(WireSettings{.compress_streams = false}, keyring_) {
  members_.resize(options.members);
  slots_.emplace_back();  // slot 0: no bytes
  for (std::size_t i = 0; i < options.members; ++i) make(i);
  if (!options.joined) {
    for (std::size_t i = 1; i < options.members; ++i) members_[i]->exchange(peer(0), true);
    return;
  }
  std::vector<std::string> names(options.members);
  std::vector<NodeState> everybody(options.members);
  for (std::size_t i = 0; i < options.members; ++i) names[i] = name(i);
  for (std::size_t i = 0; i < options.members; ++i) {
    everybody[i].name = names[i];
    everybody[i].peer = peer(i);
    everybody[i].incarnation = 1;
  }
  introducing_ = true;
  for (auto& node : members_) node->membership.merge(everybody, now_);
  introducing_ = false;
}

SwimPool::~SwimPool() = default;

Peer SwimPool::peer(std::size_t member) {
  Peer peer;
  peer.size = 4;
  peer.address = {10, static_cast<std::uint8_t>(member >> 16U), static_cast<std::uint8_t>(member >> 8U),
                  static_cast<std::uint8_t>(member)};
  peer.port = 7946;
  return peer;
}

std::size_t SwimPool::index(const Peer& peer) {
  return std::size_t{peer.address[1]} << 16U | std::size_t{peer.address[2]} << 8U | peer.address[3];
}

void SwimPool::make(std::size_t member) {
  members_[member] = std::make_unique<Node>(*this, static_cast<std::uint32_t>(member));
  schedule(member);
}

std::uint32_t SwimPool::keep(std::string_view bytes) {
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  slots_[slot].assign(bytes);
  return slot;
}

void SwimPool::push(Event event) {
  event.order = order_++;
  events_.push(event);
}

bool SwimPool::connected(std::size_t from, std::size_t to) const {
  const auto group = [&](std::size_t member) { return member < groups_.size() ? groups_[member] : 0U; };
  return group(from) == group(to) && std::ranges::find(cuts_, std::pair(from, to)) == cuts_.end();
}

TimePoint SwimPool::arrival(std::size_t from, std::size_t to) {
  const auto jitter =
      Duration{static_cast<Duration::rep>(random_.unit() * static_cast<double>(options_.jitter.count()))};
  const TimePoint leaves = std::max(now_, members_[from]->blocked_until);
  return std::max(leaves + options_.delay + jitter, members_[to]->blocked_until);
}

void SwimPool::schedule(std::size_t member) {
  Node& node = *members_[member];
  const TimePoint next = std::max(node.membership.next_wakeup(), node.frozen_until);
  if (next >= node.wakeup) return;
  node.wakeup = next;
  const auto self = static_cast<std::uint32_t>(member);
  push({.at = next, .order = 0, .to = self, .from = self, .slot = 0, .sequence = 0, .kind = Kind::kWakeup});
}

bool SwimPool::run_until(const std::function<bool()>& done, Duration limit) {
  const TimePoint end = now_ + limit;
  while (!done()) {
    if (now_ >= end) return false;
    const TimePoint step = std::min(now_ + 50ms, end);
    while (!events_.empty() && events_.top().at <= step) {
      const Event event = events_.top();
      events_.pop();
      now_ = std::max(now_, event.at);
      handle(event);
    }
    now_ = step;
  }
  return true;
}

void SwimPool::handle(const Event& event) {
  Node& node = *members_[event.to];
  if (node.up && node.frozen_until > now_ && event.kind != Kind::kWakeup) {
    Event later = event;
    later.at = node.frozen_until;
    push(later);
    return;
  }
  if (node.up) deliver(event);
  if (event.slot != 0) free_slots_.push_back(event.slot);
}

void SwimPool::deliver(const Event& event) {
  Node& node = *members_[event.to];
  switch (event.kind) {
    case Kind::kWakeup:
      if (event.at != node.wakeup) return;  // there has been an earlier one
      node.wakeup = TimePoint::max();
      if (node.frozen_until <= now_) node.membership.on_wakeup(now_);
      break;
    case Kind::kDatagram:
      node.membership.receive(peer(event.from), std::string(slots_[event.slot]), now_);
      break;
    case Kind::kStreamPing: node.stream(peer(event.from), Kind::kStreamAck, 0, event.sequence); break;
    case Kind::kStreamAck: node.membership.on_stream_ack(event.sequence); break;
    case Kind::kRequest:
      node.stream(peer(event.from), Kind::kReply, keep(node.membership.state(false)), 0);
      merge(node, slots_[event.slot]);
      break;
    case Kind::kReply: merge(node, slots_[event.slot]); break;
  }
  schedule(event.to);
}

void SwimPool::merge(Node& node, const std::string& bytes) {
  StreamReader reader(wire_, false);
  if (reader.feed(bytes) == StreamReader::Progress::kDone)
    node.membership.merge(reader.message().nodes, now_);
}

void SwimPool::kill(std::size_t member) { members_[member]->up = false; }

void SwimPool::restart(std::size_t member, std::size_t contact) {
  make(member);
  members_[member]->exchange(peer(contact), true);
}

void SwimPool::leave(std::size_t member) {
  members_[member]->membership.leave(now_);
  schedule(member);
}

void SwimPool::freeze(std::size_t member, Duration time) {
  members_[member]->frozen_until = now_ + time;
  members_[member]->wakeup = TimePoint::max();
  schedule(member);
}

void SwimPool::block(std::size_t member, Duration time) { members_[member]->blocked_until = now_ + time; }

void SwimPool::cut(std::size_t from, std::size_t to) { cuts_.emplace_back(from, to); }

Membership& SwimPool::at(std::size_t member) { return members_[member]->membership; }

bool SwimPool::alive(std::size_t member) const { return members_[member]->up; }

State SwimPool::view(std::size_t observer, std::size_t subject) {
  const Member* member = members_[observer]->membership.find(name(subject));
  return member == nullptr ? State::kDead : member->state;
}

bool SwimPool::all_see(std::size_t subject, State state) {
  for (std::size_t i = 0; i < size(); ++i) {
    if (i != subject && alive(i) && view(i, subject) != state) return false;
  }
  return true;
}

bool SwimPool::agreed() {
  for (std::size_t i = 0; i < size(); ++i) {
    if (alive(i) && !all_see(i, State::kAlive)) return false;
  }
  return true;
}

}  // namespace remora::discovery::swim::test
