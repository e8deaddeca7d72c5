// Where to listen or connect: an IPv4 or IPv6 address with a port, or a Unix socket path, as a value. Names
// are not addresses: parse() refuses them, and the resolver turns them into addresses.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace remora {

class Address final {
 public:
  enum class Kind : std::uint8_t { kNone, kIpv4, kIpv6, kUnix };

  Address() = default;

  // "127.0.0.1:80", "[::1]:80", "unix:/path". nullopt for anything else, host names and paths too long for a
  // socket (over 107 bytes) included.
  static std::optional<Address> parse(std::string_view text);
  // An IP literal without a port: "10.0.0.1", "::1", "[::1]".
  static std::optional<Address> parse_ip(std::string_view host, std::uint16_t port);
  static std::optional<Address> from_sockaddr(const sockaddr* addr);
  // 4 or 16 bytes in network order, else nullopt; an IPv4-mapped one is IPv4.
  static std::optional<Address> from_bytes(std::string_view bytes, std::uint16_t port);
  static Address unix_path(std::string_view path);

  Kind kind() const { return kind_; }
  bool is_unix() const { return kind_ == Kind::kUnix; }
  bool is_ip() const { return kind_ == Kind::kIpv4 || kind_ == Kind::kIpv6; }
  std::uint16_t port() const { return port_; }
  void set_port(std::uint16_t port) { port_ = port; }
  // Of a Unix socket; empty for an unnamed one and for other kinds.
  const std::string& path() const;
  // The address bytes: 4 for IPv4, 16 for IPv6, in network order.
  const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }

  // Loopback (127/8, ::1, IPv4-mapped ones, every Unix socket).
  bool is_loopback() const;

  // "127.0.0.1:80", "[::1]:80", "unix:/path"; kNone prints as "-".
  std::string to_string() const;
  // The host without the port: "127.0.0.1", "::1", "unix".
  std::string host() const;

  // Fills `out`; false for kNone and for a Unix path that is empty or does not fit. `length` receives the
  // size used.
  bool to_sockaddr(sockaddr_storage& out, socklen_t& length) const;

  bool operator==(const Address& other) const {
    return kind_ == other.kind_ && port_ == other.port_ && bytes_ == other.bytes_ && path() == other.path();
  }

 private:
  Kind kind_ = Kind::kNone;
  std::uint16_t port_ = 0;
  std::array<std::uint8_t, 16> bytes_{};
  // Shared by copies and never changed: an address is small, since every connection holds one.
  std::shared_ptr<const std::string> path_;
};

// An IP range, "10.0.0.0/8" or "fc00::/7"; a bare address is a range of one. An IPv4-mapped IPv6 address
// matches IPv4 ranges. Unix peers match only the range "unix:".
class Cidr final {
 public:
  static std::optional<Cidr> parse(std::string_view text);
  bool contains(const Address& address) const;
  std::string to_string() const;
  bool operator==(const Cidr&) const = default;

 private:
  Address base_;
  unsigned prefix_ = 0;
};

// "host:port" split without deciding whether the host is a literal; brackets around an IPv6 host are removed.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
  bool operator==(const HostPort&) const = default;
};
std::optional<HostPort> parse_host_port(std::string_view text);

}  // namespace remora
