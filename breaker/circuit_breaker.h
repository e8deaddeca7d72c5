// When not to try an endpoint (or, by scope, a whole cluster): closed while it is well, open after failures,
// half-open to find out whether it has recovered. One instance per process, used by all workers at once: the
// operator's numbers mean what they say, however many workers run.
//
//   phase      event                                               becomes
//   closed     consecutive_failures in a row                       open
//   closed     failure_ratio of at least min_requests in window    open
//   closed     slow_ratio of them took slow_call or longer         open
//   open       open_for is over, and somebody wants to enter       half-open, that one is the first probe
//   half-open  half_open_requests probes are in flight             stays; everybody else is turned away
//   half-open  success_threshold probes have succeeded             closed
//   half-open  a probe has failed (or was slow, if slow counts)    open, for twice as long (up to max)
//   half-open  a probe was ignored (client left, local reply)      stays; its place is free again
//   any        force_open                                          open until force_close
//   any        force_close                                         closed, counts and escalation forgotten
//
// What counts: a ratio is looked at when a failure (a slow one) comes, so that no fast success opens a
// breaker. A failure whose response head was slow is both. Ignored outcomes and probes are not in the window.
//
// The n-th opening lasts open_for * 2^(n-1), at most max_open_for, times 1 +- jitter; n begins anew after the
// breaker has stayed closed for quiet_period. Results of attempts that entered in an earlier phase (before
// it opened, or before it closed again) count no more. Instants are kept to the millisecond, openings rounded
// up to it; none is longer than two years.
//
// A half-open phase has no time limit: it ends when its probes have reported, and every probe does, since
// whoever holds a ticket gives it back. One that may last for hours (a WebSocket) holds its place so long,
// unless it is reported when its response head has come.
//
// Thread: any; all state is atomic, no call blocks. Owner: the process-wide state of the endpoint. Cost: a
// relaxed load to enter while closed; to report a success there another one, and one compare-and-swap when a
// window is kept (failure_ratio or slow_call).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/random.h"
#include "base/time.h"
#include "breaker/outcome.h"
#include "breaker/window.h"

namespace remora::breaker {

class CircuitBreaker final {
 public:
  struct Settings {
    bool enabled = true;                     // false: always closed, counts nothing, cannot be forced
    std::uint32_t consecutive_failures = 5;  // 0 = not a reason to open
    double failure_ratio = 0.5;              // over the window, (0, 1]; 0 = not a reason to open
    Duration window = 10s;
    std::uint32_t min_requests = 20;       // in the window, before a ratio is looked at
    Duration slow_call{};                  // a response head this late is slow; zero = speed is not judged
    double slow_ratio = 0.5;               // of slow ones over the window, (0, 1]
    Duration open_for = 5s;                // the first opening, at least 1 ms
    Duration max_open_for = 60s;           // >= open_for
    double jitter = 0.1;                   // each opening is longer or shorter by up to this share, [0, 1)
    Duration quiet_period = 60s;           // closed for so long: the next opening is a first one again
    std::uint32_t half_open_requests = 1;  // probes in flight, 1 to 65535
    std::uint32_t success_threshold = 2;   // successful probes that close, 1 to 65535
    FailureClasses failures;
    bool operator==(const Settings&) const = default;
  };

  // The numbers are the values of remora_breaker_state.
  enum class Phase : std::uint8_t { kClosed = 0, kHalfOpen = 1, kOpen = 2 };
  enum class Reason : std::uint8_t {
    kNone,
    kConsecutiveFailures,
    kFailureRatio,
    kSlowRatio,
    kProbeFailed,
    kProbesSucceeded,
    kTimeToProbe,
    kManual,
  };

  struct Transition {
    Phase from = Phase::kClosed;
    Phase to = Phase::kClosed;
    Reason reason = Reason::kNone;
    Duration open_for{};  // with to == kOpen; zero = until somebody closes it
  };

  // The right to make one attempt; give it back with report() exactly once, with kIgnored if nothing came of
  // it.
  struct Ticket {
    std::uint32_t generation = 0;  // of the phase it entered in
    bool probe = false;
  };

  struct Entry {
    std::optional<Ticket> ticket;          // nullopt: turned away
    std::optional<Transition> transition;  // entering began the half-open phase
  };

  // For people and metrics; read piece by piece, so that neighbours may be an instant apart.
  struct View {
    Phase phase = Phase::kClosed;
    bool forced = false;
    Reason last_reason = Reason::kNone;   // of the last transition
    TimePoint changed_at{};               // of the last transition; TimePoint{} = never
    std::optional<TimePoint> open_until;  // nullopt when not open, or open until told
    std::uint32_t openings = 0;           // in a row, as the escalation counts them: up to 63
    std::uint32_t consecutive_failures = 0;
    std::uint32_t probes_in_flight = 0;
    SlidingWindow::Counts window;
    std::uint64_t transitions_to[3] = {0, 0, 0};  // by Phase, since the start
  };

  using SharedSettings = std::shared_ptr<const Settings>;

  // A number out of its range is taken as the nearest one in it.
  explicit CircuitBreaker(const Settings& settings)
      : CircuitBreaker(std::make_shared<const Settings>(settings)) {}
  // The same, of settings that others have as well.
  explicit CircuitBreaker(const SharedSettings& settings);
  ~CircuitBreaker() = default;
  CircuitBreaker(const CircuitBreaker&) = delete;
  CircuitBreaker& operator=(const CircuitBreaker&) = delete;

  // May an attempt be made now?
  Entry try_enter(TimePoint now);

  // What came of it. `latency`: from sending to the response's head, if one came. A success that is slow
  // counts as slow. Returns the transition that this result made, if it made one: for the log, and so that
  // candidates are computed anew.
  std::optional<Transition> report(Ticket ticket, const Outcome& outcome, std::optional<Duration> latency,
                                   TimePoint now, Random& random);

  // A candidate for balancing: closed, half-open, or open with its time over. O(1).
  bool may_enter(TimePoint now) const;
  // When may_enter turns true by itself; nullopt when it is true, or will not by time alone.
  std::optional<TimePoint> next_wakeup(TimePoint now) const;

  // By the operator. nullopt: it was forced open already, or closed already (its counts are forgotten all the
  // same). One that is open by itself and then forced open goes from open to open.
  std::optional<Transition> force_open(TimePoint now);
  std::optional<Transition> force_close(TimePoint now);

  View view(TimePoint now) const;
  const Settings& settings() const { return *settings_.load(std::memory_order_acquire); }

  // From now on. The phase and its time stay: an open breaker is open until it said it would be. One that is
  // switched off closes, and begins anew when it is switched on; another window begins empty. On one thread
  // at a time, while others use the breaker. Settings it has had are kept, for whoever is just reading them.
  void set_settings(const Settings& settings, TimePoint now) {
    set_settings(std::make_shared<const Settings>(settings), now);
  }
  void set_settings(SharedSettings settings, TimePoint now);

 private:
  struct State;  // what the word says

  std::optional<Transition> report_closed(std::uint32_t generation, bool failed, bool slow, TimePoint now,
                                          Random& random);
  std::optional<Transition> report_probe(std::uint32_t generation, bool ignored, bool failed, TimePoint now,
                                         Random& random);
  Reason count(bool failed, bool slow, TimePoint now);
  std::optional<Transition> open(std::uint64_t& word, Reason reason, TimePoint now, Random& random);
  std::optional<Transition> change(std::uint64_t& word, State to, Reason reason, Duration open_for,
                                   TimePoint now);
  bool replace(std::uint64_t& word, const State& to);
  void note(std::uint32_t generation, Reason reason, TimePoint now);
  std::uint32_t openings_in_a_row(const State& state, TimePoint now) const;
  Duration opening(std::uint32_t n, Random& random) const;

  // Each distinct one once, the latest to be new first.
  struct Known {
    SharedSettings settings;
    std::unique_ptr<Known> before;
  };

  // First what every attempt reads. What it writes is the window, elsewhere.
  std::atomic<const Settings*> settings_;
  // Everything that decides, in one word: a transition is a compare-and-swap of it, and whoever wins that
  // writes what stands below.
  std::atomic<std::uint64_t> state_{0};
  LazyWindow window_;
  std::atomic<std::uint64_t> note_{0};  // generation, reason and instant of the last transition; 0 = none
  std::array<std::atomic<std::uint64_t>, 3> transitions_to_{};
  Known known_;
};

// One word each, for logs and pages.
const char* to_string(CircuitBreaker::Phase phase);
const char* to_string(CircuitBreaker::Reason reason);

}  // namespace remora::breaker
