// Connections to endpoints, with TLS where the cluster says so.
//
// Thread: the loop's.
#pragma once

#include <memory>
#include <string>

#include "base/ref.h"
#include "config/config.h"
#include "proxy/env.h"
#include "proxy/net/tls_sessions.h"

namespace remora::net {
class TlsStream;
}

namespace remora::proxy {

// How one endpoint is spoken to.
struct UpstreamTls {
  bool wanted = false;
  std::shared_ptr<const net::TlsContext> context;  // null although wanted: every connection fails
  std::string name;                                // for SNI and the certificate; may be empty
  Ref<net::TlsSessions> sessions;                  // null: none are kept
};

// The name by which an endpoint, as configured ("host:port"), is asked for and verified.
std::string tls_name(const config::ClusterTls& settings, const std::string& endpoint);

// As Network::connect. `made`: where to leave the TLS stream, null if there is none; may be null.
std::unique_ptr<net::Stream> dial(Env& env, const Address& address, const UpstreamTls& tls,
                                  net::Stream::Events& events, net::TlsStream** made = nullptr);

}  // namespace remora::proxy
