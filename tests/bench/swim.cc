// The figures of docs/swim.md: gossip pools in virtual time, printed as the page's tables.
//
//   build/release/bench_swim              up to 1,000 members; a minute or so
//   build/release/bench_swim --long       2,000, 4,000 and 10,000 as well; some 13 GB
//   build/release/bench_swim 10000 [1]    that row of the first table alone, of so many runs
//   build/release/bench_swim --papers     the experiments of the two papers, with their settings
//
// Long because all figures of one page are made here.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "tests/support/swim_pool.h"

namespace remora::discovery::swim::test {
namespace {

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

struct Spread {
  std::vector<double> values;
  void add(Duration time) { values.push_back(seconds(time)); }
  double at(double share) {
    std::ranges::sort(values);
    return values.empty() ? -1
                          : values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
  }
  double mean() const {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  }
};

// Kills one member after another, each in a pool of its own history.
void detection(std::size_t members, int runs) {
  Spread suspected;
  Spread first;
  Spread last;
  Spread all_suspect;
  int complete = 0;
  double datagrams = 0;
  double bytes = 0;
  for (int run = 0; run < runs; ++run) {
    SwimPool pool({.members = members, .seed = static_cast<std::uint64_t>(run) * 7919 + members});
    pool.run_for(3s + run * 130ms);
    const std::uint64_t sent = pool.datagrams();
    const std::uint64_t sent_bytes = pool.bytes();
    pool.run_for(10s);
    datagrams += static_cast<double>(pool.datagrams() - sent) / 10 / static_cast<double>(members) / runs;
    bytes += static_cast<double>(pool.bytes() - sent_bytes) / 10 / static_cast<double>(members) / runs;
    const TimePoint killed = pool.now();
    pool.kill(1);
    complete += pool.run_until([&] { return pool.all_see(1, State::kDead); }, 120s) ? 1 : 0;
    TimePoint suspicion = TimePoint::max();
    TimePoint failed = TimePoint::max();
    TimePoint end = killed;
    TimePoint heard = killed;  // by the last of the survivors, of the suspicion or of the death
    std::vector<bool> knows(members);
    for (const auto& seen : pool.seen()) {
      if (seen.subject != 1) continue;
      if (!knows[seen.observer]) heard = seen.at;
      knows[seen.observer] = true;
      if (seen.change == Change::kSuspected) suspicion = std::min(suspicion, seen.at);
      if (seen.change != Change::kFailed) continue;
      failed = std::min(failed, seen.at);
      end = std::max(end, seen.at);
    }
    suspected.add(suspicion - killed);
    first.add(failed - killed);
    last.add(end - killed);
    all_suspect.add(heard - killed);
  }
  std::printf("| %zu | %d | %.2f / %.2f | %.2f / %.2f | %.2f | %.2f / %.2f | %d %% | %.2f | %.0f |\n",
              members, runs, suspected.at(0.5), suspected.at(0.95), all_suspect.at(0.5), all_suspect.at(1),
              first.at(0.5), last.at(0.5), last.at(1), 100 * complete / runs, datagrams, bytes);
  if (runs >= 1000) {
    std::printf("in 99 of 100 runs: all suspect within %.2f s, all know within %.2f s\n",
                all_suspect.at(0.99), last.at(0.99));
  }
  std::fflush(stdout);
}

// Failures declared of members that were well.
struct False {
  std::size_t all = 0;          // by whomever, or believed
  std::size_t healthy = 0;      // of these, by members that were well
  std::size_t own = 0;          // declared because the declarer's own patience was over
  std::size_t own_healthy = 0;  // of these, by members that were well
  std::uint64_t datagrams = 0;  // sent meanwhile
  std::uint64_t bytes = 0;

  void operator+=(const False& other) {
    datagrams += other.datagrams;
    bytes += other.bytes;
    all += other.all;
    healthy += other.healthy;
    own += other.own;
    own_healthy += other.own_healthy;
  }
};

enum class Stall : std::uint8_t { kCutOff, kFrozen };  // from its sockets, while its timers run; all of it

// The first `slow` of 128 stall for `stall`, then not for `between`, again and again for `span`.
False stalled(const Settings& settings, std::size_t slow, Duration stall, Duration between, Duration span,
              Stall how = Stall::kCutOff) {
  constexpr std::size_t kMembers = 128;
  SwimPool pool({.members = kMembers,
                 .settings = settings,
                 .seed = slow * 1000 + static_cast<std::uint64_t>((stall + between).count())});
  pool.run_for(5s);
  const TimePoint end = pool.now() + span;
  while (pool.now() < end) {
    for (std::size_t i = 0; i < slow; ++i) {
      if (how == Stall::kFrozen) {
        pool.freeze(i, stall);
      } else {
        pool.block(i, stall);
      }
    }
    pool.run_for(stall + between);
  }
  False count{.datagrams = pool.datagrams(), .bytes = pool.bytes()};
  for (const auto& seen : pool.seen()) {
    if (seen.change != Change::kFailed || seen.subject < slow) continue;
    ++count.all;
    if (seen.observer >= slow) ++count.healthy;
    if (!seen.own) continue;
    ++count.own;
    if (seen.observer >= slow) ++count.own_healthy;
  }
  return count;
}

Settings plain_swim(Settings settings = {}) {
  settings.awareness_max = 1;
  settings.suspicion_max_mult = 1;
  return settings;
}

void lifeguard() {
  std::puts(
      "\n| stalled of 128 | for | SWIM: false, at healthy members | Lifeguard: false, at healthy members "
      "|\n|---|---|---|---|");
  False swim_total;
  False lifeguard_total;
  for (const std::size_t slow : {4U, 16U, 32U}) {
    for (const Duration stall : {Duration{2s}, Duration{8s}, Duration{16s}, Duration{32s}}) {
      const Duration span = 10 * (stall + 4s);
      const False swim = stalled(plain_swim(), slow, stall, 4s, span);
      const False with = stalled({}, slow, stall, 4s, span);
      std::printf("| %zu | %.0f s | %zu, %zu | %zu, %zu |\n", slow, seconds(stall), swim.all, swim.healthy,
                  with.all, with.healthy);
      std::fflush(stdout);
      swim_total += swim;
      lifeguard_total += with;
    }
  }
  std::printf("| all | | %zu, %zu | %zu, %zu |\n", swim_total.all, swim_total.healthy, lifeguard_total.all,
              lifeguard_total.healthy);
}

void loss() {
  std::puts(
      "\n| datagrams lost | suspicions per member and hour | declared dead and well | a killed one: dead "
      "everywhere, s |\n|---|---|---|---|");
  for (const double share : {0.0, 0.01, 0.05, 0.1, 0.2, 0.3}) {
    SwimPool pool({.members = 100, .seed = 17, .loss = share});
    pool.run_for(10min);
    std::size_t suspected = 0;
    std::size_t failed = 0;
    for (const auto& seen : pool.seen()) {
      // News of one suspicion reaches everybody, so it is counted where it began: at one observer of a
      // hundred.
      if (seen.change == Change::kSuspected) ++suspected;
      if (seen.change == Change::kFailed) ++failed;
    }
    const TimePoint killed = pool.now();
    pool.kill(1);
    pool.run_until([&] { return pool.all_see(1, State::kDead); }, 120s);
    std::printf("| %.0f %% | %.2f | %zu | %.1f |\n", share * 100,
                static_cast<double>(suspected) * 6 / 100 / 99, failed, seconds(pool.now() - killed));
    std::fflush(stdout);
  }
}

void partitions() {
  std::puts(
      "\n| members | apart for | all see all again after healing, s: median / most of 9 |\n|---|---|---|");
  for (const std::size_t members : {10U, 100U}) {
    for (const Duration apart : {Duration{5s}, Duration{30s}, Duration{300s}}) {
      Spread again;
      for (std::uint64_t seed = 0; seed < 9; ++seed) {
        SwimPool pool({.members = members, .seed = seed});
        pool.run_for(3s);
        std::vector<unsigned> groups(members);
        for (std::size_t i = 0; i < members * 2 / 5; ++i) groups[i] = 1;
        pool.partition(groups);
        pool.run_for(apart);
        pool.partition({});
        const TimePoint healed = pool.now();
        if (pool.run_until([&] { return pool.agreed(); }, 600s)) again.add(pool.now() - healed);
      }
      std::printf("| %zu | %.0f s | %.1f / %.1f%s |\n", members, seconds(apart), again.at(0.5), again.at(1),
                  again.values.size() == 9 ? "" : " (not all)");
      std::fflush(stdout);
    }
  }
}

// The paper's figure 4: 17 processes join, and a tenth of the packets is lost.
void joins_with_loss(const Settings& settings) {
  std::size_t least = 17;
  std::size_t failures = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SwimPool pool({.members = 17, .settings = settings, .seed = seed, .loss = 0.1, .joined = false});
    pool.run_for(175s);
    for (std::size_t i = 0; i < 17; ++i) {
      std::size_t known = 0;
      pool.at(i).each([&](const Member& member) { known += member.state == State::kAlive ? 1U : 0U; });
      least = std::min(least, known);
    }
    failures +=
        static_cast<std::size_t>(std::ranges::count(pool.seen(), Change::kFailed, &SwimPool::Seen::change));
  }
  std::printf(
      "\n17 members join, and a tenth of the datagrams is lost; after 175 s each knows at least %zu, and %zu "
      "false failures were "
      "declared or believed in 20 runs\n",
      least, failures);
}

// Section 5 of the SWIM paper: periods of 2 s, one helper, news only on pings and acks; 3 log(N + 1) times,
// and so many periods for a suspect.
void swim_paper() {
  constexpr Duration kPeriod = 2s;
  Settings settings = plain_swim();
  settings.probe_interval = kPeriod;
  settings.indirect_checks = 1;
  settings.retransmit_mult = 3;
  settings.suspicion_mult = 3;
  settings.gossip_interval = 1h;
  settings.push_pull_interval = 1h;
  const auto periods = [period = seconds(kPeriod)](Duration time) { return seconds(time) / period; };
  std::puts(
      "| members | datagrams sent by one in a period: mean | fewer than 5 | first detection, periods: mean | "
      "spread, periods: median | removed everywhere, periods: mean |\n|---|---|---|---|---|---|");
  for (const std::size_t members : {5U, 16U, 28U, 40U, 55U, 500U}) {
    Spread sent;
    Spread first;
    Spread spread;
    Spread removed;
    for (std::uint64_t run = 0; run < (members < 100 ? 100U : 10U); ++run) {
      SwimPool pool({.members = members, .settings = settings, .seed = run * 7919 + members});
      pool.run_for(20s + static_cast<int>(run) * 130ms);
      std::vector<std::uint64_t> before(members);
      for (int period = 0; period <= 40; ++period) {
        for (std::size_t i = 0; i < members; ++i) {
          const std::uint64_t now = pool.at(i).numbers().sent;
          if (period > 0) sent.values.push_back(static_cast<double>(now - before[i]));
          before[i] = now;
        }
        if (period < 40) pool.run_for(kPeriod);
      }
      const TimePoint killed = pool.now();
      pool.forget_seen();
      pool.kill(1);
      pool.run_until([&] { return pool.all_see(1, State::kDead); }, 300s);
      TimePoint begun = TimePoint::max();
      for (const auto& seen : pool.seen()) {
        if (seen.change == Change::kSuspected) begun = std::min(begun, seen.at);
      }
      first.values.push_back(periods(begun - killed));
      for (const auto& seen : pool.seen()) {
        if (seen.change == Change::kSuspected) spread.values.push_back(periods(seen.at - begun));
      }
      removed.values.push_back(periods(pool.now() - killed));
    }
    const auto few = std::ranges::count_if(sent.values, [](double count) { return count < 5; });
    std::printf("| %zu | %.2f | %.2f %% | %.2f | %.2f | %.2f |\n", members, sent.mean(),
                100 * static_cast<double>(few) / static_cast<double>(sent.values.size()), first.mean(),
                spread.at(0.5), removed.mean());
    std::fflush(stdout);
  }
  joins_with_loss(settings);
}

constexpr Duration kBetween[] = {64ms, 16s};

// A member whose thread does not run, as of a Remora on a machine without a processor to spare.
void frozen() {
  Settings settings;
  settings.suspicion_mult = 5;
  std::puts(
      "\n| frozen of 128 | SWIM: false, at healthy members | Lifeguard: false, at healthy members "
      "|\n|---|---|---|");
  for (const std::size_t slow : {4U, 16U, 32U}) {
    False swim;
    False with;
    for (const Duration stall : {Duration{2s}, Duration{8s}, Duration{16s}, Duration{32s}}) {
      for (const Duration between : kBetween) {
        swim += stalled(plain_swim(settings), slow, stall, between, 120s, Stall::kFrozen);
        with += stalled(settings, slow, stall, between, 120s, Stall::kFrozen);
      }
    }
    std::printf("| %zu | %zu, %zu | %zu, %zu |\n", slow, swim.all, swim.healthy, with.all, with.healthy);
    std::fflush(stdout);
  }
}

// Section V of the Lifeguard paper: alpha = 5, beta = 6, and of 128 members 1 to 32 anomalous at a time, as
// in its figure 2. Its durations and intervals are not known to us; these are our own.
False anomalies(const Settings& settings, std::size_t slow) {
  False sum;
  for (const Duration stall : {Duration{8s}, Duration{16s}, Duration{32s}}) {
    for (const Duration between : kBetween) sum += stalled(settings, slow, stall, between, 120s);
  }
  return sum;
}

double per_cent(std::uint64_t part, std::uint64_t of) {
  return of == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(of);
}

Settings alpha(unsigned suspicion_mult) {
  Settings settings;
  settings.suspicion_mult = suspicion_mult;
  return settings;
}

void lifeguard_paper() {
  struct Configuration {
    const char* name;
    Settings settings;
    False total = {};
  };
  Settings probe = alpha(5);
  probe.suspicion_max_mult = 1;
  Settings suspicion = alpha(5);
  suspicion.awareness_max = 1;
  Configuration configurations[] = {{"SWIM", plain_swim(alpha(5))},
                                    {"LHA-Probe", probe},
                                    {"LHA-Suspicion", suspicion},
                                    {"Lifeguard", alpha(5)}};
  std::puts(
      "\n| anomalous of 128 | SWIM | Lifeguard | % | own findings: SWIM | Lifeguard | % "
      "|\n|---|---|---|---|---|---|---|");
  for (const std::size_t slow : {1U, 8U, 16U, 32U}) {
    False first;
    False last;
    for (Configuration& configuration : configurations) {
      last = anomalies(configuration.settings, slow);
      if (&configuration == configurations) first = last;
      configuration.total += last;
    }
    std::printf("| %zu | %zu | %zu | %.2f | %zu | %zu | %.2f |\n", slow, first.all, last.all,
                per_cent(last.all, first.all), first.own, last.own, per_cent(last.own, first.own));
    std::fflush(stdout);
  }
  const False& base = configurations[0].total;
  std::puts(
      "\n| | false, at healthy members | % of SWIM | own findings, at healthy members | % of SWIM | "
      "datagrams, "
      "bytes: % of SWIM |\n|---|---|---|---|---|---|");
  for (const Configuration& each : configurations) {
    const False& total = each.total;
    std::printf("| %s | %zu, %zu | %.2f, %.2f | %zu, %zu | %.2f, %.2f | %.2f, %.2f |\n", each.name, total.all,
                total.healthy, per_cent(total.all, base.all), per_cent(total.healthy, base.healthy),
                total.own, total.own_healthy, per_cent(total.own, base.own),
                per_cent(total.own_healthy, base.own_healthy), per_cent(total.datagrams, base.datagrams),
                per_cent(total.bytes, base.bytes));
  }
}

// The paper's tuning: a lower alpha detects sooner, and is wrong more often.
void alphas() {
  struct Tuning {
    const char* name;
    Settings settings;
  };
  const Tuning tunings[] = {
      {"5, SWIM", plain_swim(alpha(5))}, {"5", alpha(5)}, {"4", alpha(4)}, {"2", alpha(2)}};
  std::puts(
      "\n| alpha | a killed one: dead everywhere, s: median | % of SWIM | false | % of SWIM | own findings | "
      "% |\n|---|---|---|---|---|---|---|");
  double time_base = 0;
  False base;
  for (const Tuning& tuning : tunings) {
    Spread dead;
    for (std::uint64_t run = 0; run < 30; ++run) {
      SwimPool pool({.members = 128, .settings = tuning.settings, .seed = run});
      pool.run_for(3s + static_cast<int>(run) * 130ms);
      const TimePoint killed = pool.now();
      pool.kill(1);
      pool.run_until([&] { return pool.all_see(1, State::kDead); }, 300s);
      dead.add(pool.now() - killed);
    }
    False sum;
    for (const std::size_t slow : {16U, 32U}) sum += anomalies(tuning.settings, slow);
    if (time_base == 0) {
      time_base = dead.at(0.5);
      base = sum;
    }
    std::printf("| %s | %.2f | %.0f | %zu | %.2f | %zu | %.2f |\n", tuning.name, dead.at(0.5),
                100 * dead.at(0.5) / time_base, sum.all, per_cent(sum.all, base.all), sum.own,
                per_cent(sum.own, base.own));
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace remora::discovery::swim::test

int main(int count, char** arguments) {
  using namespace remora::discovery::swim::test;
  if (count > 1 && std::strcmp(arguments[1], "--papers") == 0) {
    swim_paper();
    frozen();
    lifeguard_paper();
    alphas();
    return 0;
  }
  const bool longer = count > 1 && std::strcmp(arguments[1], "--long") == 0;
  std::puts(
      "| members | runs | first suspicion, s: median / 95 % | all suspect: median / most | first declares "
      "dead | all know: median / most "
      "| complete | "
      "datagrams/s | bytes/s |\n|---|---|---|---|---|---|---|---|---|");
  if (count > 1 && !longer) {
    const auto members = std::strtoul(arguments[1], nullptr, 10);
    if (members < 2) return 2;
    detection(members, count > 2 ? std::atoi(arguments[2]) : 1);
    return 0;
  }
  for (const std::size_t members : {5U, 10U, 50U, 100U}) detection(members, 50);
  detection(500, 20);
  detection(1000, 10);
  if (longer) {
    detection(2000, 5);
    detection(4000, 3);
    detection(10000, 3);
  }
  lifeguard();
  loss();
  partitions();
  return 0;
}
