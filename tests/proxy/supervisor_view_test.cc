// What is shown of clusters and endpoints: every field, and the times in it.
#include <doctest/doctest.h>

#include <optional>
#include <utility>
#include <vector>

#include "proxy/supervisor.h"
#include "tests/proxy/supervisor_fixture.h"

using namespace remora;
using namespace remora::testing;
using namespace remora::proxy;
using Active = health::Sources::Active;
using Checked = health::Checker::State;
using Order = Supervisor::Order;
using Phase = breaker::CircuitBreaker::Phase;
using Why = health::Why;

TEST_CASE("checks that fail and pass again are shown with their reasons and their times") {
  SupervisorFixture f({checked()}, {{kA}});
  Backend& a = f.backend(kA);
  f.start();
  const auto check = [&] { return f.shown(0).check.value(); };
  CHECK(check().last_reason.empty());
  CHECK_FALSE(check().failed_ago.has_value());
  a.answer = kUnwell;
  f.t.run_for(1s);
  CHECK(f.at(0).active.load() == Active::kPassing);  // once is not enough
  CHECK(check().passes == 1);
  CHECK(check().failures == 1);
  CHECK(check().last_reason == "status 503");
  f.t.run_for(1s);
  CHECK(f.at(0).active.load() == Active::kFailing);
  CHECK(check().state == Checked::kFailing);
  CHECK(check().failed_ago.value() < 200ms);
  CHECK(check().changed_ago == check().failed_ago);
  const Duration ago = check().changed_ago.value();
  a.answer = "";
  f.t.run_for(300ms);
  CHECK(check().changed_ago == ago + 300ms);
  f.t.run_for(1200ms);
  CHECK(check().last_reason == "no answer within 500ms");
  a.answer = kWell;
  f.t.run_for(2s);
  CHECK(check().state == Checked::kPassing);
  CHECK(check().failures >= 3);
  CHECK(check().last_reason == "no answer within 500ms");  // kept
  CHECK(check().failed_ago.value() > check().changed_ago.value());
}

TEST_CASE("when fewer pass than the panic threshold says, checks are ignored, and that is shown") {
  config::Cluster settings = checked();
  settings.health_check->panic_below = 0.5;
  SupervisorFixture f({settings}, {{kA, kB, kC}});
  f.backend(kA);
  f.backend(kB).answer = f.backend(kC).answer = kUnwell;
  CHECK_FALSE(f.view().panic);
  f.start();
  CHECK(f.view().panic);
  for (std::size_t i = 0; i < 3; ++i) CHECK(f.shown(i).why == Why::kAvailable);
  f.backend(kB).answer = kWell;
  f.t.run_for(1s);
  CHECK_FALSE(f.view().panic);
  CHECK(f.shown(1).why == Why::kAvailable);
  CHECK(f.shown(2).why == Why::kActiveCheck);
}

TEST_CASE("the view of a cluster has its limits, and how much of them is used") {
  config::Cluster settings = cluster_named("app");
  settings.limits.requests = 10;
  settings.limits.connections = 20;
  settings.limits.pending = 30;
  settings.limits.retries = 40;
  settings.adaptive.enabled = true;
  settings.adaptive.initial = 50;
  settings.retry_budget = {.ratio = 0.5, .min_per_second = 2};
  SupervisorFixture f({settings, cluster_named("plain")}, {{kA}, {}});
  std::vector<breaker::Permit> held;
  const auto hold = [&](breaker::Limiter& limiter, int count) {
    for (int i = 0; i < count; ++i) held.push_back(std::move(*limiter.try_take()));
  };
  hold(f.cluster().requests, 1);
  hold(f.cluster().connections, 2);
  hold(f.cluster().pending, 3);
  hold(f.cluster().retries, 4);
  hold(f.cluster().adaptive, 5);
  for (int i = 0; i < 100; ++i) f.cluster().budget.on_request(f.now());
  REQUIRE(f.cluster().budget.try_retry(f.now()));
  const ClusterView view = f.view();
  CHECK(view.name == "app");
  const auto is = [](const LimitView& limit, std::uint32_t most, std::uint32_t in_use) {
    return limit.most == most && limit.in_use == in_use;
  };
  CHECK(is(view.requests, 10, 1));
  CHECK(is(view.connections, 20, 2));
  CHECK(is(view.pending, 30, 3));
  CHECK(is(view.retries, 40, 4));
  REQUIRE(view.adaptive.has_value());
  CHECK(is(*view.adaptive, 50, 5));
  CHECK(view.retry_budget_left == 69);
  CHECK_FALSE(view.cluster_breaker);
  CHECK_FALSE(view.panic);
  CHECK_FALSE(view.breaker_changed_ago.has_value());
  CHECK_FALSE(view.breaker_opens_for.has_value());
  CHECK(f.view(1).name == "plain");
  CHECK_FALSE(f.view(1).adaptive.has_value());
  CHECK(f.view(1).endpoints.empty());
  CHECK(f.supervisor.view().size() == 2);
}

TEST_CASE("the view of an endpoint has its breaker, since when and for how long") {
  config::Cluster settings = cluster_named("app");
  settings.breaker.consecutive_failures = 3;
  settings.breaker.open_for = 5s;
  settings.breaker.jitter = 0;
  SupervisorFixture f({settings}, {{kA, kB}});
  const auto fail = [&] {
    auto& breaker = f.at(1).breaker;
    const auto entry = breaker.try_enter(f.now());
    REQUIRE(entry.ticket.has_value());
    breaker.report(*entry.ticket, {.result = breaker::Result::kReset, .status = 0}, std::nullopt, f.now(),
                   f.t.random);
  };
  fail();
  fail();
  CHECK(f.shown(1).breaker.consecutive_failures == 2);
  CHECK_FALSE(f.shown(1).breaker_changed_ago.has_value());
  fail();
  CHECK(f.shown(1).name == "name of 10.0.0.2:80");
  CHECK(f.shown(1).address == kB);
  CHECK(f.shown(1).why == Why::kBreaker);
  CHECK(f.shown(1).breaker.phase == Phase::kOpen);
  CHECK(f.shown(1).breaker_changed_ago == Duration::zero());
  CHECK(f.shown(1).breaker_opens_for == 5s);
  f.t.run_for(2s);
  CHECK(f.shown(1).breaker_changed_ago == 2s);
  CHECK(f.shown(1).breaker_opens_for == 3s);
  f.t.run_for(4s);
  CHECK(f.shown(1).breaker_changed_ago == 6s);
  CHECK(f.shown(1).why == Why::kAvailable);  // for a probe
  CHECK(f.shown(1).breaker_opens_for.value_or(0s) == Duration::zero());
  CHECK(f.supervisor.obey("app", kB, Order::kOpen) == std::nullopt);
  CHECK(f.shown(1).breaker.forced);
  CHECK_FALSE(f.shown(1).breaker_opens_for.has_value());  // until it is told
  CHECK(f.shown(0).breaker.phase == Phase::kClosed);
  CHECK(f.shown(0).why == Why::kAvailable);
}

TEST_CASE("the view of a breaker that the whole cluster shares has its times, too") {
  config::Cluster settings = cluster_named("app");
  settings.breaker_scope = config::BreakerScope::kCluster;
  settings.breaker.consecutive_failures = 1;
  settings.breaker.open_for = 5s;
  settings.breaker.jitter = 0;
  SupervisorFixture f({settings}, {{kA}});
  f.cluster().breaker.report({}, {.result = breaker::Result::kReset, .status = 0}, std::nullopt, f.now(),
                             f.t.random);
  f.t.run_for(1s);
  CHECK(f.view().breaker.phase == Phase::kOpen);
  CHECK(f.view().breaker_changed_ago == 1s);
  CHECK(f.view().breaker_opens_for == 4s);
}

TEST_CASE("the view of an endpoint has its ejection, how long it lasts, and why") {
  SupervisorFixture f({watched()}, {{kA, kB}});
  REQUIRE(f.shown(0).outlier.has_value());
  CHECK_FALSE(f.shown(0).outlier->ejected);
  CHECK(f.shown(0).outlier->ejections == 0);
  CHECK(f.shown(0).outlier->ejected_for == Duration::zero());
  f.cluster().events->on_failures_in_a_row(f.cluster(), f.at(0));
  f.run_tasks();
  f.t.run_for(12s);
  const auto outlier = f.shown(0).outlier.value();
  CHECK(outlier.ejected);
  CHECK(outlier.ejected_for == 18s);
  CHECK(outlier.ejections == 1);
  CHECK(outlier.last_reason == health::OutlierDetector::Reason::kConsecutiveFailures);
  CHECK(outlier.last_detail == "5 failures in a row");
  f.t.run_for(18s);
  CHECK_FALSE(f.shown(0).outlier->ejected);
  CHECK(f.shown(0).outlier->ejected_for == Duration::zero());
  CHECK(f.shown(0).outlier->last_detail == "5 failures in a row");  // kept
}

TEST_CASE("the adaptive limit that is shown is the one in force") {
  config::Cluster settings = cluster_named("app");
  settings.adaptive.enabled = true;
  SupervisorFixture f({settings}, {{kA}});
  f.cluster().latency.dropped = 10;
  f.t.run_for(100ms);
  CHECK(f.view().adaptive->most == 10);
  CHECK(f.cluster().adaptive.most() == 10);
}
