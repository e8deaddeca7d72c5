// One check and its backend in virtual time, for the tests of the probes.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/probe.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_env.h"

namespace remora::testing {

// What the checks have come to: "passed", "abandoned", or the reason of the failure.
struct ProbeJudge final : proxy::Probe::Judge {
  void on_probe(proxy::Probe::Outcome outcome, std::string_view reason) override {
    if (outcome == proxy::Probe::Outcome::kAbandoned) results.emplace_back("abandoned");
    if (outcome == proxy::Probe::Outcome::kFailed) results.emplace_back(reason);
    if (outcome == proxy::Probe::Outcome::kPassed) results.push_back("passed" + std::string(reason));
  }
  std::vector<std::string> results;
};

// An HTTP check and the backend that it goes to.
struct HttpProbe {
  explicit HttpProbe(const config::HealthCheck& check = {}, std::string_view at = "10.0.0.1:80")
      : address(*Address::parse(at)) {
    target.check = std::make_shared<const config::HealthCheck>(check);
    target.endpoint.name = "app.example:80";
    target.endpoint.address = address;
    probe = proxy::make_http_probe(t.env, target, judge);
  }

  // Begins a check; the request has come to the backend afterwards, if it is reachable.
  void start() {
    probe->start();
    t.settle();
  }
  std::string result() { return judge.results.empty() ? "none" : judge.results.back(); }
  // A whole check with this answer.
  std::string check(std::string_view answer, bool end = false) {
    judge.results.clear();
    start();
    REQUIRE(server.size() > 0);
    server.last().send(answer);
    if (end) server.last().end();
    t.settle();
    CHECK(judge.results.size() <= 1);
    return result();
  }

  TestEnv t;
  Address address;
  RawServer server{t.network, address};
  ProbeJudge judge;
  proxy::ProbeTarget target;
  std::unique_ptr<proxy::Probe> probe;
};

inline std::string with_body(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// The default check, with this in its body.
inline config::HealthCheck check_for(std::string text) {
  config::HealthCheck check;
  check.body_contains = std::move(text);
  return check;
}

}  // namespace remora::testing
