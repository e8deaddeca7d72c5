// A configuration being read: the values so far, and beside them the lines that the checks across tables
// need.
//
// Thread: any, one at a time. Owner: load_text, for one file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/load.h"
#include "config/reader.h"
#include "config/report.h"

namespace remora::config {

// A route names a cluster; validate() turns the name into the index.
struct ClusterReference {
  std::size_t listener = 0;
  std::size_t route = 0;
  std::size_t position = 0;  // in the route's Forward::clusters
  std::string name;
  Where where;
};

// So does a breaker's fallback.
struct FallbackReference {
  std::size_t cluster = 0;  // whose fallback it is
  std::string name;
  Where where;
};

// And a service of the mesh, or a cluster that looks for one there.
struct ServiceReference {
  std::string name;  // of the cluster
  Where where;
};

struct Draft {
  explicit Draft(Report& problems, const Hooks& machine) : report(problems), hooks(machine) {}

  Config config;
  Report& report;
  const Hooks& hooks;

  // Beside config.listeners, their routes, config.clusters and their endpoints, index by index.
  std::vector<Where> listeners;
  std::vector<std::vector<Where>> routes;
  std::vector<Where> clusters;
  std::vector<std::vector<Where>> endpoints;

  std::vector<ClusterReference> references;
  std::vector<FallbackReference> fallbacks;
  std::vector<ServiceReference> services;
  std::vector<Where> discovers;
  std::vector<std::vector<Where>> hashes;  // beside `routes`: where `hash` stands
  Where admin;                             // of the admin address
  Where mesh;                              // of the mesh's
  bool clusters_unnamed =
      false;  // a cluster's name could not be read: a name that is missing may be that one
  bool listeners_missing = false;  // not one [[listener]] in the file, not even a wrong one
};

// Each reads its tables into the draft, with everything that can be judged without looking at other tables.
// Cold: there is much of it, and it runs seldom, so that its size counts, not its speed.
[[gnu::cold]] void read_process(const TableReader& top, Draft& draft);  // [runtime] [overload] [admin] [log]
[[gnu::cold]] void read_tracing(const TableReader& top, Draft& draft);  // [tracing]
[[gnu::cold]] void read_listeners(const TableReader& top, Draft& draft);  // [[listener]] with its routes
[[gnu::cold]] void read_clusters(const TableReader& top, Draft& draft);   // [[cluster]]
[[gnu::cold]] void read_cluster(const Item& item, Draft& draft);          // one of them
[[gnu::cold]] void read_mesh(const TableReader& top, Draft& draft);       // [mesh]

// One [[listener.route]] of the listener that is the draft's last; and what it does with a request.
[[gnu::cold]] void read_route(const TableReader& reader, Draft& draft);
// The route of a TCP listener that everything takes, out of the listener's own table.
[[gnu::cold]] void read_tcp_target(const TableReader& reader, Draft& draft);
[[gnu::cold]] void read_action(const TableReader& reader, Draft& draft, Route& route);
// The key `cluster`, which leads to it; it belongs to the listener's latest route.
[[gnu::cold]] void read_target(const TableReader& reader, Draft& draft, Forward& forward);

// The parts of the draft's last [[cluster]] that decide whether to try an endpoint, and how often; among them
// those that judge its health. The endpoints have been read.
[[gnu::cold]] void read_resilience(const TableReader& reader, Draft& draft, Cluster& cluster);
[[gnu::cold]] void read_health(const TableReader& reader, Cluster& cluster);

// Elements of a list of endpoints. `places`: where each stands is added to it.
std::vector<Endpoint> read_endpoint_list(const std::vector<Item>& items, Report& report,
                                         std::vector<Where>& places);

// Who may speak to whom, and how it is known. The listener's routes come later; the cluster's endpoints have
// been read.
[[gnu::cold]] void read_listener_tls(const TableReader& reader, const Hooks& hooks, Listener& listener);
[[gnu::cold]] void read_cluster_tls(const TableReader& reader, const Hooks& hooks, Cluster& cluster);
// `reader`: the table with `allow` in it. `tls`: of the listener, null if it has none.
[[gnu::cold]] std::vector<std::string> read_allow(const TableReader& reader, std::string_view table,
                                                  const std::optional<ListenerTls>& tls);

// Tables that stand in several places. `reader` is the table itself.
[[gnu::cold]] Respond read_respond(const TableReader& reader);
[[gnu::cold]] breaker::RetrySettings read_retry(const TableReader& reader);
[[gnu::cold]] Rare<RateLimit> read_rate_limit(const TableReader& reader);  // none: the table is not there

}  // namespace remora::config
