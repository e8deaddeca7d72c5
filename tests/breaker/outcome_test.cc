#include "breaker/outcome.h"

#include <doctest/doctest.h>

#include <array>

using namespace remora;
using namespace remora::breaker;
using breaker::Result;

namespace {

constexpr std::array kResults{Result::kResponse, Result::kConnectFailure, Result::kRefused,
                              Result::kReset,    Result::kTimeout,        Result::kIgnored};

}  // namespace

TEST_SUITE("outcome") {
  TEST_CASE("unless the operator says otherwise, failures are 5xx and whatever ended without a response") {
    const FailureClasses classes;
    for (unsigned status = 100; status <= 599; ++status) {
      CAPTURE(status);
      REQUIRE(classes.is_failure({Result::kResponse, status}) == (status >= 500));
    }
    CHECK(classes.is_failure({Result::kConnectFailure}));
    CHECK(classes.is_failure({Result::kRefused}));
    CHECK(classes.is_failure({Result::kReset}));
    CHECK(classes.is_failure({Result::kTimeout}));
    CHECK_FALSE(classes.is_failure({Result::kIgnored}));
  }

  TEST_CASE("each class can be switched off alone") {
    for (const bool connect : {false, true}) {
      for (const bool reset : {false, true}) {
        for (const bool timeout : {false, true}) {
          const FailureClasses classes{
              .connect = connect, .reset = reset, .timeout = timeout, .statuses = {}};
          CHECK(classes.is_failure({Result::kConnectFailure}) == connect);
          CHECK(classes.is_failure({Result::kRefused}) == reset);
          CHECK(classes.is_failure({Result::kReset}) == reset);
          CHECK(classes.is_failure({Result::kTimeout}) == timeout);
          CHECK_FALSE(classes.is_failure({Result::kResponse, 503}));
        }
      }
    }
  }

  TEST_CASE("the statuses that count are the operator's") {
    FailureClasses classes;
    classes.statuses = StatusSet::range(429, 429);
    CHECK(classes.is_failure({Result::kResponse, 429}));
    CHECK_FALSE(classes.is_failure({Result::kResponse, 500}));
  }

  TEST_CASE("a status without a response says nothing") {
    const FailureClasses classes{.connect = false, .reset = false, .timeout = false};
    for (const Result result : kResults) {
      CHECK(classes.is_failure({result, 500}) == (result == Result::kResponse));
    }
  }

  TEST_CASE("a class that is switched off is ignored, but a response is a failure or a success") {
    const FailureClasses all;
    const FailureClasses none{.connect = false, .reset = false, .timeout = false, .statuses = {}};
    for (const Result result : kResults) {
      CHECK(all.is_ignored({result}) == (result == Result::kIgnored));
      CHECK(none.is_ignored({result}) == (result != Result::kResponse));
    }
    CHECK_FALSE(none.is_ignored({Result::kResponse, 500}));
  }

  TEST_CASE("nothing is both ignored and a failure") {
    for (unsigned bits = 0; bits < 8; ++bits) {
      const FailureClasses classes{
          .connect = (bits & 1U) != 0, .reset = (bits & 2U) != 0, .timeout = (bits & 4U) != 0};
      for (const Result result : kResults) {
        const Outcome outcome{result, 500};
        CHECK_FALSE((classes.is_ignored(outcome) && classes.is_failure(outcome)));
      }
    }
  }

  TEST_CASE("an outcome of which nothing is known is ignored") {
    CHECK(FailureClasses().is_ignored(Outcome{}));
  }
}
