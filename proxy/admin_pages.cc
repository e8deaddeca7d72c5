#include "proxy/admin_pages.h"

#include <nlohmann/json.hpp>

#include "proxy/report.h"

namespace remora::proxy {
namespace {

using Json = nlohmann::ordered_json;

Json describe(const EndpointReport& endpoint) {
  const EndpointStats& stats = endpoint.stats;
  return {{"name", endpoint.name},
          {"address", endpoint.address},
          {"zone", endpoint.zone},
          {"weight", endpoint.weight},
          {"priority", endpoint.priority},
          {"available", endpoint.available},
          {"latency_ms", endpoint.latency_seconds * 1e3},
          {"active_requests", stats.requests_active},
          {"active_connections", stats.connections_active},
          {"idle_connections", stats.connections_idle},
          {"connections", stats.connections_total},
          {"connect_failures", stats.connect_failures},
          {"requests", stats.requests},
          {"failures", stats.failures}};
}

Json describe(const ClusterReport& cluster) {
  Json endpoints = Json::array();
  for (const EndpointReport& endpoint : cluster.endpoints) endpoints.push_back(describe(endpoint));
  return {{"name", cluster.name},
          {"transparent_retries", cluster.stats.transparent_retries},
          {"endpoints", std::move(endpoints)}};
}

}  // namespace

std::string clusters_json(const std::vector<WorkerReport>& reports) {
  Json clusters = Json::array();
  for (const ClusterReport& cluster : merge_reports(reports).clusters) clusters.push_back(describe(cluster));
  // Names come from the configuration, which is UTF-8; should one not be, the page is still a page.
  const Json page{{"clusters", std::move(clusters)}};
  return page.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace remora::proxy
