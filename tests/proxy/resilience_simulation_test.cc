// A hundred clients, three endpoints, and a minute of trouble: the whole worker in virtual time, with seeds.
// What the policies promise one by one must hold for what clients and endpoints see in the end.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "tests/support/world.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::testing;
using breaker::CircuitBreaker;

namespace {

constexpr std::array kAddresses{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"};
constexpr std::size_t kBad = 2;  // the endpoint that is in trouble
constexpr std::size_t kClients = 100;
constexpr Duration kService = 10ms;
constexpr Duration kMinute = 60s;

constexpr std::string_view kError = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";

std::string config(std::string_view cluster) {
  return R"(
[[listener]]
name = "in"
address = "127.0.0.1:8080"
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]
)" + std::string(cluster) +
         "\n";
}

class Simulation;

// Answers each request after the service time, well or not.
class Backend {
 public:
  Backend(Simulation& simulation, std::size_t index);

  double fails = 0.0;  // share of the requests
  bool hangs = false;

  std::size_t arrived(TimePoint from, TimePoint to) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(arrivals, [&](TimePoint at) { return from <= at && at < to; }));
  }
  std::vector<TimePoint> arrivals;
  std::size_t while_open = 0;      // requests that came although the breaker was open
  std::size_t probes_at_once = 0;  // the most in flight while it was half-open

 private:
  struct Connection {
    Connection(Backend& b, RawPeer& p) : backend(b), peer(p) {}
    void on_due() {
      if (peer.open()) peer.send(failing ? kError : kOk);
    }
    Backend& backend;
    RawPeer& peer;
    bool failing = false;
    MemberTimer<Connection, &Connection::on_due> due{*this};
  };
  void on_request(Connection& connection);

  Simulation& simulation_;
  std::size_t index_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

// Asks, waits for the answer, thinks, asks again.
class Client {
 public:
  explicit Client(Simulation& simulation);

 private:
  void on_due();
  void on_bytes();
  void answered(unsigned status);

  Simulation& simulation_;
  std::unique_ptr<RawPeer> peer_;
  bool asking_ = false;
  MemberTimer<Client, &Client::on_due> due_{*this};
};

class Simulation {
 public:
  Simulation(std::string_view cluster, std::uint64_t seed)
      : world(config(cluster), seed), random(seed + 1000) {
    for (std::size_t i = 0; i < kAddresses.size(); ++i) {
      backends.push_back(std::make_unique<Backend>(*this, i));
    }
    for (std::size_t i = 0; i < kClients; ++i) clients_.push_back(std::make_unique<Client>(*this));
  }

  TimePoint now() { return world.wheel().now(); }
  Backend& bad() { return *backends[kBad]; }
  CircuitBreaker::View breaker(std::size_t index) {
    return world.states().clusters()[0].endpoints[index].state->breaker.view(now());
  }
  proxy::ClusterStats stats() { return world.worker().report().clusters[0].stats; }
  void refuse(bool refuses) {
    world.network().at(*Address::parse(kAddresses[kBad])).connect =
        refuses ? AddressKnobs::Connect::kRefuse : AddressKnobs::Connect::kAccept;
  }
  // Attempts, those that found no connection included.
  std::uint64_t upstream_requests() {
    std::uint64_t n = 0;
    for (const auto& endpoint : world.worker().report().clusters[0].endpoints) n += endpoint.stats.requests;
    return n;
  }
  std::uint64_t requests_of(std::size_t index) {
    return world.worker().report().clusters[0].endpoints[index].stats.requests;
  }
  // Of what arrived in this time.
  double share_of_bad(TimePoint from, TimePoint to) {
    std::size_t all = 0;
    for (const auto& backend : backends) all += backend->arrived(from, to);
    return static_cast<double>(bad().arrived(from, to)) / static_cast<double>(std::max<std::size_t>(all, 1));
  }
  double errors_per_request() const { return static_cast<double>(errors) / static_cast<double>(answers); }

  World world;
  Random random;
  std::vector<std::unique_ptr<Backend>> backends;
  std::uint64_t answers = 0;
  std::uint64_t errors = 0;  // of them: not 200, or none at all

 private:
  std::vector<std::unique_ptr<Client>> clients_;
};

Backend::Backend(Simulation& simulation, std::size_t index) : simulation_(simulation), index_(index) {
  simulation.world.backend(kAddresses[index]).when_accepted = [this](RawPeer& peer) {
    auto& connection = *connections_.emplace_back(std::make_unique<Connection>(*this, peer));
    peer.when_received = [this, &connection](RawPeer& p) {
      if (p.received().ends_with("\r\n\r\n")) on_request(connection);
    };
  };
}

void Backend::on_request(Connection& connection) {
  connection.peer.take();
  arrivals.push_back(simulation_.now());
  const auto view = simulation_.breaker(index_);
  if (view.phase == CircuitBreaker::Phase::kOpen) ++while_open;
  if (view.phase == CircuitBreaker::Phase::kHalfOpen) {
    probes_at_once = std::max<std::size_t>(probes_at_once, view.probes_in_flight);
  }
  connection.failing = simulation_.random.unit() < fails;
  if (!hangs) simulation_.world.wheel().arm_in(connection.due, kService);
}

Client::Client(Simulation& simulation) : simulation_(simulation) {
  simulation.world.wheel().arm_in(due_, 1ms * simulation.random.below(1000));
}

void Client::on_due() {
  if (!peer_ || peer_->finished()) {
    peer_ = simulation_.world.client();
    peer_->when_received = [this](RawPeer&) { on_bytes(); };
    const auto lost = [this](RawPeer&) {
      if (asking_) answered(0);
    };
    peer_->when_ended = lost;
    peer_->when_closed = lost;
  }
  asking_ = true;
  peer_->send(kGet);
}

void Client::on_bytes() {
  const std::string& bytes = peer_->received();
  const auto head = bytes.find("\r\n\r\n");
  if (head == std::string::npos) return;
  std::string lower = bytes.substr(0, head);
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto length = lower.find("content-length: ");
  REQUIRE(length != std::string::npos);
  if (bytes.size() < head + 4 + std::stoull(lower.substr(length + 16))) return;
  const unsigned status = status_of(bytes);
  peer_->take();
  answered(status);
}

void Client::answered(unsigned status) {
  asking_ = false;
  ++simulation_.answers;
  if (status != 200) ++simulation_.errors;
  simulation_.world.wheel().arm_in(due_, 500ms + 1ms * simulation_.random.below(1000));
}

// What holds whatever happens: the retry budget with its defaults, a fifth of the requests and three a
// second.
void check_budget(Simulation& s, Duration span) {
  const auto asked = static_cast<double>(s.answers + kClients);  // those still waiting
  const double seconds = static_cast<double>(span / 1s);
  CHECK(static_cast<double>(s.upstream_requests()) <= 1.2 * asked + 3 * (seconds + 10));
}

void check_the_good_share_evenly(Simulation& s) {
  const auto a = static_cast<double>(s.requests_of(0));
  const auto b = static_cast<double>(s.requests_of(1));
  CHECK(a == doctest::Approx(b).epsilon(0.03));
  CHECK(s.breaker(0).transitions_to[static_cast<std::size_t>(CircuitBreaker::Phase::kOpen)] == 0);
  CHECK(s.breaker(1).transitions_to[static_cast<std::size_t>(CircuitBreaker::Phase::kOpen)] == 0);
}

// The endpoint is well from now on: open_for and a few probes later it is closed, and slow_start (10 s) after
// that it has its third. In between its share grows.
void check_recovery(Simulation& s, Duration open_for) {
  const TimePoint well = s.now();
  std::optional<TimePoint> closed;
  while (s.now() < well + 40s) {
    s.world.run_for(100ms);
    if (!closed && s.breaker(kBad).phase == CircuitBreaker::Phase::kClosed) closed = s.now();
  }
  REQUIRE(closed);
  CHECK(*closed - well <= open_for + 1s);
  const double first = s.share_of_bad(*closed, *closed + 2s);
  const double middle = s.share_of_bad(*closed + 4s, *closed + 6s);
  const double after = s.share_of_bad(*closed + 10s, *closed + 20s);
  CHECK(first < 0.15);
  CHECK(first < middle);
  CHECK(middle < after);
  CHECK(after == doctest::Approx(1.0 / 3).epsilon(0.05));
  CHECK(s.errors == 0);
}

constexpr std::array<std::uint64_t, 2> kSeeds{1, 2};
constexpr auto kOpen = static_cast<std::size_t>(CircuitBreaker::Phase::kOpen);

}  // namespace

TEST_CASE("an endpoint that fails half of its requests costs the clients little, by the breaker alone") {
  for (const auto seed : kSeeds) {
    CAPTURE(seed);
    Simulation s("", seed);
    s.bad().fails = 0.5;
    s.world.run_for(kMinute);
    CHECK(s.answers > 5000);
    // It opens when half of twenty or more have failed, if not five in a row before, and stays open for 5,
    // 10, 20 and 40 s: four times in a minute, each for some twenty requests, of which half are errors. Twice
    // that is the bound, 80 of 6000.
    CHECK(s.breaker(kBad).transitions_to[kOpen] <= 4);
    CHECK(s.errors > 0);
    CHECK(s.errors_per_request() < 0.0135);
    CHECK(s.bad().while_open == 0);
    CHECK(s.bad().probes_at_once == 1);
    CHECK(s.stats().retries == 0);
    check_the_good_share_evenly(s);

    Simulation without("breaker = { enabled = false }", seed);
    without.bad().fails = 0.5;
    without.world.run_for(kMinute);
    CHECK(without.errors_per_request() == doctest::Approx(1.0 / 6).epsilon(0.1));
  }
}

TEST_CASE("an endpoint that fails half of its requests costs the clients nothing if 5xx is retried") {
  for (const auto seed : kSeeds) {
    CAPTURE(seed);
    Simulation s(R"(retry = { on = ["connect-failure", "refused", "reset", "5xx"] })"
                 "\nbreaker = { max_open_for = \"5s\" }",
                 seed);
    s.bad().fails = 0.5;
    s.world.run_for(kMinute);
    CHECK(s.answers > 5000);
    CHECK(s.errors == 0);
    CHECK(s.bad().while_open == 0);
    CHECK(s.bad().probes_at_once == 1);
    check_budget(s, kMinute);
    check_the_good_share_evenly(s);
    s.bad().fails = 0;
    check_recovery(s, 5500ms);
  }
}

TEST_CASE("an endpoint that accepts and never answers costs the clients nothing but a short wait") {
  for (const auto seed : kSeeds) {
    CAPTURE(seed);
    Simulation s(
        R"(retry = { on = ["connect-failure", "refused", "reset", "timeout"], per_try_timeout = "250ms" })"
        "\nbreaker = { max_open_for = \"5s\" }",
        seed);
    s.bad().hangs = true;
    s.world.run_for(kMinute);
    CHECK(s.answers > 5000);
    CHECK(s.errors == 0);
    // Five until it opens, what comes in the 250 ms until the first of them is given up (its third of 100 a
    // second, and as much again for luck), and then a probe each time it has been open.
    CHECK(s.requests_of(kBad) <= 5 + 2 * 9 + s.breaker(kBad).transitions_to[kOpen]);
    CHECK(s.bad().while_open == 0);
    CHECK(s.bad().probes_at_once == 1);
    check_budget(s, kMinute);
    check_the_good_share_evenly(s);
    s.bad().hangs = false;
    check_recovery(s, 5500ms + 250ms);
  }
}

TEST_CASE("an endpoint that refuses connections costs the clients nothing") {
  for (const auto seed : kSeeds) {
    CAPTURE(seed);
    Simulation s("breaker = { max_open_for = \"5s\" }", seed);
    s.refuse(true);
    s.world.run_for(kMinute);
    CHECK(s.answers > 5000);
    CHECK(s.errors == 0);
    // Five until it opens, and then a probe each time it has been open.
    CHECK(s.requests_of(kBad) == 5 + s.breaker(kBad).transitions_to[kOpen] - 1);
    CHECK(s.stats().retries == s.requests_of(kBad));
    check_budget(s, kMinute);
    check_the_good_share_evenly(s);
    s.refuse(false);
    check_recovery(s, 5500ms);
  }
}

TEST_CASE("when every endpoint answers 503 the retries stay within their budget") {
  for (const auto seed : kSeeds) {
    CAPTURE(seed);
    Simulation s("retry = { attempts = 3, on = [\"503\"] }\nbreaker = { enabled = false }", seed);
    for (auto& backend : s.backends) backend->fails = 1;
    s.world.run_for(kMinute);
    CHECK(s.errors == s.answers);
    check_budget(s, kMinute);
    CHECK(static_cast<double>(s.upstream_requests()) > 1.15 * static_cast<double>(s.answers));  // it is used
    CHECK(s.stats().budget_exhausted > s.answers / 2);
  }
}

TEST_CASE("when every endpoint answers 503 the breakers leave only probes of the storm") {
  for (const auto seed : kSeeds) {
    CAPTURE(seed);
    Simulation s("retry = { attempts = 3, on = [\"503\"] }", seed);
    for (auto& backend : s.backends) backend->fails = 1;
    s.world.run_for(kMinute);
    CHECK(s.errors == s.answers);
    std::uint64_t openings = 0;
    for (std::size_t i = 0; i < kAddresses.size(); ++i) {
      openings += s.breaker(i).transitions_to[kOpen];
      CHECK(s.backends[i]->while_open <= 2);  // those that left in the instant in which it opened
      CHECK(s.backends[i]->probes_at_once <= 1);
    }
    // Five each until they open, and what is in flight by then: 100 a second and as many retries, for 10 ms.
    CHECK(s.upstream_requests() <= 3 * 5 + openings + 2 * 2);
  }
}
