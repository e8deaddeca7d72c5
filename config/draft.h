// A configuration being read: the values so far, and beside them the lines that the checks across tables
// need.
//
// Thread: any, one at a time. Owner: load_text, for one file.
#pragma once

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
  std::vector<std::vector<Where>> hashes;  // beside `routes`: where `hash` stands
  Where admin;                             // of the admin address
  bool clusters_unnamed =
      false;  // a cluster's name could not be read: a name that is missing may be that one
  bool listeners_missing = false;  // not one [[listener]] in the file, not even a wrong one
};

// Each reads its tables into the draft, with everything that can be judged without looking at other tables.
void read_process(const TableReader& top, Draft& draft);    // [runtime] [admin] [log]
void read_listeners(const TableReader& top, Draft& draft);  // [[listener]] with its routes
void read_clusters(const TableReader& top, Draft& draft);   // [[cluster]]

// One [[listener.route]] of the listener that is the draft's last.
void read_route(const TableReader& reader, Draft& draft);

}  // namespace remora::config
