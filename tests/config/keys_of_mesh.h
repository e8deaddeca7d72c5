// The keys of the mesh.
#pragma once

#include <string>
#include <vector>

#include "tests/config/keys_fixture.h"
#include "tests/config/keys_of_traffic.h"

namespace remora::config::fixture {

inline const std::vector<Row> kKeysOfMesh{
    {"", "mesh", "[mesh]\n#mesh\n[mesh.protocol]\n#mesh.protocol\n[[mesh.service]]\nname = \"s\"\nport = 80",
     "", "", "[mesh]"},
    {"mesh", "node", "#mesh", "", "", R"(node = "a")"},
    {"mesh", "bind", "#mesh", "", R"(bind = "0.0.0.0:7946")", R"(bind = "[::]:7946")"},
    {"mesh", "advertise", "#mesh", "", "", R"(advertise = "10.0.0.1")"},
    {"mesh", "join", "#mesh", "", "join = []", R"(join = ["mesh.internal:7946", "10.0.0.1:7946"])"},
    {"mesh", "key", "#mesh", "", "", R"(key = "AAECAwQFBgcICQoLDA0ODw==")"},
    {"mesh", "key_file", "#mesh", "", "", R"(key_file = "/etc/remora/mesh.key")"},
    {"mesh", "label", "#mesh", "", R"(label = "")", R"(label = "production")"},
    {"mesh", "snapshot", "#mesh", "", R"(snapshot = "")", R"(snapshot = "/var/lib/remora/members")"},
    {"mesh", "profile", "#mesh", "", R"(profile = "lan")", R"(profile = "wan")"},
    {"mesh", "service", "#mesh.service", "", "", "[[mesh.service]]\nname = \"t\"\nport = 81"},
    {"mesh.service", "name", R"(name = "s")", R"(name = "s")", "", R"(name = "other")"},
    {"mesh.service", "port", "port = 80", "port = 80", "", "port = 81"},
    {"mesh.service", "weight", "#mesh.service", "", "weight = 1", "weight = 2"},
    {"mesh.service", "zone", "#mesh.service", "", R"(zone = "")", R"(zone = "eu-1a")"},
    {"mesh.service", "tags", "#mesh.service", "", "tags = []", R"(tags = ["blue", "v=2"])"},
    {"mesh.service", "cluster", "#mesh.service", "", "", R"(cluster = "tcp")"},
    {"cluster", "discover", kEndpoints, kEndpoints, "", R"(discover = { swim = "orders" })"},
    {"cluster.discover", "swim", kEndpoints, R"(discover = { swim = "a" })", "",
     R"(discover = { swim = "b" })"},
    {"cluster.discover", "tags", kEndpoints, R"(discover = { swim = "a" })",
     R"(discover = { swim = "a", tags = [] })", R"(discover = { swim = "a", tags = ["blue"] })"},
    {"cluster.discover", "role_tag", kEndpoints, R"(discover = { swim = "a" })",
     R"(discover = { swim = "a", role_tag = "role" })", R"(discover = { swim = "a", role_tag = "app" })"},
    {"cluster.discover", "port_tag", kEndpoints, R"(discover = { swim = "a" })",
     R"(discover = { swim = "a", port_tag = "port" })", R"(discover = { swim = "a", port_tag = "http" })"},
    {"cluster.discover", "port", kEndpoints, R"(discover = { swim = "a" })",
     R"(discover = { swim = "a", port = 0 })", R"(discover = { swim = "a", port = 80 })"},
    {"mesh", "protocol", "#mesh.protocol", "", "", "gossip_nodes = 4"},
    {"mesh.protocol", "probe_interval", "#mesh.protocol", "", R"(probe_interval = "1s")",
     R"(probe_interval = "2s")"},
    {"mesh.protocol", "probe_timeout", "#mesh.protocol", "", R"(probe_timeout = "500ms")",
     R"(probe_timeout = "200ms")"},
    {"mesh.protocol", "indirect_checks", "#mesh.protocol", "", R"(indirect_checks = 3)",
     R"(indirect_checks = 0)"},
    {"mesh.protocol", "suspicion_mult", "#mesh.protocol", "", R"(suspicion_mult = 4)",
     R"(suspicion_mult = 5)"},
    {"mesh.protocol", "suspicion_max_mult", "#mesh.protocol", "", R"(suspicion_max_mult = 6)",
     R"(suspicion_max_mult = 1)"},
    {"mesh.protocol", "awareness_max", "#mesh.protocol", "", R"(awareness_max = 8)", R"(awareness_max = 1)"},
    {"mesh.protocol", "retransmit_mult", "#mesh.protocol", "", R"(retransmit_mult = 4)",
     R"(retransmit_mult = 3)"},
    {"mesh.protocol", "gossip_nodes", "#mesh.protocol", "", R"(gossip_nodes = 3)", R"(gossip_nodes = 4)"},
    {"mesh.protocol", "gossip_interval", "#mesh.protocol", "", R"(gossip_interval = "200ms")",
     R"(gossip_interval = "100ms")"},
    {"mesh.protocol", "gossip_to_dead", "#mesh.protocol", "", R"(gossip_to_dead = "30s")",
     R"(gossip_to_dead = "1m")"},
    {"mesh.protocol", "push_pull_interval", "#mesh.protocol", "", R"(push_pull_interval = "30s")",
     R"(push_pull_interval = "1m")"},
    {"mesh.protocol", "stream_timeout", "#mesh.protocol", "", R"(stream_timeout = "10s")",
     R"(stream_timeout = "1s")"},
    {"mesh.protocol", "dead_reclaim", "#mesh.protocol", "", R"(dead_reclaim = "0s")",
     R"(dead_reclaim = "30s")"},
    {"mesh.protocol", "reconnect_interval", "#mesh.protocol", "", R"(reconnect_interval = "30s")",
     R"(reconnect_interval = "10s")"},
    {"mesh.protocol", "reconnect_timeout", "#mesh.protocol", "", R"(reconnect_timeout = "24h")",
     R"(reconnect_timeout = "0s")"},
    {"mesh.protocol", "members_max", "#mesh.protocol", "", R"(members_max = 16384)", R"(members_max = 2)"},
    {"mesh.protocol", "packets_per_second", "#mesh.protocol", "", R"(packets_per_second = 5000)",
     R"(packets_per_second = 100)"},
};

}  // namespace remora::config::fixture
