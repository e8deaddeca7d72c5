// How the process leaves its traffic: inbound first, outbound last, so that the application can still call
// others while it answers what it has been asked. docs/lifecycle.md describes it for operators.
//
//   kServing      all is served
//   kDelay        not ready any more; inbound accepts and answers, each response the last of its connection
//   kInbound      inbound accepts no more, its connections end
//   kHeld         inbound has ended, outbound is served: only if no more was asked for
//   kLastCall     outbound accepts and answers, each response the last of its connection
//   kOutbound     outbound accepts no more, its connections end
//   kEnded        no connection is left, or the timeout has passed
//
// No I/O and no clock. Thread: the control thread. Owner: Server.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/timer_wheel.h"
#include "config/config.h"

namespace remora::proxy {

class Drain final {
 public:
  enum class Phase : std::uint8_t { kServing, kDelay, kInbound, kHeld, kLastCall, kOutbound, kEnded };
  enum class Scope : std::uint8_t { kInbound, kAll };

  // The least time in which idle connections may still send a request and have it answered: longer than
  // between two requests of a busy client, and than a packet's way.
  static constexpr Duration kLastCall = 250ms;

  struct Settings {
    Duration delay{};      // of inbound; kLastCall at least
    Duration timeout{};    // from a begin() of kAll to kEnded
    bool outbound = true;  // there are outbound listeners
  };
  struct Ways {
    // The next response of each connection of these listeners is its last.
    std::function<void(config::Direction)> announce;
    // They stop accepting, and idle connections close. Calls back, later or now, once no connection is left.
    std::function<void(config::Direction, std::function<void()>)> finish;
    // There is a new phase, the last one included. After kEnded nothing more is called.
    std::function<void()> changed;
  };

  Drain(TimerWheel& wheel, Ways ways);
  ~Drain() = default;
  Drain(const Drain&) = delete;
  Drain& operator=(const Drain&) = delete;

  // kInbound: up to kHeld, without a timeout. kAll: to the end, from wherever it is; what has been done is
  // not done again. False: it has been begun already, to that extent or further.
  bool begin(Scope scope, const Settings& settings);

  Phase phase() const { return phase_; }
  bool begun() const { return phase_ != Phase::kServing; }
  // Nothing had to be cut. Of kEnded.
  bool complete() const { return complete_; }
  // For people and /readyz; "" while serving.
  std::string_view reason() const;

 private:
  void enter(Phase phase);
  void after_inbound();
  void end(bool complete);
  void on_step();
  void on_timeout();

  TimerWheel& wheel_;
  Ways ways_;
  Settings settings_;
  Phase phase_ = Phase::kServing;
  Scope scope_ = Scope::kInbound;
  bool complete_ = false;
  MemberTimer<Drain, &Drain::on_step> step_timer_{*this};
  MemberTimer<Drain, &Drain::on_timeout> timeout_timer_{*this};
};

}  // namespace remora::proxy
