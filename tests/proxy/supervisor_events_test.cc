// What the supervisor tells of for the live page: checks, ejections, orders, and breakers that workers open.
#include <doctest/doctest.h>

#include "proxy/transition_log.h"
#include "tests/proxy/supervisor_fixture.h"

using namespace remora;
using namespace remora::testing;
using proxy::Event;
using Order = proxy::Supervisor::Order;

namespace {

std::string words(const Event& event) {
  return std::string(to_string(event.kind)) + " " + event.cluster + " " + event.endpoint + ": " + event.from +
         " -> " + event.to + (event.reason.empty() ? "" : ", " + event.reason);
}

}  // namespace

TEST_CASE("a check that changes its mind is told with what it was before") {
  SupervisorFixture f({checked()}, {{kA}});
  f.backend(kA);
  f.start();
  REQUIRE(f.told.size() == 1);
  CHECK(words(f.told[0]) == "health_check app 10.0.0.1:80: unknown -> passing");
  CHECK(f.told[0].at <= f.now());
  f.backends.clear();
  f.t.run_for(3s);
  REQUIRE(f.told.size() == 2);
  CHECK(words(f.told[1]).starts_with("health_check app 10.0.0.1:80: passing -> failing, "));
}

TEST_CASE("an order is told once, and not when nothing changes") {
  SupervisorFixture f({cluster_named("app")}, {{kA, kB}});
  f.start();
  CHECK_FALSE(f.supervisor.obey("app", kA, Order::kDrain));
  CHECK_FALSE(f.supervisor.obey("app", kA, Order::kDrain));
  CHECK_FALSE(f.supervisor.obey("app", kA, Order::kUndrain));
  CHECK_FALSE(f.supervisor.obey("app", kB, Order::kOpen));
  f.run_tasks();
  REQUIRE(f.told.size() == 3);
  CHECK(words(f.told[0]) == "order app 10.0.0.1:80: in_use -> draining, manual");
  CHECK(words(f.told[1]) == "order app 10.0.0.1:80: draining -> in_use, manual");
  CHECK(words(f.told[2]) == "breaker app 10.0.0.2:80: closed -> open, manual");
}

TEST_CASE("a breaker that a worker opens is told on the control thread") {
  SupervisorFixture f({cluster_named("app")}, {{kA}});
  f.start();
  using breaker::CircuitBreaker;
  log_transition(f.cluster(), "app", kA,
                 {.from = CircuitBreaker::Phase::kClosed,
                  .to = CircuitBreaker::Phase::kOpen,
                  .reason = CircuitBreaker::Reason::kFailureRatio,
                  .open_for = 5s},
                 f.now());
  CHECK(f.told.empty());
  f.run_tasks();
  REQUIRE(f.told.size() == 1);
  CHECK(words(f.told[0]) == "breaker app 10.0.0.1:80: closed -> open, failure_ratio");
  CHECK(f.told[0].at == f.now());
}

TEST_CASE("an ejection is told, and the return") {
  SupervisorFixture f({watched()}, {{kA, kB}});
  f.start();
  f.cluster().events->on_failures_in_a_row(f.cluster(), f.at(0));
  f.run_tasks();
  REQUIRE(f.told.size() == 1);
  CHECK(words(f.told[0]).starts_with("outlier app 10.0.0.1:80: in_use -> ejected, consecutive_failures: "));
  f.t.run_for(40s);
  f.run_tasks();
  REQUIRE(f.told.size() == 2);
  CHECK(words(f.told[1]) == "outlier app 10.0.0.1:80: ejected -> in_use, its time is over");
}

TEST_CASE("a flapping endpoint is told no more often than it is logged") {
  SupervisorFixture f({cluster_named("app")}, {{kA}});
  f.start();
  for (int i = 0; i < 100; ++i) {
    CHECK_FALSE(f.supervisor.obey("app", kA, i % 2 == 0 ? Order::kOpen : Order::kClose));
  }
  f.run_tasks();
  CHECK(f.told.size() == 20);
}

TEST_CASE("the last failure of an endpoint is shown with its age") {
  SupervisorFixture f({cluster_named("app")}, {{kA}});
  CHECK_FALSE(f.shown(0).last_failure.has_value());
  f.at(0).last_failure.store({breaker::Result::kTimeout, 0}, f.now());
  f.t.run_for(2s);
  const auto last = f.shown(0).last_failure;
  REQUIRE(last.has_value());
  CHECK(last->outcome.result == breaker::Result::kTimeout);
  CHECK(last->ago >= 1999ms);
  CHECK(last->ago <= 2001ms);
}
