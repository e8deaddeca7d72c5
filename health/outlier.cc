#include "health/outlier.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>

namespace remora::health {
namespace {

// How much of the largest possible distance among n endpoints is enough, however large k is.
constexpr double kOfFurthest = 0.9;
// How many standard deviations of pure chance are not chance any more.
constexpr double kBeyondChance = 3.0;

std::string number(double value) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, 1);
  return {text, error == std::errc{} ? end : text};
}

std::string percent(double share) { return number(share * 100.0) + " %"; }

std::string seconds(Duration duration) {
  return number(std::chrono::duration<double>(duration).count()) + " s";
}

}  // namespace

// What an endpoint that may be judged did in the interval.
struct OutlierDetector::Rate {
  std::size_t endpoint = 0;
  std::uint64_t requests = 0;  // not 0
  std::uint64_t failures = 0;  // not more
  double success = 0;          // 0 to 1
};

OutlierDetector::OutlierDetector(const Settings& settings, TimePoint now)
    : settings_(settings), interval_began_(now), interval_ends_(now + settings.interval) {}

void OutlierDetector::resize(std::size_t endpoints) { endpoints_.resize(endpoints); }

void OutlierDetector::forget(std::size_t index) {
  if (index < endpoints_.size()) endpoints_[index] = {};
}

void OutlierDetector::set_usable(std::size_t index, bool usable) {
  if (index < endpoints_.size()) endpoints_[index].usable = usable;
}

std::vector<OutlierDetector::Change> OutlierDetector::on_consecutive_failures(std::size_t endpoint,
                                                                              TimePoint now) {
  std::vector<Change> changes;
  const bool asked = settings_.enabled && settings_.consecutive_failures > 0;
  if (!asked || endpoint >= endpoints_.size() || endpoints_[endpoint].standing.ejected) return changes;
  act({.endpoint = endpoint,
       .reason = Reason::kConsecutiveFailures,
       .detail = std::to_string(settings_.consecutive_failures) + " failures in a row"},
      now, changes);
  return changes;
}

std::vector<OutlierDetector::Change> OutlierDetector::on_time(std::span<const Traffic> traffic,
                                                              TimePoint now) {
  std::vector<Change> changes;
  if (!settings_.enabled) return changes;
  const bool due = interval_due(now);
  // Before anyone returns: who was out until now is not judged by what was still under way.
  std::vector<Verdict> verdicts;
  if (due) verdicts = judge(rates(traffic));
  return_those_due(now, changes);
  for (Verdict& verdict : verdicts) act(std::move(verdict), now, changes);
  if (due) begin_interval(now);
  return changes;
}

TimePoint OutlierDetector::next_wakeup() const {
  if (!settings_.enabled) return TimePoint::max();
  if (too_few()) return interval_began_;
  const std::size_t first = first_to_return(/*usable_only=*/false);
  return first == kNobody ? interval_ends_ : std::min(interval_ends_, endpoints_[first].standing.until);
}

std::size_t OutlierDetector::ejected() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(endpoints_, [](const Endpoint& endpoint) { return endpoint.standing.ejected; }));
}

std::size_t OutlierDetector::in_use(std::size_t except) const {
  std::size_t count = 0;
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    if (i != except && endpoints_[i].usable && !endpoints_[i].standing.ejected) ++count;
  }
  return count;
}

std::size_t OutlierDetector::first_to_return(bool usable_only) const {
  std::size_t first = kNobody;
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    const Endpoint& endpoint = endpoints_[i];
    if (!endpoint.standing.ejected || (usable_only && !endpoint.usable)) continue;
    if (first == kNobody || endpoint.standing.until < endpoints_[first].standing.until) first = i;
  }
  return first;
}

bool OutlierDetector::too_few() const {
  return in_use(kNobody) < settings_.keep_at_least && first_to_return(/*usable_only=*/true) != kNobody;
}

void OutlierDetector::act(Verdict verdict, TimePoint now, std::vector<Change>& changes) {
  Endpoint& endpoint = endpoints_[verdict.endpoint];
  Standing& standing = endpoint.standing;
  const bool suppressed = in_use(verdict.endpoint) < settings_.keep_at_least;
  endpoint.had_reason = true;
  if (suppressed) {
    verdict.detail += ", but keep_at_least = " + std::to_string(settings_.keep_at_least);
  }
  standing.last_reason = verdict.reason;
  standing.reason_at = now;
  standing.last_detail = verdict.detail;
  Change change{.endpoint = verdict.endpoint, .reason = verdict.reason, .detail = std::move(verdict.detail)};
  if (suppressed) {
    if (std::exchange(endpoint.suppression_told, true)) return;
    ++suppressed_;
    change.kind = Change::Kind::kSuppressed;
  } else {
    // Beyond the maximum n would only take longer to shrink.
    if (settings_.base_ejection * standing.ejections < settings_.max_ejection) ++standing.ejections;
    change.ejected_for = std::min(settings_.base_ejection * standing.ejections, settings_.max_ejection);
    standing.ejected = true;
    standing.until = now + change.ejected_for;
    standing.changed_at = now;
    endpoint.ejected_in_it = true;
    endpoint.was_out = true;
  }
  changes.push_back(std::move(change));
}

void OutlierDetector::return_those_due(TimePoint now, std::vector<Change>& changes) {
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    const Standing& standing = endpoints_[i].standing;
    if (!standing.ejected || standing.until > now) continue;
    changes.push_back(take_back(i, now));
    changes.back().detail = "after " + seconds(changes.back().ejected_for);
  }
  while (too_few()) {
    changes.push_back(take_back(first_to_return(/*usable_only=*/true), now));
    changes.back().detail = "early, since keep_at_least = " + std::to_string(settings_.keep_at_least);
  }
}

OutlierDetector::Change OutlierDetector::take_back(std::size_t index, TimePoint now) {
  Standing& standing = endpoints_[index].standing;
  const Duration lasted = now - standing.changed_at;
  standing.ejected = false;
  standing.until = {};
  standing.changed_at = now;
  return {.endpoint = index,
          .kind = Change::Kind::kReturned,
          .reason = standing.last_reason,
          .ejected_for = lasted,
          .detail = {}};
}

std::vector<OutlierDetector::Rate> OutlierDetector::rates(std::span<const Traffic> traffic) const {
  std::vector<Rate> all;
  const std::uint64_t least = std::max(settings_.min_requests, 1U);
  for (std::size_t i = 0; i < std::min(traffic.size(), endpoints_.size()); ++i) {
    const Endpoint& endpoint = endpoints_[i];
    const std::uint64_t requests = traffic[i].requests;
    const std::uint64_t failures = std::min(traffic[i].failures, requests);
    if (endpoint.standing.ejected || endpoint.ejected_in_it || requests < least) continue;
    all.push_back({.endpoint = i,
                   .requests = requests,
                   .failures = failures,
                   .success = static_cast<double>(requests - failures) / static_cast<double>(requests)});
  }
  return all;
}

std::vector<OutlierDetector::Verdict> OutlierDetector::judge(const std::vector<Rate>& all) const {
  const double n = static_cast<double>(all.size());
  double mean = 0;
  for (const Rate& rate : all) mean += rate.success;
  mean /= n;
  double variance = 0;
  for (const Rate& rate : all) variance += (rate.success - mean) * (rate.success - mean) / n;
  const bool compare = settings_.success_rate_deviations > 0 && all.size() >= settings_.min_endpoints;
  const double k = std::min(settings_.success_rate_deviations, kOfFurthest * std::sqrt(std::max(n - 1, 0.0)));
  const double apart = mean - k * std::sqrt(variance);
  const double most = settings_.failure_percentage;

  std::vector<Verdict> verdicts;
  for (const Rate& rate : all) {
    const double requests = static_cast<double>(rate.requests);
    const double chance = std::sqrt(std::max(mean * (1 - mean), 0.0) / requests);
    const double unlucky = mean - kBeyondChance * chance - 1 / requests;
    const std::string of_requests = " of " + std::to_string(rate.requests) + " requests ";
    Verdict verdict{.endpoint = rate.endpoint, .success_rate = rate.success, .detail = {}};
    if (compare && rate.success < std::min(apart, unlucky)) {
      verdict.reason = Reason::kSuccessRate;
      verdict.detail = percent(rate.success) + of_requests + "succeeded, below " +
                       percent(std::min(apart, unlucky)) + ", mean " + percent(mean);
    } else if (most > 0 && static_cast<double>(rate.failures) * 100.0 >= most * requests) {
      verdict.reason = Reason::kFailurePercentage;
      verdict.detail = percent(1.0 - rate.success) + of_requests + "failed, threshold " + number(most) + " %";
    } else {
      continue;
    }
    verdicts.push_back(std::move(verdict));
  }
  std::ranges::sort(verdicts, {},
                    [](const Verdict& verdict) { return std::pair(verdict.success_rate, verdict.endpoint); });
  return verdicts;
}

void OutlierDetector::begin_interval(TimePoint now) {
  interval_began_ = now;
  interval_ends_ = now + settings_.interval;
  for (Endpoint& endpoint : endpoints_) {
    if (!endpoint.was_out && !endpoint.had_reason && endpoint.standing.ejections > 0)
      --endpoint.standing.ejections;
    endpoint.was_out = endpoint.standing.ejected;
    endpoint.ejected_in_it = false;
    endpoint.had_reason = false;
    endpoint.suppression_told = false;
  }
}

const char* to_string(OutlierDetector::Reason reason) {
  switch (reason) {
    case OutlierDetector::Reason::kNone: return "none";
    case OutlierDetector::Reason::kConsecutiveFailures: return "consecutive_failures";
    case OutlierDetector::Reason::kSuccessRate: return "success_rate";
    case OutlierDetector::Reason::kFailurePercentage: return "failure_percentage";
  }
  return "none";
}

}  // namespace remora::health
