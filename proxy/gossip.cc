// Long because everything that a member of the pool does meets here: sockets, joining, news, what it finds.
#include "proxy/gossip.h"

#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>

#include "base/log.h"
#include "proxy/mesh_setup.h"

namespace remora::proxy {

using namespace discovery::swim;

namespace {

constexpr int kPortAttempts = 32;        // until a port is free for both UDP and TCP
constexpr Duration kRememberAfter = 1s;  // changes come in swarms

std::string describe(Change change, std::string_view source) {
  if (source.empty()) return {};
  switch (change) {
    case Change::kSuspected: return "suspected by " + std::string(source);
    case Change::kFailed: return "declared dead by " + std::string(source);
    case Change::kRefuted: return "accused by " + std::string(source);
    default: return {};
  }
}

// As it goes over a stream.
std::string user_message(std::string_view bytes) {
  std::string message;
  encode_user_header(static_cast<std::uint32_t>(bytes.size()), message);
  return message.append(bytes);
}

// "" = no event: nobody's state has changed.
std::string_view state_after(Change change) {
  switch (change) {
    case Change::kJoined:
    case Change::kRecovered: return "alive";
    case Change::kSuspected: return "suspect";
    case Change::kFailed: return "dead";
    case Change::kLeft: return "left";
    case Change::kRefuted: return "refuted";
    case Change::kConflict: return "conflict";
    case Change::kUpdated:
    case Change::kForgotten: break;
  }
  return {};
}

}  // namespace

Gossip::Gossip(Env& env, const config::Mesh& settings, std::uint64_t seed, Ways ways)
    : env_(env),
      settings_(settings),
      ways_(std::move(ways)),
      wire_({.label = settings.label}, keyring_),
      join_(env.wheel, env.random, settings_.join,
            {.resolve = ways_.resolve,
             .known = [this](const Address& address) { return known(address); },
             .alone = [this] { return alone(); },
             .ask = [this](const Address& address) { exchange(to_peer(address), true); },
             .settled =
                 [this] {
                   look_for_company();
                   ways_.settled();
                 }}),
      meta_(announcement({}).meta),
      nonces_(seed),
      nonce_prefix_(nonces_.next()) {}

Gossip::~Gossip() = default;

Result<void> Gossip::bind() {
  if (auto loaded = load_keys(settings_, keyring_); !loaded) return loaded;
  if (auto bound = bind_sockets(); !bound) return bound;
  auto advertised = advertised_address(settings_, socket_->address());
  if (!advertised) return std::unexpected(std::move(advertised.error()));
  advertised_ = *std::move(advertised);
  name_ = member_name(settings_, advertised_);
  return {};
}

void Gossip::read_keys() {
  if (settings_.key_file.empty()) return;
  Keyring read;
  if (auto loaded = load_keys(settings_, read); !loaded) {
    return log_error("the mesh's keys cannot be used, those read before stay",
                     {{"reason", loaded.error().detail}});
  }
  if (read == keyring_) return;
  keyring_.swap(read);
  log_info("the mesh's keys read", {{"keys", std::to_string(keyring_.size())}});
}

Result<void> Gossip::bind_sockets() {
  net::ListenOptions options;
  options.reuse_port = false;
  const auto cannot = [](Error error) {
    error.detail = "cannot bind the mesh: " + error.detail;
    return std::unexpected(std::move(error));
  };
  for (int attempt = 1;; ++attempt) {
    auto listener = env_.network.listen(settings_.bind, options, *this);
    if (!listener) return cannot(std::move(listener.error()));
    auto socket = env_.network.bind_datagrams((*listener)->address(), *this);
    if (!socket) {
      if (settings_.bind.port() == 0 && attempt < kPortAttempts) continue;
      return cannot(std::move(socket.error()));
    }
    listener_ = *std::move(listener);
    socket_ = *std::move(socket);
    return {};
  }
}

void Gossip::start() {
  Effects& effects = *this;
  membership_ = std::make_unique<Membership>(
      settings_.protocol, Membership::Identity{.name = name_, .peer = to_peer(advertised_), .meta = meta_},
      wire_, effects, env_.random, env_.now());
  log_info("mesh", {{"node", name_},
                    {"address", advertised_.to_string()},
                    {"encrypted", keyring_.empty() ? "no" : "yes"}});
  join_.start(settings_.snapshot.empty() ? std::vector<Address>() : read_members_file(settings_.snapshot));
  after();
}

void Gossip::announce(const std::vector<ServiceSettings>& services) {
  Announcement said = announcement(services);
  if (said.meta == meta_ || leaving_) return;
  meta_ = std::move(said.meta);
  set_ = std::move(said.set);
  if (membership_ == nullptr) return;
  std::string names;
  for (const ServiceSettings& service : services) names += (names.empty() ? "" : " ") + service.name;
  log_info("announced in the mesh", {{"services", names.empty() ? "-" : names}});
  membership_->update(meta_, env_.now());
  changed_ = true;
  after();
}

// What it serves; of a set that is not known yet, nothing.
Tags Gossip::tags_of(const Member& member) const {
  if (!set_digest(member.meta())) return decode_tags(member.meta());
  const Tags* set = sets_.find(member.name);
  return set != nullptr ? *set : Tags();
}

EndpointSource::List Gossip::find(const WantedSettings& wanted) const {
  EndpointSource::List list;
  services_.each(wanted.service, [&](const Member& member) {
    if (member.state != State::kAlive && member.state != State::kSuspect) return;
    auto service = find_service(tags_of(member), wanted);
    if (!service) return;
    Address address = to_address(member.peer);
    address.set_port(service->port);
    list.push_back({.endpoint = {.name = address.to_string(),
                                 .address = address,
                                 .host = {},
                                 .weight = service->weight,
                                 .zone = std::move(service->zone),
                                 .priority = 0},
                    .member = member.state == State::kAlive ? health::Sources::Member::kAlive
                                                            : health::Sources::Member::kSuspect});
  });
  // The order of the members changes all the time. An address counts once, as the best that is said of it:
  // who came back under another name is alive, although its former self is still suspected.
  std::ranges::sort(list, {}, [](const FoundEndpoint& found) {
    return std::tie(found.endpoint.name, found.member, found.endpoint.weight, found.endpoint.zone);
  });
  const auto again = std::ranges::unique(
      list, {}, [](const FoundEndpoint& found) -> const auto& { return found.endpoint.name; });
  list.erase(again.begin(), again.end());
  return list;
}

std::unique_ptr<EndpointSource> Gossip::source(const WantedSettings& wanted) {
  class Service final : public EndpointSource {
   public:
    Service(const Gossip& gossip, const WantedSettings& wanted) : gossip_(gossip), wanted_(wanted) {}
    List list() const override { return gossip_.find(wanted_); }
    bool settled() const override { return gossip_.settled(); }
    SourceView view() const override {
      SourceView view = view_of(gossip_.company_, SourceView::Kind::kSwim, wanted_.service, list().size(),
                                gossip_.env_.now());
      // It is told of every change while there is company.
      if (view.state == discovery::SourceRecord::State::kGood) view.answer_age = Duration::zero();
      return view;
    }

   private:
    const Gossip& gossip_;
    const WantedSettings& wanted_;
  };
  follow();
  return std::make_unique<Service>(*this, wanted);
}

void Gossip::follow() {
  if (std::exchange(following_, true)) return;
  env_.wheel.arm(sets_timer_, env_.now());
  if (membership_ == nullptr) return;
  membership_->each([this](const Member& member) {
    if (&member != &membership_->self()) services_.set(member, tags_of(member));
  });
}

// Asks those whose sets are not known yet, or have changed.
void Gossip::fetch_sets() {
  if (!following_ || membership_ == nullptr || leaving_) return;
  std::vector<ServiceSets::Announced> members;
  membership_->each([&](const Member& member) {
    if (&member == &membership_->self()) return;
    if (member.state != State::kAlive && member.state != State::kSuspect) return;
    if (const auto digest = set_digest(member.meta())) members.push_back({member.name, *digest});
  });
  sets_.update(members, env_.now());
  while (const auto name = sets_.next(env_.now())) {
    dial({.to = to_address(membership_->find(*name)->peer), .set_of = *name});
  }
  const TimePoint again = sets_.next_wakeup();
  if (again != TimePoint::max()) env_.wheel.arm(sets_timer_, again);
}

void Gossip::tell_changed() {
  look_for_company();
  fetch_sets();
  ways_.changed();
}

// The age of an answer is the time since there was company.
void Gossip::look_for_company() {
  if (!alone()) {
    if (company_.state() != discovery::SourceRecord::State::kGood) company_.on_answer(env_.now());
  } else if (!company_.failing()) {
    if (company_.settled()) company_.on_answer(env_.now());
    company_.on_failure("no other member of the mesh is there", env_.now());
  }
}

void Gossip::leave(std::function<void()> left) {
  if (membership_ == nullptr) return left();
  left_ = std::move(left);
  leaving_ = true;
  log_info("leaving the mesh");
  join_.stop();
  env_.wheel.arm_in(goodbye_timer_, kGoodbye);
  membership_->broadcast(serf_leave_intent(name_, serf_clock_ + 1));
  membership_->leave(env_.now());
  after();
}

void Gossip::on_goodbye() {
  if (left_) std::exchange(left_, nullptr)();
}

void Gossip::wake() {
  membership_->on_wakeup(env_.now());
  after();
}

// After each call of the membership: it may not be called back inside one.
void Gossip::after() {
  for (const std::string& message : std::exchange(to_pass_on_, {})) membership_->broadcast(message);
  env_.wheel.arm(timer_, membership_->next_wakeup());
  if (left_ && membership_->departed()) {
    goodbye_timer_.cancel();
    on_goodbye();
  }
  if (std::exchange(changed_, false) && !tell_timer_.armed()) env_.wheel.arm_in(tell_timer_, kTellAfter);
}

void Gossip::on_datagram(const Address& from, std::string_view bytes) {
  if (membership_ == nullptr) return;
  switch (membership_->receive(to_peer(from), bytes, env_.now())) {
    case SourceRates::Verdict::kRead: return after();
    case SourceRates::Verdict::kSkip: return;
    case SourceRates::Verdict::kLoud: return ignore(from);
    case SourceRates::Verdict::kRest: return rest();
  }
}

void Gossip::ignore(const Address& source) {
  if (ignored_.size() == net::DatagramSocket::kIgnored) return rest();
  ignored_.push_back({.source = source, .until = env_.now() + kIgnore});
  if (!log_lines_.try_take(env_.now())) {
    log_warn("too many datagrams of one address come to the mesh, it is ignored for a while",
             {{"address", source.host()}, {"seconds", std::to_string(kIgnore / 1s)}});
  }
  set_ignored();
}

void Gossip::set_ignored() {
  std::erase_if(ignored_, [&](const Ignored& ignored) { return ignored.until <= env_.now(); });
  std::vector<Address> sources;
  sources.reserve(ignored_.size());
  for (const Ignored& ignored : ignored_) sources.push_back(ignored.source);
  if (!socket_->ignore(sources)) rest();
  if (!ignored_.empty()) env_.wheel.arm(ignored_timer_, ignored_.front().until);
}

void Gossip::rest() {
  if (rest_timer_.armed()) return;
  socket_->pause();
  env_.wheel.arm_in(rest_timer_, kRest);
}

void Gossip::on_accept(std::unique_ptr<net::Stream> stream) {
  if (membership_ == nullptr) return;
  GossipStream::Host& host = *this;
  streams_.add(std::make_unique<GossipStream>(env_, wire_, host, std::move(stream),
                                              settings_.protocol.stream_timeout));
  if (++accepted_ == kAccepted) listener_->pause();
}

void Gossip::send(const Peer& to, std::string_view datagram) { socket_->send(to_address(to), datagram); }

void Gossip::ping_stream(const Peer& to, const Ping& ping) {
  GossipStream::Purpose purpose{.to = to_address(to), .ping_sequence = ping.sequence};
  encode(ping, purpose.ping);
  dial(std::move(purpose));
}

void Gossip::exchange(const Peer& to, bool join) { dial({.to = to_address(to), .join = join}); }

void Gossip::dial(GossipStream::Purpose purpose) {
  GossipStream::Host& host = *this;
  streams_.add(std::make_unique<GossipStream>(env_, wire_, host, std::move(purpose),
                                              settings_.protocol.stream_timeout));
}

std::string Gossip::on_stream_open(GossipStream& stream) {
  const GossipStream::Purpose& purpose = stream.purpose();
  std::string message = purpose.ping;
  if (!purpose.set_of.empty()) {
    message = user_message(kSetRequest);
  } else if (message.empty()) {
    message = membership_->state(purpose.join);
  }
  std::string sealed;
  wire_.seal_stream(message, true, nonce(), sealed);
  return sealed;
}

// The answer, or "".
std::string Gossip::on_user_stream(GossipStream& stream, std::string_view message) {
  if (stream.accepted() && message == kSetRequest) {
    return set_.empty() ? std::string() : user_message(set_answer(set_));
  }
  const std::string& member = stream.purpose().set_of;
  if (member.empty()) {
    on_user(message);
  } else if (sets_.on_answer(member, read_set_answer(message), env_.now())) {
    changed_ = true;
    if (const Member* known = membership_->find(member)) services_.set(*known, tags_of(*known));
  }
  return {};
}

std::string Gossip::on_stream_message(GossipStream& stream, const StreamMessage& message) {
  std::string answer;
  switch (message.type) {
    case MessageType::kPing:
      if (stream.accepted()) answer = membership_->on_stream_ping(message.ping).value_or("");
      break;
    case MessageType::kAck:
      if (!stream.accepted()) membership_->on_stream_ack(message.ack.sequence);
      break;
    case MessageType::kPushPull: {
      if (stream.accepted()) answer = membership_->state(false);
      const auto clock = serf_clock(message.bytes);
      serf_clock_ = std::max(serf_clock_, clock.value_or(0));
      const bool merged = membership_->merge(message.nodes, env_.now());
      // Serf is there, and its clock is known.
      if (clock && merged && !leaving_ && !std::exchange(coming_told_, true)) {
        membership_->broadcast(serf_join_intent(name_, ++serf_clock_));
      }
      if (!stream.accepted())
        join_.on_result(stream.purpose().to, merged, "its versions and ours exclude each other");
      break;
    }
    case MessageType::kUser: answer = on_user_stream(stream, message.bytes); break;
    case MessageType::kError:
      if (!stream.accepted()) join_.on_result(stream.purpose().to, false, message.bytes);
      break;
    default: break;
  }
  after();
  std::string sealed;
  if (!answer.empty()) wire_.seal_stream(answer, false, nonce(), sealed);
  return sealed;
}

void Gossip::on_stream_over(GossipStream& stream, std::string_view problem) {
  if (!problem.empty()) ++counted_.streams_failed;
  if (const std::string& member = stream.purpose().set_of; !member.empty()) {
    sets_.on_answer(member, std::nullopt, env_.now());  // the same
    env_.wheel.arm(sets_timer_, env_.now());
  } else if (!stream.accepted()) {
    if (stream.refused()) {
      membership_->on_stream_refused(stream.purpose().ping_sequence, env_.now());
      after();
    }
    join_.on_result(stream.purpose().to, false, problem);  // unless it is answered already
  } else if (accepted_-- == kAccepted) {
    listener_->resume();
  }
  env_.turn.bury(streams_.take(stream));
}

bool Gossip::known(const Address& address) const {
  if (address == advertised_) return true;
  const Peer peer = to_peer(address);
  bool found = false;
  membership_->each([&](const Member& member) {
    found = found || (member.state == State::kAlive && to_address(member.peer) == to_address(peer));
  });
  return found;
}

bool Gossip::alone() const {
  bool others = false;
  membership_->each([&](const Member& member) {
    const bool there = member.state == State::kAlive || member.state == State::kSuspect;
    others = others || (there && &member != &membership_->self());
  });
  return !others;
}

void Gossip::on_user(std::string_view message) {
  // Serf's own types of messages; in a pool without Serf there are none.
  if (const auto clock = serf_clock(message)) serf_clock_ = std::max(serf_clock_, *clock);
  if (relay_.fresh(message)) to_pass_on_.emplace_back(message);
}

void Gossip::on_change(const Member& member, Change change, std::string_view source) {
  if (change == Change::kSuspected) ++counted_.suspicions;
  if (change == Change::kFailed) ++counted_.failures;
  changed_ = true;
  if (change == Change::kForgotten) services_.erase(member);
  if (following_ && (change == Change::kJoined || change == Change::kUpdated)) {
    services_.set(member, tags_of(member));
  }
  if (!settings_.snapshot.empty() && !remember_timer_.armed()) {
    env_.wheel.arm_in(remember_timer_, kRememberAfter);
  }
  report(member, change, source);
}

void Gossip::report(const Member& member, Change change, std::string_view source) {
  const std::string_view state = state_after(change);
  if (state.empty()) return log_debug("member " + std::string(to_string(change)), {{"member", member.name}});
  // A pool of a thousand that falls apart must fill neither the log nor the events.
  if (log_lines_.try_take(env_.now())) {
    ++log_lines_left_out_;
    return;
  }
  const std::string reason = describe(change, source);
  ways_.tell({.at = env_.now(),
              .kind = Event::Kind::kMember,
              .cluster = {},
              .endpoint = member.name,
              .from = {},
              .to = std::string(state),
              .reason = reason});
  const bool bad = change == Change::kSuspected || change == Change::kFailed || change == Change::kRefuted ||
                   change == Change::kConflict;
  log_line(bad ? LogLevel::kWarn : LogLevel::kInfo, "mesh member",
           {{"member", member.name},
            {"address", to_address(member.peer).to_string()},
            {"state", state},
            {"reason", reason.empty() ? "-" : reason},
            {"lines_left_out", std::to_string(std::exchange(log_lines_left_out_, 0))}});
}

void Gossip::remember() {
  std::vector<Address> members;
  membership_->each([&](const Member& member) {
    const bool other = &member != &membership_->self() && member.state == State::kAlive;
    if (other && members.size() < kRememberedMembers) members.push_back(to_address(member.peer));
  });
  // Who is alone has not found the pool, and remembers it still.
  if (members.empty()) return;
  const auto written = write_members_file(settings_.snapshot, members);
  if (!written && !remember_failed_) {
    log_warn("the mesh is not remembered", {{"reason", written.error().detail}});
  }
  remember_failed_ = !written;
}

// 64 bits of the operating system's, and a count: never the same twice under one key.
Keyring::Nonce Gossip::nonce() {
  if (++nonce_count_ == 0) nonce_prefix_ = nonces_.next();
  Keyring::Nonce nonce{};
  std::memcpy(nonce.data(), &nonce_prefix_, sizeof nonce_prefix_);
  std::memcpy(nonce.data() + sizeof nonce_prefix_, &nonce_count_, sizeof nonce_count_);
  return nonce;
}

MeshNumbers Gossip::numbers() const {
  MeshNumbers numbers = counted_;
  if (membership_ == nullptr) return numbers;
  membership_->each([&](const Member& member) { ++numbers.members[static_cast<std::size_t>(member.state)]; });
  numbers.health = membership_->health();
  numbers.wire = membership_->numbers();
  return numbers;
}

MeshView Gossip::view() const {
  MeshView view{.node = name_,
                .address = advertised_.to_string(),
                .label = settings_.label,
                .encrypted = !keyring_.empty(),
                .numbers = numbers(),
                .members = {}};
  if (membership_ == nullptr) return view;
  membership_->each([&](const Member& member) {
    view.members.push_back({.name = member.name,
                            .address = to_address(member.peer).to_string(),
                            .state = member.state,
                            .since = env_.now() - member.since,
                            .incarnation = member.incarnation,
                            .self = &member == &membership_->self(),
                            .tags = decode_tags(member.meta())});
  });
  std::ranges::sort(view.members, {}, &MemberView::name);
  return view;
}

}  // namespace remora::proxy
