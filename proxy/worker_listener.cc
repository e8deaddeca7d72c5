#include "proxy/worker_listener.h"

#include <algorithm>

#include "base/log.h"

namespace remora::proxy {

Result<void> WorkerSocket::bind(net::Network& network, const Address& address) {
  auto bound = network.listen(address, net::ListenOptions{}, *this);
  if (!bound) return std::unexpected(std::move(bound.error()));
  listener_ = std::move(*bound);
  listener_->pause();
  return {};
}

void WorkerSocket::serve(WorkerListener& owner) { owner_ = &owner; }

void WorkerSocket::close() {
  if (owner_ != nullptr) listener_->accept_waiting();
  listener_.reset();
}

void WorkerSocket::on_accept(std::unique_ptr<net::Stream> stream) { accept_(*owner_, std::move(stream)); }

void WorkerSocket::on_accept_exhausted() {
  ++owner_->context().stats.accept_paused;
  log_warn("out of file descriptors, accepting paused", {{"listener", owner_->name()}});
}

WorkerListener::WorkerListener(const Snapshot& snapshot, std::size_t index, const Upstreams& upstreams,
                               Ref<ListenerTotals> totals, std::string_view pseudonym,
                               std::unique_ptr<WorkerSocket> bound)
    : socket(std::move(bound)),
      name_(snapshot.config->listeners[index].name),
      address_(socket->address()),
      pseudonym_(pseudonym),
      state_(snapshot.listeners[index]),
      context_(Ref<ListenerContext>::make(snapshot, index, upstreams, std::move(totals), pseudonym)) {
  take_settings();
  socket->serve(*this);
}

bool WorkerListener::apply(const Snapshot& snapshot, std::size_t index, const Upstreams& upstreams) {
  const bool trimmed = context_->trimmed;
  const bool draining = context_->draining;
  state_ = snapshot.listeners[index];
  const config::Listener& next = snapshot.config->listeners[index];
  const bool same = context_->settings.tls == next.tls && context_->settings.protocol == next.protocol;
  context_ = Ref<ListenerContext>::make(snapshot, index, upstreams, context_->totals, pseudonym_);
  context_->trimmed = trimmed;
  context_->draining = draining;
  take_settings();
  if (!same) ++tls_epoch_;
  return same;
}

void WorkerListener::take_settings() {
  const config::Listener& settings = context_->settings;
  timeouts_ = {.header = settings.timeouts.header,
               .keep_alive = settings.timeouts.keep_alive,
               .body_idle = settings.timeouts.body_idle};
  limits_ = {.header_bytes = settings.limits.header_bytes,
             .header_fields = settings.limits.header_fields,
             .body_bytes = settings.limits.body_bytes,
             .connect = std::ranges::any_of(settings.routes, [](const auto& r) { return r.match.connect; })};
}

}  // namespace remora::proxy
