// From one snapshot to the next: what a worker keeps, takes over, and retires.
#include <algorithm>
#include <unordered_map>

#include "proxy/own_dials.h"
#include "proxy/worker.h"

namespace remora::proxy {

Result<void> Worker::prepare(const Snapshot& next) {
  prepared_.resize(next.listen_addresses.size());
  for (std::size_t i = 0; i < prepared_.size(); ++i) {
    if (prepared_[i] != nullptr || bound_at(next.listen_addresses[i]) != nullptr) continue;
    auto socket =
        std::make_unique<WorkerSocket>([this](WorkerListener& listener, std::unique_ptr<net::Stream> stream) {
          accept(listener, std::move(stream));
        });
    if (auto bound = socket->bind(env_.network, next.listen_addresses[i]); !bound) {
      prepared_.clear();
      return bound;
    }
    prepared_[i] = std::move(socket);
  }
  return {};
}

const Address& Worker::prepared_address(const Snapshot& next, std::size_t i) const {
  return i < prepared_.size() && prepared_[i] ? prepared_[i]->address() : next.listen_addresses[i];
}

WorkerListener* Worker::bound_at(const Address& address) const {
  const auto found = std::ranges::find_if(
      listeners_, [&](const auto& l) { return l->socket && l->socket->address() == address; });
  return found != listeners_.end() ? found->get() : nullptr;
}

Result<void> Worker::apply(std::shared_ptr<const Snapshot> snapshot) {
  const bool same_config = snapshot_ && snapshot_->config == snapshot->config;
  if (!same_config) {
    if (auto ready = prepare(*snapshot); !ready) return ready;
  }
  snapshot_ = std::move(snapshot);
  upstreams_.apply(*snapshot_);
  if (!same_config) switch_listeners();
  set_tls();
  upstreams_.tidy();
  return {};
}

// A listener that has kept name and address goes on, whatever else it is told. Of the others the sockets go
// to whoever has their address now: nothing that is bound before and after is ever unbound.
void Worker::switch_listeners() {
  std::unordered_map<std::string, std::unique_ptr<WorkerListener>> before;
  std::vector<std::unique_ptr<WorkerSocket>> free;
  std::unordered_map<std::string_view, std::size_t> wanted;
  const auto& listeners = snapshot_->config->listeners;
  for (std::size_t i = 0; i < listeners.size(); ++i) wanted.emplace(listeners[i].name, i);
  for (auto& listener : listeners_) {
    const auto same = wanted.find(listener->name());
    if (same == wanted.end() || snapshot_->listen_addresses[same->second] != listener->address()) {
      free.push_back(std::move(listener->socket));
    }
    std::string name = listener->name();
    before.emplace(std::move(name), std::move(listener));
  }
  listeners_.clear();
  if (env_.dials != nullptr) {
    env_.dials->set_wanted(std::ranges::any_of(listeners, &config::Listener::original_destination));
  }
  std::vector<const WorkerListener*> changed;  // in how it speaks TLS
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    const auto known = before.find(listeners[i].name);
    if (known != before.end() && known->second->socket) {
      if (!known->second->apply(*snapshot_, i, upstreams_)) changed.push_back(known->second.get());
      listeners_.push_back(std::move(known->second));
      before.erase(known);
    } else {
      auto totals = known != before.end() ? known->second->totals() : Ref<ListenerTotals>::make();
      listeners_.push_back(std::make_unique<WorkerListener>(*snapshot_, i, upstreams_, std::move(totals),
                                                            pseudonym_, take_socket(i, free)));
    }
    apply_load(*listeners_.back());
  }
  prepared_.clear();
  // What still waits at an address that nobody has any more belongs to its old listener: it is accepted
  // there.
  for (auto& socket : free) {
    if (!socket) continue;
    socket->close();
    env_.turn.bury(std::move(socket));
  }
  for (auto& [name, gone] : before) retire(std::move(gone));
  for (auto& downstream : downstreams_) {
    downstream->trusted = downstream->listener->context().trusts(downstream->peer());
    if (std::ranges::find(changed, downstream->listener) != changed.end()) downstream->drain();
  }
}

void Worker::set_tls() {
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    listeners_[i]->set_tls(snapshot_->tls ? snapshot_->tls->listeners[i] : nullptr);
  }
}

std::unique_ptr<WorkerSocket> Worker::take_socket(std::size_t index,
                                                  std::vector<std::unique_ptr<WorkerSocket>>& free) {
  if (prepared_[index]) return std::move(prepared_[index]);
  const auto same = std::ranges::find_if(free, [&](const auto& socket) {
    return socket && socket->address() == snapshot_->listen_addresses[index];
  });
  return std::move(*same);  // prepare() has bound whatever nobody had
}

// Its connections end as they do in a drain; those that take longer than runtime.drain_timeout are closed.
void Worker::retire(std::unique_ptr<WorkerListener> listener) {
  WorkerListener& gone = *listener;
  gone.context().draining = true;
  gone.ends_at = env_.now() + snapshot_->config->runtime.drain_timeout;
  retired_.push_back(std::move(listener));
  for (auto& downstream : downstreams_) {
    if (downstream->listener == &gone) downstream->drain();
  }
  if (!late_timer_.armed()) env_.wheel.arm(late_timer_, gone.ends_at);
  bury_if_unused(gone);
}

void Worker::bury_if_unused(WorkerListener& listener) {
  if (listener.connections > 0 || listener.ends_at == TimePoint::max()) return;
  const auto place = std::ranges::find(retired_, &listener, &std::unique_ptr<WorkerListener>::get);
  env_.turn.bury(std::move(*place));
  retired_.erase(place);
  if (retired_.empty()) late_timer_.cancel();
}

void Worker::close_late() {
  std::vector<Downstream*> late;
  for (auto& downstream : downstreams_) {
    if (downstream->listener->ends_at <= env_.now()) late.push_back(downstream.get());
  }
  for (Downstream* downstream : late) downstream->close();
  prefaces_.close_late();
  handshakes_.close_late();
  TimePoint next = TimePoint::max();
  for (const auto& listener : retired_) next = std::min(next, listener->ends_at);
  if (next != TimePoint::max()) env_.wheel.arm(late_timer_, next);
}

}  // namespace remora::proxy
