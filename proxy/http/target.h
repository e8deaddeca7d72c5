// What a request's target and its Host field say together (RFC 9112 section 3.2). Pure functions.
#pragma once

#include <optional>
#include <string_view>

#include "proxy/http/head_scan.h"
#include "proxy/http/message.h"

namespace remora::http {

// uri-host [":" port], uri-host not empty: a name (RFC 3986 reg-name), an IPv4 address or an IPv6 address in
// brackets. No userinfo.
bool is_authority(std::string_view text);

// Takes apart the target as sent: leaves origin-form or "*" in `head.target` and the authority in
// `head.authority`. `head.method`, `.target`, `.version` and `.fields` are filled in.
//
//   form       allowed for        authority
//   origin     all but CONNECT    Host
//   absolute   all but CONNECT    the target's, which replaces Host
//   asterisk   OPTIONS            Host
//   authority  CONNECT            the target, port included; it stays in `head.target` as well. With a body,
//                                 even an empty one: refused. Whether tunnels are made at all is for the
//                                 codec
//
// The scheme must be http: https over clear text is refused.
// Host: exactly one on HTTP/1.1, at most one on HTTP/1.0, of valid syntax.
std::optional<Fault> resolve_target(RequestHead& head);

}  // namespace remora::http
