// What an intermediary must change in a head before passing it on (RFC 9110 section 7.6). Pure functions on
// heads.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/error.h"
#include "base/random.h"
#include "proxy/http/message.h"

namespace remora::http {

struct ForwardingContext {
  const Address& peer;         // the downstream peer
  std::string_view peer_host;  // its address as text, without port
  bool peer_trusted = false;   // its X-Forwarded-* are believed
  std::string_view scheme;     // "http" or "https": how the downstream reached us
  // X-Forwarded-Client-Cert is written here: whatever came goes, and `client_cert` comes unless it is empty.
  bool owns_client_cert = false;
  std::string_view client_cert = {};
  std::string_view pseudonym = "remora";  // our name in Via: seen again, it is a loop
};

enum class Verdict : std::uint8_t {
  kForward,
  kBadConnectionField,  // Connection names a field that must not be dropped: 400
  kLoop,                // our own Via pseudonym is there: 508
  kAnswerHere,  // TRACE or OPTIONS with Max-Forwards: 0: answer, do not forward (RFC 9110 section 7.6.2)
};

// Prepares a request for the upstream: removes hop-by-hop fields and those Connection names, decrements
// Max-Forwards, appends Via, writes X-Forwarded-For/-Proto, makes X-Request-Id when absent (kept only from
// trusted peers or when well-formed), and keeps `TE: trailers` and a real upgrade request. `head.upgrade`
// says whether an upgrade is asked for. Anything but kForward leaves the head unusable for forwarding, but
// method, target and fields can still be read for TRACE (kAnswerHere is decided first).
Verdict prepare_request(RequestHead& head, const ForwardingContext& context, Random& random);

// Prepares a response for the downstream: removes hop-by-hop fields and those Connection names, appends Via.
void prepare_response(ResponseHead& head, std::string_view pseudonym = "remora");

// The body of the answer to TRACE (message/http): the request as received without fields that could carry
// secrets.
std::string trace_body(const RequestHead& head);

}  // namespace remora::http
