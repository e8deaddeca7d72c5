#include "proxy/upstream_pool.h"

#include <algorithm>

#include "proxy/upstream_connection.h"

namespace remora::proxy {

UpstreamPool::UpstreamPool(Env& env, Address address, const Settings& settings, EndpointStats& stats,
                           ClusterStats& cluster)
    : env_(env), address_(std::move(address)), settings_(settings), stats_(stats), cluster_(cluster) {}

UpstreamPool::~UpstreamPool() {
  for (auto& connection : connections_) {
    connection->close();
    connection->codec().on_closed(Error(ErrorCode::kCancelled, Side::kInternal));
    env_.turn.bury(std::move(connection));
  }
}

UpstreamConnection* UpstreamPool::open(http::Responses& responses, Waiter& waiter, bool fresh) {
  if (!fresh && !available_.empty()) {
    begin(*available_.back(), responses, waiter, true);
    return nullptr;
  }
  UpstreamConnection& connection = connections_.add(std::make_unique<UpstreamConnection>(*this));
  connection.dial(responses, waiter);
  count();
  return &connection;
}

void UpstreamPool::cancel(UpstreamConnection& dialling) { dialling.forget_waiter(); }

void UpstreamPool::begin(UpstreamConnection& connection, http::Responses& responses, Waiter& waiter, bool reused) {
  http::ClientStream& stream = connection.codec().start(responses);
  const bool used = std::exchange(connection.used, true);
  if (connection.listed && !connection.codec().available()) {
    available_.pop_back();  // only the last one is ever begun on while listed
    connection.listed = false;
  }
  count();
  waiter.on_stream(stream, reused && used);
}

void UpstreamPool::on_available(UpstreamConnection& connection) {
  if (retired_ && connection.codec().active() == 0) {
    connection.close();
    on_gone(connection);
    return;
  }
  connection.listed = true;
  connection.idle_since = env_.now();
  available_.push_back(&connection);
  if (!idle_timer_.armed()) env_.wheel.arm_in(idle_timer_, settings_.idle_timeout);
  count();
}

void UpstreamPool::on_gone(UpstreamConnection& connection) {
  if (connection.listed) std::erase(available_, &connection);
  connection.listed = false;
  env_.turn.bury(connections_.take(connection));
  count();
}

void UpstreamPool::retire() {
  retired_ = true;
  const auto idle = available_;
  for (auto* connection : idle) {
    if (connection->codec().active() > 0) continue;
    connection->close();
    on_gone(*connection);
  }
}

// The oldest idle connection is the first: the last one used is the last one listed.
void UpstreamPool::on_idle_timer() {
  const TimePoint limit = env_.now() - settings_.idle_timeout;
  const auto idle = available_;
  for (auto* connection : idle) {
    if (connection->codec().active() > 0) continue;
    if (connection->idle_since > limit) {
      env_.wheel.arm(idle_timer_, connection->idle_since + settings_.idle_timeout);
      return;
    }
    connection->close();
    on_gone(*connection);
  }
}

void UpstreamPool::count() {
  stats_.connections_idle = available_.size();
  stats_.connections_active = connections_.size() - available_.size();
}

}  // namespace remora::proxy
