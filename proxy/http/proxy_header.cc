#include "proxy/http/proxy_header.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace remora::http {
namespace {

constexpr std::string_view kWord = "PROXY ";
constexpr std::size_t kLongestLine = 107;  // CRLF included
constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kFixed = 16;  // signature, version and command, family and protocol, length

using Parsed = Result<std::optional<ProxyHeader>>;

std::unexpected<Error> wrong(std::string_view what) {
  return std::unexpected(Error(ErrorCode::kMalformedMessage, Side::kDownstream, Retry::kNo,
                               "PROXY header: " + std::string(what)));
}

// The beginning of `bytes` is that of `wanted`, as far as it goes.
bool begins(std::string_view bytes, std::string_view wanted) {
  return bytes.substr(0, wanted.size()) == wanted.substr(0, bytes.size());
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return port;
}

std::optional<Address> parse_literal(std::string_view text, Address::Kind kind, std::string_view port) {
  const auto number = parse_port(port);
  if (!number || text.starts_with('[')) return std::nullopt;
  const auto address = Address::parse_ip(text, *number);
  if (!address || (kind == Address::Kind::kIpv6) != text.contains(':')) return std::nullopt;
  // An IPv4 address may be written as IPv6.
  const std::size_t width = address->kind() == Address::Kind::kIpv4 ? 4 : 16;
  return Address::from_bytes({reinterpret_cast<const char*>(address->bytes().data()), width}, *number);
}

// Without the CRLF.
Parsed parse_line(std::string_view line, std::size_t size) {
  std::array<std::string_view, 6> words;
  std::size_t count = 0;
  std::string_view rest = line;
  for (;; ++count) {
    const auto space = rest.find(' ');
    if (count < words.size()) words[count] = rest.substr(0, space);
    if (space == std::string_view::npos) break;
    rest.remove_prefix(space + 1);
  }
  ++count;
  if (words[1] == "UNKNOWN") return ProxyHeader{.size = size, .source = {}, .destination = {}};
  if ((words[1] != "TCP4" && words[1] != "TCP6") || count != words.size())
    return wrong("not TCP4, TCP6 or UNKNOWN");
  const auto kind = words[1] == "TCP4" ? Address::Kind::kIpv4 : Address::Kind::kIpv6;
  auto source = parse_literal(words[2], kind, words[4]);
  auto destination = parse_literal(words[3], kind, words[5]);
  if (!source || !destination) return wrong("not two addresses with their ports");
  return ProxyHeader{.size = size, .source = std::move(source), .destination = std::move(destination)};
}

Parsed parse_v1(std::string_view bytes) {
  if (!begins(bytes, kWord)) return wrong("there is none");
  const auto end = bytes.substr(0, kLongestLine).find('\n');
  if (end == std::string_view::npos) {
    if (bytes.size() >= kLongestLine) return wrong("its line has no end");
    return std::nullopt;
  }
  if (bytes[end - 1] != '\r') return wrong("a line feed without a carriage return");
  return parse_line(bytes.substr(0, end - 1), end + 1);
}

unsigned byte_at(std::string_view bytes, std::size_t at) { return static_cast<unsigned char>(bytes[at]); }

std::uint16_t number_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint16_t>(byte_at(bytes, at) << 8U | byte_at(bytes, at + 1));
}

// CRC32c (RFC 3720 section 12.1), a byte at a time: a header is short, and comes once per connection.
constexpr std::array<std::uint32_t, 256> kCrcOfByte = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0x82f63b78U : 0U);
    table[byte] = crc;
  }
  return table;
}();

std::uint32_t add_to_crc(std::uint32_t crc, std::string_view bytes) {
  for (const char byte : bytes)
    crc = kCrcOfByte[(crc ^ static_cast<unsigned char>(byte)) & 0xffU] ^ (crc >> 8U);
  return crc;
}

// The checksum at `at`, taken over the header as if it were zero itself.
bool checksum_holds(std::string_view header, std::size_t at) {
  std::uint32_t crc = add_to_crc(0xffffffffU, header.substr(0, at));
  crc = add_to_crc(crc, std::string_view("\0\0\0\0", 4));
  crc = ~add_to_crc(crc, header.substr(at + 4));
  return crc == (std::uint32_t{number_at(header, at)} << 16U | number_at(header, at + 2));
}

// What comes behind the addresses: types with lengths and values. Null: it is well-formed, and the checksum,
// if there is one, holds (section 2.2.3).
const char* complaint_about_additions(std::string_view header, std::size_t at) {
  constexpr unsigned kChecksum = 0x03;
  constexpr std::size_t kTypeAndLength = 3;
  bool summed = false;
  while (at < header.size()) {
    if (header.size() - at < kTypeAndLength) return "an addition that is cut off";
    const std::size_t length = number_at(header, at + 1);
    const std::size_t value = at + kTypeAndLength;
    if (header.size() - value < length) return "an addition that is cut off";
    if (byte_at(header, at) == kChecksum) {
      if (length != 4 || summed || !checksum_holds(header, value)) return "its checksum is wrong";
      summed = true;
    }
    at = value + length;
  }
  return nullptr;
}

// `width`: of one address. Two of them, then two ports.
Parsed parse_addresses(std::string_view bytes, std::size_t size, std::size_t width) {
  const std::size_t ports = kFixed + 2 * width;
  if (size < ports + 4) return wrong("too short for its addresses");
  if (const char* complaint = complaint_about_additions(bytes.substr(0, size), ports + 4))
    return wrong(complaint);
  return ProxyHeader{
      .size = size,
      .source = Address::from_bytes(bytes.substr(kFixed, width), number_at(bytes, ports)),
      .destination = Address::from_bytes(bytes.substr(kFixed + width, width), number_at(bytes, ports + 2))};
}

Parsed parse_v2(std::string_view bytes) {
  if (!begins(bytes, kSignature)) return wrong("there is none");
  if (bytes.size() < kFixed) return std::nullopt;
  const unsigned command = byte_at(bytes, 12);
  const unsigned family = byte_at(bytes, 13);
  const std::size_t size = kFixed + number_at(bytes, 14);
  if (command != 0x20 && command != 0x21) return wrong("neither version 2 nor a command of it");
  if (size > kLongestProxyHeader) return wrong("too long");
  if (bytes.size() < size) return std::nullopt;
  ProxyHeader nobody{.size = size, .source = {}, .destination = {}};
  if (command == 0x20) return nobody;
  switch (family) {
    case 0x11: return parse_addresses(bytes, size, 4);
    case 0x21: return parse_addresses(bytes, size, 16);
    case 0x00:
    case 0x31: return nobody;  // a Unix socket has no address that means anything here
    default: return wrong("a family or protocol that is not TCP");
  }
}

std::string header_v2(char command, char family, std::string_view addresses) {
  std::string out(kSignature);
  out += command;
  out += family;
  out += '\0';
  out += static_cast<char>(addresses.size());
  return out.append(addresses);
}

void append_port(std::string& out, const Address& address) {
  out += static_cast<char>(address.port() >> 8U);
  out += static_cast<char>(address.port() & 0xffU);
}

}  // namespace

Result<std::optional<ProxyHeader>> parse_proxy_header(std::string_view bytes) {
  if (bytes.empty()) return std::nullopt;
  return bytes.front() == kSignature.front() ? parse_v2(bytes) : parse_v1(bytes);
}

std::string proxy_header(ProxyVersion version, const Address& source, const Address& destination) {
  const bool known = source.is_ip() && source.kind() == destination.kind();
  const bool v4 = source.kind() == Address::Kind::kIpv4;
  if (version == ProxyVersion::kV1) {
    if (!known) return "PROXY UNKNOWN\r\n";
    std::string out = v4 ? "PROXY TCP4 " : "PROXY TCP6 ";
    out.append(source.host()).append(" ").append(destination.host());
    out.append(" ").append(std::to_string(source.port()));
    return out.append(" ").append(std::to_string(destination.port())).append("\r\n");
  }
  if (!known) return header_v2('\x21', '\0', {});
  const std::size_t width = v4 ? 4 : 16;
  std::string addresses;
  for (const Address* address : {&source, &destination}) {
    addresses.append(reinterpret_cast<const char*>(address->bytes().data()), width);
  }
  append_port(addresses, source);
  append_port(addresses, destination);
  return header_v2('\x21', v4 ? '\x11' : '\x21', addresses);
}

std::string own_proxy_header(ProxyVersion version) {
  return version == ProxyVersion::kV1 ? "PROXY UNKNOWN\r\n" : header_v2('\x20', '\0', {});
}

}  // namespace remora::http
