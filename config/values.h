// What makes a single value right, beyond its type: names, addresses, paths, header fields. Each check
// answers nullopt, or "what is wrong, what would be right".
//
// Thread: any; pure.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"
#include "config/config.h"

namespace remora::config {

using Complaint = std::optional<std::string>;

// Of a listener, a cluster, a zone: 1 to 128 bytes without control characters.
Complaint check_name(std::string_view text);

// What a member of the mesh says of a service besides its name: a zone, a tag. Visible ASCII without comma
// and semicolon.
Complaint check_service_word(std::string_view text);

// An address to listen on: an IP literal with a port, 0 included, or a Unix socket.
std::expected<Address, std::string> parse_listen_address(std::string_view text);

// An endpoint: an IP literal or a DNS name with a port other than 0, or a Unix socket. Fills in name, address
// and host.
std::expected<Endpoint, std::string> parse_endpoint(std::string_view text);

// The name of SRV records, such as "_http._tcp.example"; a dot at its end says that it is whole.
Complaint check_srv_name(std::string_view text);

// "a.example" or "*.example", in lower case; without a port (RFC 9110 section 4.2.3: hosts compare without
// case).
std::expected<std::string, std::string> parse_host_pattern(std::string_view text);

// A path as it stands in a request line, without query: begins with "/", visible ASCII (RFC 3986
// section 3.3).
Complaint check_path(std::string_view text);

// The same with a query allowed: what a request line asks for.
Complaint check_target(std::string_view text);

// The value of a Location field (RFC 9110 section 10.2.2): absolute, or a path.
Complaint check_location(std::string_view text);

// The host a redirect goes to, a port allowed.
Complaint check_authority(std::string_view text);

// A field name (RFC 9110 section 5.1) of at most 256 bytes, and a field value (section 5.5) without line
// breaks, other controls, or blanks at its ends.
Complaint check_field_name(std::string_view text);
Complaint check_field_value(std::string_view text);

// Whether the operator may change this field. Not those that frame a message or belong to one connection: the
// codecs write them, and two opinions about them are how requests get smuggled.
enum class Edit { kSet, kAdd, kRemove };
Complaint check_edited_field(std::string_view name, bool request, Edit edit);

// A method the codecs take.
Complaint check_method(std::string_view text);

std::string lower_case(std::string_view text);

}  // namespace remora::config
