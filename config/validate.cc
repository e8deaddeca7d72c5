#include "config/validate.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/reachable.h"
#include "config/suggest.h"

namespace remora::config {

namespace {

// Finds the second of two equal values and says where the first one is.
class Duplicates final {
 public:
  Duplicates(Report& report, std::string_view what, std::string_view remedy)
      : report_(report), what_(what), remedy_(remedy) {}

  void see(const std::string& value, const Where& where) {
    if (value.empty()) return;
    const auto [first, fresh] = lines_.emplace(value, where.line);
    if (fresh) return;
    report_.add(where, fmt::format("{} {} is used at line {} already, {}", what_, in_quotes(value),
                                   first->second, remedy_));
  }

 private:
  Report& report_;
  std::string_view what_;
  std::string_view remedy_;
  std::unordered_map<std::string, std::size_t> lines_;
};

// What another socket could not be bound to as well; empty for port 0, of which the system chooses each time.
std::string bound(const Address& address) {
  if (address.kind() == Address::Kind::kNone || (address.is_ip() && address.port() == 0)) return {};
  return address.to_string();
}

void check_listeners(Draft& draft) {
  if (draft.listeners_missing) {
    draft.report.add({0, "listener"},
                     "there is none, add [[listener]] with address = \"0.0.0.0:8080\" and a route");
  }
  Duplicates addresses(draft.report, "address", "choose another port");
  addresses.see(bound(draft.config.admin.address), draft.admin);
  Duplicates names(draft.report, "name", "give this listener another one with name = \"...\"");
  for (std::size_t i = 0; i < draft.listeners.size(); ++i) {
    const auto& listener = draft.config.listeners[i];
    addresses.see(bound(listener.address), draft.listeners[i]);
    // Equal addresses have been complained about; equal names that come from them would say the same again.
    const bool from_address = listener.name == bound(listener.address);
    if (!from_address) names.see(listener.name, draft.listeners[i]);
  }
  if (draft.config.mesh) addresses.see(bound(draft.config.mesh->bind), draft.mesh);
}

void check_clusters(Draft& draft) {
  Duplicates names(draft.report, "name", "rename this cluster");
  for (std::size_t i = 0; i < draft.clusters.size(); ++i) {
    const auto& cluster = draft.config.clusters[i];
    names.see(cluster.name, draft.clusters[i]);
    check_endpoints(cluster.endpoints, draft.endpoints[i], draft.report);
  }
}

// The remedy for a reference to a cluster that is not there; nullopt if it may be there after all.
std::optional<std::string> about_missing(std::string_view name, std::span<const std::string_view> clusters,
                                         const Draft& draft) {
  if (draft.report.full()) return "";
  if (draft.clusters_unnamed && !nearest(name, clusters)) return std::nullopt;
  if (clusters.empty()) return ", add a [[cluster]] with this name";
  std::string some;
  for (const auto known : clusters.first(std::min<std::size_t>(clusters.size(), 8))) {
    some += some.empty() ? in_quotes(known) : ", " + in_quotes(known);
  }
  return did_you_mean(name, clusters, ", the clusters are " + some);
}

// The clusters by name: the first of each.
class ClusterNames final {
 public:
  explicit ClusterNames(Draft& draft) : draft_(draft) {
    for (std::size_t i = 0; i < draft.config.clusters.size(); ++i) {
      const auto& name = draft.config.clusters[i].name;
      if (index_.emplace(name, i).second && !name.empty()) names_.push_back(name);
    }
  }

  // nullopt: there is none, and that has been reported.
  std::optional<std::size_t> find(std::string_view name, const Where& where) const {
    const auto found = index_.find(name);
    if (found != index_.end() && !name.empty()) return found->second;
    const auto remedy = about_missing(name, names_, draft_);
    if (remedy) draft_.report.add(where, fmt::format("there is no cluster {}{}", in_quotes(name), *remedy));
    return std::nullopt;
  }

 private:
  Draft& draft_;
  std::unordered_map<std::string_view, std::size_t> index_;
  std::vector<std::string_view> names_;
};

void resolve(Draft& draft) {
  const ClusterNames names(draft);
  for (const auto& reference : draft.references) {
    const auto found = names.find(reference.name, reference.where);
    if (!found) continue;
    auto& action = draft.config.listeners[reference.listener].routes[reference.route].action;
    if (auto* forward = std::get_if<Forward>(&action); forward != nullptr) {
      if (reference.position < forward->clusters.size())
        forward->clusters[reference.position].cluster = *found;
    }
  }
  for (const auto& reference : draft.fallbacks) {
    const auto found = names.find(reference.name, reference.where);
    if (!found) continue;
    draft.config.clusters.edit()[reference.cluster].fallback = WeightedCluster{*found, 1};
    if (*found != reference.cluster) continue;
    draft.report.add(reference.where,
                     "a cluster cannot fall back to itself, name another one or remove the fallback");
  }
}

// Whoever needs a mesh has one, and a service that depends on checks is checked.
void check_services(Draft& draft) {
  const ClusterNames names(draft);
  for (const auto& reference : draft.services) {
    const auto found = names.find(reference.name, reference.where);
    if (!found || draft.config.clusters[*found].health_check) continue;
    draft.report.add(reference.where,
                     fmt::format("cluster {} has no [cluster.health_check], so nothing would ever "
                                 "withdraw the service, add one or remove this key",
                                 in_quotes(reference.name)));
  }
  if (draft.config.mesh) return;
  for (const Where& where : draft.discovers) {
    draft.report.add(where, "this looks for endpoints in the mesh, and there is none, add [mesh]");
  }
}

bool hashing(const Cluster& cluster) {
  return cluster.balance.algorithm == lb::Algorithm::kRingHash ||
         cluster.balance.algorithm == lb::Algorithm::kMaglev;
}

// A hash that no cluster of the route looks at. Only when everything else is right: the indices must be.
void check_hashes(Draft& draft) {
  for (std::size_t i = 0; i < draft.config.listeners.size(); ++i) {
    const auto& routes = draft.config.listeners[i].routes;
    for (std::size_t k = 0; k < draft.config.listeners[i].request_routes(); ++k) {
      const auto* forward = std::get_if<Forward>(&routes[k].action);
      if (forward == nullptr || routes[k].hash.source == HashKey::Source::kNone) continue;
      const bool used = std::ranges::any_of(forward->clusters, [&](const WeightedCluster& weighted) {
        return hashing(draft.config.clusters[weighted.cluster]);
      });
      if (used) continue;
      draft.report.add(draft.hashes[i][k],
                       fmt::format("cluster {} does not balance by hash, set balance = \"ring_hash\" or "
                                   "\"maglev\" there, or remove the hash",
                                   in_quotes(draft.config.clusters[forward->clusters.front().cluster].name)));
    }
  }
}

// Pooled connections carry requests of many clients: a header at their beginning would speak for the wrong
// one.
void check_headers(Draft& draft) {
  for (std::size_t i = 0; i < draft.config.listeners.size(); ++i) {
    const auto& routes = draft.config.listeners[i].routes;
    for (std::size_t k = 0; k < draft.config.listeners[i].request_routes(); ++k) {
      const auto* forward = std::get_if<Forward>(&routes[k].action);
      if (forward == nullptr || routes[k].match.connect) continue;
      for (const auto& weighted : forward->clusters) {
        const Cluster& cluster = draft.config.clusters[weighted.cluster];
        const auto* fallback = std::get_if<WeightedCluster>(&cluster.fallback);
        const Cluster& other = fallback != nullptr ? draft.config.clusters[fallback->cluster] : cluster;
        for (const Cluster* to : {&cluster, &other}) {
          if (to->proxy_protocol == ProxyProtocol::kNone) continue;
          draft.report.add(
              draft.routes[i][k],
              fmt::format("requests come to cluster {}, whose proxy_protocol is for listeners with "
                          "protocol = \"tcp\": X-Forwarded-For says where requests come from, remove it",
                          in_quotes(to->name)));
          break;
        }
      }
    }
  }
}

// Whoever goes where a connection was going must know where that was.
void check_destinations(Draft& draft) {
  for (std::size_t i = 0; i < draft.config.listeners.size(); ++i) {
    const Listener& listener = draft.config.listeners[i];
    if (listener.original_destination) continue;
    for (std::size_t k = 0; k < listener.routes.size(); ++k) {
      const auto* forward = std::get_if<Forward>(&listener.routes[k].action);
      if (forward == nullptr) continue;
      for (const auto& weighted : forward->clusters) {
        const Cluster& cluster = draft.config.clusters[weighted.cluster];
        const auto* fallback = std::get_if<WeightedCluster>(&cluster.fallback);
        const Cluster& other = fallback != nullptr ? draft.config.clusters[fallback->cluster] : cluster;
        for (const Cluster* to : {&cluster, &other}) {
          if (!to->goes_anywhere()) continue;
          draft.report.add(draft.routes[i][k],
                           fmt::format("cluster {} goes where connections were going before they were "
                                       "redirected, write original_destination = true in this listener",
                                       in_quotes(to->name)));
          break;
        }
      }
    }
  }
}

void check_reachable(Draft& draft) {
  for (std::size_t i = 0; i < draft.config.listeners.size(); ++i) {
    const auto& listener = draft.config.listeners[i];
    // Beside those for requests, the last one of those for connections may take everything.
    const std::size_t count = listener.is_tcp() ? listener.routes.size() : listener.request_routes();
    for (const auto& [route, covered_by] : find_unreachable(listener.routes, count)) {
      const bool everything = covers(listener.routes[covered_by].match, Match{});
      draft.report.add(
          draft.routes[i][route],
          fmt::format("never reached: route at line {} matches {}, move this one before it or remove it",
                      draft.routes[i][covered_by].line,
                      everything ? "everything" : "all that this one does"));
    }
  }
}

}  // namespace

void check_endpoints(std::span<const Endpoint> endpoints, const std::vector<Where>& places, Report& report) {
  Duplicates seen(report, "endpoint", "remove one, or give it a higher weight");
  for (std::size_t i = 0; i < places.size(); ++i) seen.see(endpoints[i].name, places[i]);
}

void validate(Draft& draft) {
  check_listeners(draft);
  check_clusters(draft);
  resolve(draft);
  check_services(draft);
  check_reachable(draft);
  if (!draft.report.empty()) return;
  check_hashes(draft);
  check_headers(draft);
  check_destinations(draft);
}

}  // namespace remora::config
