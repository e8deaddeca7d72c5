// A look at the first message of a TLS connection, to find out whom the client wants, without taking part in
// the handshake (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2, RFC 6066 section 3).
//
// Thread: any; pure. Nothing here is verified or decrypted: a name is what the client says. What looks wrong
// is said to be so; whether the rest of the handshake is right is the business of whoever ends it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace remora::http {

struct ClientHello {
  std::string server_name;  // lower case, without a dot at its end; "" = the client names nobody
};

// A longer one, with the headers of its records, is malformed. Key shares after quantum computers and a dozen
// extensions have less than 4 KiB.
inline constexpr std::size_t kLongestClientHello = 16 * 1024;

// A byte with which a TLS connection begins; HTTP and other protocols of printable text do not.
constexpr bool begins_tls(char first) { return first == '\x16'; }

// `bytes`: the connection's from its first on; the message may be spread over several records. nullopt: more
// of them are needed. kMalformedMessage: this is no ClientHello; how the bytes came in does not matter.
Result<std::optional<ClientHello>> parse_client_hello(std::string_view bytes);

}  // namespace remora::http
