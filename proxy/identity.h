// Whether a peer is one of those that `allow` names.
//
// Pure; any thread.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/net/tls_peer.h"

namespace remora::proxy {

// `wanted`: a URI, exact or "scheme://authority/path/*"; a subject; a DNS name, exact or "*.suffix". The
// configuration has told them apart by "://" and "=".
inline bool is_identity(std::string_view wanted, const net::TlsPeer& peer) {
  const auto one_of = [](const std::vector<std::string>& names, auto matches) {
    return std::ranges::any_of(names,
                               [&](const std::string& name) { return matches(std::string_view(name)); });
  };
  if (wanted.find("://") != std::string_view::npos) {
    if (!wanted.ends_with("/*"))
      return one_of(peer.uris, [&](std::string_view uri) { return uri == wanted; });
    const auto above = wanted.substr(0, wanted.size() - 1);
    return one_of(peer.uris,
                  [&](std::string_view uri) { return uri.size() > above.size() && uri.starts_with(above); });
  }
  if (wanted.find('=') != std::string_view::npos) return peer.subject == wanted;
  if (!wanted.starts_with("*."))
    return one_of(peer.dns, [&](std::string_view name) { return name == wanted; });
  const auto suffix = wanted.substr(1);
  return one_of(peer.dns,
                [&](std::string_view name) { return name.size() > suffix.size() && name.ends_with(suffix); });
}

// `peer`: null if it has not shown who it is. An empty list allows everybody.
inline bool allows(const std::vector<std::string>& allow, const net::TlsPeer* peer) {
  if (allow.empty()) return true;
  return peer != nullptr &&
         std::ranges::any_of(allow, [&](const std::string& wanted) { return is_identity(wanted, *peer); });
}

}  // namespace remora::proxy
