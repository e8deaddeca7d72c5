// The first line of a message (RFC 9112 sections 3 and 4). Pure functions; every refusal is a Fault.
#pragma once

#include <optional>
#include <string_view>

#include "proxy/http/head_scan.h"
#include "proxy/http/message.h"

namespace remora::http {

// `line` without its CRLF, free of control characters. Exactly one SP between the parts; any token is a
// method; HTTP/1.x with x above 1 counts as HTTP/1.1 (RFC 9110 section 2.5). Fills method, target (as sent)
// and version.
std::optional<Fault> parse_request_line(std::string_view line, RequestHead& head);

// The reason may be missing together with the SP before it. Fills status (100..599), reason and version.
std::optional<Fault> parse_status_line(std::string_view line, ResponseHead& head);

}  // namespace remora::http
