// A breaker that is told other settings while it is used.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "breaker/circuit_breaker.h"
#include "breaker/retry_budget.h"
#include "tests/support/start.h"

using namespace remora;
using namespace remora::breaker;
using breaker::Result;

namespace {

CircuitBreaker::Settings counting(std::uint32_t failures) {
  CircuitBreaker::Settings settings;
  settings.consecutive_failures = failures;
  settings.failure_ratio = 0.0;
  settings.jitter = 0.0;
  return settings;
}

void fail(CircuitBreaker& breaker, TimePoint now) {
  Random random(1);
  const auto entry = breaker.try_enter(now);
  REQUIRE(entry.ticket);
  breaker.report(*entry.ticket, {.result = Result::kReset}, std::nullopt, now, random);
}

}  // namespace

TEST_CASE("other settings count from the next result on, and what was counted counts") {
  CircuitBreaker breaker(counting(5));
  fail(breaker, kStart);
  fail(breaker, kStart);
  breaker.set_settings(counting(3), kStart);
  CHECK(breaker.view(kStart).phase == CircuitBreaker::Phase::kClosed);
  fail(breaker, kStart);
  CHECK(breaker.view(kStart).phase == CircuitBreaker::Phase::kOpen);
}

TEST_CASE("an open breaker stays open as long as it said, whatever it is told") {
  auto settings = counting(1);
  settings.open_for = 20s;
  CircuitBreaker breaker(settings);
  fail(breaker, kStart);
  settings.open_for = 1s;
  breaker.set_settings(settings, kStart + 1s);
  CHECK(!breaker.may_enter(kStart + 19s));
  CHECK(breaker.may_enter(kStart + 20s));
}

TEST_CASE("a breaker that is switched off lets everybody in, and begins anew when it is on again") {
  auto settings = counting(1);
  CircuitBreaker breaker(settings);
  fail(breaker, kStart);
  CHECK(!breaker.may_enter(kStart));
  settings.enabled = false;
  breaker.set_settings(settings, kStart);
  CHECK(breaker.may_enter(kStart));
  fail(breaker, kStart);
  settings.enabled = true;
  breaker.set_settings(settings, kStart);
  CHECK(breaker.may_enter(kStart));
  CHECK(breaker.view(kStart).phase == CircuitBreaker::Phase::kClosed);
}

TEST_CASE("a window of another length begins empty") {
  auto settings = counting(0);
  settings.failure_ratio = 0.5;
  settings.min_requests = 4;
  CircuitBreaker breaker(settings);
  for (int i = 0; i < 3; ++i) fail(breaker, kStart);
  settings.window = settings.window * 2;
  breaker.set_settings(settings, kStart);
  CHECK(breaker.view(kStart).window.total == 0);
  for (int i = 0; i < 3; ++i) fail(breaker, kStart);
  CHECK(breaker.view(kStart).phase == CircuitBreaker::Phase::kClosed);
  fail(breaker, kStart);
  CHECK(breaker.view(kStart).phase == CircuitBreaker::Phase::kOpen);
}

TEST_CASE("settings change while other threads use the breaker and the budget") {
  CircuitBreaker breaker(counting(2));
  RetryBudget budget({});
  std::atomic<bool> stop{false};
  std::jthread user([&] {
    Random random(7);
    while (!stop.load()) {
      const auto entry = breaker.try_enter(kStart);
      if (entry.ticket) breaker.report(*entry.ticket, {.result = Result::kResponse}, 1ms, kStart, random);
      budget.on_request(kStart);
    }
  });
  for (std::uint32_t i = 0; i < 2000; ++i) {
    auto settings = counting(1 + i % 3);
    settings.window = Duration(1s) * (1 + i % 2);
    breaker.set_settings(settings, kStart);
    budget.set_settings({.ratio = 0.1, .min_per_second = i});
  }
  stop = true;
  user.join();
  CHECK(breaker.settings().consecutive_failures == 1 + 1999 % 3);
}

TEST_CASE("a budget's other settings hold for the next retry") {
  RetryBudget budget({.ratio = 0.0, .min_per_second = 0});
  CHECK(!budget.try_retry(kStart));
  budget.set_settings({.ratio = 0.0, .min_per_second = 1});
  CHECK(budget.left(kStart) == 10);
  CHECK(budget.try_retry(kStart));
  budget.set_settings({.ratio = 0.0, .min_per_second = 0});
  CHECK(!budget.try_retry(kStart));
}
