#include "proxy/admin.h"

#include "proxy/admin_visit.h"
#include "proxy/local_reply.h"

namespace remora::proxy {

namespace {

constexpr std::size_t kMostConnections = 64;
constexpr Downstream::Timeouts kTimeouts{.header = 10s, .keep_alive = 75s};
constexpr http::H1Limits kLimits{.header_bytes = 16 * 1024, .header_fields = 100, .body_bytes = 64 * 1024};

}  // namespace

Admin::Admin(Env& env, AdminSource& source) : env_(env), source_(source) {}

Admin::~Admin() {
  listener_.reset();
  while (!downstreams_.empty()) downstreams_.back().close();
}

Result<void> Admin::listen(const Address& address) {
  net::ListenOptions options;
  options.reuse_port = false;
  auto bound = env_.network.listen(address, options, *this);
  if (!bound) return std::unexpected(std::move(bound.error()));
  listener_ = std::move(*bound);
  return {};
}

void Admin::on_accept(std::unique_ptr<net::Stream> stream) {
  if (downstreams_.size() >= kMostConnections) {
    env_.turn.bury(std::move(stream));
    return;
  }
  downstreams_.add(std::make_unique<Downstream>(env_, *this, kTimeouts, kLimits, nullptr))
      .start(std::move(stream));
}

http::Receiver* Admin::on_request(Downstream& /*downstream*/, http::ServerStream& stream,
                                  http::RequestHead& head, bool end) {
  Visit& visit = visits_.add(std::make_unique<Visit>(*this, stream, head));
  if (end) visit.handle();
  return &visit;
}

void Admin::on_bad_request(Downstream& /*downstream*/, http::ServerStream& stream, const Error& error) {
  send_local_reply(env_, stream, reply_to_bad_request(error), false);
}

void Admin::on_downstream_closed(Downstream& downstream) { env_.turn.bury(downstreams_.take(downstream)); }

void Admin::forget(Visit& visit) { env_.turn.bury(visits_.take(visit)); }

}  // namespace remora::proxy
