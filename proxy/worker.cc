// Connections and requests as they come and go. Changing what is served is in worker_switch.cc.
#include "proxy/worker.h"

#include <algorithm>

#include "proxy/own_dials.h"

namespace remora::proxy {

namespace {

constexpr LocalReply kTooManyConnections{503, Flag::kOverflow, "too many connections\n", true};
constexpr LocalReply kOverloaded{503, Flag::kShed, "this proxy is overloaded\n", true, 1s};

}  // namespace

Worker::Worker(Env& env, AccessLog& log, unsigned index, std::string pseudonym)
    : env_(env),
      index_(index),
      pseudonym_(std::move(pseudonym)),
      upstreams_(env, index),
      exchanges_(env, log),
      redirections_(env, log, "a connection cannot go where it was going"),
      prefaces_(env, log, *this),
      handshakes_(env, log, *this) {}

// Connections first: closing them ends their exchanges, which still need everything else.
Worker::~Worker() {
  drained_ = {};
  for (auto& listener : listeners_) listener->socket.reset();
  while (!downstreams_.empty()) downstreams_.back().close();
  env_.turn.finish();
}

void Worker::announce_drain(config::Direction direction) {
  for (auto& listener : listeners_) {
    if (listener->direction() == direction) listener->context().draining = true;
  }
}

void Worker::drain(config::Direction direction, std::function<void()> drained) {
  drained_[static_cast<std::size_t>(direction)] = std::move(drained);
  announce_drain(direction);
  for (auto& listener : listeners_) {
    if (listener->direction() != direction || !listener->socket) continue;
    listener->socket->close();
    listener->socket.reset();
  }
  for (auto& downstream : downstreams_) {
    if (downstream->listener->direction() == direction) downstream->drain();
  }
  tell_if_drained();
}

void Worker::tell_if_drained() {
  for (const auto direction : {config::Direction::kInbound, config::Direction::kOutbound}) {
    auto& drained = drained_[static_cast<std::size_t>(direction)];
    if (!drained) continue;
    const auto busy = [&](const auto& l) { return l->direction() == direction && l->connections > 0; };
    if (std::ranges::none_of(listeners_, busy) && std::ranges::none_of(retired_, busy)) {
      std::exchange(drained, nullptr)();
    }
  }
}

void Worker::set_load(breaker::Overload::Level level) {
  load_ = level;
  for (auto& listener : listeners_) apply_load(*listener);
}

void Worker::apply_load(WorkerListener& listener) const {
  using Level = breaker::Overload::Level;
  listener.context().trimmed = load_ >= Level::kTrim;
  if (!listener.socket) return;
  if (load_ >= Level::kRefuse || Handshakes::full(listener)) {
    listener.socket->pause();
  } else {
    listener.socket->resume();
  }
}

void Worker::accept(WorkerListener& listener, std::unique_ptr<net::Stream> stream) {
  ListenerStats& stats = listener.context().stats;
  ++stats.connections_total;
  auto permit = listener.state().connections.try_take();
  const bool over_limit = !permit;
  if (over_limit) permit = listener.state().refused.try_take();
  if (!permit) {
    ++stats.connections_refused;
    stream->reset();
    env_.turn.bury(std::move(stream));
    return;
  }
  if (over_limit) ++stats.connections_refused;
  ++stats.connections_active;
  ++listener.connections;
  const bool http = listener.context().settings.protocol == config::Listener::Protocol::kHttp;
  Arrival arrival{.listener = &listener,
                  .stream = std::move(stream),
                  .permit = std::move(*permit),
                  .over_limit = over_limit,
                  .introduced = false,
                  .known = false,
                  .carries = http ? Downstream::Carries::kHttp : Downstream::Carries::kBytes,
                  .server_name = {},
                  .destination = nullptr,
                  .tls = false,
                  .epoch = listener.tls_epoch(),
                  .identity = nullptr};
  if (listener.context().settings.original_destination && !find_destination(arrival)) {
    arrival.stream->reset();
    env_.turn.bury(std::move(arrival.stream));
    return on_connection_gone(listener);
  }
  on_arrival(std::move(arrival));
}

// Where a redirected connection was going. False: it was not, or it is one of our own, which the firewall has
// sent back: to go on would be to go round.
bool Worker::find_destination(Arrival& arrival) {
  const bool own = env_.dials != nullptr && env_.dials->contains(arrival.stream->peer());
  arrival.destination = std::make_unique<Address>(arrival.stream->original());
  const bool direct =
      arrival.destination->kind() == Address::Kind::kNone || *arrival.destination == arrival.stream->local();
  if (!own && !direct) return true;
  ++arrival.listener->context().stats.local_replies[static_cast<std::size_t>(Flag::kLoopDetected)];
  redirections_.tell(arrival, Flag::kLoopDetected, env_.now(),
                     own ? "it is this proxy's own, the firewall must leave out those of its user"
                         : "it was not redirected here, nobody knows where it was going");
  return false;
}

// It has been accepted, or a stage on its way is done with it.
void Worker::on_arrival(Arrival arrival) {
  if (Prefaces::wanted(arrival)) return prefaces_.begin(std::move(arrival));
  const bool wants_tls = arrival.listener->context().settings.tls.has_value();
  if (wants_tls && !arrival.tls) return handshakes_.begin(std::move(arrival));
  serve(std::move(arrival));
}

void Worker::serve(Arrival arrival) {
  WorkerListener& listener = *arrival.listener;
  auto downstream = std::make_unique<Downstream>(env_, *this, listener.timeouts(), listener.limits(),
                                                 &listener.context().stats.bytes, arrival.carries);
  downstream->over_limit = arrival.over_limit;
  downstream->permit = std::move(arrival.permit);
  downstream->listener = &listener;
  downstream->trusted = listener.context().trusts(arrival.stream->peer());
  downstream->tls = arrival.tls;
  downstream->identity = std::move(arrival.identity);
  if (!arrival.server_name.empty())
    downstream->server_name = std::make_unique<const std::string>(std::move(arrival.server_name));
  downstream->destination = std::move(arrival.destination);
  Downstream& added = downstreams_.add(std::move(downstream));
  added.start(std::move(arrival.stream));
  if (arrival.epoch != listener.tls_epoch()) added.drain();
}

Origin Worker::origin_of(Downstream& downstream) {
  return {.listener = Ref<ListenerContext>(&downstream.listener->context()),
          .peer = &downstream.peer(),
          .stream = &downstream.stream(),
          .destination = downstream.destination.get(),
          .peer_host = downstream.peer_host(),
          .trusted = downstream.trusted,
          .tcp = downstream.carries() == Downstream::Carries::kBytes,
          .tls = downstream.tls,
          .identity = downstream.identity.get(),
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
  WorkerListener& listener = *downstream.listener;
  env_.turn.bury(downstreams_.take(downstream));
  on_connection_gone(listener);
}

void Worker::on_refused(WorkerListener& listener) { on_connection_gone(listener); }

void Worker::on_connection_gone(WorkerListener& listener) {
  --listener.context().stats.connections_active;
  --listener.connections;
  bury_if_unused(listener);
  upstreams_.tidy();
  tell_if_drained();
}

WorkerReport Worker::report() {
  upstreams_.tidy();
  WorkerReport report;
  report.worker = index_;
  report.load = load_;
  for (const auto& listener : listeners_) {
    const ListenerContext& context = listener->context();
    report.listeners.push_back(
        {listener->name(), listener->address().to_string(), context.settings.tls.has_value(), context.stats});
    for (std::size_t i = 0; i < context.exchanges.size(); ++i) {
      // Without this the metrics would have listeners times clusters. What was counted before a reload stays.
      const ExchangeCounter* const counted = context.counted(i);
      const bool never = i != context.local() && !context.reached[i] &&
                         (counted == nullptr || counted->seconds.count() == 0);
      if (never) continue;
      report.exchanges.push_back(
          {listener->name(), std::string(context.counted_at(i)),
           counted != nullptr ? static_cast<const ExchangeStats&>(*counted) : ExchangeStats()});
    }
  }
  report.clusters = upstreams_.report();
  return report;
}

const Address& Worker::listen_address(std::size_t i) const { return listeners_[i]->address(); }

}  // namespace remora::proxy
