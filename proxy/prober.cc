#include "proxy/prober.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/log.h"

namespace remora::proxy {

namespace {

// A timer that fires so much later than it should tells of a process that did not run.
constexpr Duration kStalled = 100ms;

std::unique_ptr<Probe> make_probe(Env& env, const ProbeTarget& target, Probe::Judge& judge) {
  switch (target.check->protocol) {
    case config::HealthCheck::Protocol::kHttp: return make_http_probe(env, target, judge);
    case config::HealthCheck::Protocol::kTcp: break;
  }
  return make_tcp_probe(env, target, judge);
}

std::string key_of(const ProbeTarget& target) {
  return target.cluster + '\n' + target.endpoint.address.to_string();
}

bool is_same(const ProbeTarget& a, const ProbeTarget& b) {
  return a.cluster == b.cluster && a.endpoint.address == b.endpoint.address && *a.check == *b.check &&
         a.tls.wanted == b.tls.wanted && a.tls.name == b.tls.name && a.preamble == b.preamble;
}

void log_change(const ProbeTarget& target, const health::Checker& checker) {
  const std::string address = target.endpoint.address.to_string();
  if (checker.state() == health::Checker::State::kFailing) {
    log_warn("health check fails",
             {{"cluster", target.cluster}, {"endpoint", address}, {"reason", checker.last_reason()}});
  } else if (checker.last_reason().empty()) {
    log_info("health check passes", {{"cluster", target.cluster}, {"endpoint", address}});
  } else {
    log_info("health check passes again",
             {{"cluster", target.cluster}, {"endpoint", address}, {"last_failure", checker.last_reason()}});
  }
}

}  // namespace

// One target. Its timer is the next check's while none is under way, and else the timeout's.
class Prober::Entry final : private Probe::Judge {
 public:
  Entry(Prober& prober, Target target)
      : prober_(prober),
        target_(std::move(target)),
        checker_(target_.check->schedule, prober.env_.now(), prober.env_.random),
        probe_(make_probe(prober.env_, target_, *this)) {
    prober.env_.wheel.arm(timer_, checker_.next_wakeup());
  }

  // The same target in a newer configuration.
  void replace(Target target) { target_ = std::move(target); }
  void stop() {
    timer_.cancel();
    probe_->cancel();
  }

  const Target& target() const { return target_; }
  const health::Checker& checker() const { return checker_; }

 private:
  void on_probe(Probe::Outcome outcome, std::string_view reason) override;
  void on_time();
  void begin();

  Prober& prober_;
  Target target_;
  health::Checker checker_;
  std::unique_ptr<Probe> probe_;
  TimePoint deadline_{};  // of the check under way
  bool under_way_ = false;
  MemberTimer<Entry, &Entry::on_time> timer_{*this};
};

void Prober::Entry::on_time() {
  if (!under_way_) return begin();
  const Duration timeout = target_.check->schedule.timeout;
  const TimePoint now = prober_.env_.now();
  if (const Duration late = now - deadline_; late > kStalled) {
    // The answer may be waiting to be read.
    deadline_ = now + std::min(late, timeout);
    return prober_.env_.wheel.arm(timer_, deadline_);
  }
  const std::string reason = probe_->overdue(timeout);
  probe_->cancel();
  on_probe(Probe::Outcome::kFailed, reason);
}

void Prober::Entry::begin() {
  const TimePoint now = prober_.env_.now();
  under_way_ = true;
  checker_.on_started(now);
  deadline_ = now + target_.check->schedule.timeout;
  prober_.env_.wheel.arm(timer_, deadline_);
  probe_->start();
}

void Prober::Entry::on_probe(Probe::Outcome outcome, std::string_view reason) {
  Env& env = prober_.env_;
  under_way_ = false;
  bool changed = false;
  if (outcome == Probe::Outcome::kAbandoned) {
    log_debug("health check abandoned", {{"cluster", target_.cluster}, {"reason", reason}});
    checker_.on_abandoned(env.now(), env.random);
  } else {
    changed = checker_.on_result(outcome == Probe::Outcome::kPassed, reason, env.now(), env.random);
  }
  env.wheel.arm(timer_, checker_.next_wakeup());
  if (!changed) return;
  log_change(target_, checker_);
  const bool failing = checker_.state() == health::Checker::State::kFailing;
  // Last: the listener may have other targets in mind, and this one's end.
  prober_.listener_.on_health(target_, checker_.state(),
                              failing ? std::string_view(checker_.last_reason()) : std::string_view());
}

Prober::Prober(Env& env, Listener& listener) : env_(env), listener_(listener) {}

Prober::~Prober() {
  for (auto& entry : entries_) retire(std::move(entry));
}

void Prober::set_targets(std::vector<Target> targets) {
  std::unordered_multimap<std::string, std::unique_ptr<Entry>> known;
  for (auto& entry : entries_) {
    std::string key = key_of(entry->target());
    known.emplace(std::move(key), std::move(entry));
  }
  entries_.clear();
  for (auto& target : targets) {
    const auto [from, to] = known.equal_range(key_of(target));
    const auto same = std::find_if(
        from, to, [&](const auto& candidate) { return is_same(candidate.second->target(), target); });
    if (same == to) {
      entries_.push_back(std::make_unique<Entry>(*this, std::move(target)));
    } else {
      same->second->replace(std::move(target));
      entries_.push_back(std::move(same->second));
      known.erase(same);
    }
  }
  for (auto& [key, gone] : known) retire(std::move(gone));
}

void Prober::retire(std::unique_ptr<Entry> entry) {
  entry->stop();
  env_.turn.bury(std::move(entry));
}

bool Prober::settled() const {
  return std::ranges::all_of(entries_, [](const auto& entry) {
    return entry->checker().state() != health::Checker::State::kUnknown;
  });
}

const Prober::Target& Prober::target(std::size_t index) const { return entries_[index]->target(); }

const health::Checker& Prober::checker(std::size_t index) const { return entries_[index]->checker(); }

}  // namespace remora::proxy
