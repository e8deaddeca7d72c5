// What a member needs before it exists: keys, a name, an address; and the file that remembers the others.
//
// Thread: the control thread; reads and writes files.
#pragma once

#include <string>
#include <vector>

#include "base/address.h"
#include "base/error.h"
#include "config/config.h"
#include "discovery/swim/keyring.h"
#include "discovery/swim/message.h"

namespace remora::proxy {

discovery::swim::Peer to_peer(const Address& address);
// kNone for a peer without an address.
Address to_address(const discovery::swim::Peer& peer);

// Installs `key`, or every line of `key_file`. An error's detail is a sentence for people without any part of
// a key.
Result<void> load_keys(const config::Mesh& mesh, discovery::swim::Keyring& keyring);

// Where others reach a member that is bound to `bound`: as configured, or found out. An error: it cannot be
// told.
Result<Address> advertised_address(const config::Mesh& mesh, const Address& bound);
// Its name: as configured, or that of the host and the port.
std::string member_name(const config::Mesh& mesh, const Address& advertised);

// At most so many are remembered; more do not help to find a pool.
inline constexpr std::size_t kRememberedMembers = 64;
// The addresses in the file; none if it is not there or not ours.
std::vector<Address> read_members_file(const std::string& path);
// Replaces the file in one step.
Result<void> write_members_file(const std::string& path, const std::vector<Address>& members);

}  // namespace remora::proxy
