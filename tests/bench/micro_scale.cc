// What does not grow: nanoseconds per request to find a route, to pick an endpoint, to arm, cancel and fire a
// timer, with 10 to 10,000 of them. For tests/bench/curves; one line each: what, how many, nanoseconds.
//
//   build/release/bench_micro_scale mesh     the same for what a mesh, and connections that were redirected,
//   ask
//
// Each number is the best of several rounds, in processor time.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/timer_wheel.h"
#include "discovery/swim/membership.h"
#include "discovery/swim/service_index.h"
#include "lb/balancer.h"
#include "proxy/router.h"
#include "tests/support/test_cluster.h"
#include "tests/support/test_env.h"

namespace {

using namespace remora;
namespace swim = discovery::swim;

constexpr int kRounds = 5;
constexpr std::size_t kSizes[] = {10, 100, 1'000, 10'000};

double cpu_nanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// The best of some rounds of `count` calls.
template <typename Fn>
double best(std::size_t count, Fn&& fn) {
  double least = 1e18;
  for (int round = 0; round < kRounds; ++round) {
    const double start = cpu_nanoseconds();
    for (std::size_t i = 0; i < count; ++i) fn(i);
    least = std::min(least, (cpu_nanoseconds() - start) / static_cast<double>(count));
  }
  return least;
}

void print(const char* what, std::size_t size, double nanoseconds) {
  std::printf("%s\t%zu\t%.1f\n", what, size, nanoseconds);
}

// Requests for every route in turn, in an order without a pattern.
void measure_routes(const char* what, std::size_t size, bool by_host) {
  std::vector<config::Route> routes(size);
  std::vector<http::RequestHead> heads(size);
  for (std::size_t i = 0; i < size; ++i) {
    const std::string name = "service-" + std::to_string(i);
    config::Match& match = routes[i].match;
    heads[i].method = "GET";
    if (by_host) {
      match.host = name + ".example";
      heads[i].target = "/v1/items?q=1";
      heads[i].authority = match.host + ":8080";
    } else {
      match.path_kind = config::Match::Path::kPrefix;
      match.path = "/api/" + name;
      heads[i].target = match.path + "/items?q=1";
      heads[i].authority = "shop.example";
    }
  }
  const proxy::Router router(routes);
  std::size_t missed = 0;
  const auto ask = [&](std::size_t i) {
    const std::size_t which = i * 7919 % size;
    missed += router.match(heads[which]) == &routes[which] ? 0 : 1;
  };
  print(what, size, best(100'000, ask));
  if (missed > 0) std::printf("%s: %zu wrong\n", what, missed);
}

void measure_picks(const char* what, std::size_t size, lb::Algorithm algorithm) {
  std::vector<lb::Endpoint> endpoints;
  std::vector<std::uint32_t> candidates;
  for (std::uint32_t i = 0; i < size; ++i) {
    endpoints.push_back({.name = "10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ":80"});
    candidates.push_back(i);
  }
  Random random(1);
  std::vector<lb::Load> loads(size);
  for (lb::Load& load : loads) {
    load = {.latency_seconds = 0.001 + random.unit() * 0.01, .latency_at = TimePoint{1h - 1s}};
  }
  std::vector<std::uint64_t> keys(4096);
  for (std::uint64_t& key : keys) key = random.next();
  const auto balancer = lb::make_balancer({.algorithm = algorithm});
  balancer->set_endpoints(endpoints);
  balancer->set_candidates(candidates);
  const auto pick = [&](std::size_t i) {
    const auto picked = balancer->pick(
        {.loads = loads, .key = keys[i % keys.size()], .now = TimePoint{1h}, .total_in_flight = 0}, random);
    ++loads[*picked].in_flight;
  };
  print(what, size, best(100'000, pick));
}

struct Fired final : Timer {
  void on_timer() override { ++count; }
  static inline std::size_t count = 0;
};

void measure_timers(std::size_t size) {
  TimerWheel wheel(TimePoint{});
  Random random(2);
  std::vector<std::unique_ptr<Fired>> timers;
  timers.reserve(size);
  for (std::size_t i = 0; i < size; ++i) timers.push_back(std::make_unique<Fired>());
  const auto arm = [&](Timer& timer) { wheel.arm_in(timer, 10ms * (1 + random.below(6000))); };
  for (auto& timer : timers) arm(*timer);
  print("timer: armed and cancelled", size, best(100'000, [&](std::size_t i) {
          Timer& timer = *timers[i % size];
          timer.cancel();
          arm(timer);
        }));
  double least = 1e18;
  for (int round = 0; round < kRounds; ++round) {
    for (auto& timer : timers) arm(*timer);
    const std::size_t before = Fired::count;
    const double start = cpu_nanoseconds();
    while (const auto next = wheel.next_expiry()) wheel.advance(*next);
    least = std::min(least, (cpu_nanoseconds() - start) / static_cast<double>(Fired::count - before));
  }
  print("timer: fired", size, least);
}

struct NoEffects final : swim::Effects {
  void send(const swim::Peer&, std::string_view) override {}
  void ping_stream(const swim::Peer&, const swim::Ping&) override {}
  void exchange(const swim::Peer&, bool) override {}
  void on_change(const swim::Member&, swim::Change, std::string_view) override {}
  void on_user(std::string_view) override {}
  swim::Keyring::Nonce nonce() override { return {}; }
};

swim::Peer peer(std::size_t number) {
  swim::Peer peer{.address = {10, static_cast<std::uint8_t>(number >> 16U),
                              static_cast<std::uint8_t>(number >> 8U), static_cast<std::uint8_t>(number)},
                  .size = 4,
                  .port = 7946};
  return peer;
}

// Half of a pool is suspected in one message, and contradicts in the next; then it is suspected again, and
// declared dead. Nanoseconds per suspect. And one hundred services are looked for among all.
void measure_mesh(std::size_t size) {
  Random random(3);
  const swim::Keyring keys;
  const swim::Wire wire({}, keys);
  NoEffects effects;
  TimePoint now{1h};
  swim::Membership pool({}, {.name = "self", .peer = peer(0xffffff)}, wire, effects, random, now);
  std::vector<std::string> texts(2 * size);
  std::vector<swim::NodeState> members(size);
  for (std::size_t i = 0; i < size; ++i) {
    texts[2 * i] = "member-" + std::to_string(i);
    texts[2 * i + 1] =
        swim::announcement({{.name = "service-" + std::to_string(i % 100), .port = 8080, .zone = "eu-1a"}})
            .meta;
    members[i].name = texts[2 * i];
    members[i].meta = texts[2 * i + 1];
    members[i].peer = peer(i);
    members[i].incarnation = 1;
  }
  const auto each = [&](double begun) {
    return (cpu_nanoseconds() - begun) / (static_cast<double>(size) / 2);
  };
  const auto say = [&](swim::State state, std::uint32_t incarnation) {
    for (std::size_t i = 0; i < size; i += 2) {
      members[i].state = state;
      members[i].incarnation = incarnation;
    }
    const double begun = cpu_nanoseconds();
    pool.merge(members, now);
    return each(begun);
  };
  say(swim::State::kAlive, 1);
  print("mesh: suspected", size, say(swim::State::kSuspect, 1));
  print("mesh: contradicted", size, say(swim::State::kAlive, 2));
  for (std::size_t i = 0; i < size; i += 2) {
    now += 1ms;
    members[i].state = swim::State::kSuspect;
    pool.merge({members[i]}, now);
  }
  const TimePoint end = now + 200s;
  const double begun = cpu_nanoseconds();
  for (; pool.next_wakeup() < end; pool.on_wakeup(now)) now = pool.next_wakeup();
  print("mesh: declared dead, with all else that happens", size, each(begun));

  swim::ServiceIndex services;
  pool.each([&](const swim::Member& member) { services.set(member, swim::decode_tags(member.meta())); });
  std::size_t found = 0;
  const auto look = [&](std::size_t) {
    for (int i = 0; i < 100; ++i) {
      const swim::WantedSettings wanted{.service = "service-" + std::to_string(i)};
      services.each(wanted.service, [&](const swim::Member& member) {
        found += swim::find_service(swim::decode_tags(member.meta()), wanted).has_value() ? 1U : 0U;
      });
    }
  };
  print("mesh: 100 services looked for", size, best(1, look));
  if (found == 0 && size >= 100) std::puts("no service found");
}

void measure_destinations(std::size_t size) {
  remora::testing::TestEnv t;
  config::Cluster away;
  away.name = "away";
  away.discover.emplace().source = config::Discover::Source::kOriginalDestination;
  remora::testing::TestCluster cluster(t.env, away, "");
  cluster.apply({});
  std::vector<Address> destinations;
  destinations.reserve(size);
  for (std::size_t i = 0; i < size; ++i) {
    destinations.push_back(*Address::from_bytes(peer(i).bytes(), 80));
  }
  const auto go = [&](std::size_t i) {
    const Address& to = destinations[i * 7919 % size];
    auto got = cluster->acquire({}, {}, {.retry = false, .tunnel = true, .destination = &to});
    got.lease.finish(remora::testing::kSucceeded, std::nullopt);
  };
  print("destination: acquired and given back", size, best(100'000, go));
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 1 && std::string_view(arguments[1]) == "mesh") {
    for (const std::size_t size : kSizes) measure_mesh(size);
    for (const std::size_t size : {std::size_t{10}, std::size_t{100}, proxy::Cluster::kMostDestinations}) {
      measure_destinations(size);
    }
    return 0;
  }
  for (const std::size_t size : kSizes) {
    measure_routes("route by host", size, true);
    measure_routes("route by prefix", size, false);
    measure_picks("pick: round_robin", size, lb::Algorithm::kRoundRobin);
    measure_picks("pick: least_request", size, lb::Algorithm::kLeastRequest);
    measure_picks("pick: peak_ewma", size, lb::Algorithm::kPeakEwma);
    measure_picks("pick: ring_hash", size, lb::Algorithm::kRingHash);
    measure_picks("pick: maglev", size, lb::Algorithm::kMaglev);
    measure_timers(size);
  }
  return 0;
}
