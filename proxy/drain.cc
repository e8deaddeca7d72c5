#include "proxy/drain.h"

#include <algorithm>
#include <utility>

namespace remora::proxy {

Drain::Drain(TimerWheel& wheel, Ways ways) : wheel_(wheel), ways_(std::move(ways)) {}

bool Drain::begin(Scope scope, const Settings& settings) {
  const bool further = scope == Scope::kAll && scope_ == Scope::kInbound;
  if (phase_ == Phase::kEnded || (begun() && !further)) return false;
  settings_ = settings;
  scope_ = scope;
  if (scope == Scope::kAll) wheel_.arm_in(timeout_timer_, settings_.timeout);
  if (phase_ == Phase::kServing) {
    ways_.announce(config::Direction::kInbound);
    wheel_.arm_in(step_timer_, std::max(settings_.delay, kLastCall));
    enter(Phase::kDelay);
  } else if (phase_ == Phase::kHeld) {
    after_inbound();
  }
  return true;
}

void Drain::on_step() {
  const bool inbound = phase_ == Phase::kDelay;
  enter(inbound ? Phase::kInbound : Phase::kOutbound);
  if (phase_ == Phase::kEnded) return;
  if (inbound) {
    ways_.finish(config::Direction::kInbound, [this] {
      if (phase_ != Phase::kEnded) after_inbound();
    });
  } else {
    ways_.finish(config::Direction::kOutbound, [this] { end(true); });
  }
}

void Drain::after_inbound() {
  if (scope_ == Scope::kInbound) return enter(Phase::kHeld);
  if (!settings_.outbound) return end(true);
  ways_.announce(config::Direction::kOutbound);
  wheel_.arm_in(step_timer_, kLastCall);
  enter(Phase::kLastCall);
}

void Drain::on_timeout() { end(false); }

void Drain::end(bool complete) {
  if (phase_ == Phase::kEnded) return;
  step_timer_.cancel();
  timeout_timer_.cancel();
  complete_ = complete;
  enter(Phase::kEnded);
}

void Drain::enter(Phase phase) {
  phase_ = phase;
  ways_.changed();
}

std::string_view Drain::reason() const {
  switch (phase_) {
    case Phase::kServing: return "";
    case Phase::kDelay: return "draining: inbound traffic is asked to leave";
    case Phase::kInbound: return "draining: inbound connections end";
    case Phase::kHeld: return "draining: inbound traffic has ended, outbound is served";
    case Phase::kLastCall:
    case Phase::kOutbound: return "draining: outbound connections end";
    case Phase::kEnded: break;
  }
  return "stopped";
}

}  // namespace remora::proxy
