// Who is at the other end, by a certificate that has been verified.
//
// Thread: any; a value.
#pragma once

#include <string>
#include <string_view>
#include <vector>

struct x509_st;

namespace remora::net {

struct TlsPeer {
  std::vector<std::string> uris;  // subject alternative names, as SPIFFE writes them
  std::vector<std::string> dns;   // the same, lower case
  std::string subject;            // RFC 2253: "CN=app,O=Example"
  std::string forwarded;          // the element of X-Forwarded-Client-Cert that says all of this
};

// What a certificate says of its owner. Alternative names with anything but visible ASCII in them are left
// out: no two readers may take them for different ones. `forwarded` stays empty.
TlsPeer tls_names(x509_st* certificate);
// The same with `forwarded`.
TlsPeer tls_peer(x509_st* certificate);

}  // namespace remora::net
