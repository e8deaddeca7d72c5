// Services in gossip: what a member serves, in its tags, so that everybody who hears of the member hears of
// them. The metadata of a member holds 512 bytes, all its services together.
//
//   remora     = "1"                         the version of what follows
//   svc:orders = "8080;w=5;z=eu-1a;t=a,b"    port, and what is not the default
//
// What a reader does not know between two semicolons it skips; so later versions may say more.
//
// A set that is larger goes by user messages. Its member announces only a digest of it,
//
//   svc+       = "9f86d081884c7d65"
//
// and whoever needs it and has another one or none asks that member, over a stream, with a user message, and
// is answered by another: kRequest, and kAnswer with the set, which is written as metadata is. No Serf agent
// ever gets one of these.
//
// Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "discovery/swim/serf.h"

namespace remora::discovery::swim {

struct ServiceSettings {
  std::string name;
  std::uint16_t port = 0;  // at the member's address
  std::uint32_t weight = 1;
  std::string zone = {};
  std::vector<std::string> tags = {};
  bool operator==(const ServiceSettings&) const = default;
};

// A character that a zone or a tag may have.
constexpr bool fits_service(char c) { return c > 0x20 && c < 0x7f && c != ';' && c != ','; }

Tags announce(const std::vector<ServiceSettings>& services);
// As metadata, or as a set.
std::size_t announced_bytes(const std::vector<ServiceSettings>& services);

constexpr std::size_t kSetBytes = std::size_t{64} << 10U;
constexpr std::size_t kSetServices = 255;

struct Announcement {
  std::string meta;
  std::string set = {};  // "" = all of it is in the metadata
};
Announcement announcement(const std::vector<ServiceSettings>& services);

// The digest in a member's metadata; nullopt: it has no set besides.
std::optional<std::uint64_t> set_digest(std::string_view meta);
std::uint64_t digest_of(std::string_view set);

// User messages, without the type byte of memberlist's.
constexpr std::string_view kSetRequest = "\xffremora1?";
std::string set_answer(std::string_view set);
// nullopt: it is none.
std::optional<std::string_view> read_set_answer(std::string_view message);

// What to look for.
struct WantedSettings {
  std::string service;
  std::vector<std::string> tags = {};  // all of these
  // Of members that are no Remoras, plain Serf agents: the tag that names the service, and the one that has
  // its port; `port` other than 0: this one, whatever the tags say. Their tags are matched as "name=value".
  std::string role_tag = "role";
  std::string port_tag = "port";
  std::uint16_t port = 0;
  bool operator==(const WantedSettings&) const = default;
};

// The service of a member that fits, if there is one; of several of that name the first. Whatever is in it
// has been checked: a port, a weight from 1 to 65535, a zone of characters that fit.
std::optional<ServiceSettings> find_service(const Tags& tags, const WantedSettings& wanted);

// Every word that find_service() may find these tags by.
void each_service_word(const Tags& tags, const std::function<void(std::string_view)>& visit);

}  // namespace remora::discovery::swim
