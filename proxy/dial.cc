#include "proxy/dial.h"

#include "proxy/net/tls_stream.h"

namespace remora::proxy {

std::string tls_name(const config::ClusterTls& settings, const std::string& endpoint) {
  if (!settings.server_name.empty()) return settings.server_name;
  const auto parts = parse_host_port(endpoint);
  return parts ? parts->host : std::string();
}

std::unique_ptr<net::Stream> dial(Env& env, const Address& address, const UpstreamTls& tls,
                                  net::Stream::Events& events, net::TlsStream** made) {
  if (!tls.wanted) return env.network.connect(address, events);
  // Never in the clear instead: an address of no kind cannot be connected to.
  if (!tls.context) return env.network.connect(Address(), events);
  auto stream =
      net::TlsStream::connect({.turn = env.turn, .buffers = env.buffers}, tls.context,
                              {.name = tls.name, .sessions = tls.sessions}, env.network, address, events);
  if (made != nullptr) *made = stream.get();
  return stream;
}

}  // namespace remora::proxy
