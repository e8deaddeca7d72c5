#include "proxy/mesh_setup.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "base/base64.h"
#include "proxy/net/host.h"

namespace remora::proxy {

namespace {

constexpr std::string_view kHead = "# Members of the mesh that Remora asks first after a restart.";

Error failed(std::string detail) {
  return {ErrorCode::kInvalid, Side::kInternal, Retry::kNo, std::move(detail)};
}

bool unspecified(const Address& address) {
  return std::ranges::all_of(address.bytes(), [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

discovery::swim::Peer to_peer(const Address& address) {
  discovery::swim::Peer peer;
  if (!address.is_ip()) return peer;
  peer.size = address.kind() == Address::Kind::kIpv4 ? 4 : 16;
  peer.port = address.port();
  std::copy_n(address.bytes().begin(), peer.size, peer.address.begin());
  return peer;
}

Address to_address(const discovery::swim::Peer& peer) {
  return Address::from_bytes(peer.bytes(), peer.port).value_or(Address());
}

Result<void> load_keys(const config::Mesh& mesh, discovery::swim::Keyring& keyring) {
  if (!mesh.key.empty()) keyring.install(decode_base64(mesh.key).value_or(""));
  if (mesh.key_file.empty()) return {};
  std::ifstream file(mesh.key_file);
  if (!file) return std::unexpected(failed("cannot read mesh.key_file " + mesh.key_file));
  std::size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line.empty() || line.front() == '#') continue;
    const auto key = decode_base64(line);
    if (!key || !keyring.install(*key)) {
      const bool full = keyring.size() == discovery::swim::Keyring::kKeys;
      return std::unexpected(
          failed(mesh.key_file + ":" + std::to_string(number) + ": " +
                 (full ? "too many keys, keep the latest 8" : "not the base64 of 16, 24 or 32 bytes")));
    }
  }
  if (keyring.empty()) return std::unexpected(failed("there is no key in mesh.key_file " + mesh.key_file));
  return {};
}

Result<Address> advertised_address(const config::Mesh& mesh, const Address& bound) {
  Address address = mesh.advertise;
  if (!address.is_ip() && !unspecified(bound)) return bound;
  if (!address.is_ip()) {
    const auto found = net::reachable_address(bound.kind() == Address::Kind::kIpv6);
    if (!found) {
      return std::unexpected(
          failed("cannot tell by which address others reach this host, set mesh.advertise"));
    }
    address = *found;
  }
  if (address.port() == 0) address.set_port(bound.port());
  return address;
}

std::string member_name(const config::Mesh& mesh, const Address& advertised) {
  if (!mesh.node.empty()) return mesh.node;
  std::string host = net::host_name();
  if (host.empty()) host = advertised.host();
  return host.substr(0, discovery::swim::kNameBytes - 6) + "-" + std::to_string(advertised.port());
}

std::vector<Address> read_members_file(const std::string& path) {
  std::vector<Address> members;
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line) || line != kHead) return members;
  while (members.size() < kRememberedMembers && std::getline(file, line)) {
    const auto address = Address::parse(line);
    if (address && address->is_ip() && address->port() != 0) members.push_back(*address);
  }
  return members;
}

Result<void> write_members_file(const std::string& path, const std::vector<Address>& members) {
  const std::string fresh = path + ".new";
  std::ofstream file(fresh, std::ios::trunc);
  file << kHead << '\n';
  for (const Address& member : members) file << member.to_string() << '\n';
  file.close();
  if (!file) return std::unexpected(failed("cannot write " + fresh));
  std::error_code error;
  std::filesystem::rename(fresh, path, error);
  if (error) return std::unexpected(failed("cannot write " + path + ": " + error.message()));
  return {};
}

}  // namespace remora::proxy
