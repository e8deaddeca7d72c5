// Connections to endpoints, with TLS where the cluster says so.
//
// Thread: the loop's.
#pragma once

#include <memory>
#include <string>

#include "base/ref.h"
#include "config/config.h"
#include "proxy/env.h"
#include "proxy/http/proxy_header.h"
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

// Not for kNone.
http::ProxyVersion proxy_version(config::ProxyProtocol settings);

// As Network::connect. `preamble`: sent before everything else, in the clear. `made`: where to leave the TLS
// stream, null if there is none; may be null.
std::unique_ptr<net::Stream> dial(Env& env, const Address& address, const UpstreamTls& tls,
                                  net::Stream::Events& events, std::string_view preamble = {},
                                  net::TlsStream** made = nullptr);

}  // namespace remora::proxy
