#include "breaker/retry_budget.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <latch>
#include <thread>
#include <vector>

#include "base/random.h"
#include "tests/support/start.h"

using namespace remora;
using namespace remora::breaker;

namespace {

void requests(RetryBudget& budget, int times, TimePoint now) {
  for (int i = 0; i < times; ++i) budget.on_request(now);
}

// Asks until it is refused, or has been granted twice what a second can count.
std::uint64_t take_all(RetryBudget& budget, TimePoint now) {
  constexpr std::uint64_t kPlenty = std::uint64_t{1} << 20U;
  std::uint64_t taken = 0;
  while (taken < kPlenty && budget.try_retry(now)) ++taken;
  return taken;
}

// Four threads at once.
void in_threads(const std::function<void()>& work) {
  constexpr int kThreads = 4;
  std::latch start(kThreads);
  std::vector<std::jthread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      start.arrive_and_wait();
      work();
    });
  }
}

// Everything that happened, with its instant: what the promise is measured against.
struct Record {
  std::vector<TimePoint> requests;
  std::vector<TimePoint> retries;

  static std::int64_t in(const std::vector<TimePoint>& events, TimePoint after, TimePoint until) {
    return std::upper_bound(events.begin(), events.end(), until) -
           std::upper_bound(events.begin(), events.end(), after);
  }
  // The promise, for the ten seconds up to each retry.
  int windows_exceeded(double ratio, std::uint32_t min_per_second) const {
    int exceeded = 0;
    for (const TimePoint t : retries) {
      const auto earned = static_cast<double>(in(requests, t - RetryBudget::kWindow, t)) * ratio;
      if (static_cast<double>(in(retries, t - RetryBudget::kWindow, t)) >
          earned + 10.0 * min_per_second + 1e-6) {
        ++exceeded;
      }
    }
    return exceeded;
  }
};

}  // namespace

TEST_SUITE("retry budget") {
  TEST_CASE("a quiet cluster has its minimum for ten seconds at once, and no more") {
    RetryBudget budget({.ratio = 0.2, .min_per_second = 3});
    CHECK(budget.left(kStart) == 30);
    CHECK(take_all(budget, kStart) == 30);
    CHECK(budget.left(kStart) == 0);
    CHECK_FALSE(budget.try_retry(kStart + 10s));
  }

  TEST_CASE("the minimum is there again after the window, for ever") {
    RetryBudget budget({.ratio = 0.0, .min_per_second = 1});
    for (int i = 0; i < 1'000; ++i) {
      const TimePoint now = kStart + i * 11s;
      REQUIRE(budget.left(now) == 10);
      REQUIRE(take_all(budget, now) == 10);
      REQUIRE(budget.left(now + 10s) == 0);
    }
  }

  TEST_CASE("requests earn their share, to the last one") {
    struct Row {
      double ratio;
      int requests;
      std::uint64_t earned;
    };
    for (const Row row :
         {Row{0.2, 100, 20}, Row{0.29, 100, 29}, Row{0.1, 30, 3}, Row{0.1, 29, 2}, Row{0.0, 100, 0},
          Row{1.0, 7, 7}, Row{10.0, 7, 70}, Row{0.07, 100, 7}, Row{0.0157, 10'000, 157}}) {
      CAPTURE(row.ratio);
      CAPTURE(row.requests);
      RetryBudget budget({.ratio = row.ratio, .min_per_second = 0});
      requests(budget, row.requests, kStart);
      CHECK(budget.left(kStart) == row.earned);
      CHECK(take_all(budget, kStart) == row.earned);
    }
  }

  TEST_CASE("share and minimum add up") {
    RetryBudget budget({.ratio = 0.5, .min_per_second = 2});
    requests(budget, 10, kStart);
    CHECK(take_all(budget, kStart) == 25);
    requests(budget, 4, kStart + 1s);
    CHECK(take_all(budget, kStart + 1s) == 2);
  }

  TEST_CASE("without ratio and minimum there are no retries") {
    RetryBudget budget({.ratio = 0.0, .min_per_second = 0});
    requests(budget, 1'000, kStart);
    CHECK(budget.left(kStart) == 0);
    CHECK_FALSE(budget.try_retry(kStart));
  }

  TEST_CASE("a ratio out of its range is taken as the nearest one in it") {
    RetryBudget much({.ratio = 1e9, .min_per_second = 0});
    requests(much, 10, kStart);
    CHECK(much.left(kStart) == 100);
    RetryBudget little({.ratio = -1.0, .min_per_second = 0});
    requests(little, 10, kStart);
    CHECK(little.left(kStart) == 0);
  }

  TEST_CASE("other settings count at once, for what was counted before as well") {
    RetryBudget budget({.ratio = 0.1, .min_per_second = 1});
    requests(budget, 100, kStart);
    CHECK(take_all(budget, kStart) == 20);
    budget.set_settings({.ratio = 0.5, .min_per_second = 2});
    CHECK(budget.left(kStart) == 50);
    budget.set_settings({.ratio = 0.0, .min_per_second = 2});
    CHECK_FALSE(budget.try_retry(kStart));
    budget.set_settings({.ratio = 0.0, .min_per_second = 3});
    CHECK(take_all(budget, kStart) == 10);
  }

  TEST_CASE("what requests have earned is lost after ten seconds") {
    RetryBudget budget({.ratio = 0.2, .min_per_second = 0});
    requests(budget, 100, kStart);
    CHECK(budget.left(kStart + 9s) == 20);
    CHECK(budget.left(kStart + 10s) == 0);
    CHECK_FALSE(budget.try_retry(kStart + 10s));
  }

  TEST_CASE("a retry is remembered at least as long as the request that earned it") {
    for (const Duration offset : {0ms, 1ms, 500ms, 999ms}) {
      RetryBudget budget({.ratio = 0.1, .min_per_second = 0});
      const TimePoint at = kStart + offset;
      requests(budget, 10, at);
      CHECK(take_all(budget, at) == 1);
      for (int ms = 0; ms <= 12'000; ms += 100) REQUIRE_FALSE(budget.try_retry(at + ms * 1ms));
    }
  }

  TEST_CASE("left says what would be granted, at any time, and takes nothing") {
    Random random(3);
    RetryBudget budget({.ratio = 0.3, .min_per_second = 1});
    TimePoint now = kStart;
    for (int i = 0; i < 5'000; ++i) {
      now += Duration(random.below(2'000'000));
      requests(budget, static_cast<int>(random.below(20)), now);
      const std::uint64_t left = budget.left(now);
      REQUIRE(budget.left(now) == left);
      if (random.below(3) == 0) REQUIRE(take_all(budget, now) == left);
    }
  }

  TEST_CASE("after an idle gap, of seconds or of centuries, neither requests nor retries are left over") {
    for (unsigned bits = 4; bits < 40; ++bits) {
      for (const std::int64_t more : {-1, 0, 1}) {
        RetryBudget budget({.ratio = 0.5, .min_per_second = 1});
        requests(budget, 100, kStart);
        CHECK(take_all(budget, kStart) == 60);
        const TimePoint later = kStart + std::chrono::seconds((std::int64_t{1} << bits) + more);
        CAPTURE(bits);
        CHECK(budget.left(later) == 10);
        CHECK(take_all(budget, later) == 10);
      }
    }
  }

  TEST_CASE("every instant will do: zero, before zero, the first and the last there is") {
    for (const TimePoint at :
         {TimePoint{}, TimePoint{-1us}, TimePoint{-1h}, TimePoint::min(), TimePoint::max()}) {
      RetryBudget budget({.ratio = 0.1, .min_per_second = 1});
      CAPTURE(at.time_since_epoch().count());
      CHECK(budget.left(at) == 10);
      requests(budget, 10, at);
      CHECK(budget.left(at) == 11);
      CHECK(take_all(budget, at) == 11);
      if (at < TimePoint::max()) CHECK(take_all(budget, at + 11s) == 10);
    }
  }

  TEST_CASE("a thread whose clock is behind asks the second of the one ahead") {
    RetryBudget budget({.ratio = 0.0, .min_per_second = 1});
    CHECK(take_all(budget, kStart + 5s) == 10);
    CHECK_FALSE(budget.try_retry(kStart));
    CHECK(budget.left(kStart) == 0);
    RetryBudget old({.ratio = 1.0, .min_per_second = 0});
    requests(old, 5, kStart);
    CHECK_FALSE(old.try_retry(kStart + 10s));
    CHECK(old.left(kStart + 9s) == 0);  // ten seconds have passed, as the other one says
    CHECK_FALSE(old.try_retry(kStart + 9s));
  }

  TEST_CASE("a second grants no more than its word can count") {
    constexpr std::uint64_t kMost = (std::uint64_t{1} << 19U) - 1;
    RetryBudget budget({.ratio = 0.0, .min_per_second = 1'000'000});
    CHECK(take_all(budget, kStart) == kMost);
    CHECK(take_all(budget, kStart + 1s) == kMost);
    CHECK(budget.left(kStart + 1s) == 10'000'000 - 2 * kMost);
  }

  TEST_CASE("whatever comes when, no ten seconds see more retries than their requests earn") {
    std::uint64_t granted = 0;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
      CAPTURE(seed);
      Random random(seed);
      const RetryBudget::Settings settings{.ratio = 0.1 * random.below(15),
                                           .min_per_second = random.below(4)};
      RetryBudget budget(settings);
      Record record;
      TimePoint now{Duration(static_cast<std::int64_t>(random.next() % 100'000'000)) - 50s};
      const TimePoint first = now;
      for (int i = 0; i < 1'500; ++i) {
        now += Duration(random.below(random.below(20) == 0 ? 12'000'000 : 300'000));
        for (std::uint32_t n = random.below(6); n > 0; --n) {
          budget.on_request(now);
          record.requests.push_back(now);
        }
        for (std::uint32_t n = random.below(3) == 0 ? random.below(60) : 0; n > 0 && budget.try_retry(now);
             --n) {
          record.retries.push_back(now);
        }
      }
      REQUIRE(record.windows_exceeded(settings.ratio, settings.min_per_second) == 0);
      const double seconds = std::chrono::duration<double>(now - first).count();
      REQUIRE(static_cast<double>(record.retries.size()) <=
              settings.ratio * static_cast<double>(record.requests.size()) +
                  settings.min_per_second * (seconds + 10.0));
      granted += record.retries.size();
    }
    CHECK(granted > 10'000);
  }

  TEST_CASE("threads that compete for the last retries get exactly those") {
    RetryBudget budget({.ratio = 0.2, .min_per_second = 1'000});
    for (int round = 0; round < 50; ++round) {
      const TimePoint now = kStart + round * 11s;  // nothing is left of the round before
      requests(budget, 500, now);
      std::atomic<std::uint64_t> granted{0};
      in_threads([&] { granted += take_all(budget, now); });
      REQUIRE(granted == 10'100);
      REQUIRE(budget.left(now) == 0);
    }
  }

  TEST_CASE("threads that ask while seconds pass together get no more than the rule grants") {
    constexpr std::int64_t kSteps = 20'000;
    constexpr Duration kStep = 50ms;
    const RetryBudget::Settings settings{.ratio = 0.5, .min_per_second = 2};
    RetryBudget budget(settings);
    std::atomic<std::int64_t> steps{0};
    std::atomic<std::uint64_t> granted{0};
    in_threads([&] {
      for (std::int64_t step = 0; (step = steps.fetch_add(1)) < kSteps;) {
        const TimePoint now = kStart + step * kStep;
        budget.on_request(now);
        for (int n = 0; n < 5 && budget.try_retry(now); ++n) ++granted;
      }
    });
    const double seconds = std::chrono::duration<double>(kSteps * kStep).count();
    CHECK(static_cast<double>(granted) <=
          settings.ratio * kSteps + settings.min_per_second * (seconds + 10.0));
    CHECK(granted > kSteps / 4);
  }

  TEST_CASE("what threads are granted while others close the second is never forgotten") {
    constexpr std::int64_t kSteps = 200'000;
    constexpr std::int64_t kStepsPerSecond = 20;
    RetryBudget budget({.ratio = 0.0, .min_per_second = 10});
    std::atomic<std::int64_t> steps{0};
    std::atomic<std::uint64_t> granted{0};
    in_threads([&] {
      for (std::int64_t step = 0; (step = steps.fetch_add(1)) < kSteps;) {
        const TimePoint now = kStart + step / kStepsPerSecond * 1s;
        for (int n = 0; n < 3 && budget.try_retry(now); ++n) ++granted;
      }
    });
    // A hundred in each eleven seconds, whatever the threads' clocks say.
    CHECK(granted <= 100 * (kSteps / kStepsPerSecond / 11 + 1));
    CHECK(granted >= 100 * (kSteps / kStepsPerSecond / 11 - 1));
  }

  TEST_CASE("when every request fails, the upstream sees (1 + ratio) times the requests plus the minimum") {
    struct Row {
      double ratio;
      std::uint32_t min_per_second;
      std::uint32_t requests_per_second;
      int attempts;
    };
    constexpr int kSeconds = 60;
    for (const Row row : {Row{0.2, 3, 1'000, 2}, Row{0.2, 3, 1'000, 10}, Row{0.2, 3, 2, 5},
                          Row{0.0, 3, 100, 5}, Row{1.0, 0, 200, 5}, Row{0.05, 1, 5'000, 3}}) {
      CAPTURE(row.ratio);
      CAPTURE(row.requests_per_second);
      Random random(11);
      RetryBudget budget({.ratio = row.ratio, .min_per_second = row.min_per_second});
      std::uint64_t requests = 0;
      std::uint64_t upstream = 0;
      for (int second = 0; second < kSeconds; ++second) {
        std::vector<std::int64_t> arrivals(row.requests_per_second);
        for (auto& arrival : arrivals) arrival = random.below(1'000'000);
        std::ranges::sort(arrivals);
        for (const std::int64_t arrival : arrivals) {
          const TimePoint now = kStart + second * 1s + Duration(arrival);
          budget.on_request(now);
          ++requests;
          ++upstream;
          for (int attempt = 1; attempt < row.attempts && budget.try_retry(now); ++attempt) ++upstream;
        }
      }
      const double least = static_cast<double>(requests) * (1.0 + row.ratio);
      CHECK(static_cast<double>(upstream) <= least + row.min_per_second * (kSeconds + 10.0));
      // And the budget is spent, as far as attempts go: it is a limit, not a ban.
      const double wanted = static_cast<double>(requests) * row.attempts;
      CHECK(static_cast<double>(upstream) >= std::min(wanted, least) * 0.95);
    }
  }
}
