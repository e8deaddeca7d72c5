// What is tried again, how often, and when: [cluster.retry] and a route's own.
#include <array>

#include "config/draft.h"
#include "config/outcomes.h"

namespace remora::config {

namespace {

constexpr std::int64_t kMostAttempts = 10;
constexpr std::uint64_t kMostBody = std::uint64_t{16} << 20;

// Below the median, most requests would be sent twice.
constexpr double kLeastPercentile = 0.5;
constexpr double kMostPercentile = 0.999;

void read_conditions(const TableReader& reader, breaker::RetryConditions& on) {
  const std::array words{
      OutcomeWord{"connect-failure", &on.connect_failure, {}},
      OutcomeWord{"refused", &on.refused, {}},
      OutcomeWord{"reset", &on.reset, {}},
      OutcomeWord{"timeout", &on.timeout, {}},
      OutcomeWord{"gateway-error", nullptr, {502, 504}},
  };
  // With a hedge alone, attempts are not for failures.
  const bool hedged = reader.has("hedge");
  read_outcomes(reader, "on", words, on.statuses,
                hedged ? "" : "the list is empty, write attempts = 1 to switch retries off");
}

void read_hedge(const TableReader& reader, breaker::RetrySettings& retry) {
  if (!reader.present()) return;
  static constexpr std::array<std::string_view, 2> kKeys{"after", "percentile"};
  if (reader.only_one(kKeys).empty()) {
    reader.report().add(reader.where(), "the hedge has no delay, add after = \"50ms\" or percentile = 0.95");
  }
  reader.duration("after", retry.hedge_after, 1ms, 1h);
  reader.number("percentile", retry.hedge_percentile, kLeastPercentile, kMostPercentile);
}

}  // namespace

breaker::RetrySettings read_retry(const TableReader& reader) {
  breaker::RetrySettings retry;
  reader.integer("attempts", retry.attempts, 1, kMostAttempts);
  read_conditions(reader, retry.on);
  reader.duration("per_try_timeout", retry.per_try_timeout, 0s, 24h);
  const auto backoff = reader.table("backoff");
  backoff.duration("base", retry.backoff_base, 0s, 1min);
  backoff.duration("max", retry.backoff_max, 0s, 1h);
  backoff.ordered("base", retry.backoff_base, "max", retry.backoff_max);
  reader.duration("retry_after_max", retry.retry_after_max, 0s, 1h);
  reader.size("body", retry.body_bytes, 0, kMostBody);
  read_hedge(reader.table("hedge"), retry);
  return retry;
}

}  // namespace remora::config
