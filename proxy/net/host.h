// What this machine is called and where it is.
//
// Thread: any; asks the kernel, which does not wait.
#pragma once

#include <optional>
#include <string>

#include "base/address.h"

namespace remora::net {

// The host's name; "" if it has none.
std::string host_name();

// The address by which other hosts most likely reach this one, port 0: of an interface that is up and no
// loopback, a private IPv4 before another IPv4 before IPv6 (`ipv6`: only IPv6, private before others;
// link-local never). nullopt: there is none.
std::optional<Address> reachable_address(bool ipv6);

}  // namespace remora::net
