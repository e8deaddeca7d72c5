#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace remora {

namespace {

constexpr std::string_view kUnixPrefix = "unix:";

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  if (text.size() > 5) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return port;
}

// The IPv4 address inside an IPv4-mapped IPv6 one (::ffff:a.b.c.d), or null.
const std::uint8_t* mapped_ipv4(const Address& address) {
  if (address.kind() != Address::Kind::kIpv6) return nullptr;
  static constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (!std::equal(kMapped.begin(), kMapped.end(), address.bytes().begin())) return nullptr;
  return address.bytes().data() + 12;
}

}  // namespace

std::optional<HostPort> parse_host_port(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = parse_port(text.substr(colon + 1));
  auto host = text.substr(0, colon);
  if (!port || host.empty()) return std::nullopt;
  if (host.front() == '[') {
    if (host.back() != ']' || host.size() < 3) return std::nullopt;
    host = host.substr(1, host.size() - 2);
    if (host.find(':') == std::string_view::npos) return std::nullopt;  // brackets are for IPv6 only
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;  // an IPv6 literal needs its brackets, or the port would be a guess
  }
  return HostPort{std::string(host), *port};
}

std::optional<Address> Address::parse_ip(std::string_view host, std::uint16_t port) {
  const bool brackets = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  if (host.find('\0') != std::string_view::npos) return std::nullopt;  // inet_pton would stop reading there
  const std::string text(host);
  Address address;
  address.port_ = port;
  if (!brackets && inet_pton(AF_INET, text.c_str(), address.bytes_.data()) == 1) {
    address.kind_ = Kind::kIpv4;
    return address;
  }
  if (inet_pton(AF_INET6, text.c_str(), address.bytes_.data()) == 1) {
    address.kind_ = Kind::kIpv6;
    return address;
  }
  return std::nullopt;
}

std::optional<Address> Address::parse(std::string_view text) {
  if (text.starts_with(kUnixPrefix)) {
    const auto path = text.substr(kUnixPrefix.size());
    const bool fits = path.size() < sizeof(sockaddr_un::sun_path);
    if (path.empty() || !fits || path.find('\0') != std::string_view::npos) return std::nullopt;
    return unix_path(path);
  }
  const auto parts = parse_host_port(text);
  if (!parts) return std::nullopt;
  return parse_ip(parts->host, parts->port);
}

Address Address::unix_path(std::string_view path) {
  Address address;
  address.kind_ = Kind::kUnix;
  address.path_ = std::make_shared<const std::string>(path);
  return address;
}

std::optional<Address> Address::from_bytes(std::string_view bytes, std::uint16_t port) {
  Address address;
  if (bytes.size() != 4 && bytes.size() != 16) return std::nullopt;
  address.port_ = port;
  address.kind_ = bytes.size() == 4 ? Kind::kIpv4 : Kind::kIpv6;
  std::memcpy(address.bytes_.data(), bytes.data(), bytes.size());
  if (const std::uint8_t* mapped = mapped_ipv4(address); mapped != nullptr) {
    std::array<std::uint8_t, 16> plain{};
    std::copy_n(mapped, 4, plain.begin());
    address.bytes_ = plain;
    address.kind_ = Kind::kIpv4;
  }
  return address;
}

std::optional<Address> Address::from_sockaddr(const sockaddr* addr) {
  Address address;
  if (addr->sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, addr, sizeof in);
    address.kind_ = Kind::kIpv4;
    address.port_ = ntohs(in.sin_port);
    std::memcpy(address.bytes_.data(), &in.sin_addr, 4);
    return address;
  }
  if (addr->sa_family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, addr, sizeof in);
    address.kind_ = Kind::kIpv6;
    address.port_ = ntohs(in.sin6_port);
    std::memcpy(address.bytes_.data(), &in.sin6_addr, 16);
    return address;
  }
  if (addr->sa_family == AF_UNIX) {
    address.kind_ = Kind::kUnix;  // peers of a Unix listener are usually unnamed
    return address;
  }
  return std::nullopt;
}

const std::string& Address::path() const {
  static const std::string kNone;
  return path_ ? *path_ : kNone;
}

bool Address::is_loopback() const {
  if (kind_ == Kind::kUnix) return true;
  if (kind_ == Kind::kIpv4) return bytes_[0] == 127;
  if (kind_ != Kind::kIpv6) return false;
  if (const auto* v4 = mapped_ipv4(*this)) return v4[0] == 127;
  return bytes_[15] == 1 && std::all_of(bytes_.begin(), bytes_.end() - 1, [](auto b) { return b == 0; });
}

std::string Address::host() const {
  if (kind_ == Kind::kUnix) return "unix";
  if (kind_ == Kind::kNone) return "-";
  char buffer[INET6_ADDRSTRLEN] = {};
  if (kind_ == Kind::kIpv6) return inet_ntop(AF_INET6, bytes_.data(), buffer, sizeof buffer);
  // Each connection's; inet_ntop goes through printf.
  char* at = buffer;
  for (std::size_t i = 0; i < 4; ++i) {
    if (i > 0) *at++ = '.';
    at = std::to_chars(at, at + 3, unsigned{bytes_[i]}).ptr;
  }
  return {buffer, at};
}

std::string Address::to_string() const {
  switch (kind_) {
    case Kind::kNone: return "-";
    case Kind::kUnix: return std::string(kUnixPrefix) + path();
    case Kind::kIpv4: return host() + ":" + std::to_string(port_);
    case Kind::kIpv6: return "[" + host() + "]:" + std::to_string(port_);
  }
  return "-";
}

bool Address::to_sockaddr(sockaddr_storage& out, socklen_t& length) const {
  out = {};
  if (kind_ == Kind::kIpv4) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port_);
    std::memcpy(&in.sin_addr, bytes_.data(), 4);
    std::memcpy(&out, &in, sizeof in);
    length = sizeof in;
    return true;
  }
  if (kind_ == Kind::kIpv6) {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port_);
    std::memcpy(&in.sin6_addr, bytes_.data(), 16);
    std::memcpy(&out, &in, sizeof in);
    length = sizeof in;
    return true;
  }
  if (kind_ != Kind::kUnix) return false;
  sockaddr_un un{};
  if (path().empty() || path().size() >= sizeof un.sun_path) return false;
  un.sun_family = AF_UNIX;
  std::memcpy(un.sun_path, path().data(), path().size());
  std::memcpy(&out, &un, sizeof un);
  length = sizeof un;
  return true;
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
  Cidr cidr;
  if (text == kUnixPrefix) {
    cidr.base_ = Address::unix_path("");
    return cidr;
  }
  const auto slash = text.find('/');
  const auto base = Address::parse_ip(text.substr(0, slash), 0);
  if (!base) return std::nullopt;
  cidr.base_ = *base;
  const unsigned widest = base->kind() == Address::Kind::kIpv4 ? 32 : 128;
  cidr.prefix_ = widest;
  if (slash == std::string_view::npos) return cidr;
  const auto digits = text.substr(slash + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), cidr.prefix_);
  if (error != std::errc{} || end != digits.data() + digits.size() || cidr.prefix_ > widest)
    return std::nullopt;
  return cidr;
}

bool Cidr::contains(const Address& address) const {
  if (base_.is_unix() || address.is_unix()) return base_.is_unix() && address.is_unix();
  if (!address.is_ip()) return false;
  const std::uint8_t* bytes = address.bytes().data();
  if (base_.kind() != address.kind()) {
    bytes = base_.kind() == Address::Kind::kIpv4 ? mapped_ipv4(address) : nullptr;
    if (bytes == nullptr) return false;
  }
  const std::size_t whole = prefix_ / 8;
  if (!std::equal(bytes, bytes + whole, base_.bytes().data())) return false;
  const unsigned rest = prefix_ % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff00U >> rest);
  return ((bytes[whole] ^ base_.bytes()[whole]) & mask) == 0;
}

std::string Cidr::to_string() const {
  if (base_.is_unix()) return std::string(kUnixPrefix);
  return base_.host() + "/" + std::to_string(prefix_);
}

}  // namespace remora
