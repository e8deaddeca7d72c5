// One breaker in virtual time, with the steps that its tests are made of.
#pragma once

#include <doctest/doctest.h>

#include <optional>

#include "base/random.h"
#include "base/time.h"
#include "breaker/circuit_breaker.h"
#include "tests/support/start.h"

namespace remora::breaker::test {

using Settings = CircuitBreaker::Settings;
using Phase = CircuitBreaker::Phase;
using Reason = CircuitBreaker::Reason;
using Ticket = CircuitBreaker::Ticket;
using Transition = CircuitBreaker::Transition;

inline constexpr Outcome kGood{Result::kResponse, 200};
inline constexpr Outcome kBad{Result::kResponse, 503};
inline constexpr Outcome kNothing{Result::kIgnored};

// Three failures in a row open, two probes close, one at a time; nothing random.
inline Settings plain() {
  Settings settings;
  settings.consecutive_failures = 3;
  settings.failure_ratio = 0;
  settings.jitter = 0;
  return settings;
}

struct Rig {
  explicit Rig(const Settings& settings = plain()) : breaker(settings) {}

  Ticket enter() {
    const auto entry = breaker.try_enter(now);
    REQUIRE(entry.ticket.has_value());
    return *entry.ticket;
  }
  bool admits() { return breaker.try_enter(now).ticket.has_value(); }
  std::optional<Transition> finish(Ticket ticket, Outcome outcome, std::optional<Duration> latency = {}) {
    return breaker.report(ticket, outcome, latency, now, random);
  }
  std::optional<Transition> request(Outcome outcome, std::optional<Duration> latency = {}) {
    return finish(enter(), outcome, latency);
  }
  void requests(int times, Outcome outcome) {
    for (int i = 0; i < times; ++i) REQUIRE_FALSE(request(outcome).has_value());
  }
  // Fails until it opens; returns for how long it does.
  Duration fail() {
    for (int i = 0; i < 1'000; ++i) {
      if (const auto transition = request(kBad)) return transition->open_for;
    }
    FAIL("does not open");
    return {};
  }
  void wait() { now = breaker.view(now).open_until.value(); }
  void recover() {
    wait();
    while (phase() != Phase::kClosed) request(kGood);
  }
  Phase phase() const { return breaker.view(now).phase; }
  CircuitBreaker::View view() const { return breaker.view(now); }

  CircuitBreaker breaker;
  Random random{1};
  TimePoint now = kStart;
};

}  // namespace remora::breaker::test
