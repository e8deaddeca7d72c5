// The numbers of the membership protocol, with memberlist's defaults for three kinds of network. Every value
// can be changed on its own; members of one pool should agree on them, since a pool is as patient as its
// least patient member.
#pragma once

#include <cstddef>

#include "base/time.h"

namespace remora::discovery::swim {

struct Settings {
  // Probing: one member per interval; silence for the timeout asks others to try.
  Duration probe_interval{1s};
  Duration probe_timeout{500ms};
  unsigned indirect_checks = 3;

  // A suspect is declared dead after suspicion_mult * log10(members) * probe_interval if suspicion_mult - 2
  // others agree, and after suspicion_max_mult times that if nobody does.
  unsigned suspicion_mult = 4;
  unsigned suspicion_max_mult = 6;
  // A member that misses acks probes up to so many times more slowly.
  unsigned awareness_max = 8;

  // Gossip: a piece of news is sent retransmit_mult * log10(members + 1) times, to gossip_nodes members per
  // interval.
  unsigned retransmit_mult = 4;
  unsigned gossip_nodes = 3;
  Duration gossip_interval{200ms};
  // The dead hear the news for so long, to learn that they are thought dead; then they are forgotten.
  Duration gossip_to_dead{30s};

  // Whole states are exchanged with one random member; less often in pools of more than 32.
  Duration push_pull_interval{30s};
  Duration stream_timeout{10s};  // of such an exchange, and of a stream ping

  // After how long a dead member's name may come back from another address; 0: not before it is forgotten.
  Duration dead_reclaim{0};
  // How often one of the failed members is dialled, so that the halves of a healed partition meet, and for
  // how long.
  Duration reconnect_interval{30s};
  Duration reconnect_timeout{24h};

  // What strangers can make us hold and do.
  std::size_t members_max = 16384;
  // With a burst of one second, of one sender half of it (SourceRates); more are dropped unread.
  unsigned packets_per_second = 5000;

  bool operator==(const Settings&) const = default;

  static constexpr Settings lan() { return {}; }
  static constexpr Settings wan() {
    Settings wan;
    wan.probe_interval = 5s;
    wan.probe_timeout = 3s;
    wan.suspicion_mult = 6;
    wan.gossip_nodes = 4;
    wan.gossip_interval = 500ms;
    wan.gossip_to_dead = 60s;
    wan.push_pull_interval = 60s;
    wan.stream_timeout = 30s;
    return wan;
  }
  static constexpr Settings local() {
    Settings local;
    local.probe_timeout = 200ms;
    local.indirect_checks = 1;
    local.suspicion_mult = 3;
    local.retransmit_mult = 2;
    local.gossip_interval = 100ms;
    local.gossip_to_dead = 15s;
    local.push_pull_interval = 15s;
    local.stream_timeout = 1s;
    return local;
  }
};

// The formulas; `members` counts everybody known, oneself and the dead that are not forgotten yet included.
unsigned retransmit_limit(const Settings& settings, std::size_t members);
Duration suspicion_least(const Settings& settings, std::size_t members);
unsigned suspicion_confirmations(const Settings& settings, std::size_t members);
Duration push_pull_every(const Settings& settings, std::size_t members);

}  // namespace remora::discovery::swim
