// Asks a running Remora's admin server and waits for the answer: what the commands are made of that talk to
// one (`remora top`).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/error.h"
#include "base/time.h"

namespace remora::proxy {

struct AdminAnswer {
  unsigned status = 0;
  std::string body;
};

// More of a body is an error.
inline constexpr std::size_t kLongestAdminAnswer = std::size_t{64} << 20U;

// What people write after --admin: "127.0.0.1:9901", "localhost:9901", "unix:/path", or what stands in a
// browser's address bar. An error's detail is a sentence for people.
Result<Address> parse_admin_address(std::string_view text);

// One request without a body, on a connection and a loop of its own. An error: nobody there, or no whole
// answer within `patience`; its detail is a sentence for people.
//
// Thread: one that runs no loop.
Result<AdminAnswer> ask_admin(const Address& server, std::string_view method, std::string_view target,
                              Duration patience = 5s);

}  // namespace remora::proxy
