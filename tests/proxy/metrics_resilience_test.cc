#include "proxy/metrics_resilience.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "proxy/metrics.h"
#include "tests/proxy/metrics_fixture.h"

namespace remora::proxy {
namespace {

using breaker::CircuitBreaker;

TEST_CASE("each source of health has its own series, and what became of them another") {
  const std::string text = exposition(two_workers(), two_clusters(), process());
  for (const char* const line : {
           R"(remora_endpoint_available{cluster="app",endpoint="10.0.0.1:3000"} 1)",
           R"(remora_endpoint_available{cluster="app",endpoint="10.0.0.2:3000"} 0)",
           R"(remora_endpoint_available{cluster="other",endpoint="10.0.0.3:3000"} 1)",
           R"(remora_endpoint_healthy{cluster="app",endpoint="10.0.0.1:3000",source="active"} 1)",
           R"(remora_endpoint_healthy{cluster="app",endpoint="10.0.0.1:3000",source="outlier"} 1)",
           R"(remora_endpoint_healthy{cluster="app",endpoint="10.0.0.1:3000",source="breaker"} 1)",
           R"(remora_endpoint_healthy{cluster="app",endpoint="10.0.0.2:3000",source="active"} 0)",
           R"(remora_endpoint_healthy{cluster="app",endpoint="10.0.0.2:3000",source="outlier"} 0)",
           R"(remora_endpoint_healthy{cluster="app",endpoint="10.0.0.2:3000",source="breaker"} 0)",
           R"(remora_cluster_panic{cluster="app"} 1)",
           R"(remora_cluster_panic{cluster="other"} 0)",
           R"(remora_health_checks_total{cluster="app",endpoint="10.0.0.1:3000",result="pass"} 100)",
           R"(remora_health_checks_total{cluster="app",endpoint="10.0.0.1:3000",result="fail"} 2)",
           R"(remora_ejections_suppressed_total{cluster="app"} 3)",
       }) {
    CAPTURE(line);
    CHECK(has_line(text, line));
  }
  // Nobody checks or watches that cluster, and its endpoints have no breakers.
  CHECK(text.find(R"(remora_endpoint_healthy{cluster="other")") == std::string::npos);
  CHECK(text.find(R"(remora_health_checks_total{cluster="other")") == std::string::npos);
}

TEST_CASE("sources of endpoints have series, but for the configuration itself, which cannot fail") {
  const std::string text = exposition(two_workers(), two_clusters(), process());
  const std::string labels = R"({cluster="app",source="dns",name="app.local"} )";
  CHECK(has_line(text, "remora_discovery_up" + labels + "0"));
  CHECK(has_line(text, "remora_discovery_answer_age_seconds" + labels + "90"));
  CHECK(has_line(text, "remora_discovery_endpoints" + labels + "1"));
  CHECK(has_line(text, "remora_discovery_failures_total" + labels + "4"));
  CHECK(text.find(R"(source="static")") == std::string::npos);
  std::vector<ClusterView> views = two_clusters();
  views[0].sources[1].state = discovery::SourceRecord::State::kGood;
  CHECK(has_line(exposition({}, views, process()), "remora_discovery_up" + labels + "1"));
}

TEST_CASE("an endpoint is well for active checks only once it has passed one") {
  std::vector<ClusterView> views = two_clusters();
  views[0].endpoints[0].check->state = health::Checker::State::kUnknown;
  CHECK(has_line(exposition({}, views, process()),
                 R"(remora_endpoint_healthy{cluster="app",endpoint="10.0.0.1:3000",source="active"} 0)"));
}

TEST_CASE("a breaker has one series for its state and one for each state it has been in") {
  const std::string text = exposition(two_workers(), two_clusters(), process());
  for (const char* const line : {
           R"(remora_breaker_state{cluster="app",endpoint="10.0.0.1:3000"} 0)",
           R"(remora_breaker_state{cluster="app",endpoint="10.0.0.2:3000"} 2)",
           R"(remora_breaker_state{cluster="other",endpoint="*"} 1)",
           R"(remora_breaker_transitions_total{cluster="app",endpoint="10.0.0.2:3000",to="closed"} 4)",
           R"(remora_breaker_transitions_total{cluster="app",endpoint="10.0.0.2:3000",to="open"} 6)",
           R"(remora_breaker_transitions_total{cluster="other",endpoint="*",to="open"} 0)",
       }) {
    CAPTURE(line);
    CHECK(has_line(text, line));
  }
  const std::string half_open = to_string(CircuitBreaker::Phase::kHalfOpen);
  CHECK(has_line(text, R"(remora_breaker_transitions_total{cluster="app",endpoint="10.0.0.2:3000",to=")" +
                           half_open + "\"} 5"));
  CHECK(text.find(R"(remora_breaker_state{cluster="other",endpoint="10.)") == std::string::npos);
}

TEST_CASE("what was tried again, and what was held back, is counted") {
  const std::string text = exposition(two_workers(), two_clusters(), process());
  for (const char* const line : {
           R"(remora_retries_total{cluster="app",outcome="success"} 16)",
           R"(remora_retries_total{cluster="app",outcome="failure"} 18)",
           R"(remora_retries_total{cluster="app",outcome="transparent"} 12)",
           R"(remora_hedges_total{cluster="app"} 20)",
           R"(remora_hedge_wins_total{cluster="app"} 8)",
           R"(remora_retry_budget_exhausted_total{cluster="app"} 22)",
           R"(remora_retry_budget_left{cluster="app"} 30)",
           R"(remora_fallbacks_total{cluster="app"} 24)",
           R"(remora_limit_hits_total{listener="in",limit="connections"} 2)",
           R"(remora_limit_hits_total{cluster="app",limit="requests"} 42)",
           R"(remora_limit_hits_total{cluster="app",limit="connections"} 44)",
           R"(remora_limit_hits_total{cluster="app",limit="adaptive"} 46)",
           R"(remora_limit_hits_total{cluster="app",limit="pending"} 48)",
           R"(remora_limit_hits_total{cluster="app",limit="retries"} 50)",
           R"(remora_limit_in_use{cluster="app",limit="requests"} 90)",
           R"(remora_limit_in_use{cluster="app",limit="connections"} 40)",
           R"(remora_limit_in_use{cluster="app",limit="adaptive"} 19)",
           R"(remora_limit_in_use{cluster="app",limit="pending"} 26)",
           R"(remora_limit_in_use{cluster="app",limit="retries"} 5)",
           R"(remora_concurrency_limit{cluster="app"} 20)",
           R"(remora_pending_requests{cluster="app"} 26)",
           R"(remora_pending_timeouts_total{cluster="app"} 28)",
       }) {
    CAPTURE(line);
    CHECK(has_line(text, line));
  }
  // Without a limit nobody counts.
  CHECK(text.find(R"(remora_limit_in_use{cluster="other")") == std::string::npos);
  CHECK(text.find(R"(remora_concurrency_limit{cluster="other")") == std::string::npos);
}

TEST_CASE("a cluster that only one side knows has the series of that side") {
  const std::string reported = exposition(two_workers(), {}, process());
  CHECK(has_line(reported, R"(remora_upstream_requests_total{cluster="app",endpoint="10.0.0.1:3000"} 10)"));
  CHECK(has_line(reported, R"(remora_retries_total{cluster="app",outcome="success"} 16)"));
  CHECK(reported.find("remora_endpoint_available") == std::string::npos);
  const std::string known = exposition({}, two_clusters(), process());
  CHECK(has_line(known, R"(remora_endpoint_available{cluster="app",endpoint="10.0.0.1:3000"} 1)"));
  CHECK(has_line(known, R"(remora_breaker_state{cluster="other",endpoint="*"} 1)"));
  CHECK(known.find("remora_upstream_requests_total") == std::string::npos);
}

}  // namespace
}  // namespace remora::proxy
