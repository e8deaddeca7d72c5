// What a change of state looks like in the log, and how many of them are written.
#include "proxy/transition_log.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/proxy/logged.h"
#include "tests/support/start.h"

using namespace remora;
using namespace remora::testing;
using namespace remora::proxy;
using Phase = breaker::CircuitBreaker::Phase;
using Reason = breaker::CircuitBreaker::Reason;

namespace {

std::unique_ptr<ClusterState> new_cluster() {
  return std::make_unique<ClusterState>(config::Cluster{},
                                        std::make_shared<const breaker::CircuitBreaker::Settings>(), nullptr);
}

// How many of `wanted` lines at one instant may be written.
int allowed(ClusterState& cluster, int wanted, TimePoint now) {
  int count = 0;
  for (int i = 0; i < wanted; ++i) {
    if (may_log_line(cluster, now)) ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("a breaker's change is one line with all that was known of it") {
  Logged log;
  const auto cluster = new_cluster();
  log_transition(*cluster, "app", "10.0.0.1:80",
                 {Phase::kClosed, Phase::kOpen, Reason::kFailureRatio, 5200ms}, kStart);
  log_transition(*cluster, "app", "10.0.0.1:80",
                 {Phase::kOpen, Phase::kHalfOpen, Reason::kTimeToProbe, Duration::zero()}, kStart);
  log_transition(*cluster, "app", "*",
                 {Phase::kHalfOpen, Phase::kClosed, Reason::kProbesSucceeded, Duration::zero()}, kStart);
  const auto lines = log.lines();
  REQUIRE(lines.size() == 3);
  const std::string begin = "circuit breaker changed cluster=app endpoint=";
  CHECK(lines[0] == "warn " + begin + "10.0.0.1:80 state=open was=closed reason=" +
                        to_string(Reason::kFailureRatio) + " open_for_ms=5200");
  CHECK(lines[1] == "info " + begin + "10.0.0.1:80 state=" + to_string(Phase::kHalfOpen) +
                        " was=open reason=" + to_string(Reason::kTimeToProbe) + " open_for_ms=0");
  CHECK(lines[2] == "info " + begin + "* state=closed was=" + to_string(Phase::kHalfOpen) +
                        " reason=" + to_string(Reason::kProbesSucceeded) + " open_for_ms=0");
}

TEST_CASE("of one cluster 20 lines are written at once, and then 5 a second") {
  const Logged log;
  const auto cluster = new_cluster();
  CHECK(allowed(*cluster, 100, kStart) == 20);
  CHECK(cluster->log_lines_left_out.load() == 80);
  CHECK(allowed(*cluster, 1, kStart + 199ms) == 0);
  CHECK(allowed(*cluster, 2, kStart + 200ms) == 1);
  CHECK(allowed(*cluster, 100, kStart + 1200ms) == 5);
  CHECK(allowed(*cluster, 100, kStart + 3200ms) == 10);
  // Quiet for as long as it takes, and no longer than that counts.
  CHECK(allowed(*cluster, 100, kStart + 1h) == 20);
}

TEST_CASE("a flapping cluster does not silence another one") {
  const Logged log;
  const auto flapping = new_cluster();
  const auto other = new_cluster();
  CHECK(allowed(*flapping, 1000, kStart) == 20);
  CHECK(allowed(*other, 1, kStart) == 1);
  CHECK(other->log_lines_left_out.load() == 0);
}

TEST_CASE("what was left out is said once, before the next line") {
  Logged log;
  const auto cluster = new_cluster();
  const breaker::CircuitBreaker::Transition opened{Phase::kClosed, Phase::kOpen, Reason::kManual, 0ms};
  for (int i = 0; i < 27; ++i) log_transition(*cluster, "app", std::to_string(i), opened, kStart);
  log_transition(*cluster, "app", "later", opened, kStart + 1s);
  log_transition(*cluster, "app", "last", opened, kStart + 1s);
  CHECK(cluster->log_lines_left_out.load() == 0);
  const auto lines = log.lines();
  REQUIRE(lines.size() == 23);
  for (std::size_t i = 0; i < 20; ++i) {
    CHECK(lines[i].find(" endpoint=" + std::to_string(i) + " ") != std::string::npos);
  }
  CHECK(lines[20] == "warn state changes not logged, too many count=7");
  CHECK(lines[21].find(" endpoint=later ") != std::string::npos);
  CHECK(lines[22].find(" endpoint=last ") != std::string::npos);
}
