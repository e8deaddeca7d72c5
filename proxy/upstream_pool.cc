#include "proxy/upstream_pool.h"

#include <algorithm>

#include "proxy/upstream_connection.h"

namespace remora::proxy {

UpstreamPool::UpstreamPool(Env& env, const Address& address, const Settings& settings, EndpointStats& stats,
                           ClusterCounters& cluster)
    : env_(env), address_(&address), settings_(settings), stats_(stats), cluster_(cluster) {}

UpstreamPool::~UpstreamPool() {
  for (auto& connection : connections_) {
    connection->close();
    connection->codec().on_closed(Error(ErrorCode::kCancelled, Side::kInternal));
    connection->permits = {};  // what they count against may die before the connection does
    if (settings_.room != nullptr) env_.turn.defer(*settings_.room);
    env_.turn.bury(std::move(connection));
  }
}

// The peer may have said something, or left, in this very turn: then the connection is still listed, but of
// no use.
bool UpstreamPool::has_available() {
  while (!available_.empty() && !available_.back()->codec().available()) unlist(*available_.back());
  return !available_.empty();
}

UpstreamConnection* UpstreamPool::open(http::Responses& responses, Waiter& waiter, bool fresh,
                                       Permits permits, const std::string_view* tunnel) {
  if (!fresh && tunnel == nullptr && has_available()) {
    begin(*available_.back(), responses, waiter, true);
    return nullptr;
  }
  UpstreamConnection& connection = connections_.add(std::make_unique<UpstreamConnection>(*this));
  connection.permits = std::move(permits);
  connection.epoch = epoch_;
  connection.dial(responses, waiter, tunnel);
  count();
  return &connection;
}

void UpstreamPool::cancel(UpstreamConnection& dialling) { dialling.forget_waiter(); }

void UpstreamPool::begin(UpstreamConnection& connection, http::Responses& responses, Waiter& waiter,
                         bool reused) {
  http::ClientStream& stream = connection.codec().start(responses);
  if (connection.listed && !connection.codec().available()) {
    available_.pop_back();  // only the last one is ever begun on while listed
    connection.listed = false;
  }
  set_idle(connection, false);
  count();
  waiter.on_stream(stream, reused);
}

void UpstreamPool::on_turn(UpstreamConnection& connection) {
  const bool at_rest = connection.codec().active() == 0;
  if (retired_ || is_outdated(connection)) {
    unlist(connection);
    if (!at_rest) return;
    connection.close();
    return on_gone(connection);
  }
  if (!connection.codec().available()) return unlist(connection);
  if (!connection.listed) {
    connection.listed = true;
    available_.push_back(&connection);
  }
  set_idle(connection, at_rest);
  count();
}

void UpstreamPool::on_gone(UpstreamConnection& connection) {
  unlist(connection);
  connection.permits = {};  // now, and not when it is destroyed: somebody may be waiting for them
  if (settings_.room != nullptr) env_.turn.defer(*settings_.room);
  env_.turn.bury(connections_.take(connection));
  count();
}

void UpstreamPool::unlist(UpstreamConnection& connection) {
  set_idle(connection, false);
  if (!connection.listed) return;
  connection.listed = false;
  std::erase(available_, &connection);
  count();
}

void UpstreamPool::set_idle(UpstreamConnection& connection, bool idle) {
  if (connection.idle == idle) return;
  connection.idle = idle;
  if (!idle) {
    --idle_;
    return;
  }
  ++idle_;
  if (settings_.room != nullptr) env_.turn.defer(*settings_.room);
  connection.idle_since = env_.now();
  if (!idle_timer_.armed()) env_.wheel.arm_in(idle_timer_, settings_.idle_timeout);
}

bool UpstreamPool::is_outdated(const UpstreamConnection& connection) const {
  return connection.epoch != epoch_;
}

const UpstreamTls& UpstreamPool::tls() const {
  static const UpstreamTls kClear;
  return tls_ ? *tls_ : kClear;
}

void UpstreamPool::set_tls(bool wanted, std::shared_ptr<const net::TlsContext> context, std::string name,
                           bool other) {
  other = other || tls().wanted != wanted || tls().name != name;
  if (!wanted) {
    tls_.reset();
  } else {
    if (!tls_) tls_ = std::make_unique<UpstreamTls>();
    tls_->wanted = true;
    tls_->context = std::move(context);
    tls_->name = std::move(name);
    if (!tls_->sessions || other) tls_->sessions = Ref<net::TlsSessions>::make();
  }
  if (!other) return;
  ++epoch_;
  const auto listed = available_;
  for (auto* connection : listed) on_turn(*connection);
}

void UpstreamPool::retire() {
  retired_ = true;
  const auto listed = available_;
  for (auto* connection : listed) on_turn(*connection);
}

void UpstreamPool::on_idle_timer() {
  const auto oldest = close_idle_since(env_.now() - settings_.idle_timeout);
  if (oldest) env_.wheel.arm(idle_timer_, *oldest + settings_.idle_timeout);
}

// Closes what has been idle since `limit` or longer; returns since when the oldest of the others has been.
std::optional<TimePoint> UpstreamPool::close_idle_since(TimePoint limit) {
  std::optional<TimePoint> oldest;
  const auto listed = available_;
  for (auto* connection : listed) {
    if (!connection->idle) continue;
    if (connection->idle_since > limit) {
      oldest = std::min(oldest.value_or(connection->idle_since), connection->idle_since);
      continue;
    }
    connection->close();
    on_gone(*connection);
  }
  return oldest;
}

bool UpstreamPool::close_oldest_idle() {
  const auto oldest = std::ranges::find_if(available_, &UpstreamConnection::idle);
  if (oldest == available_.end()) return false;
  UpstreamConnection& connection = **oldest;
  connection.close();
  on_gone(connection);
  return true;
}

void UpstreamPool::count() {
  stats_.connections_idle = idle_;
  stats_.connections_active = connections_.size() - idle_;
}

}  // namespace remora::proxy
