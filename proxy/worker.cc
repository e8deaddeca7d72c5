#include "proxy/worker.h"

#include "base/log.h"

namespace remora::proxy {

namespace {

constexpr LocalReply kTooManyConnections{503, Flag::kOverflow, "too many connections\n", true};
constexpr LocalReply kOverloaded{503, Flag::kShed, "this proxy is overloaded\n", true, 1s};

}  // namespace

// A listener with everything its connections share.
class Worker::Acceptor final : public net::Acceptor {
 public:
  Acceptor(Worker& worker, const Snapshot& snapshot, std::size_t index)
      : context(snapshot.config, index, snapshot.listeners[index], worker.pseudonym_),
        timeouts{.header = context.settings.timeouts.header,
                 .keep_alive = context.settings.timeouts.keep_alive,
                 .body_idle = context.settings.timeouts.body_idle},
        worker_(worker) {}

  Result<void> bind(net::Network& network, const Address& address) {
    auto bound = network.listen(address, net::ListenOptions{}, *this);
    if (!bound) return std::unexpected(std::move(bound.error()));
    listener = std::move(*bound);
    bound_address = listener->address();
    return {};
  }

  void on_accept(std::unique_ptr<net::Stream> stream) override { worker_.accept(context, std::move(stream)); }

  void on_accept_exhausted() override {
    ++context.stats.accept_paused;
    log_warn("out of file descriptors, accepting paused", {{"listener", context.settings.name}});
  }

  ListenerContext context;
  Downstream::Timeouts timeouts;
  std::unique_ptr<net::Listener> listener;
  Address bound_address;

 private:
  Worker& worker_;
};

Worker::Worker(Env& env, AccessLog& log, unsigned index, std::string pseudonym)
    : env_(env),
      index_(index),
      pseudonym_(std::move(pseudonym)),
      upstreams_(env, index),
      exchanges_(env, upstreams_, log) {}

// Connections first: closing them ends their exchanges, which still need everything else.
Worker::~Worker() {
  drained_ = nullptr;
  for (auto& listener : listeners_) listener->listener.reset();
  while (!downstreams_.empty()) downstreams_.back().close();
  env_.turn.finish();
}

Result<void> Worker::apply(std::shared_ptr<const Snapshot> snapshot) {
  const bool first = snapshot_ == nullptr;
  snapshot_ = std::move(snapshot);
  upstreams_.apply(*snapshot_);
  if (!first) return {};
  for (std::size_t i = 0; i < snapshot_->config->listeners.size(); ++i) {
    auto acceptor = std::make_unique<Acceptor>(*this, *snapshot_, i);
    if (auto bound = acceptor->bind(env_.network, snapshot_->listen_addresses[i]); !bound) {
      listeners_.clear();
      return bound;
    }
    listeners_.push_back(std::move(acceptor));
  }
  return {};
}

void Worker::drain(std::function<void()> drained) {
  drained_ = std::move(drained);
  for (auto& listener : listeners_) {
    if (listener->listener) listener->listener->accept_waiting();
    listener->listener.reset();
    listener->context.draining = true;
  }
  for (auto& downstream : downstreams_) downstream->drain();
  if (downstreams_.empty() && drained_) std::exchange(drained_, nullptr)();
}

void Worker::set_load(breaker::Overload::Level level) {
  using Level = breaker::Overload::Level;
  load_ = level;
  for (auto& listener : listeners_) {
    listener->context.trimmed = level >= Level::kTrim;
    if (!listener->listener) continue;
    if (level >= Level::kRefuse) {
      listener->listener->pause();
    } else {
      listener->listener->resume();
    }
  }
}

void Worker::accept(ListenerContext& listener, std::unique_ptr<net::Stream> stream) {
  ++listener.stats.connections_total;
  auto permit = listener.state->connections.try_take();
  const bool over_limit = !permit;
  if (over_limit) permit = listener.state->refused.try_take();
  if (!permit) {
    ++listener.stats.connections_refused;
    stream->reset();
    env_.turn.bury(std::move(stream));
    return;
  }
  auto& acceptor =
      *listeners_[static_cast<std::size_t>(&listener.settings - listener.config->listeners.data())];
  auto downstream =
      std::make_unique<Downstream>(env_, *this, acceptor.timeouts, listener.limits, &listener.stats.bytes);
  downstream->over_limit = over_limit;
  downstream->permit = std::move(*permit);
  if (over_limit) ++listener.stats.connections_refused;
  ++listener.stats.connections_active;
  downstream->listener = &listener;
  downstream->trusted = listener.trusts(stream->peer());
  downstreams_.add(std::move(downstream)).start(std::move(stream));
}

Origin Worker::origin_of(Downstream& downstream) {
  return {.listener = downstream.listener,
          .peer = &downstream.peer(),
          .peer_host = downstream.peer_host(),
          .trusted = downstream.trusted,
          .reply_logged = &downstream.reply_logged};
}

http::Receiver* Worker::on_request(Downstream& downstream, http::ServerStream& stream,
                                   http::RequestHead& head, bool end) {
  if (downstream.over_limit) {
    return exchanges_.take().start_refused(origin_of(downstream), stream, head, end, kTooManyConnections);
  }
  if (load_ >= breaker::Overload::Level::kShed) {
    return exchanges_.take().start_refused(origin_of(downstream), stream, head, end, kOverloaded);
  }
  return exchanges_.take().start(origin_of(downstream), stream, head, end);
}

void Worker::on_bad_request(Downstream& downstream, http::ServerStream& stream, const Error& error) {
  const LocalReply reply = reply_to_bad_request(error);
  if (std::exchange(downstream.reply_logged, false)) {
    send_local_reply(env_, stream, reply, false);
    return;
  }
  exchanges_.take().refuse(origin_of(downstream), stream, reply);
}

void Worker::on_downstream_closed(Downstream& downstream) {
  --downstream.listener->stats.connections_active;
  env_.turn.bury(downstreams_.take(downstream));
  if (downstreams_.empty() && drained_) std::exchange(drained_, nullptr)();
}

WorkerReport Worker::report() const {
  WorkerReport report;
  report.worker = index_;
  report.load = load_;
  for (const auto& listener : listeners_) {
    const ListenerContext& context = listener->context;
    report.listeners.push_back({context.settings.name, listener->bound_address.to_string(), context.stats});
    for (std::size_t i = 0; i < context.exchanges.size(); ++i) {
      const std::string cluster = i == context.local() ? "-" : context.config->clusters[i].name;
      report.exchanges.push_back({context.settings.name, cluster, context.exchanges[i]});
    }
  }
  report.clusters = upstreams_.report();
  return report;
}

const Address& Worker::listen_address(std::size_t i) const { return listeners_[i]->bound_address; }

}  // namespace remora::proxy
