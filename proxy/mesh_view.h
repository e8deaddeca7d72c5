// What this process knows of its gossip pool at one instant, for the pages, the command and the metrics.
//
// Values; made by Gossip on the control thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "discovery/swim/membership.h"
#include "discovery/swim/serf.h"

namespace remora::proxy {

struct MeshNumbers {
  std::array<std::uint64_t, 4> members{};  // by discovery::swim::State; ourselves included
  std::uint64_t suspicions = 0;            // members that we began to suspect, or heard suspected
  std::uint64_t failures = 0;              // members declared dead
  std::uint64_t streams_failed = 0;        // connections that came to nothing
  unsigned health = 0;                     // 0: well; else how much slower we probe
  discovery::swim::MembershipNumbers wire;
};

struct MemberView {
  std::string name;
  std::string address;
  discovery::swim::State state = discovery::swim::State::kAlive;
  Duration since{};  // how long ago
  std::uint32_t incarnation = 0;
  bool self = false;
  discovery::swim::Tags tags;
};

struct MeshView {
  std::string node;
  std::string address;
  std::string label;
  bool encrypted = false;
  MeshNumbers numbers;
  std::vector<MemberView> members;  // by name
};

// GET /members. `mesh`: null without [mesh]. Keys are stable; docs/mesh.md lists them.
std::string members_json(const MeshView* mesh);
// The same for people: a line for each member. What peers have sent is made printable.
std::string members_text(const MeshView* mesh);

}  // namespace remora::proxy
