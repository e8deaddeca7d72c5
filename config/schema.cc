#include "config/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "config/report.h"
#include "config/suggest.h"

namespace remora::config {

namespace {

using Keys = std::string_view[];

constexpr Keys kTop = {"runtime", "admin", "log", "listener", "cluster"};
constexpr Keys kRuntime = {"workers", "drain_timeout", "zone"};
constexpr Keys kAdmin = {"address"};
constexpr Keys kLog = {"level", "format", "access"};
constexpr Keys kAccess = {"format", "path", "sample"};
constexpr Keys kListener = {"name", "address", "trusted", "timeouts", "limits", "route"};
constexpr Keys kListenerTimeouts = {"header", "body_idle", "keep_alive", "tunnel_idle"};
constexpr Keys kListenerLimits = {"connections", "header_bytes", "header_fields", "body_bytes"};
constexpr Keys kRoute = {
    "host",     "path",    "prefix",  "regex",           "methods",          "headers", "cluster", "clusters",
    "redirect", "respond", "rewrite", "request_headers", "response_headers", "timeout", "hash"};
constexpr Keys kRouteClusters = {"name", "weight"};
constexpr Keys kRedirect = {"to", "status", "scheme", "host", "path"};
constexpr Keys kRespond = {"status", "body", "content_type"};
constexpr Keys kHash = {"header", "cookie", "source", "query", "path"};
constexpr Keys kEdits = {"set", "add", "remove"};
constexpr Keys kCluster = {"name", "endpoints", "balance", "bounded_load", "timeouts"};
constexpr Keys kEndpoint = {"address", "weight", "zone", "priority"};
constexpr Keys kClusterTimeouts = {"connect", "idle"};

constexpr std::array kTables{
    TableKeys{"", "at the top of the file", kTop},
    TableKeys{"runtime", "[runtime]", kRuntime},
    TableKeys{"admin", "[admin]", kAdmin},
    TableKeys{"log", "[log]", kLog},
    TableKeys{"log.access", "[log.access]", kAccess},
    TableKeys{"listener", "[[listener]]", kListener},
    TableKeys{"listener.timeouts", "[listener.timeouts]", kListenerTimeouts},
    TableKeys{"listener.limits", "[listener.limits]", kListenerLimits},
    TableKeys{"listener.route", "[[listener.route]]", kRoute},
    TableKeys{"listener.route.clusters", "an element of clusters", kRouteClusters},
    TableKeys{"listener.route.redirect", "[listener.route.redirect]", kRedirect},
    TableKeys{"listener.route.respond", "[listener.route.respond]", kRespond},
    TableKeys{"listener.route.hash", "[listener.route.hash]", kHash},
    TableKeys{"listener.route.request_headers", "[listener.route.request_headers]", kEdits},
    TableKeys{"listener.route.response_headers", "[listener.route.response_headers]", kEdits},
    TableKeys{"cluster", "[[cluster]]", kCluster},
    TableKeys{"cluster.endpoints", "an element of endpoints", kEndpoint},
    TableKeys{"cluster.timeouts", "[cluster.timeouts]", kClusterTimeouts},
};

constexpr std::size_t kMostPlaces = 3;

// "[cluster.timeouts]" or "[a] or [b]": where a key of that very name exists, places inside `table` first.
std::string belongs_in(std::string_view table, std::string_view key) {
  std::vector<const TableKeys*> places;
  const auto collect = [&](bool inside) {
    for (const auto& other : kTables) {
      const bool part = !table.empty() && other.table.starts_with(table);
      if (other.table == table || part != inside) continue;
      if (std::ranges::find(other.keys, key) != other.keys.end()) places.push_back(&other);
    }
  };
  collect(true);
  collect(false);
  std::string out;
  for (std::size_t i = 0; i < std::min(places.size(), kMostPlaces); ++i) {
    if (i > 0) out += " or ";
    out += places[i]->written;
  }
  return out;
}

// The nearest key of any other table, for a key that is both misspelt and misplaced.
std::string misspelt_elsewhere(std::string_view table, std::string_view key) {
  std::vector<std::string_view> all;
  for (const auto& other : kTables) {
    if (other.table != table) all.insert(all.end(), other.keys.begin(), other.keys.end());
  }
  const auto near = nearest(key, all);
  if (!near || edit_distance(*near, key) > 1) return {};
  return fmt::format("unknown key, did you mean {} in {}?", quoted(*near), belongs_in(table, *near));
}

}  // namespace

std::span<const TableKeys> known_tables() { return kTables; }

const TableKeys& table_keys(std::string_view table) {
  const auto found = std::ranges::find(kTables, table, &TableKeys::table);
  return found == kTables.end() ? kTables.front() : *found;
}

std::string about_unknown_key(std::string_view table, std::string_view key) {
  const auto& here = table_keys(table);
  const auto near = nearest(key, here.keys);
  const auto elsewhere = belongs_in(table, key);
  if (near && (elsewhere.empty() || edit_distance(*near, key) <= 1)) {
    return fmt::format("unknown key, did you mean {}?", quoted(*near));
  }
  if (!elsewhere.empty()) return fmt::format("unknown key here, it belongs in {}", elsewhere);
  if (auto message = misspelt_elsewhere(table, key); !message.empty()) return message;
  return fmt::format("unknown key, {} {}", table.empty() ? "the tables are" : "the keys here are",
                     listed(here.keys));
}

}  // namespace remora::config
