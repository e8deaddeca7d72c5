#include "breaker/circuit_breaker.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace remora::breaker {
namespace {

using std::chrono::ceil;
using std::chrono::floor;
using std::chrono::milliseconds;

enum class Kind : std::uint8_t { kClosed = 0, kHalfOpen = 1, kOpen = 2, kOpenUntilTold = 3 };

// The word, from the top: 2 bits of kind, 18 of generation, 6 of openings in a row, and 38 that depend on the
// kind: closed: failures in a row; half-open: probes in flight, probes that have succeeded; open: until when,
// in milliseconds.
constexpr unsigned kPayloadBits = 38;
constexpr unsigned kOpeningsBits = 6;
constexpr unsigned kGenerationBits = 18;
constexpr unsigned kOpeningsShift = kPayloadBits;
constexpr unsigned kGenerationShift = kOpeningsShift + kOpeningsBits;
constexpr unsigned kKindShift = kGenerationShift + kGenerationBits;
static_assert(kKindShift == 62);

// The note, from the top: 4 bits of reason, 18 of generation, 42 of milliseconds.
constexpr unsigned kInstantBits = 42;
constexpr unsigned kReasonShift = kInstantBits + kGenerationBits;

constexpr std::uint64_t mask(unsigned bits) { return (std::uint64_t{1} << bits) - 1; }

constexpr std::uint32_t kMostOpenings = mask(kOpeningsBits);
constexpr std::uint32_t kMostProbes = 65535;
constexpr double kMostJitter = 0.99;
constexpr Duration kShortestOpening = 1ms;
// Half of what the difference of two instants of 38 bits can say, so that jitter has room.
constexpr Duration kLongestOpening = milliseconds(std::int64_t{1} << (kPayloadBits - 2));

// Numbers of so many bits go round; which of two comes later is the sign of their difference.
std::int64_t signed_difference(std::uint64_t a, std::uint64_t b, unsigned bits) {
  return static_cast<std::int64_t>((a - b) << (64U - bits)) >> (64U - bits);
}

std::int64_t ms_of(TimePoint now) { return floor<milliseconds>(now.time_since_epoch()).count(); }

// The instant `ms` after now, as far as a TimePoint reaches.
TimePoint in_ms(TimePoint now, std::int64_t ms) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / 1000;
  return TimePoint(milliseconds(std::clamp(ms_of(now) + ms, -kMost, kMost)));
}

CircuitBreaker::Phase phase_of(Kind kind) {
  switch (kind) {
    case Kind::kClosed: return CircuitBreaker::Phase::kClosed;
    case Kind::kHalfOpen: return CircuitBreaker::Phase::kHalfOpen;
    case Kind::kOpen:
    case Kind::kOpenUntilTold: break;
  }
  return CircuitBreaker::Phase::kOpen;
}

CircuitBreaker::Settings in_range(CircuitBreaker::Settings settings) {
  const auto clamp = [](auto& value, auto least, auto most) { value = std::clamp(value, least, most); };
  clamp(settings.half_open_requests, 1U, kMostProbes);
  clamp(settings.success_threshold, 1U, kMostProbes);
  clamp(settings.open_for, kShortestOpening, kLongestOpening);
  clamp(settings.max_open_for, settings.open_for, kLongestOpening);
  clamp(settings.jitter, 0.0, kMostJitter);
  return settings;
}

CircuitBreaker::SharedSettings in_range(const CircuitBreaker::SharedSettings& settings) {
  const CircuitBreaker::Settings clamped = in_range(*settings);
  return clamped == *settings ? settings : std::make_shared<const CircuitBreaker::Settings>(clamped);
}

// A division, since it gives the very number that the operator's decimal stands for: 7 of 100 reach 0.07.
bool reaches(std::uint64_t part, std::uint64_t total, double ratio) {
  return static_cast<double>(part) / static_cast<double>(total) >= ratio;
}

}  // namespace

struct CircuitBreaker::State {
  Kind kind = Kind::kClosed;
  std::uint32_t generation = 0;  // one more with each transition
  std::uint32_t openings = 0;
  std::uint64_t payload = 0;

  static State of(std::uint64_t word) {
    return {.kind = static_cast<Kind>(word >> kKindShift),
            .generation = static_cast<std::uint32_t>(word >> kGenerationShift & mask(kGenerationBits)),
            .openings = static_cast<std::uint32_t>(word >> kOpeningsShift & mask(kOpeningsBits)),
            .payload = word & mask(kPayloadBits)};
  }
  std::uint64_t word() const {
    return static_cast<std::uint64_t>(kind) << kKindShift |
           static_cast<std::uint64_t>(generation) << kGenerationShift |
           static_cast<std::uint64_t>(openings) << kOpeningsShift | payload;
  }
  bool is(Kind wanted, std::uint32_t of_generation) const {
    return kind == wanted && generation == of_generation;
  }

  State with(std::uint64_t new_payload) const {
    State state = *this;
    state.payload = new_payload;
    return state;
  }
  static std::uint64_t probing(std::uint32_t in_flight, std::uint32_t succeeded) {
    return std::uint64_t{in_flight} << 16U | succeeded;
  }
  std::uint32_t failures() const { return static_cast<std::uint32_t>(payload); }
  std::uint32_t in_flight() const { return static_cast<std::uint32_t>(payload >> 16U); }
  std::uint32_t succeeded() const { return static_cast<std::uint32_t>(payload & mask(16)); }
  // Of an open one; not positive: its time is over.
  std::int64_t ms_left(TimePoint now) const {
    return signed_difference(payload, static_cast<std::uint64_t>(ms_of(now)), kPayloadBits);
  }
};

CircuitBreaker::CircuitBreaker(const SharedSettings& settings)
    : settings_(nullptr), window_(settings->window), known_{.settings = in_range(settings), .before = {}} {
  settings_.store(known_.settings.get(), std::memory_order_release);
}

void CircuitBreaker::set_settings(SharedSettings settings, TimePoint now) {
  const Settings& before = this->settings();
  settings = in_range(settings);
  const Settings& wanted = *settings;
  if (before == wanted) return;
  if (before.enabled && !wanted.enabled) force_close(now);
  if (before.window != wanted.window) window_.set_length(wanted.window);
  const Known* known = &known_;
  while (known != nullptr && *known->settings != wanted) known = known->before.get();
  if (known == nullptr) {
    auto older = std::make_unique<Known>(std::move(known_));
    known_ = {.settings = std::move(settings), .before = std::move(older)};
    known = &known_;
  }
  settings_.store(known->settings.get(), std::memory_order_release);
}

CircuitBreaker::Entry CircuitBreaker::try_enter(TimePoint now) {
  if (!settings().enabled) return {.ticket = Ticket{}, .transition = std::nullopt};
  std::uint64_t word = state_.load(std::memory_order_relaxed);
  for (;;) {
    const State state = State::of(word);
    switch (state.kind) {
      case Kind::kClosed:
        return {.ticket = Ticket{.generation = state.generation, .probe = false}, .transition = std::nullopt};
      case Kind::kOpenUntilTold: return {};
      case Kind::kHalfOpen:
        if (state.in_flight() >= settings().half_open_requests) return {};
        if (replace(word, state.with(State::probing(state.in_flight() + 1, state.succeeded())))) {
          return {.ticket = Ticket{.generation = state.generation, .probe = true},
                  .transition = std::nullopt};
        }
        break;
      case Kind::kOpen: {
        if (state.ms_left(now) > 0) return {};
        const State probing{
            .kind = Kind::kHalfOpen, .openings = state.openings, .payload = State::probing(1, 0)};
        if (auto transition = change(word, probing, Reason::kTimeToProbe, Duration::zero(), now)) {
          // Here, and not when it opened: who was still adding then has finished by now, and nobody adds
          // again before probes have been sent and answered.
          window_.clear();
          return {.ticket = Ticket{.generation = State::of(word).generation, .probe = true},
                  .transition = transition};
        }
        break;
      }
    }
  }
}

std::optional<CircuitBreaker::Transition> CircuitBreaker::report(Ticket ticket, const Outcome& outcome,
                                                                 std::optional<Duration> latency,
                                                                 TimePoint now, Random& random) {
  if (!settings().enabled) return std::nullopt;
  const bool ignored = settings().failures.is_ignored(outcome);
  const bool failed = settings().failures.is_failure(outcome);
  const bool slow = settings().slow_call > Duration::zero() && latency && *latency >= settings().slow_call;
  if (ticket.probe) return report_probe(ticket.generation, ignored, failed || slow, now, random);
  if (ignored) return std::nullopt;
  return report_closed(ticket.generation, failed, slow, now, random);
}

std::optional<CircuitBreaker::Transition> CircuitBreaker::report_closed(std::uint32_t generation, bool failed,
                                                                        bool slow, TimePoint now,
                                                                        Random& random) {
  std::uint64_t word = state_.load(std::memory_order_acquire);
  if (!State::of(word).is(Kind::kClosed, generation)) return std::nullopt;
  const Reason by_window = count(failed, slow, now);
  for (;;) {
    const State state = State::of(word);
    if (!state.is(Kind::kClosed, generation)) return std::nullopt;
    const bool full = state.failures() == std::numeric_limits<std::uint32_t>::max();
    const std::uint32_t failures = failed ? state.failures() + (full ? 0 : 1) : 0;
    const bool in_a_row =
        failed && settings().consecutive_failures != 0 && failures >= settings().consecutive_failures;
    const Reason reason = in_a_row ? Reason::kConsecutiveFailures : by_window;
    if (reason != Reason::kNone) {
      if (auto transition = open(word, reason, now, random)) return transition;
    } else if (failures == state.failures() || replace(word, state.with(failures))) {
      return std::nullopt;
    }
  }
}

// Into the window, if there is one; returns whether that is a reason to open.
CircuitBreaker::Reason CircuitBreaker::count(bool failed, bool slow, TimePoint now) {
  const bool judges_failures = settings().failure_ratio > 0.0;
  if (!judges_failures && settings().slow_call <= Duration::zero()) return Reason::kNone;
  window_.add(failed, slow, now);
  if (!failed && !slow) return Reason::kNone;
  const SlidingWindow::Counts counts = window_.counts(now);
  if (counts.total == 0 || counts.total < settings().min_requests) return Reason::kNone;
  if (failed && judges_failures && reaches(counts.failed, counts.total, settings().failure_ratio)) {
    return Reason::kFailureRatio;
  }
  if (slow && reaches(counts.slow, counts.total, settings().slow_ratio)) return Reason::kSlowRatio;
  return Reason::kNone;
}

std::optional<CircuitBreaker::Transition> CircuitBreaker::report_probe(std::uint32_t generation, bool ignored,
                                                                       bool failed, TimePoint now,
                                                                       Random& random) {
  std::uint64_t word = state_.load(std::memory_order_acquire);
  for (;;) {
    const State state = State::of(word);
    if (!state.is(Kind::kHalfOpen, generation) || state.in_flight() == 0) return std::nullopt;
    const std::uint32_t succeeded = state.succeeded() + (ignored ? 0 : 1);
    if (!ignored && failed) {
      if (auto transition = open(word, Reason::kProbeFailed, now, random)) return transition;
    } else if (succeeded >= settings().success_threshold) {
      const State closed{.kind = Kind::kClosed, .openings = state.openings};
      const auto transition = change(word, closed, Reason::kProbesSucceeded, Duration::zero(), now);
      if (transition) return transition;
    } else if (replace(word, state.with(State::probing(state.in_flight() - 1, succeeded)))) {
      return std::nullopt;
    }
  }
}

bool CircuitBreaker::may_enter(TimePoint now) const {
  const State state = State::of(state_.load(std::memory_order_relaxed));
  switch (state.kind) {
    case Kind::kClosed:
    case Kind::kHalfOpen: return true;
    case Kind::kOpen: return state.ms_left(now) <= 0;
    case Kind::kOpenUntilTold: break;
  }
  return false;
}

std::optional<TimePoint> CircuitBreaker::next_wakeup(TimePoint now) const {
  const State state = State::of(state_.load(std::memory_order_relaxed));
  if (state.kind != Kind::kOpen || state.ms_left(now) <= 0) return std::nullopt;
  return in_ms(now, state.ms_left(now));
}

std::optional<CircuitBreaker::Transition> CircuitBreaker::force_open(TimePoint now) {
  if (!settings().enabled) return std::nullopt;
  std::uint64_t word = state_.load(std::memory_order_acquire);
  for (;;) {
    const State state = State::of(word);
    if (state.kind == Kind::kOpenUntilTold) return std::nullopt;
    const State told{.kind = Kind::kOpenUntilTold, .openings = state.openings};
    if (auto transition = change(word, told, Reason::kManual, Duration::zero(), now)) return transition;
  }
}

std::optional<CircuitBreaker::Transition> CircuitBreaker::force_close(TimePoint now) {
  if (!settings().enabled) return std::nullopt;
  std::uint64_t word = state_.load(std::memory_order_acquire);
  for (;;) {
    // Before the word changes: afterwards old failures could open it at once.
    window_.clear();
    const State state = State::of(word);
    if (state.kind == Kind::kClosed) {
      const State fresh{.kind = Kind::kClosed, .generation = state.generation};
      if (replace(word, fresh)) return std::nullopt;
    } else if (auto transition = change(word, State{}, Reason::kManual, Duration::zero(), now)) {
      return transition;
    }
  }
}

CircuitBreaker::View CircuitBreaker::view(TimePoint now) const {
  const State state = State::of(state_.load(std::memory_order_acquire));
  const std::uint64_t note = note_.load(std::memory_order_relaxed);
  View view;
  view.phase = phase_of(state.kind);
  view.forced = state.kind == Kind::kOpenUntilTold;
  view.last_reason = static_cast<Reason>(note >> kReasonShift);
  if (note != 0) {
    const auto ms = static_cast<std::uint64_t>(ms_of(now));
    view.changed_at = in_ms(now, signed_difference(note, ms, kInstantBits));
  }
  if (state.kind == Kind::kOpen) view.open_until = in_ms(now, state.ms_left(now));
  view.openings = openings_in_a_row(state, now);
  if (state.kind == Kind::kClosed) view.consecutive_failures = state.failures();
  if (state.kind == Kind::kHalfOpen) view.probes_in_flight = state.in_flight();
  view.window = window_.counts(now);
  for (std::size_t i = 0; i < transitions_to_.size(); ++i) {
    view.transitions_to[i] = transitions_to_[i].load(std::memory_order_relaxed);
  }
  return view;
}

// From closed or half-open. nullopt: the word has changed meanwhile, and `word` with it.
std::optional<CircuitBreaker::Transition> CircuitBreaker::open(std::uint64_t& word, Reason reason,
                                                               TimePoint now, Random& random) {
  const std::uint32_t n = std::min(openings_in_a_row(State::of(word), now) + 1, kMostOpenings);
  const Duration length = opening(n, random);
  const std::int64_t us_of_ms = now.time_since_epoch().count() % 1000;
  const Duration into_ms(us_of_ms < 0 ? us_of_ms + 1000 : us_of_ms);
  const std::int64_t until = ms_of(now) + ceil<milliseconds>(into_ms + length).count();
  const State opened{
      .kind = Kind::kOpen, .openings = n, .payload = static_cast<std::uint64_t>(until) & mask(kPayloadBits)};
  return change(word, opened, reason, length, now);
}

// The transition from `word` to `to`, whose generation is set here, and `word` is then the new one. nullopt:
// the word has changed meanwhile, and `word` with it.
std::optional<CircuitBreaker::Transition> CircuitBreaker::change(std::uint64_t& word, State to, Reason reason,
                                                                 Duration open_for, TimePoint now) {
  const State from = State::of(word);
  to.generation = (from.generation + 1) & mask(kGenerationBits);
  if (!replace(word, to)) return std::nullopt;
  word = to.word();
  transitions_to_[static_cast<std::size_t>(phase_of(to.kind))].fetch_add(1, std::memory_order_relaxed);
  note(to.generation, reason, now);
  return Transition{
      .from = phase_of(from.kind), .to = phase_of(to.kind), .reason = reason, .open_for = open_for};
}

bool CircuitBreaker::replace(std::uint64_t& word, const State& to) {
  return state_.compare_exchange_weak(word, to.word(), std::memory_order_acq_rel, std::memory_order_acquire);
}

// Unless a later transition's note is already there.
void CircuitBreaker::note(std::uint32_t generation, Reason reason, TimePoint now) {
  const std::uint64_t mine = static_cast<std::uint64_t>(reason) << kReasonShift |
                             static_cast<std::uint64_t>(generation) << kInstantBits |
                             (static_cast<std::uint64_t>(ms_of(now)) & mask(kInstantBits));
  std::uint64_t old = note_.load(std::memory_order_relaxed);
  while (old == 0 || signed_difference(generation, old >> kInstantBits, kGenerationBits) > 0) {
    if (note_.compare_exchange_weak(old, mine, std::memory_order_release, std::memory_order_relaxed)) return;
  }
}

// The note tells since when it has been closed. If it is not there yet, that was a moment ago.
std::uint32_t CircuitBreaker::openings_in_a_row(const State& state, TimePoint now) const {
  if (state.kind != Kind::kClosed || state.openings == 0) return state.openings;
  const std::uint64_t note = note_.load(std::memory_order_acquire);
  if ((note >> kInstantBits & mask(kGenerationBits)) != state.generation) return state.openings;
  const std::int64_t ms = signed_difference(static_cast<std::uint64_t>(ms_of(now)), note, kInstantBits);
  return milliseconds(ms) >= settings().quiet_period ? 0 : state.openings;
}

Duration CircuitBreaker::opening(std::uint32_t n, Random& random) const {
  const std::int64_t most = settings().max_open_for.count();
  const std::int64_t first = settings().open_for.count();
  const std::int64_t us = first > most >> (n - 1) ? most : first << (n - 1);
  if (settings().jitter <= 0.0) return Duration(us);
  const double factor = 1.0 + settings().jitter * (2.0 * random.unit() - 1.0);
  return std::min(Duration(static_cast<std::int64_t>(static_cast<double>(us) * factor)), kLongestOpening);
}

const char* to_string(CircuitBreaker::Phase phase) {
  switch (phase) {
    case CircuitBreaker::Phase::kClosed: return "closed";
    case CircuitBreaker::Phase::kHalfOpen: return "half_open";
    case CircuitBreaker::Phase::kOpen: return "open";
  }
  return "?";
}

const char* to_string(CircuitBreaker::Reason reason) {
  switch (reason) {
    case CircuitBreaker::Reason::kNone: return "none";
    case CircuitBreaker::Reason::kConsecutiveFailures: return "consecutive_failures";
    case CircuitBreaker::Reason::kFailureRatio: return "failure_ratio";
    case CircuitBreaker::Reason::kSlowRatio: return "slow_ratio";
    case CircuitBreaker::Reason::kProbeFailed: return "probe_failed";
    case CircuitBreaker::Reason::kProbesSucceeded: return "probes_succeeded";
    case CircuitBreaker::Reason::kTimeToProbe: return "time_to_probe";
    case CircuitBreaker::Reason::kManual: return "manual";
  }
  return "?";
}

}  // namespace remora::breaker
