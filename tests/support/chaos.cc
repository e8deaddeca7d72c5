// Long because the script's operations and what must hold belong together: who adds one looks at the other.
#include "tests/support/chaos.h"

#include <array>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>
#include <vector>

#include "base/log.h"
#include "proxy/supervisor.h"
#include "tests/proxy/net/tls_world.h"
#include "tests/support/chaos_log.h"
#include "tests/support/chaos_words.h"
#include "tests/support/world.h"

namespace remora::testing {

namespace {

using Config = std::shared_ptr<const config::Config>;
using breaker::Limiter;

constexpr std::array<std::string_view, 3> kBackends{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"};
constexpr std::string_view kTlsBackend = "10.0.0.4:443";
constexpr std::string_view kBehind = "192.0.2.9:4000";  // whose PROXY headers are believed
constexpr std::array<std::string_view, 6> kClusters{"app", "two", "hashed", "least", "raw", "secure"};
constexpr std::size_t kMostEvents = 200'000;  // of one settling; more is an endless loop
constexpr std::uint64_t kMany = 100'000;      // a count above this has gone below zero
constexpr std::size_t kSecure = 3;            // the listener with TLS
constexpr std::size_t kProxied = 5;           // the listener with PROXY headers

Config full_config(std::size_t version) {
  std::string text(kFullChaos);
  for (const auto& [word, values] : kChaosVersions) {
    const auto at = text.find(word);
    require(at != std::string::npos, "the configuration has the word");
    text.replace(at, word.size(), values[version]);
  }
  return World::load(text);
}

// The script's bytes; zeros behind its end.
class Script final {
 public:
  explicit Script(std::string_view bytes) : all_(bytes.size()), rest_(bytes) {}
  bool done() const { return rest_.empty(); }
  std::size_t at() const { return all_ - rest_.size(); }
  std::uint8_t next() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  std::string_view bytes(std::size_t n) {
    const auto taken = rest_.substr(0, n);
    rest_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::size_t all_;
  std::string_view rest_;
};

// A client or a connection of a backend. Over TLS it has no FakeStream of its own to disturb.
struct Peer {
  RawPeer* raw = nullptr;
  bool tls = false;
  explicit operator bool() const { return raw != nullptr && raw->stream() != nullptr; }
};

struct Client {
  std::unique_ptr<RawPeer> peer;
  bool tls = false;
};

}  // namespace

struct Chaos::Shared {
  explicit Shared(LogTo to) : log(to) {}
  Config plain = World::load(kPlainChaos);
  std::array<Config, 2> full{full_config(0), full_config(1)};
  std::shared_ptr<const TestTls> tls = std::make_shared<TestTls>();
  ChaosLog log;
  Seen seen;
};

namespace {

class Run final {
 public:
  Run(Chaos::Seen& seen, ChaosLog& log, const std::array<Config, 2>& full, std::shared_ptr<const TestTls> tls,
      Script& script)
      : full_(true), seen_(seen), log_(log), configs_(full), tls_(std::move(tls)), script_(script) {
    auto contexts = std::make_shared<proxy::TlsContexts>();
    contexts->listeners.resize(full[1]->listeners.size());
    contexts->listeners[kSecure] = tls_->server;
    contexts->clusters.resize(full[1]->clusters.size());
    contexts->clusters[kSecure + 2] = tls_->client;
    world_ = std::make_unique<World>(full[0], 1, log.access_log(), std::move(contexts));
    for (const auto address : kBackends) backends_.push_back(&world_->backend(address));
    tls_network_ = std::make_unique<TlsNetwork>(world_->network(), world_->env().turn, tls_);
    tls_backend_ = std::make_unique<RawServer>(*tls_network_, *Address::parse(kTlsBackend));
    backends_.push_back(tls_backend_.get());
    answers_.resize(backends_.size(), 0);
    for (std::size_t b = 0; b < backends_.size(); ++b) answer_by_itself(b);
    note_states();
  }
  Run(Chaos::Seen& seen, ChaosLog& log, Config plain, Script& script)
      : full_(false), seen_(seen), log_(log), script_(script) {
    world_ = std::make_unique<World>(std::move(plain), 1, &log.access_log());
    for (std::size_t b = 0; b < 2; ++b) backends_.push_back(&world_->backend(kBackends[b]));
    note_states();
  }

  // `together`: so many events make a turn.
  void play(std::size_t together) {
    world().network().set_events_per_turn(together);
    while (!script_.done()) {
      step();
      settle();
      if (++steps_ % 4 == 0) check_now();
    }
    finish();
    check_end();
  }

 private:
  void settle() { require(world().network().settle(kMostEvents) < kMostEvents, "the network comes to rest"); }
  World& world() { return *world_; }

  // ---- What happens

  Peer client() {
    if (clients_.empty()) return {};
    const Client& chosen = clients_[script_.next() % clients_.size()];
    return {chosen.peer.get(), chosen.tls};
  }
  Peer upstream() {
    const std::size_t index = script_.next() % backends_.size();
    RawServer& server = *backends_[index];
    if (server.size() == 0) return {};
    return {&server[server.size() - 1 - script_.next() % server.size()], index >= kBackends.size()};
  }

  void step() {
    const auto op = script_.next() % (full_ ? 24 : 16);
    if (op == 0) {
      connect();
    } else if (op <= 3) {
      act(client(), op, kChaosRequests, kMoreChaosRequests);
    } else if (op <= 8) {
      act(upstream(), op - 4, kChaosResponses, kMoreChaosResponses);
    } else if (op <= 10) {
      world().run_for(kChaosSpans[script_.next() % kChaosSpans.size()]);
    } else if (op == 11) {
      end(client());
    } else if (op == 12) {
      end(upstream());
    } else if (op <= 15) {
      disturb(op);
    } else {
      disturb_more(op);
    }
  }

  void connect() {
    const auto what = script_.next();
    if (clients_.size() >= kMostClients) {
      if (!full_) return;
      clients_.erase(clients_.begin());  // who is gone leaves the connection
    }
    const std::size_t listener = what % (full_ ? 6U : 2U);
    if (full_ && listener == kSecure && what < 200) {
      auto peer = RawPeer::dial([&](net::Stream::Events& events) {
        return tls_network_->connect(world().worker().listen_address(kSecure), events);
      });
      clients_.push_back({std::move(peer), true});
    } else {
      clients_.push_back(
          {world().client(listener, listener == kProxied ? kBehind : "127.0.0.1:5555"), false});
    }
  }

  template <std::size_t M>
  void act(Peer peer, int how, const std::array<std::string_view, 20>& canned,
           const std::array<std::string_view, M>& more) {
    if (!peer) return;
    const auto n = script_.next();
    if (how >= 3) {
      peer.raw->send(script_.bytes(n % 64));
    } else if (n >= 240) {
      peer.raw->send(std::string((n - std::size_t{239}) * (small_reads_ ? 100U : 20'000U), 'x'));
    } else if (full_ && n % (canned.size() + M) >= canned.size()) {
      peer.raw->send(more[n % (canned.size() + M) - canned.size()]);
    } else {
      peer.raw->send(canned[n % (canned.size() + (full_ ? M : 0))]);
    }
  }

  void end(Peer peer) {
    if (!peer) return;
    switch (script_.next() % 5) {
      case 0: return peer.raw->end();
      case 1: return peer.raw->reset();
      case 2: return peer.raw->close();
      case 3: return peer.raw->pause();
      default: return peer.raw->resume();
    }
  }

  AddressKnobs& at(std::string_view address) { return world().network().at(*Address::parse(address)); }
  AddressKnobs& at_listener(std::size_t i) {
    return world().network().at(world().worker().listen_address(i));
  }
  AddressKnobs& at_backend(unsigned what) {
    if (!full_) return at(kBackends[what % 2]);
    const auto i = what % backends_.size();
    return at(i < kBackends.size() ? kBackends[i] : kTlsBackend);
  }

  void disturb(int op) {
    const auto what = script_.next();
    AddressKnobs& knobs = at_backend(what);
    if (op == 13) {
      constexpr std::array kWays{AddressKnobs::Connect::kAccept, AddressKnobs::Connect::kRefuse,
                                 AddressKnobs::Connect::kBlackHole};
      knobs.connect = kWays[what / 2 % kWays.size()];
      knobs.connect_delay = what >= 128 ? 200ms : 0ms;
    } else if (op == 14) {
      small_reads_ = true;
      knobs.client.read_limit = what % 8 + 1U;
      at_listener(0).server.read_limit = what / 8 + 1U;
      at_listener(1).accept_exhausted = what % 16 == 0;
    } else if (what < 16) {
      drain(config::Direction::kInbound);
    } else {
      apply(what);
    }
  }

  void disturb_more(int op) {
    const auto what = script_.next();
    switch (op) {
      case 16: answers_[what % answers_.size()] = what / 4 % 16; return;
      case 17: return stall(what);
      case 18: return write_partly(what);
      case 19: return reload(what);
      case 20: return jump(what);
      case 21: return order(what);
      case 22:
        return world().worker().set_load(static_cast<breaker::Overload::Level>(what < 128 ? 0 : what % 4));
      default: return run_out(what);
    }
  }

  // A connection that nothing comes through any more, or comes through again, or that breaks.
  void stall(unsigned what) {
    const Peer peer = what % 2 == 0 ? client() : upstream();
    if (!peer || peer.tls) return;
    FakeStream* end = what / 2 % 2 == 0 ? &FakeNetwork::end_of(*peer.raw->stream())
                                        : FakeNetwork::other_end_of(*peer.raw->stream());
    if (end == nullptr) return;
    if (what / 4 % 4 == 0) return end->break_connection();
    end->knobs().stall_reading = what / 4 % 4 == 1;
    end->knobs().stall_writing = what / 4 % 4 == 2;
  }

  // Connections to come take or give little at once, or break after so many bytes.
  void write_partly(unsigned what) {
    AddressKnobs& knobs = what % 2 == 0 ? at_listener(what / 2 % 6) : at_backend(what / 2);
    StreamKnobs& ours = what % 2 == 0 ? knobs.server : knobs.client;
    const auto how = what / 16;
    ours = StreamKnobs();
    if (how >= 8) return;
    if (how >= 4) ours.break_after_sent = how * 20U;
    if (how >= 2) ours.break_after_received = how * 30U;
    ours.wire_capacity = 64U << how;
    ours.high_water = 1024;
    ours.low_water = 256;
  }

  void reload(unsigned what) {
    if (drained_asked_) return;  // as the process does
    const auto extra = *Address::parse("127.0.0.1:8084");
    if (what % 8 == 7) {
      world().network().at(extra).listen_error =
          Error(ErrorCode::kAddressInUse, Side::kInternal, Retry::kNo, "address already in use");
    }
    const bool loaded = world().reload(configs_[what % 2]);
    require(loaded || what % 8 == 7, "a configuration is taken over");
    world().network().at(extra).listen_error.reset();
    note_states();
    ++seen_.reloads;
  }

  // The process did not run for a while: everything that was due in the meantime is due at once.
  void jump(unsigned what) {
    constexpr std::array<Duration, 4> kJumps{700ms, 31s, 600s, 7200s};
    world().wheel().advance(world().wheel().now() + kJumps[what % kJumps.size()]);
    settle();
  }

  void order(unsigned what) {
    const auto kind = static_cast<proxy::Supervisor::Order>(what % 4);
    const std::string_view address = what >= 240 ? "" : kBackends[what / 4 % kBackends.size()];
    world().supervisor()->obey(kClusters[what / 16 % kClusters.size()], address, kind);
  }

  // Of what the process has: descriptors to accept with and to dial with; or the end of it.
  void run_out(unsigned what) {
    switch (what % 5) {
      case 0: at_listener(what / 8 % 6).accept_exhausted = what % 2 == 0; return;
      case 1:
        at_backend(what / 8).connect_error =
            Error(ErrorCode::kLimit, Side::kInternal, Retry::kNo, "too many open files");
        return;
      case 2: at_backend(what / 8).connect_error.reset(); return;
      case 3:
        if (what >= 200) drain(config::Direction::kOutbound);
        return;
      default:
        if (what >= 128) world().worker().announce_drain(config::Direction::kInbound);
    }
  }

  void drain(config::Direction direction) {
    auto& asked = direction == config::Direction::kInbound ? inbound_asked_ : outbound_asked_;
    if (!asked) world().worker().drain(direction, [this] { ++drained_; });
    drained_asked_ = asked = true;
  }

  // Each cluster gets some of the backends.
  void apply(unsigned mask) {
    const std::size_t clusters = world().snapshot().config->clusters.size();
    std::vector<std::vector<proxy::ResolvedEndpoint>> endpoints(clusters);
    for (std::size_t i = 0; i < endpoints.size(); ++i) {
      const std::size_t last = full_ && i == kSecure + 2 ? 1 : full_ ? kBackends.size() : 2;
      for (std::size_t b = 0; b < last; ++b) {
        if ((mask >> ((i * 2 + b) % 8) & 1U) == 0) continue;
        const std::string_view address = full_ && i == kSecure + 2 ? kTlsBackend : kBackends[b];
        endpoints[i].push_back({.name = std::string(address),
                                .address = *Address::parse(address),
                                .zone = {},
                                .state = nullptr});
      }
    }
    world().apply_endpoints(std::move(endpoints));
    note_states();
  }

  // A backend that answers each head it gets with what answers_ says; 0: with nothing.
  void answer_by_itself(std::size_t index) {
    backends_[index]->when_accepted = [this, index](RawPeer& peer) {
      peer.when_received = [this, index, seen = std::size_t{0}](RawPeer& asking) mutable {
        constexpr std::string_view kBlank = "\r\n\r\n";
        for (;;) {
          const auto end = asking.received().find(kBlank, seen);
          if (end == std::string::npos) return;
          seen = end + kBlank.size();
          const std::size_t n = answers_[index];
          if (n == 0) continue;
          asking.send(n <= 8 ? kChaosResponses[n % 2] : kMoreChaosResponses[n % kMoreChaosResponses.size()]);
        }
      };
    };
  }

  // ---- What must hold

  void note_states() {
    const proxy::Snapshot& snapshot = world().snapshot();
    clusters_.insert(snapshot.clusters.begin(), snapshot.clusters.end());
    listeners_.insert(snapshot.listeners.begin(), snapshot.listeners.end());
    for (const auto& list : snapshot.endpoints) {
      for (const auto& endpoint : list) endpoints_.insert(endpoint.state);
    }
  }

  template <typename F>
  void each_limiter(F&& visit) const {
    for (const auto& c : clusters_) {
      visit(c->connections, "connections of a cluster");
      visit(c->requests, "requests of a cluster");
      visit(c->pending, "waiting requests of a cluster");
      visit(c->retries, "retries of a cluster");
      visit(c->adaptive, "the adaptive limit");
    }
    for (const auto& e : endpoints_) {
      visit(e->connections, "connections of an endpoint");
      visit(e->requests, "requests of an endpoint");
      visit(e->retries, "retries of an endpoint");
    }
    for (const auto& l : listeners_) {
      visit(l->connections, "connections of a listener");
      visit(l->refused, "refused connections of a listener");
    }
  }

  static void check_breaker(const breaker::CircuitBreaker& breaker, TimePoint now) {
    const auto view = breaker.view(now);
    using Phase = breaker::CircuitBreaker::Phase;
    require(view.phase <= Phase::kOpen, "a breaker is in one of its phases");
    require(view.probes_in_flight <= 1, "a breaker lets as many probes through as it should");
    require(!view.open_until || view.phase == Phase::kOpen, "only an open breaker has an end of that");
  }

  // At any time.
  void check_now() {
    auto& worker = world().worker();
    const auto report = worker.report();
    require(worker.exchanges() <= worker.connections(), "an exchange has a connection");
    each_limiter([](const Limiter& limiter, const char* what) {
      require(limiter.in_use() < kMany, std::string("not below zero: ") + what);
    });
    const TimePoint now = world().wheel().now();
    for (const auto& c : clusters_) check_breaker(c->breaker, now);
    for (const auto& e : endpoints_) {
      check_breaker(e->breaker, now);
      if (e->ejected.load()) ++seen_.ejected;
    }
    std::uint64_t attempts = 0;
    std::uint64_t dialled = 0;
    for (const auto& cluster : report.clusters) {
      require(cluster.stats.pending <= worker.exchanges(), "who waits is an exchange");
      require(cluster.stats.hedge_wins <= cluster.stats.hedges, "no hedge wins that was not made");
      for (const auto& endpoint : cluster.endpoints) {
        const auto& stats = endpoint.stats;
        require(stats.failures <= stats.requests, "no more failures than requests");
        require(stats.connections_idle <= stats.connections_total, "no more connections than were made");
        attempts += stats.requests_active;
        dialled += stats.connections_active + stats.connections_idle;
      }
    }
    require(attempts <= worker.exchanges() * 2, "an exchange has at most two attempts");
    require(dialled <= world().network().stream_count(), "connections that are counted are there");
    std::uint64_t accepted = 0;
    for (const auto& listener : report.listeners) accepted += listener.stats.connections_active;
    require(accepted < kMany, "not below zero: a listener's connections");
  }

  void close_backends() {
    for (RawServer* server : backends_) {
      for (std::size_t i = 0; i < server->size(); ++i) (*server)[i].close();
    }
  }

  // Every peer goes, and time passes until whatever waits for one has given up.
  void finish() {
    for (std::size_t i = 0; i < (full_ ? 6U : 2U); ++i) at_listener(i).accept_exhausted = false;
    for (unsigned b = 0; b < backends_.size(); ++b) at_backend(b).connect = AddressKnobs::Connect::kRefuse;
    if (full_) world().worker().set_load(breaker::Overload::Level::kNormal);
    for (auto& client : clients_) client.peer->close();
    for (int i = 0; i < 2; ++i) {
      close_backends();
      world().run_for(100s);
    }
    close_backends();
    settle();
    if (world().supervisor() != nullptr) {
      world().stop_supervising();
      settle();
    }
  }

  void check_end() {
    auto& worker = world().worker();
    require(worker.exchanges() == 0, "no exchange is left");
    require(worker.connections() == 0, "no downstream connection is left");
    each_limiter([](const Limiter& limiter, const char* what) {
      require(limiter.in_use() == 0, std::string("every permit was given back: ") + what);
    });
    const TimePoint now = world().wheel().now();
    for (const auto& c : clusters_) {
      require(c->waiting.load() == 0, "nobody is marked as waiting");
      require(c->breaker.view(now).probes_in_flight == 0, "no probe of a cluster's breaker is left");
      seen_.openings += c->breaker.view(now).transitions_to[2];
    }
    for (const auto& e : endpoints_) {
      require(e->breaker.view(now).probes_in_flight == 0, "no probe of an endpoint's breaker is left");
      seen_.openings += e->breaker.view(now).transitions_to[2];
    }
    require(drained_ == (inbound_asked_ ? 1 : 0) + (outbound_asked_ ? 1 : 0), "drained is called once");
    require(world().network().stream_count() == 0, "no stream is left");
    require(world().wheel().size() == 0, "no timer is left");
    const auto report = worker.report();
    require(worker.retired() == 0, "nothing that a reload took away is left");
    check_sums(report);
    for (const auto& listener : report.listeners) {
      require(listener.stats.connections_active == 0, "no downstream connection is counted as active");
      seen_.handshakes += listener.stats.tls.full + listener.stats.tls.resumed;
      for (std::size_t flag = 0; flag < proxy::kFlagCount; ++flag) {
        if (listener.stats.local_replies[flag] != 0) seen_.flags |= std::uint64_t{1} << flag;
      }
    }
    for (const auto& cluster : report.clusters) {
      seen_.retries += cluster.stats.retries;
      seen_.hedges += cluster.stats.hedges;
      require(cluster.stats.pending == 0, "nobody is counted as waiting");
      for (const auto& endpoint : cluster.endpoints) {
        require(endpoint.stats.requests_active == 0, "no request is counted as active");
        require(endpoint.stats.connections_active + endpoint.stats.connections_idle == 0,
                "no upstream connection is counted as there");
      }
    }
  }

  // Every exchange is logged once and counted once, with the same status.
  void check_sums(const proxy::WorkerReport& report) {
    Codes counted{};
    std::uint64_t timed = 0;
    for (const auto& exchange : report.exchanges) {
      if (exchange.listener == kComesAndGoes) continue;
      for (std::size_t i = 0; i < counted.size(); ++i) counted[i] += exchange.stats.codes[i];
      timed += exchange.stats.seconds.count();
    }
    const std::uint64_t all = std::accumulate(counted.begin(), counted.end(), std::uint64_t{0});
    require(timed == all, "every exchange is timed once");
    seen_.exchanges += all;
    seen_.succeeded += counted[2];
    seen_.tunnels += counted[1];
    const Logged logged = log_.new_lines();
    const std::uint64_t dropped = log_.new_drops();
    seen_.dropped_lines += dropped;
    if (log_.full()) {
      require(dropped >= all, "a line that is lost is counted");
    } else {
      require(dropped == 0, "no line is lost");
      std::uint64_t lines = logged.tcp;
      for (std::size_t i = 0; i < counted.size(); ++i) {
        require(logged.codes[i] <= counted[i], "what is logged is counted, with the same status");
        lines += logged.codes[i];
      }
      require(lines == all, "every exchange is logged once and counted once: " + std::to_string(lines) +
                                " lines, " + std::to_string(all) + " counted:\n" + logged.lines);
    }
  }

  bool full_;
  Chaos::Seen& seen_;
  ChaosLog& log_;
  std::array<Config, 2> configs_;
  std::shared_ptr<const TestTls> tls_;
  Script& script_;
  std::vector<std::size_t> answers_;  // by backend
  std::unique_ptr<World> world_;
  std::unique_ptr<TlsNetwork> tls_network_;
  std::unique_ptr<RawServer> tls_backend_;
  std::vector<RawServer*> backends_;
  std::vector<Client> clients_;
  std::set<std::shared_ptr<proxy::ClusterState>> clusters_;  // all that ever were
  std::set<std::shared_ptr<proxy::EndpointState>> endpoints_;
  std::set<std::shared_ptr<proxy::ListenerState>> listeners_;
  std::size_t steps_ = 0;
  bool small_reads_ = false;  // a large piece would be an event per byte
  bool drained_asked_ = false;
  bool inbound_asked_ = false;
  bool outbound_asked_ = false;
  int drained_ = 0;
};

}  // namespace

Chaos::Chaos(LogTo log) : shared_(std::make_unique<Shared>(log)) {}
Chaos::~Chaos() = default;
const Chaos::Seen& Chaos::seen() const { return shared_->seen; }

std::string Chaos::play(std::string_view bytes) {
  const LogLevel before = log_level();
  set_log_level(LogLevel::kOff);
  const bool full = bytes.starts_with(kKnowsAll);
  Script script(full ? bytes.substr(1) : bytes);
  const std::size_t together = 1 + bytes.size() % 5;
  std::string violated;
  try {
    if (full) {
      Run(shared_->seen, shared_->log, shared_->full, shared_->tls, script).play(together);
    } else {
      Run(shared_->seen, shared_->log, shared_->plain, script).play(together);
    }
  } catch (const std::runtime_error& error) {
    violated = std::string(error.what()) + ", at byte " + std::to_string(script.at() + (full ? 1 : 0));
  }
  set_log_level(before);
  return violated;
}

}  // namespace remora::testing
