// The PROXY protocol, versions 1 and 2 (proxy-protocol.txt of HAProxy): the header with which a proxy begins
// a connection, to say whose it passes on.
//
// Thread: any; pure. Every address in a header is what its sender claims: whoever reads one has decided
// before that the sender is to be believed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/error.h"

namespace remora::http {

enum class ProxyVersion : std::uint8_t { kV1 = 1, kV2 = 2 };

struct ProxyHeader {
  std::size_t size = 0;  // of the header itself; what comes after it is the connection's
  // Both or none: the connection is the proxy's own, as those of health checks are, or its kind has no
  // address.
  std::optional<Address> source;
  std::optional<Address> destination;
};

// A longer header is malformed. Version 1 has 107 bytes at most; of version 2 nothing that is known has more
// than a few hundred.
inline constexpr std::size_t kLongestProxyHeader = 4096;

// `bytes`: the connection's from its first on. nullopt: more of them are needed. kMalformedMessage: there is
// no header, or a wrong one; how the bytes came in does not matter. Of the additions of version 2
// (TLV) a checksum must be right; the others are passed over. What a proxy says of a connection of its own is
// passed over altogether.
Result<std::optional<ProxyHeader>> parse_proxy_header(std::string_view bytes);

// What to begin a connection with that is passed on for `source`, who has reached us at `destination`. If
// they are not of one family of IP, the header says that it does not know.
std::string proxy_header(ProxyVersion version, const Address& source, const Address& destination);
// The same for a connection of our own.
std::string own_proxy_header(ProxyVersion version);

}  // namespace remora::http
