// The end of the process: who asks for it, the drain before it, and what each of its phases does.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "proxy/server.h"

namespace remora::proxy {

namespace {

// How long the end of the process waits for a collector.
constexpr Duration kLastDelivery = 2s;

}  // namespace

bool Server::drain(std::string_view trigger, Drain::Scope scope) {
  const bool outbound = std::ranges::any_of(config_->listeners, [](const config::Listener& listener) {
    return listener.direction == config::Direction::kOutbound;
  });
  const config::Runtime& runtime = config_->runtime;
  const bool first = !drain_.begun();
  if (!drain_.begin(scope,
                    {.delay = runtime.drain_delay, .timeout = runtime.drain_timeout, .outbound = outbound})) {
    return false;
  }
  log_info("draining", {{"trigger", trigger},
                        {"what", scope == Drain::Scope::kInbound ? "inbound" : "all"},
                        {"delay_seconds", std::to_string(runtime.drain_delay / 1s)},
                        {"timeout_seconds", std::to_string(runtime.drain_timeout / 1s)}});
  if (scope == Drain::Scope::kAll) manager_.stopping(drain_.reason());
  if (!first) return true;
  tell(Event::Kind::kProcess, announced_ ? "ready" : "starting", "draining");
  leave_mesh();
  return true;
}

// Inbound has not ended before the others have heard of it.
void Server::leave_mesh() {
  if (!gossip_) return;
  leaving_ = true;
  gossip_->leave([this] {
    leaving_ = false;
    if (left_) std::exchange(left_, nullptr)();
  });
}

std::string Server::begin_drain(bool inbound_alone) {
  const auto scope = inbound_alone ? Drain::Scope::kInbound : Drain::Scope::kAll;
  drain(inbound_alone ? "POST /drain?only=inbound" : "POST /drain", scope);
  return std::string(drain_.reason());
}

// The answer leaves first.
void Server::quit() {
  log_info("quitting", {{"trigger", "POST /quit"}});
  loop_.post([this] { exit_now(); });
}

void Server::announce_drain(config::Direction direction) {
  for (auto& worker : workers_) {
    worker->post([direction](Worker& w) { w.announce_drain(direction); });
  }
}

void Server::finish_traffic(config::Direction direction, std::function<void()> finished) {
  undrained_ = workers_.size();
  const auto one_has = [this, finished = std::move(finished)] {
    if (--undrained_ == 0) finished();
  };
  if (leaving_) {
    ++undrained_;
    left_ = one_has;
  }
  for (auto& worker : workers_) {
    worker->post([this, direction, one_has](Worker& w) {
      w.drain(direction, [this, one_has] { loop_.post(one_has); });
    });
  }
}

void Server::on_drain_changed() {
  using Phase = Drain::Phase;
  manager_.status(drain_.reason());
  switch (drain_.phase()) {
    case Phase::kServing:
    case Phase::kDelay:
    case Phase::kOutbound: return;
    case Phase::kInbound: return log_info("inbound listeners closed");
    case Phase::kHeld:
    case Phase::kLastCall: return log_info("inbound traffic has ended");
    case Phase::kEnded: break;
  }
  if (!drain_.complete()) log_warn("drain_timeout has passed, connections that are left are cut");
  exporter_.flush(kLastDelivery, [this] { exit_now(); });
}

void Server::watch_application() {
  const std::string& whom = config_->runtime.exit_with;
  if (application_ != nullptr && application_->whom() == whom) return;
  application_ = nullptr;
  if (whom.empty()) return;
  application_ = std::make_unique<net::ProcessWatch>(
      loop_, whom,
      [](pid_t pid) { log_info("will exit with the application", {{"pid", std::to_string(pid)}}); },
      [this](pid_t pid) {
        log_info("the application has gone", {{"pid", std::to_string(pid)}});
        drain("exit_with");
      });
}

void Server::exit_now() { loop_.stop(); }

}  // namespace remora::proxy
