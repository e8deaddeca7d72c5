#include <fmt/format.h>

#include <array>

#include "config/draft.h"
#include "config/values.h"

namespace remora::config {

namespace {

using lb::Algorithm;
using Versions = std::pair<std::string_view, ProxyProtocol>;
constexpr std::array kProxyProtocols{Versions{"none", ProxyProtocol::kNone},
                                     Versions{"v1", ProxyProtocol::kV1}, Versions{"v2", ProxyProtocol::kV2}};
using Words = std::pair<std::string_view, Algorithm>;
constexpr std::array kAlgorithms{
    Words{"round_robin", Algorithm::kRoundRobin}, Words{"least_request", Algorithm::kLeastRequest},
    Words{"random", Algorithm::kRandom},          Words{"peak_ewma", Algorithm::kPeakEwma},
    Words{"ring_hash", Algorithm::kRingHash},     Words{"maglev", Algorithm::kMaglev}};

constexpr double kMostBound = 100;

void read_name(const TableReader& reader, Cluster& cluster) {
  if (!reader.has("name")) reader.problem("name", "a cluster needs a name, write name = \"app\"");
  const auto name = reader.string("name", "\"app\"");
  if (!name) return;
  if (const auto complaint = check_name(*name)) reader.problem("name", *complaint);
  cluster.name = *name;
}

void read_address(const Item& item, std::string_view text, Report& report, Endpoint& endpoint) {
  if (auto parsed = parse_endpoint(text)) {
    endpoint.name = std::move(parsed->name);
    endpoint.address = std::move(parsed->address);
    endpoint.host = std::move(parsed->host);
  } else {
    report.add(item.where, parsed.error());
  }
}

Endpoint read_endpoint(const Item& item, Report& report) {
  Endpoint endpoint;
  if (item.node->kind == Node::Kind::kString) {
    read_address(item, item.node->text, report, endpoint);
    return endpoint;
  }
  if (item.node->kind != Node::Kind::kTable) {
    read_string(item, "\"127.0.0.1:3000\"", report);
    return endpoint;
  }
  const TableReader reader(item.node, "cluster.endpoints", item.where, report);
  if (!reader.has("address"))
    reader.problem("address", "the endpoint has no address, write address = \"host:port\"");
  if (const auto text = reader.string("address", "\"127.0.0.1:3000\"")) {
    read_address({reader.find("address"), reader.where("address")}, *text, report, endpoint);
  }
  reader.integer("weight", endpoint.weight, 1, 65535);
  reader.integer("priority", endpoint.priority, 0, 127);
  if (const auto zone = reader.string("zone", "\"eu-1a\"")) {
    const auto complaint = zone->empty() ? std::nullopt : check_name(*zone);
    if (complaint) reader.problem("zone", *complaint);
    endpoint.zone = *zone;
  }
  return endpoint;
}

constexpr std::array<std::string_view, 5> kSources{"swim", "file", "dns", "srv", "original_destination"};
constexpr std::array<std::string_view, 4> kOfTheMesh{"tags", "role_tag", "port_tag", "port"};

void read_swim(const TableReader& discover, discovery::swim::WantedSettings& wanted) {
  if (const auto name = discover.string("swim", "\"orders\"")) {
    discover.complain("swim", check_name(*name));
    wanted.service = *name;
  }
  for (const auto& item : discover.elements("tags", "[\"blue\"]")) {
    const auto tag = read_string(item, "\"blue\"", discover.report());
    if (!tag) continue;
    if (const auto complaint = check_service_word(*tag)) discover.report().add(item.where, *complaint);
    wanted.tags.push_back(*tag);
  }
  for (auto [key, out] : {std::pair("role_tag", &wanted.role_tag), std::pair("port_tag", &wanted.port_tag)}) {
    if (const auto tag = discover.string(key, "\"role\"")) {
      discover.complain(key, check_name(*tag));
      *out = *tag;
    }
  }
  discover.integer("port", wanted.port, 0, 65535);
}

void read_file_source(const TableReader& discover, Discover& found) {
  const auto path = discover.string("file", "\"/etc/remora/orders.toml\"");
  if (!path) return;
  if (!path->ends_with(".toml") && !path->ends_with(".json")) {
    discover.problem("file", in_quotes(*path) +
                                 " is neither TOML nor JSON by its name, let it end in .toml "
                                 "or .json");
  }
  found.name = *path;
}

// A name that is looked up like those in `endpoints`: it is the cluster's only one.
void read_dns_source(const TableReader& discover, Draft& draft, Cluster& cluster) {
  const auto text = discover.string("dns", "\"orders.internal:80\"");
  if (!text) return;
  auto endpoint = parse_endpoint(*text);
  if (!endpoint) return discover.problem("dns", endpoint.error());
  if (endpoint->address) {
    return discover.problem("dns", fmt::format("{} is an address and no name, write endpoints = [{}]",
                                               in_quotes(*text), in_quotes(*text)));
  }
  cluster.discover->name = *text;
  cluster.endpoints.push_back(*std::move(endpoint));
  draft.endpoints.back().push_back(discover.where("dns"));
}

void read_srv_source(const TableReader& discover, Discover& found) {
  const auto name = discover.string("srv", "\"_orders._tcp.internal\"");
  if (!name) return;
  discover.complain("srv", check_srv_name(*name));
  found.name = *name;
}

// Wherever connections were going: nobody knows it before they come.
void read_original_destination(const TableReader& reader, const TableReader& discover) {
  const auto wanted = discover.boolean("original_destination");
  if (wanted && !*wanted) {
    discover.problem("original_destination", "false means nothing here, write true or another source");
  }
  for (const auto key : {"health_check", "outlier"}) {
    if (!reader.has(key)) continue;
    reader.problem(key,
                   "this cluster's endpoints are wherever connections were going, nobody knows them before: "
                   "remove this");
  }
}

void read_discover(const TableReader& reader, Draft& draft, Cluster& cluster) {
  const auto discover = reader.table("discover");
  if (!discover.present()) return;
  if (reader.has("endpoints"))
    reader.problem("discover", "a cluster has endpoints or discovers them, remove one");
  auto& found = cluster.discover.emplace();
  const auto source = discover.only_one(kSources);
  if (source == "file") {
    found.source = Discover::Source::kFile;
    read_file_source(discover, found);
  } else if (source == "dns") {
    found.source = Discover::Source::kDns;
    read_dns_source(discover, draft, cluster);
  } else if (source == "srv") {
    found.source = Discover::Source::kSrv;
    read_srv_source(discover, found);
  } else if (source == "original_destination") {
    found.source = Discover::Source::kOriginalDestination;
    read_original_destination(reader, discover);
  } else {
    if (source.empty()) {
      discover.problem("swim", "there is nothing to look for, write swim = \"orders\", or file, dns or srv");
    } else {
      draft.discovers.push_back(reader.where("discover"));
    }
    return read_swim(discover, found.swim);
  }
  for (const auto key : kOfTheMesh) {
    if (discover.has(key)) discover.problem(key, "only members of the mesh have it, remove it or use swim");
  }
}

// What is written in every cluster is kept once.
void share_settings(Cluster& cluster, const Cluster& before) {
  cluster.discover.share(before.discover);
  cluster.health_check.share(before.health_check);
  cluster.tls.share(before.tls);
}

void read_endpoints(const TableReader& reader, Draft& draft, Cluster& cluster) {
  read_discover(reader, draft, cluster);
  if (reader.has("discover") && !reader.has("endpoints")) return;
  if (!reader.has("endpoints")) {
    reader.problem("endpoints", "a cluster needs endpoints, write endpoints = [\"127.0.0.1:3000\"]");
    return;
  }
  const auto items = reader.elements("endpoints", "[\"127.0.0.1:3000\"]");
  const auto* list = reader.find("endpoints");
  if (list->kind == Node::Kind::kArray && items.empty()) {
    reader.problem("endpoints", "the list is empty, write at least one, as in [\"127.0.0.1:3000\"]");
  }
  cluster.endpoints = read_endpoint_list(items, reader.report(), draft.endpoints.back());
}

void read_balance(const TableReader& reader, lb::Settings& balance) {
  reader.choice<Algorithm>("balance", balance.algorithm, kAlgorithms);
  const auto bound = reader.number("bounded_load", 0, kMostBound);
  if (!bound || *bound == 0) return;
  balance.bounded_load = *bound;
  if (*bound <= 1) {
    reader.problem("bounded_load",
                   fmt::format("{} would leave no room, write a factor above 1 such as 1.25, or 0 for "
                               "no bound",
                               *bound));
  }
  const bool hashes = balance.algorithm == Algorithm::kRingHash || balance.algorithm == Algorithm::kMaglev;
  const auto* chosen = reader.find("balance");
  const bool known = chosen == nullptr || chosen->kind == Node::Kind::kString;
  if (hashes || !known) return;
  reader.problem("bounded_load", "only ring_hash and maglev have a bound, remove it or change balance");
}

}  // namespace

std::vector<Endpoint> read_endpoint_list(const std::vector<Item>& items, Report& report,
                                         std::vector<Where>& places) {
  std::vector<Endpoint> endpoints;
  endpoints.reserve(items.size());
  for (const auto& item : items) {
    endpoints.push_back(read_endpoint(item, report));
    places.push_back(item.where);
  }
  return endpoints;
}

void read_cluster(const Item& item, Draft& draft) {
  const TableReader reader(item.node, "cluster", named(item, "cluster"), draft.report);
  auto& clusters = draft.config.clusters.edit();
  auto& cluster = clusters.emplace_back();
  draft.endpoints.emplace_back();
  read_name(reader, cluster);
  if (cluster.name.empty()) draft.clusters_unnamed = true;
  draft.clusters.push_back(reader.where());
  read_endpoints(reader, draft, cluster);
  read_balance(reader, cluster.balance);
  const auto timeouts = reader.table("timeouts");
  timeouts.duration("connect", cluster.timeouts.connect, 1ms, 1h);
  timeouts.duration("idle", cluster.timeouts.idle, 1ms, 24h);
  read_resilience(reader, draft, cluster);
  read_cluster_tls(reader, draft.hooks, cluster);
  reader.choice<ProxyProtocol>("proxy_protocol", cluster.proxy_protocol, kProxyProtocols);
  if (clusters.size() > 1) share_settings(cluster, clusters[clusters.size() - 2]);
}

void read_clusters(const TableReader& top, Draft& draft) {
  const auto* node = top.find("cluster");
  draft.clusters_unnamed = node != nullptr && node->kind != Node::Kind::kArray;
  for (const auto& item : top.tables("cluster", "cluster")) read_cluster(item, draft);
}

}  // namespace remora::config
