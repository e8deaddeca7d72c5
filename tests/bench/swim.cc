// The figures of docs/swim.md: gossip pools in virtual time, printed as the page's tables.
//
//   build/release/bench_swim              up to 1,000 members; a minute or so
//   build/release/bench_swim --long       2,000, 4,000 and 10,000 as well; some 13 GB
//   build/release/bench_swim 10000 [1]    that row of the first table alone, of so many runs
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
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
  std::fflush(stdout);
}

struct False {
  std::size_t all = 0;      // failures declared of members that were well
  std::size_t healthy = 0;  // of these, by members that were well
};

False stalled(const Settings& settings, std::size_t slow, Duration stall) {
  constexpr std::size_t kMembers = 128;
  SwimPool pool({.members = kMembers,
                 .settings = settings,
                 .seed = slow * 1000 + static_cast<std::uint64_t>(stall.count())});
  pool.run_for(5s);
  for (int round = 0; round < 10; ++round) {
    for (std::size_t i = 0; i < slow; ++i) pool.block(i, stall);
    pool.run_for(stall + 4s);
  }
  False count;
  for (const auto& seen : pool.seen()) {
    if (seen.change != Change::kFailed || seen.subject < slow) continue;
    ++count.all;
    if (seen.observer >= slow) ++count.healthy;
  }
  return count;
}

Settings plain_swim() {
  Settings settings;
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
      const False swim = stalled(plain_swim(), slow, stall);
      const False with = stalled({}, slow, stall);
      std::printf("| %zu | %.0f s | %zu, %zu | %zu, %zu |\n", slow, seconds(stall), swim.all, swim.healthy,
                  with.all, with.healthy);
      std::fflush(stdout);
      swim_total.all += swim.all;
      swim_total.healthy += swim.healthy;
      lifeguard_total.all += with.all;
      lifeguard_total.healthy += with.healthy;
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

}  // namespace
}  // namespace remora::discovery::swim::test

int main(int count, char** arguments) {
  using namespace remora::discovery::swim::test;
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
