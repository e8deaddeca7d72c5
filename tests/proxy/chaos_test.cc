// Seeded trouble over a whole worker, and what must hold whatever happens (tests/support/chaos.h). By hand:
//
//   REMORA_CHAOS_SEEDS=100000 build/release/unit_tests -tc='*whatever happens*'      as many seeds
//   REMORA_CHAOS_FIRST=4711 REMORA_CHAOS_SEEDS=1 build/release/unit_tests -tc=...    that seed alone
#include "tests/support/chaos.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "tests/support/alloc_count.h"

using namespace remora;
using namespace remora::testing;

namespace {

const std::uint64_t kSeeds = test::AllocCount::sees_malloc() ? 60 : 1000;  // sanitizers are slow

std::uint64_t number(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// How to see it again.
std::string replay(std::uint64_t seed) {
  return "REMORA_CHAOS_FIRST=" + std::to_string(seed) +
         " REMORA_CHAOS_SEEDS=1 build/release/unit_tests -tc='*whatever happens*'";
}

}  // namespace

TEST_CASE("whatever happens, every exchange ends once, is counted and logged, and nothing is left") {
  Chaos chaos;
  REQUIRE(chaos.play(chaos_script(0)) == "");  // what is made once is there
  const std::uint64_t first = number("REMORA_CHAOS_FIRST", 1);
  const std::uint64_t seeds = number("REMORA_CHAOS_SEEDS", kSeeds);
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    const std::string script = chaos_script(seed);
    const test::AllocCount count;
    const std::string violated = chaos.play(script);
    const auto kept = static_cast<std::int64_t>(count.news() - count.deletes());
    INFO(replay(seed));
    REQUIRE(violated == "");
    REQUIRE((kept == 0 || test::AllocCount::sees_malloc()));  // OpenSSL keeps things for itself
  }
  if (seeds < 50) return;
  const Chaos::Seen& seen = chaos.seen();
  MESSAGE(seeds, " seeds: ", seen.exchanges, " exchanges, ", seen.succeeded, " of them 2xx, ", seen.retries,
          " retries, ", seen.hedges, " hedges, ", seen.openings, " breakers opened, ", seen.ejected,
          " times ejected, ", seen.reloads, " reloads, ", seen.tunnels, " tunnels, ", seen.handshakes,
          " handshakes, flags ", seen.flags);
  CHECK(seen.succeeded > seeds);
  for (const std::uint64_t met : {seen.retries, seen.hedges, seen.openings, seen.reloads, seen.tunnels,
                                  seen.handshakes, seen.ejected}) {
    CHECK(met > 0);
  }
}

TEST_CASE("an access log whose disk is full costs its lines and nothing else") {
  Chaos chaos(Chaos::LogTo::kFullDisk);
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    INFO(seed);
    REQUIRE(chaos.play(chaos_script(seed)) == "");
  }
  CHECK(chaos.seen().dropped_lines >= chaos.seen().exchanges);
  CHECK(chaos.seen().exchanges > 0);
}
