#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/base64.h"
#include "config/draft.h"
#include "config/effective_parts.h"
#include "config/values.h"

namespace remora::config {

namespace {

using Profile = Mesh::Profile;
using Words = std::pair<std::string_view, Profile>;
constexpr std::array kProfiles{Words{"lan", Profile::kLan}, Words{"wan", Profile::kWan},
                               Words{"local", Profile::kLocal}};

constexpr std::string_view kKeyRemedy = "write one that `head -c 32 /dev/urandom | base64` prints";
constexpr std::size_t kLongestLabel = 255;

discovery::swim::Settings settings_of(Profile profile) {
  switch (profile) {
    case Profile::kLan: break;
    case Profile::kWan: return discovery::swim::Settings::wan();
    case Profile::kLocal: return discovery::swim::Settings::local();
  }
  return discovery::swim::Settings::lan();
}

bool unspecified(const Address& address) {
  return std::ranges::all_of(address.bytes(), [](std::uint8_t byte) { return byte == 0; });
}

// The value of a key is never repeated: messages end up in logs.
void read_keys(const TableReader& reader, Mesh& mesh) {
  constexpr std::array<std::string_view, 2> kBoth{"key", "key_file"};
  reader.only_one(kBoth);
  if (auto key = reader.string("key", "\"${MESH_KEY}\"")) {
    const auto bytes = decode_base64(*key);
    if (!bytes) {
      reader.problem("key", fmt::format("this is not base64, {}", kKeyRemedy));
    } else if (bytes->size() != 16 && bytes->size() != 24 && bytes->size() != 32) {
      reader.problem(
          "key", fmt::format("a key has 16, 24 or 32 bytes, this one has {}, {}", bytes->size(), kKeyRemedy));
    }
    mesh.key = *std::move(key);
  }
  if (auto path = reader.string("key_file", "\"/etc/remora/mesh.key\"")) {
    if (path->empty()) reader.problem("key_file", "the path is empty, write that of a file with keys");
    mesh.key_file = *std::move(path);
  }
}

void read_addresses(const TableReader& reader, Draft& draft, Mesh& mesh) {
  mesh.bind = *Address::parse("0.0.0.0:7946");
  draft.mesh = reader.where("bind");
  if (const auto text = reader.string("bind", "\"0.0.0.0:7946\"")) {
    const auto address = parse_listen_address(*text);
    if (!address) {
      reader.problem("bind", address.error());
    } else if (!address->is_ip()) {
      reader.problem("bind", "gossip goes over UDP and TCP, write an IP address and a port");
    } else {
      mesh.bind = *address;
    }
  }
  const auto text = reader.string("advertise", "\"10.0.0.1\"");
  if (!text) return;
  auto address = Address::parse_ip(*text, 0);
  if (!address) address = Address::parse(*text);
  if (!address || !address->is_ip() || unspecified(*address)) {
    reader.problem("advertise",
                   in_quotes(*text) + " is nothing to be reached at, write an IP address of this host");
  } else {
    mesh.advertise = *address;
  }
}

void read_join(const TableReader& reader, Mesh& mesh) {
  for (const auto& item : reader.elements("join", "[\"10.0.0.1:7946\"]")) {
    const auto text = read_string(item, "\"10.0.0.1:7946\"", reader.report());
    if (!text) continue;
    auto member = parse_endpoint(*text);
    if (!member) {
      reader.report().add(item.where, member.error());
    } else if (member->address && !member->address->is_ip()) {
      reader.report().add(item.where, "a member is reached over UDP and TCP, write host:port");
    } else {
      mesh.join.push_back(*std::move(member));
    }
  }
}

void read_protocol(const TableReader& reader, discovery::swim::Settings& protocol) {
  reader.duration("probe_interval", protocol.probe_interval, 100ms, 1min);
  reader.duration("probe_timeout", protocol.probe_timeout, 10ms, 1min);
  reader.ordered("probe_timeout", protocol.probe_timeout, "probe_interval", protocol.probe_interval);
  reader.integer("indirect_checks", protocol.indirect_checks, 0, 10);
  reader.integer("suspicion_mult", protocol.suspicion_mult, 1, 20);
  reader.integer("suspicion_max_mult", protocol.suspicion_max_mult, 1, 20);
  reader.integer("awareness_max", protocol.awareness_max, 1, 32);
  reader.integer("retransmit_mult", protocol.retransmit_mult, 1, 20);
  reader.integer("gossip_nodes", protocol.gossip_nodes, 1, 20);
  reader.duration("gossip_interval", protocol.gossip_interval, 10ms, 1min);
  reader.duration("gossip_to_dead", protocol.gossip_to_dead, 1s, 24h);
  reader.duration("push_pull_interval", protocol.push_pull_interval, 1s, 24h);
  reader.duration("stream_timeout", protocol.stream_timeout, 100ms, 5min);
  reader.duration("dead_reclaim", protocol.dead_reclaim, 0s, 24h);
  reader.duration("reconnect_interval", protocol.reconnect_interval, 1s, 24h);
  reader.duration("reconnect_timeout", protocol.reconnect_timeout, 0s, 8760h);
  reader.integer("members_max", protocol.members_max, 2, 16384);
  reader.integer("packets_per_second", protocol.packets_per_second, 100, 1000000);
}

MeshService read_service(const TableReader& reader, Draft& draft) {
  MeshService read;
  discovery::swim::ServiceSettings& service = read.service;
  service.zone = draft.config.runtime.zone;
  if (!reader.has("name")) reader.problem("name", "a service needs a name, write name = \"orders\"");
  if (const auto name = reader.string("name", "\"orders\"")) {
    reader.complain("name", check_name(*name));
    service.name = *name;
  }
  if (!reader.has("port")) reader.problem("port", "a service needs a port, write that of its listener");
  reader.integer("port", service.port, 1, 65535);
  reader.integer("weight", service.weight, 1, 65535);
  if (const auto zone = reader.string("zone", "\"eu-1a\"")) service.zone = *zone;
  if (!service.zone.empty()) reader.complain("zone", check_service_word(service.zone));
  for (const auto& item : reader.elements("tags", "[\"blue\"]")) {
    const auto tag = read_string(item, "\"blue\"", reader.report());
    if (!tag) continue;
    if (const auto complaint = check_service_word(*tag)) reader.report().add(item.where, *complaint);
    service.tags.push_back(*tag);
  }
  if (const auto cluster = reader.string("cluster", "\"app\"")) {
    read.cluster = *cluster;
    draft.services.push_back({*cluster, reader.where("cluster")});
  }
  return read;
}

void read_services(const TableReader& reader, Draft& draft, Mesh& mesh) {
  std::vector<discovery::swim::ServiceSettings> all;
  for (const auto& item : reader.tables("service", "mesh.service")) {
    const TableReader service(item.node, "mesh.service", item.where, reader.report());
    mesh.services.push_back(read_service(service, draft));
    const auto& name = mesh.services.back().service.name;
    if (!name.empty() && std::ranges::find(all, name, &discovery::swim::ServiceSettings::name) != all.end()) {
      service.problem("name", in_quotes(name) + " is announced already, give this one another name");
    }
    all.push_back(mesh.services.back().service);
  }
  using discovery::swim::kSetBytes;
  using discovery::swim::kSetServices;
  if (all.size() > kSetServices) {
    reader.problem("service",
                   fmt::format("a member announces {} services at most, these are {}, leave some out",
                               kSetServices, all.size()));
  } else if (const auto bytes = discovery::swim::announced_bytes(all); bytes > kSetBytes) {
    reader.problem("service", fmt::format("a member can say {} bytes of its services, these take {}, "
                                          "shorten names and tags or leave some out",
                                          kSetBytes, bytes));
  }
}

}  // namespace

void read_mesh(const TableReader& top, Draft& draft) {
  const auto reader = top.table("mesh", "mesh");
  if (!reader.present()) return;
  Mesh& mesh = draft.config.mesh.emplace();
  if (const auto node = reader.string("node", "\"${HOSTNAME}\"")) {
    reader.complain("node", check_name(*node));
    mesh.node = *node;
  }
  read_addresses(reader, draft, mesh);
  read_join(reader, mesh);
  read_keys(reader, mesh);
  if (auto label = reader.string("label", "\"production\"")) {
    if (label->size() > kLongestLabel) {
      reader.problem("label", fmt::format("at most {} bytes, this one has {}, shorten it", kLongestLabel,
                                          label->size()));
    }
    mesh.label = *std::move(label);
  }
  if (auto path = reader.string("snapshot", "\"/var/lib/remora/members\"")) mesh.snapshot = *std::move(path);
  read_services(reader, draft, mesh);
  reader.choice<Profile>("profile", mesh.profile, kProfiles);
  mesh.protocol = settings_of(mesh.profile);
  read_protocol(reader.table("protocol"), mesh.protocol);
}

void write_mesh(TomlWriter& out, const Mesh& mesh, Secrets secrets) {
  out.table("mesh");
  if (!mesh.node.empty()) out.text("node", mesh.node);
  out.text("bind", mesh.bind.to_string());
  if (mesh.advertise.is_ip()) {
    out.text("advertise", mesh.advertise.port() == 0 ? mesh.advertise.host() : mesh.advertise.to_string());
  }
  std::vector<std::string> join;
  join.reserve(mesh.join.size());
  for (const Endpoint& member : mesh.join) join.push_back(member.name);
  out.list("join", join);
  if (!mesh.key.empty()) {
    if (secrets == Secrets::kShow) {
      out.text("key", mesh.key);
    } else {
      out.line("# key = \"***\"");
    }
  }
  if (!mesh.key_file.empty()) out.text("key_file", mesh.key_file);
  out.text("label", mesh.label);
  out.text("snapshot", mesh.snapshot);
  for (const auto& [word, profile] : kProfiles) {
    if (profile == mesh.profile) out.text("profile", word);
  }
  const discovery::swim::Settings& protocol = mesh.protocol;
  out.table("mesh.protocol");
  out.duration("probe_interval", protocol.probe_interval);
  out.duration("probe_timeout", protocol.probe_timeout);
  out.integer("indirect_checks", protocol.indirect_checks);
  out.integer("suspicion_mult", protocol.suspicion_mult);
  out.integer("suspicion_max_mult", protocol.suspicion_max_mult);
  out.integer("awareness_max", protocol.awareness_max);
  out.integer("retransmit_mult", protocol.retransmit_mult);
  out.integer("gossip_nodes", protocol.gossip_nodes);
  out.duration("gossip_interval", protocol.gossip_interval);
  out.duration("gossip_to_dead", protocol.gossip_to_dead);
  out.duration("push_pull_interval", protocol.push_pull_interval);
  out.duration("stream_timeout", protocol.stream_timeout);
  out.duration("dead_reclaim", protocol.dead_reclaim);
  out.duration("reconnect_interval", protocol.reconnect_interval);
  out.duration("reconnect_timeout", protocol.reconnect_timeout);
  out.integer("members_max", protocol.members_max);
  out.integer("packets_per_second", protocol.packets_per_second);
  for (const auto& [service, cluster] : mesh.services) {
    out.element("mesh.service");
    out.text("name", service.name);
    out.integer("port", service.port);
    out.integer("weight", service.weight);
    out.text("zone", service.zone);
    out.list("tags", service.tags);
    if (!cluster.empty()) out.text("cluster", cluster);
  }
}

}  // namespace remora::config
