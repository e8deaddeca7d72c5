#include "breaker/retry_policy.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>

namespace remora::breaker {
namespace {

bool is_asked_for(const RetrySettings& settings, const Outcome& outcome) {
  const RetryConditions& on = settings.on;
  if (settings.attempts <= 1) return false;
  switch (outcome.result) {
    case Result::kResponse: return on.statuses.contains(outcome.status);
    case Result::kConnectFailure: return on.connect_failure;
    case Result::kRefused: return on.refused;
    case Result::kReset: return on.reset;
    case Result::kTimeout: return on.timeout;
    case Result::kIgnored: return false;
  }
  return false;
}

bool is_safe(const FailedAttempt& failed) {
  Attempt attempt = failed.attempt;
  if (failed.outcome.result == Result::kRefused) attempt.sent = false;
  return may_replay(attempt);
}

std::optional<Duration> asked_pause(const FailedAttempt& failed) {
  return failed.outcome.result == Result::kResponse ? failed.retry_after : std::nullopt;
}

// Uniform in [0, most].
Duration up_to(Duration most, Random& random) {
  const double count = random.unit() * (static_cast<double>(most.count()) + 1.0);
  return std::min(Duration{static_cast<Duration::rep>(count)}, most);
}

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Digits only, saturating.
std::optional<std::int64_t> parse_digits(std::string_view text) {
  constexpr std::int64_t kMost = std::int64_t{1} << 50U;
  if (text.empty() || !std::ranges::all_of(text, is_digit)) return std::nullopt;
  std::int64_t value = 0;
  for (const char digit : text) value = std::min(value * 10 + (digit - '0'), kMost);
  return value;
}

// Takes a text apart from its front; after the first piece that is not there, everything fails.
class Scanner final {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  Scanner& literal(std::string_view text) {
    if (ok_ && rest_.starts_with(text)) {
      rest_.remove_prefix(text.size());
    } else {
      ok_ = false;
    }
    return *this;
  }
  // Exactly so many digits; with `padded` the first may be a space.
  Scanner& digits(std::size_t count, int& value, bool padded = false) {
    std::string_view text = rest_.substr(0, count);
    ok_ = ok_ && text.size() == count;
    if (!ok_) return *this;
    if (padded && text.front() == ' ') text.remove_prefix(1);
    const auto number = parse_digits(text);
    ok_ = number.has_value();
    if (ok_) value = static_cast<int>(*number);
    rest_.remove_prefix(count);
    return *this;
  }
  // One of the names; `index` tells which.
  template <std::size_t N>
  Scanner& name(const std::array<std::string_view, N>& names, std::size_t& index) {
    const auto found = std::ranges::find_if(names, [&](auto name) { return rest_.starts_with(name); });
    ok_ = ok_ && found != names.end();
    if (!ok_) return *this;
    index = static_cast<std::size_t>(found - names.begin());
    rest_.remove_prefix(found->size());
    return *this;
  }
  Scanner& time_of_day(std::chrono::seconds& time) {
    int hour = 0;
    int minute = 0;
    int second = 0;
    digits(2, hour).literal(":").digits(2, minute).literal(":").digits(2, second);
    ok_ = ok_ && hour <= 23 && minute <= 59 && second <= 60;  // 60: a leap second
    time = std::chrono::hours{hour} + std::chrono::minutes{minute} + std::chrono::seconds{second};
    return *this;
  }
  bool at_end() const { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

using Names7 = std::array<std::string_view, 7>;
constexpr Names7 kDays = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
constexpr Names7 kLongDays = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct Date {
  int year = 0;
  std::size_t month = 0;  // from 0
  int day = 0;
  std::chrono::seconds time{};

  std::chrono::year_month_day calendar() const {
    return std::chrono::year{year} / std::chrono::month{static_cast<unsigned>(month) + 1U} /
           std::chrono::day{static_cast<unsigned>(day)};
  }
  // A day that does not exist counts as one after the month's last.
  std::int64_t unix_time() const {
    return (std::chrono::sys_days{calendar()}.time_since_epoch() + time).count();
  }
};

// Two digits mean the latest year that is not more than 50 years ahead (RFC 9110 section 5.6.7).
void complete_year(Date& date, std::int64_t unix_now) {
  const std::chrono::sys_seconds now{std::chrono::seconds{unix_now}};
  const auto today = std::chrono::floor<std::chrono::days>(now);
  const std::chrono::year_month_day limit = std::chrono::year_month_day{today} + std::chrono::years{50};
  const std::int64_t latest = (std::chrono::sys_days{limit}.time_since_epoch() + (now - today)).count();
  date.year += (static_cast<int>(limit.year()) / 100) * 100;
  if (date.unix_time() > latest) date.year -= 100;
}

std::optional<std::int64_t> parse_http_date(std::string_view text, std::int64_t unix_now) {
  Date date;
  std::size_t weekday = 0;
  const auto fixed = [&] {  // Sun, 06 Nov 1994 08:49:37 GMT
    return Scanner(text)
        .name(kDays, weekday)
        .literal(", ")
        .digits(2, date.day)
        .literal(" ")
        .name(kMonths, date.month)
        .literal(" ")
        .digits(4, date.year)
        .literal(" ")
        .time_of_day(date.time)
        .literal(" GMT")
        .at_end();
  };
  const auto rfc850 = [&] {  // Sunday, 06-Nov-94 08:49:37 GMT
    return Scanner(text)
        .name(kLongDays, weekday)
        .literal(", ")
        .digits(2, date.day)
        .literal("-")
        .name(kMonths, date.month)
        .literal("-")
        .digits(2, date.year)
        .literal(" ")
        .time_of_day(date.time)
        .literal(" GMT")
        .at_end();
  };
  const auto asctime = [&] {  // Sun Nov  6 08:49:37 1994
    return Scanner(text)
        .name(kDays, weekday)
        .literal(" ")
        .name(kMonths, date.month)
        .literal(" ")
        .digits(2, date.day, /*padded=*/true)
        .literal(" ")
        .time_of_day(date.time)
        .literal(" ")
        .digits(4, date.year)
        .at_end();
  };
  if (rfc850()) {
    complete_year(date, unix_now);
  } else if (!fixed() && !asctime()) {
    return std::nullopt;
  }
  if (!date.calendar().ok()) return std::nullopt;
  return date.unix_time();
}

}  // namespace

RetryVerdict may_retry(const RetrySettings& settings, const FailedAttempt& failed) {
  if (!is_asked_for(settings, failed.outcome)) return RetryVerdict::kNotAsked;
  if (failed.shed) return RetryVerdict::kShed;
  if (failed.marked) return RetryVerdict::kMarked;
  if (!is_safe(failed)) return RetryVerdict::kUnsafe;
  if (failed.made >= settings.attempts) return RetryVerdict::kExhausted;
  const auto pause = asked_pause(failed);
  if (pause && *pause > settings.retry_after_max) return RetryVerdict::kTooLate;
  return RetryVerdict::kRetry;
}

Duration backoff(const RetrySettings& settings, const FailedAttempt& failed, Random& random) {
  const auto pause = asked_pause(failed);
  if (pause && *pause > Duration::zero()) return *pause + up_to(*pause / 10, random);
  Duration most = std::min(settings.backoff_base, settings.backoff_max);
  for (std::uint32_t i = 1; i < failed.made && most > Duration::zero() && most < settings.backoff_max; ++i) {
    most = most > settings.backoff_max / 2 ? settings.backoff_max : 2 * most;
  }
  return up_to(most, random);
}

std::optional<Duration> parse_retry_after(std::string_view value, std::int64_t unix_now) {
  using std::chrono::seconds;
  constexpr std::int64_t kMost = std::chrono::duration_cast<seconds>(kLongestRetryAfter).count();
  if (const auto delay = parse_digits(value)) return seconds{std::min(*delay, kMost)};
  // Beyond every date that can be written, and within what the calendar can compute: 8,700 years.
  constexpr std::int64_t kBound = std::int64_t{1} << 38U;
  unix_now = std::clamp(unix_now, -kBound, kBound);
  const auto date = parse_http_date(value, unix_now);
  if (!date) return std::nullopt;
  return seconds{std::clamp<std::int64_t>(*date - unix_now, 0, kMost)};
}

std::optional<Duration> parse_timeout_ms(std::string_view value) {
  if (value.size() > 10) return std::nullopt;
  const auto count = parse_digits(value);
  if (!count) return std::nullopt;
  return std::min<Duration>(std::chrono::milliseconds{*count}, kLongestTimeout);
}

const char* to_string(RetryVerdict verdict) {
  switch (verdict) {
    case RetryVerdict::kRetry: return "retry";
    case RetryVerdict::kNotAsked: return "not_asked";
    case RetryVerdict::kShed: return "shed";
    case RetryVerdict::kMarked: return "marked";
    case RetryVerdict::kUnsafe: return "unsafe";
    case RetryVerdict::kExhausted: return "exhausted";
    case RetryVerdict::kTooLate: return "too_late";
  }
  return "not_asked";
}

}  // namespace remora::breaker
