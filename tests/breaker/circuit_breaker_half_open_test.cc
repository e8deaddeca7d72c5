// Half-open: exactly so many probes at once, exactly so many successes, and nobody else's result counts.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "breaker/circuit_breaker.h"
#include "tests/breaker/circuit_breaker_rig.h"

using namespace remora;
using namespace remora::breaker;
using namespace remora::breaker::test;

TEST_SUITE("circuit breaker, half-open") {
  TEST_CASE("exactly half_open_requests probes are in flight") {
    for (const std::uint32_t most : {1U, 2U, 7U, 65'535U}) {
      CAPTURE(most);
      Settings settings = plain();
      settings.half_open_requests = most;
      settings.success_threshold = 65'535;
      Rig rig(settings);
      rig.fail();
      rig.wait();
      std::vector<Ticket> probes;
      probes.reserve(most);
      for (std::uint32_t i = 0; i < most; ++i) probes.push_back(rig.enter());
      CHECK(std::ranges::all_of(probes, &Ticket::probe));
      CHECK(rig.view().probes_in_flight == most);
      CHECK_FALSE(rig.admits());
      CHECK_FALSE(rig.finish(probes[0], kNothing).has_value());
      CHECK(rig.admits());
      CHECK_FALSE(rig.admits());
      if (most > 1) {
        CHECK_FALSE(rig.finish(probes[1], kGood).has_value());
        CHECK(rig.admits());
        CHECK_FALSE(rig.admits());
      }
      CHECK(rig.view().probes_in_flight == most);
    }
  }

  TEST_CASE("exactly success_threshold successes close, and ignored probes are none") {
    for (const std::uint32_t threshold : {1U, 2U, 9U, 65'535U}) {
      CAPTURE(threshold);
      Settings settings = plain();
      settings.success_threshold = threshold;
      Rig rig(settings);
      rig.fail();
      rig.wait();
      for (std::uint32_t i = 1; i < threshold; ++i) {
        REQUIRE_FALSE(rig.request(kNothing).has_value());
        REQUIRE_FALSE(rig.request(kGood).has_value());
      }
      CHECK(rig.request(kGood)->reason == Reason::kProbesSucceeded);
      CHECK(rig.view().consecutive_failures == 0);
      CHECK_FALSE(rig.enter().probe);
    }
  }

  TEST_CASE("one failure opens again, whatever the others say afterwards") {
    Settings settings = plain();
    settings.half_open_requests = 5;
    settings.success_threshold = 5;
    Rig rig(settings);
    rig.fail();
    rig.wait();
    std::vector<Ticket> probes;
    probes.reserve(5);
    for (int i = 0; i < 5; ++i) probes.push_back(rig.enter());
    for (const std::size_t i : {0U, 1U, 2U}) CHECK_FALSE(rig.finish(probes[i], kGood).has_value());
    CHECK(rig.finish(probes[3], kBad)->reason == Reason::kProbeFailed);
    CHECK_FALSE(rig.finish(probes[4], kGood).has_value());
    CHECK(rig.phase() == Phase::kOpen);
    rig.wait();
    rig.enter();
    CHECK(rig.view().probes_in_flight == 1);  // and nothing is left of the successes before
    for (int i = 0; i < 4; ++i) CHECK_FALSE(rig.request(kGood).has_value());
    CHECK(rig.request(kGood)->to == Phase::kClosed);
  }

  TEST_CASE("a probe of an earlier half-open phase frees no place, closes nothing and opens nothing") {
    Settings settings = plain();
    settings.half_open_requests = 2;
    Rig rig(settings);
    rig.fail();
    rig.wait();
    const Ticket old = rig.enter();
    CHECK(rig.finish(rig.enter(), kBad).has_value());
    rig.wait();
    rig.enter();
    rig.enter();
    for (const Outcome outcome : {kNothing, kGood, kBad}) {
      CHECK_FALSE(rig.finish(old, outcome).has_value());
      CHECK(rig.view().probes_in_flight == 2);
      CHECK_FALSE(rig.admits());
    }
  }

  TEST_CASE("an attempt that entered while it was closed frees no place of a probe") {
    Rig rig;
    const Ticket old = rig.enter();
    rig.fail();
    rig.wait();
    rig.enter();
    for (const Outcome outcome : {kNothing, kGood, kBad}) {
      CHECK_FALSE(rig.finish(old, outcome).has_value());
      CHECK(rig.view().probes_in_flight == 1);
    }
  }

  TEST_CASE("probes still in flight when it closes are attempts of the past") {
    Settings settings = plain();
    settings.half_open_requests = 4;
    settings.consecutive_failures = 1;
    Rig rig(settings);
    rig.fail();
    rig.wait();
    std::vector<Ticket> probes;
    probes.reserve(4);
    for (int i = 0; i < 4; ++i) probes.push_back(rig.enter());
    rig.finish(probes[0], kGood);
    CHECK(rig.finish(probes[1], kGood)->to == Phase::kClosed);
    CHECK_FALSE(rig.finish(probes[2], kBad).has_value());
    CHECK(rig.phase() == Phase::kClosed);
    CHECK(rig.view().consecutive_failures == 0);
  }

  TEST_CASE("a ticket given back twice does not make a place of nothing") {
    Rig rig;
    rig.fail();
    rig.wait();
    const Ticket probe = rig.enter();
    rig.finish(probe, kNothing);
    rig.finish(probe, kNothing);
    CHECK(rig.view().probes_in_flight == 0);
    CHECK(rig.admits());
    CHECK_FALSE(rig.admits());
  }
}
