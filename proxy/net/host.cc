#include "proxy/net/host.h"

#include <uv.h>

#include <array>
#include <span>

namespace remora::net {

namespace {

bool within(const Address& address, std::initializer_list<const char*> ranges) {
  for (const char* range : ranges) {
    if (Cidr::parse(range)->contains(address)) return true;
  }
  return false;
}

// The higher the better; 0: of no use.
int rank(const Address& address, bool ipv6) {
  if (address.kind() == Address::Kind::kIpv4 && !ipv6) {
    if (within(address, {"169.254.0.0/16"})) return 0;
    return within(address, {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"}) ? 4 : 3;
  }
  if (address.kind() != Address::Kind::kIpv6 || within(address, {"fe80::/10"})) return 0;
  return within(address, {"fc00::/7"}) ? 2 : 1;
}

}  // namespace

std::string host_name() {
  std::array<char, UV_MAXHOSTNAMESIZE> name{};
  std::size_t size = name.size();
  return uv_os_gethostname(name.data(), &size) == 0 ? std::string(name.data(), size) : std::string();
}

std::optional<Address> reachable_address(bool ipv6) {
  uv_interface_address_t* list = nullptr;
  int count = 0;
  if (uv_interface_addresses(&list, &count) != 0) return std::nullopt;
  std::optional<Address> best;
  int best_rank = 0;
  for (const auto& interface : std::span(list, static_cast<std::size_t>(count))) {
    if (interface.is_internal != 0) continue;
    auto address = Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&interface.address));
    if (!address || rank(*address, ipv6) <= best_rank) continue;
    best_rank = rank(*address, ipv6);
    address->set_port(0);
    best = std::move(address);
  }
  uv_free_interface_addresses(list, count);
  return best;
}

}  // namespace remora::net
