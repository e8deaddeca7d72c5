#include "proxy/dial.h"

#include "proxy/net/tls_stream.h"

namespace remora::proxy {

std::string tls_name(const config::ClusterTls& settings, const std::string& endpoint) {
  if (!settings.server_name.empty()) return settings.server_name;
  const auto parts = parse_host_port(endpoint);
  return parts ? parts->host : std::string();
}

http::ProxyVersion proxy_version(config::ProxyProtocol settings) {
  return settings == config::ProxyProtocol::kV1 ? http::ProxyVersion::kV1 : http::ProxyVersion::kV2;
}

std::unique_ptr<net::Stream> dial(Env& env, const Address& address, const UpstreamTls& tls,
                                  net::Stream::Events& events, std::string_view preamble,
                                  net::TlsStream** made) {
  if (!tls.wanted) {
    auto stream = env.network.connect(address, events);
    if (!preamble.empty()) stream->send({&preamble, 1});
    return stream;
  }
  // Never in the clear instead: an address of no kind cannot be connected to.
  if (!tls.context) return env.network.connect(Address(), events);
  auto stream = net::TlsStream::connect({.turn = env.turn, .buffers = env.buffers}, tls.context,
                                        {.name = tls.name, .sessions = tls.sessions, .preamble = preamble},
                                        env.network, address, events);
  if (made != nullptr) *made = stream.get();
  return stream;
}

}  // namespace remora::proxy
