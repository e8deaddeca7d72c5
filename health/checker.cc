#include "health/checker.h"

#include <algorithm>
#include <limits>

namespace remora::health {
namespace {

constexpr Duration kLongestSpread = 1s;

Duration share_of(Duration whole, double share) {
  return Duration{static_cast<Duration::rep>(static_cast<double>(whole.count()) * share)};
}

std::string_view cut(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t end = most;
  const auto continues = [&] { return (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U; };
  // A character has at most three such bytes; more of them are not UTF-8, and any place is as good.
  for (int i = 0; i < 3 && continues(); ++i) --end;
  return text.substr(0, end);
}

}  // namespace

Checker::Checker(const Settings& settings, TimePoint now, Random& random)
    : settings_(settings),
      next_(now + share_of(std::min(settings.interval / 10, kLongestSpread), random.unit())) {}

void Checker::on_started(TimePoint now) {
  started_ = now;
  next_ = TimePoint::max();
}

bool Checker::on_result(bool passed, std::string_view reason, TimePoint now, Random& random) {
  const bool first = passes_ + failures_ == 0;
  if (passed != last_passed_) in_a_row_ = 0;
  if (in_a_row_ < std::numeric_limits<std::uint32_t>::max()) ++in_a_row_;
  last_passed_ = passed;
  if (passed) {
    ++passes_;
  } else {
    ++failures_;
    last_failure_ = now;
    last_reason_ = cut(reason, kLongestReason);
  }
  const bool decided = first || in_a_row_ >= (passed ? settings_.rise : settings_.fall);
  const bool changed = decided && enter(passed ? State::kPassing : State::kFailing, now);
  schedule(now, random);
  return changed;
}

void Checker::on_abandoned(TimePoint now, Random& random) { schedule(now, random); }

void Checker::schedule(TimePoint now, Random& random) {
  const bool troubled = state_ == State::kFailing || !last_passed_;
  const bool own = troubled && settings_.failing_interval > Duration::zero();
  const Duration interval = own ? settings_.failing_interval : settings_.interval;
  const double factor = 1.0 + settings_.jitter * (2.0 * random.unit() - 1.0);
  next_ = std::max(now, started_ + share_of(interval, factor));
}

bool Checker::enter(State state, TimePoint now) {
  if (state_ == state) return false;
  state_ = state;
  changed_at_ = now;
  return true;
}

const char* to_string(Checker::State state) {
  switch (state) {
    case Checker::State::kUnknown: return "unknown";
    case Checker::State::kPassing: return "passing";
    case Checker::State::kFailing: return "failing";
  }
  return "unknown";
}

}  // namespace remora::health
