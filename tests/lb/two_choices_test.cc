// Least request and peak EWMA in simulations of servers that answer after a time of their own. Time is
// virtual.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <queue>

#include "lb/ewma.h"
#include "tests/lb/lb_test_support.h"

using namespace remora;
using namespace remora::lb;
using namespace remora::lb::test;

namespace {

// Requests arrive at a steady rate and take what `service` says; the balancer hears of loads and latencies as
// the proxy would tell it.
class Simulation {
 public:
  using Service = std::function<Duration(std::uint32_t endpoint, TimePoint now)>;

  Simulation(Algorithm algorithm, const Weights& weights, Service service)
      : balancer_(balancer_over(algorithm, weights)),
        service_(std::move(service)),
        loads_(weights.size()),
        latencies_(weights.size()) {}

  // Picks per endpoint in the time given.
  std::vector<double> run(Duration how_long, Duration between_requests) {
    std::vector<double> counts(loads_.size());
    for (const TimePoint end = now_ + how_long; now_ < end; now_ += between_requests) {
      complete_until(now_);
      const std::uint32_t picked = balancer_->pick({.loads = loads_, .now = now_}, random_).value();
      ++counts[picked];
      ++loads_[picked].in_flight;
      pending_.push({now_ + service_(picked, now_), now_, picked});
      most_in_flight_ = std::max(most_in_flight_, loads_[picked].in_flight);
    }
    return counts;
  }

  std::uint32_t most_in_flight() const { return most_in_flight_; }

 private:
  struct Pending {
    TimePoint done;
    TimePoint sent;
    std::uint32_t endpoint;
    bool operator>(const Pending& other) const { return done > other.done; }
  };

  void complete_until(TimePoint now) {
    for (; !pending_.empty() && pending_.top().done <= now; pending_.pop()) {
      const Pending& response = pending_.top();
      Load& load = loads_[response.endpoint];
      --load.in_flight;
      latencies_[response.endpoint].observe(response.done - response.sent, response.done);
      load.latency_seconds = latencies_[response.endpoint].value(response.done);
      load.latency_at = response.done;
    }
  }

  std::unique_ptr<Balancer> balancer_;
  Service service_;
  std::vector<Load> loads_;
  std::vector<Ewma> latencies_;
  std::priority_queue<Pending, std::vector<Pending>, std::greater<>> pending_;
  TimePoint now_{1h};
  Random random_{99};
  std::uint32_t most_in_flight_ = 0;
};

double sum(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

}  // namespace

TEST_CASE("least request takes the less loaded of two") {
  const auto balancer = balancer_over(Algorithm::kLeastRequest, {1, 1});
  Random random(1);
  std::vector<Load> loads = {{.in_flight = 3}, {.in_flight = 2}};
  for (int i = 0; i < 100; ++i) CHECK(balancer->pick({.loads = loads}, random) == 1U);
  loads[1].in_flight = 4;
  for (int i = 0; i < 100; ++i) CHECK(balancer->pick({.loads = loads}, random) == 0U);
}

TEST_CASE("least request counts load in proportion to weight") {
  const auto balancer = balancer_over(Algorithm::kLeastRequest, {1, 4});
  Random random(1);
  const std::vector<Load> loads = {{.in_flight = 2}, {.in_flight = 6}};  // 2 against 1.5 per unit
  int heavy = 0;
  for (int i = 0; i < 1'000; ++i) heavy += balancer->pick({.loads = loads}, random) == 1U ? 1 : 0;
  CHECK(heavy > 900);
}

TEST_CASE("least request never picks the most loaded of all") {
  const auto balancer = balancer_over(Algorithm::kLeastRequest, Weights(10, 1));
  Random random(1);
  std::vector<Load> loads(10);
  for (std::uint32_t i = 0; i < 10; ++i) loads[i].in_flight = i;
  const auto counts = count_picks(*balancer, 10, kAll.size() * 1'000, random, loads);
  CHECK(counts[9] == 0);
  CHECK(std::ranges::is_sorted(counts, std::greater<>()));
}

TEST_CASE("least request keeps 50 endpoints within a few requests of each other") {
  Simulation simulation(Algorithm::kLeastRequest, Weights(50, 1), [&](std::uint32_t, TimePoint now) {
    return Duration{1 + (now.time_since_epoch().count() * 7919) % 20'000};
  });
  simulation.run(10s, 50us);  // 200 in flight on average: 4 per endpoint
  CHECK(simulation.most_in_flight() <= 8);
}

TEST_CASE("under real load least request meets the weights too") {
  for (const Weights& weights : {Weights{1, 3}, Weights{1, 2, 3}, Weights{5, 1, 1}, Weights{1, 10}}) {
    for (const Algorithm algorithm : {Algorithm::kLeastRequest, Algorithm::kPeakEwma}) {
      Simulation simulation(algorithm, weights, [](std::uint32_t, TimePoint) { return Duration{10ms}; });
      const auto counts = simulation.run(5s, 50us);  // 200 in flight
      CAPTURE(weights.size());
      for (std::size_t i = 0; i < weights.size(); ++i) {
        CHECK(std::abs(counts[i] / sum(counts) - weights[i] / total_of(weights)) < 0.01);
      }
    }
  }
}

TEST_CASE("with few requests in flight least request stays within 12 % of the weights") {
  for (const Weights& weights : {Weights{1, 3}, Weights{1, 1, 1, 5}, Weights{1, 10}, Weights{5, 1, 1},
                                 Weights{10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}}) {
    for (const int in_flight : {1, 2, 4, 8, 16}) {
      Simulation simulation(Algorithm::kLeastRequest, weights,
                            [&](std::uint32_t, TimePoint) { return in_flight * 1ms + 1us; });
      const auto counts = simulation.run(20s, 1ms);
      CAPTURE(weights.size());
      CAPTURE(in_flight);
      for (std::size_t i = 0; i < weights.size(); ++i) {
        CHECK(std::abs(counts[i] / sum(counts) - weights[i] / total_of(weights)) < 0.12);
      }
    }
  }
}

TEST_CASE("least request sends less to an endpoint that is slow, as it has more in flight") {
  Simulation simulation(Algorithm::kLeastRequest, {1, 1, 1, 1}, [](std::uint32_t endpoint, TimePoint) {
    return endpoint == 0 ? Duration{100ms} : Duration{10ms};
  });
  const auto counts = simulation.run(10s, 200us);
  CHECK(counts[0] / sum(counts) < 0.05);
}

TEST_CASE("peak EWMA turns away from an endpoint that becomes slow, and comes back when it is fast again") {
  constexpr TimePoint kSlowFrom{1h + 20s};
  constexpr TimePoint kSlowUntil{1h + 60s};
  Simulation simulation(Algorithm::kPeakEwma, {1, 1, 1}, [&](std::uint32_t endpoint, TimePoint now) {
    return endpoint == 0 && now >= kSlowFrom && now < kSlowUntil ? Duration{400ms} : Duration{5ms};
  });
  auto counts = simulation.run(20s, 1ms);
  CHECK(std::abs(counts[0] / sum(counts) - 1.0 / 3.0) < 0.02);

  simulation.run(500ms, 1ms);  // the first slow answer comes in
  counts = simulation.run(39s + 500ms, 1ms);
  CHECK(counts[0] / sum(counts) < 0.01);
  CHECK(counts[0] > 0);  // but asked now and then

  simulation.run(60s, 1ms);
  counts = simulation.run(20s, 1ms);
  CHECK(counts[0] / sum(counts) > 0.2);
  simulation.run(60s, 1ms);
  counts = simulation.run(20s, 1ms);
  CHECK(std::abs(counts[0] / sum(counts) - 1.0 / 3.0) < 0.02);
}

TEST_CASE("peak EWMA gives a slow endpoint few requests at once while it finds out") {
  Simulation simulation(Algorithm::kPeakEwma, {1, 1}, [](std::uint32_t endpoint, TimePoint) {
    return endpoint == 0 ? Duration{2s} : Duration{1ms};
  });
  const auto counts = simulation.run(120s, 1ms);
  CHECK(counts[0] < 20);
  CHECK(counts[0] >= 2);
}

TEST_CASE("peak EWMA asks an endpoint that nobody knows first, but not again before it answers") {
  const auto balancer = balancer_over(Algorithm::kPeakEwma, {1, 1});
  Random random(1);
  std::vector<Load> loads = {{.latency_seconds = 0.002}, {}};
  CHECK(balancer->pick({.loads = loads}, random) == 1U);
  loads[1].in_flight = 1;
  for (int i = 0; i < 100; ++i) CHECK(balancer->pick({.loads = loads}, random) == 0U);
}

TEST_CASE("peak EWMA lets latencies decay between their observation and now") {
  const auto balancer = balancer_over(Algorithm::kPeakEwma, {1, 1});
  Random random(1);
  const TimePoint now{1h};
  const std::vector<Load> loads = {{.latency_seconds = 0.100, .latency_at = now - 30s},  // 5 ms by now
                                   {.latency_seconds = 0.010, .latency_at = now}};
  for (int i = 0; i < 100; ++i) CHECK(balancer->pick({.loads = loads, .now = now}, random) == 0U);
  for (int i = 0; i < 100; ++i) CHECK(balancer->pick({.loads = loads, .now = now - 30s}, random) == 1U);
}

TEST_CASE("peak EWMA weighs latency against the queue") {
  const auto balancer = balancer_over(Algorithm::kPeakEwma, {1, 1});
  Random random(1);
  std::vector<Load> loads = {{.in_flight = 9, .latency_seconds = 0.010},
                             {.in_flight = 1, .latency_seconds = 0.020}};
  for (int i = 0; i < 100; ++i) CHECK(balancer->pick({.loads = loads}, random) == 1U);
  loads[1].latency_seconds = 0.200;
  for (int i = 0; i < 100; ++i) CHECK(balancer->pick({.loads = loads}, random) == 0U);
}

TEST_CASE("an endpoint with nearly all the weight is still compared with another") {
  const auto balancer = balancer_over(Algorithm::kPeakEwma, {1'000'000, 1, 1});
  Random random(1);
  const std::vector<Load> loads = {
      {.latency_seconds = 10.0}, {.latency_seconds = 0.001}, {.latency_seconds = 0.001}};
  const auto counts = count_picks(*balancer, 3, 1'000, random, loads);
  CHECK(counts[0] == 0);
}
