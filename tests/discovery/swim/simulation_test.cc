// Whole pools in virtual time. Bounds are those of the protocol, not of this machine: see docs/swim.md for
// the figures.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/support/swim_pool.h"

namespace remora::discovery::swim {
namespace {

using test::SwimPool;

std::size_t count(const SwimPool& pool, Change change) {
  return static_cast<std::size_t>(std::ranges::count(pool.seen(), change, &SwimPool::Seen::change));
}

TEST_CASE("swim pool: members that dial one of them know each other within seconds, and stay quiet then") {
  SwimPool pool({.members = 20, .joined = false});
  CHECK(pool.run_until([&] { return pool.agreed(); }, 5s));
  pool.run_for(5s);
  const std::uint64_t before = pool.datagrams();
  pool.run_for(60s);
  // A ping and an ack per member and second, and nothing else.
  CHECK(pool.datagrams() - before <= 20 * 60 * 2 + 40);
  CHECK(pool.datagrams() - before >= 20 * 60 * 2 - 40);
  CHECK(count(pool, Change::kSuspected) == 0);
}

TEST_CASE("swim pool: a killed member is suspected and declared dead everywhere, and nobody else is") {
  for (const std::size_t members : {5U, 16U, 64U, 256U}) {
    CAPTURE(members);
    SwimPool pool({.members = members, .seed = members});
    pool.run_for(3s);
    const TimePoint killed = pool.now();
    pool.kill(1);
    // Probed at the latest after 2n - 1 periods by one member, but after few by any; then a second, then 4 s
    // and more.
    REQUIRE(pool.run_until([&] { return pool.all_see(1, State::kDead); }, 30s));
    const Duration took = pool.now() - killed;
    CHECK(took >= 5s);
    for (const auto& seen : pool.seen()) {
      if (seen.change == Change::kFailed) CHECK(seen.subject == 1);
    }
    CHECK(count(pool, Change::kFailed) == members - 1);
    pool.run_for(60s);
    if (members <= 16) CHECK(count(pool, Change::kForgotten) == members - 1);
  }
}

TEST_CASE("swim pool: a thousand members find the dead as fast as ten, and send no more for it") {
  const auto detect = [](std::size_t members, double& per_member) {
    SwimPool pool({.members = members, .seed = 3});
    pool.run_for(2s);
    const std::uint64_t before = pool.datagrams();
    pool.run_for(10s);
    per_member = static_cast<double>(pool.datagrams() - before) / 10 / static_cast<double>(members);
    const TimePoint killed = pool.now();
    pool.kill(1);
    CHECK(pool.run_until([&] { return count(pool, Change::kSuspected) > 0; }, 20s));
    const Duration suspected = pool.now() - killed;
    CHECK(pool.run_until([&] { return pool.all_see(1, State::kDead); }, 90s));
    return suspected;
  };
  double few = 0;
  double many = 0;
  CHECK(detect(10, few) <= 5s);
  CHECK(detect(1000, many) <= 5s);
  CHECK(few == doctest::Approx(2.0).epsilon(0.1));
  CHECK(many == doctest::Approx(2.0).epsilon(0.1));
}

TEST_CASE("swim pool: one who leaves is gone everywhere within a second or two, as left and not as dead") {
  SwimPool pool({.members = 30});
  pool.run_for(3s);
  pool.leave(4);
  CHECK(pool.run_until([&] { return pool.all_see(4, State::kLeft) && pool.at(4).departed(); }, 3s));
  CHECK(count(pool, Change::kFailed) == 0);
  CHECK(count(pool, Change::kSuspected) == 0);
}

TEST_CASE("swim pool: a member restarted at its address is back, whatever the pool thought of it") {
  for (const Duration down : {Duration{500ms}, Duration{3s}, Duration{10s}, Duration{60s}}) {
    CAPTURE(down.count());
    SwimPool pool({.members = 8});
    pool.run_for(3s);
    pool.kill(2);
    pool.run_for(down);
    pool.restart(2, 0);
    CHECK(pool.run_until([&] { return pool.agreed(); }, 10s));
    pool.run_for(40s);
    CHECK(pool.agreed());
  }
}

TEST_CASE(
    "swim pool: who is frozen for less than the suspicion refutes it, and who was frozen longer comes back") {
  SwimPool pool({.members = 10});
  pool.run_for(3s);
  pool.freeze(3, 3500ms);
  pool.run_for(10s);
  CHECK(count(pool, Change::kFailed) == 0);
  CHECK(pool.agreed());
  pool.forget_seen();
  pool.freeze(3, 20s);
  CHECK(pool.run_until([&] { return pool.all_see(3, State::kDead); }, 20s));
  CHECK(pool.run_until([&] { return pool.agreed(); }, 40s));
  // It could not hear anybody, and accuses nobody of that.
  for (const auto& seen : pool.seen()) {
    if (seen.change == Change::kFailed) CHECK(seen.subject == 3);
  }
}

TEST_CASE(
    "swim pool: with a tenth of the datagrams lost nobody is declared dead who is not, and who is, is") {
  SwimPool pool({.members = 40, .loss = 0.1});
  pool.run_for(300s);
  CHECK(count(pool, Change::kFailed) == 0);
  pool.kill(7);
  CHECK(pool.run_until([&] { return pool.all_see(7, State::kDead); }, 60s));
  for (const auto& seen : pool.seen()) {
    if (seen.change == Change::kFailed) CHECK(seen.subject == 7);
  }
}

TEST_CASE("swim pool: a link that is dead in one direction harms neither of its ends") {
  SwimPool pool({.members = 10});
  pool.run_for(3s);
  pool.cut(1, 2);
  pool.run_for(120s);
  CHECK(count(pool, Change::kFailed) == 0);
}

TEST_CASE(
    "swim pool: the halves of a healed partition meet again, even after they have forgotten each other") {
  for (const Duration apart : {Duration{20s}, Duration{180s}}) {
    CAPTURE(apart.count());
    SwimPool pool({.members = 20});
    pool.run_for(3s);
    std::vector<unsigned> groups(20);
    for (std::size_t i = 0; i < 8; ++i) groups[i] = 1;
    pool.partition(groups);
    pool.run_for(apart);
    CHECK_FALSE(pool.agreed());
    pool.partition({});
    CHECK(pool.run_until([&] { return pool.agreed(); }, 120s));
  }
}

// Failures of healthy members that healthy members believed in, with a quarter of the pool cut off from its
// sockets again and again for longer than a suspicion lasts.
std::size_t false_positives(const Settings& settings) {
  SwimPool pool({.members = 64, .settings = settings, .seed = 5});
  constexpr std::size_t kSlow = 16;
  pool.run_for(5s);
  for (int round = 0; round < 8; ++round) {
    for (std::size_t i = 0; i < kSlow; ++i) pool.block(i, 16s);
    pool.run_for(20s);
  }
  return static_cast<std::size_t>(std::ranges::count_if(pool.seen(), [&](const SwimPool::Seen& seen) {
    return seen.change == Change::kFailed && seen.subject >= kSlow && seen.observer >= kSlow;
  }));
}

TEST_CASE(
    "swim pool: with a quarter of its members stalled, Lifeguard spares the healthy where SWIM alone does "
    "not") {
  Settings swim;
  swim.awareness_max = 1;
  swim.suspicion_max_mult = 1;
  const std::size_t without = false_positives(swim);
  const std::size_t with = false_positives({});
  CAPTURE(without);
  CAPTURE(with);
  CHECK(without > 50);
  CHECK(with * 50 < without);
}

}  // namespace
}  // namespace remora::discovery::swim
