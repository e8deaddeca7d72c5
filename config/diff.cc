#include "config/diff.h"

#include <string_view>
#include <unordered_map>
#include <utility>

namespace remora::config {

namespace {

using Kind = Change::Kind;

std::string moved(std::string_view key, const std::string& before, const std::string& after) {
  return std::string(key) + " " + before + " -> " + after;
}

// Notes what differs, under the name its key has in the file.
class Details {
 public:
  template <typename T>
  void compare(std::string_view key, const T& before, const T& after) {
    if (!(before == after)) list_.emplace_back(key);
  }
  void compare_text(std::string_view key, const std::string& before, const std::string& after) {
    if (before != after) list_.push_back(moved(key, before, after));
  }
  std::vector<std::string> take() { return std::exchange(list_, {}); }

 private:
  std::vector<std::string> list_;
};

void add(std::vector<Change>& changes, std::string object, Details& details, bool restart = false) {
  auto list = details.take();
  if (list.empty()) return;
  changes.push_back(
      {.kind = Kind::kChanged, .object = std::move(object), .details = std::move(list), .restart = restart});
}

void diff_process(const Config& before, const Config& after, std::vector<Change>& changes) {
  Details details;
  details.compare("drain_delay", before.runtime.drain_delay, after.runtime.drain_delay);
  details.compare("drain_timeout", before.runtime.drain_timeout, after.runtime.drain_timeout);
  details.compare("exit_with", before.runtime.exit_with, after.runtime.exit_with);
  details.compare("zone", before.runtime.zone, after.runtime.zone);
  details.compare("watch", before.runtime.watch, after.runtime.watch);
  details.compare("core_dumps", before.runtime.core_dumps, after.runtime.core_dumps);
  add(changes, "runtime", details);
  details.compare("user", before.runtime.user, after.runtime.user);
  details.compare_text("workers", std::to_string(before.runtime.workers),
                       std::to_string(after.runtime.workers));
  details.compare("resolvers", before.runtime.resolvers, after.runtime.resolvers);
  add(changes, "runtime", details, true);
  details.compare("settings", before.overload, after.overload);
  add(changes, "overload", details);
  details.compare_text("address", before.admin.address.to_string(), after.admin.address.to_string());
  add(changes, "admin", details, true);
  details.compare("hosts", before.admin.hosts, after.admin.hosts);
  add(changes, "admin", details);
  details.compare("level", before.log.level, after.log.level);
  details.compare("format", before.log.format, after.log.format);
  details.compare("access.format", before.log.access.format, after.log.access.format);
  details.compare("access.sample", before.log.access.sample, after.log.access.sample);
  add(changes, "log", details);
  details.compare_text("access.path", before.log.access.path, after.log.access.path);
  add(changes, "log", details, true);
}

// Never a value: it may be a key.
void diff_mesh(const std::optional<Mesh>& before, const std::optional<Mesh>& after,
               std::vector<Change>& changes) {
  if (before.has_value() != after.has_value()) {
    changes.push_back(
        {.kind = after ? Kind::kAdded : Kind::kRemoved, .object = "mesh", .details = {}, .restart = true});
  }
  if (!before || !after) return;
  Details details;
  details.compare("node", before->node, after->node);
  details.compare("bind", before->bind, after->bind);
  details.compare("advertise", before->advertise, after->advertise);
  details.compare("join", before->join, after->join);
  details.compare("key", before->key, after->key);
  details.compare("key_file", before->key_file, after->key_file);
  details.compare("label", before->label, after->label);
  details.compare("snapshot", before->snapshot, after->snapshot);
  details.compare("profile", before->profile, after->profile);
  details.compare("protocol", before->protocol, after->protocol);
  add(changes, "mesh", details, true);
  details.compare("service", before->services, after->services);
  add(changes, "mesh", details);
}

void diff_tracing(const std::optional<Tracing>& before, const std::optional<Tracing>& after,
                  std::vector<Change>& changes) {
  if (before && after) {
    Details details;
    details.compare_text("endpoint", before->endpoint, after->endpoint);
    details.compare_text("service", before->service, after->service);
    details.compare("sample", before->sample, after->sample);
    details.compare("propagation", before->propagation, after->propagation);
    details.compare("batch", before->batch, after->batch);
    details.compare("queue", before->queue, after->queue);
    details.compare("interval", before->interval, after->interval);
    details.compare("timeout", before->timeout, after->timeout);
    details.compare("headers", before->headers, after->headers);
    add(changes, "tracing", details);
  } else if (before || after) {
    changes.push_back({.kind = after ? Kind::kAdded : Kind::kRemoved, .object = "tracing", .details = {}});
  }
}

// Routes name clusters by index, which means nothing in another configuration.
class RouteComparer {
 public:
  RouteComparer(const Config& before, const Config& after) : before_(before), after_(after) {}

  bool same(const std::vector<Route>& a, const std::vector<Route>& b) const {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (!same(a[i], b[i])) return false;
    }
    return true;
  }

  bool same(const WeightedCluster& a, const WeightedCluster& b) const {
    return a.weight == b.weight && before_.clusters[a.cluster].name == after_.clusters[b.cluster].name;
  }

  bool same(const Fallback& a, const Fallback& b) const {
    const auto* from = std::get_if<WeightedCluster>(&a);
    const auto* to = std::get_if<WeightedCluster>(&b);
    return from != nullptr && to != nullptr ? same(*from, *to) : a == b;
  }

 private:
  bool same(const Route& a, const Route& b) const {
    const auto* from = std::get_if<Forward>(&a.action);
    const auto* to = std::get_if<Forward>(&b.action);
    if (from == nullptr || to == nullptr) return a == b;
    if (from->clusters.size() != to->clusters.size()) return false;
    for (std::size_t i = 0; i < from->clusters.size(); ++i) {
      if (!same(from->clusters[i], to->clusters[i])) return false;
    }
    Route renamed = a;
    renamed.action = b.action;
    return renamed == b;
  }

  const Config& before_;
  const Config& after_;
};

void diff_listener(const Listener& before, const Listener& after, const RouteComparer& comparer,
                   std::vector<Change>& changes) {
  Details details;
  details.compare_text("address", before.address.to_string(), after.address.to_string());
  details.compare("protocol", before.protocol, after.protocol);
  details.compare("direction", before.direction, after.direction);
  details.compare("trusted", before.trusted, after.trusted);
  details.compare("timeouts", before.timeouts, after.timeouts);
  details.compare("limits", before.limits, after.limits);
  details.compare("rate_limit", before.rate_limit, after.rate_limit);
  details.compare("proxy_protocol", before.proxy_protocol, after.proxy_protocol);
  details.compare("original_destination", before.original_destination, after.original_destination);
  details.compare("tls", before.tls, after.tls);
  details.compare("allow", before.allow, after.allow);
  details.compare("routes", true, comparer.same(before.routes, after.routes));
  add(changes, "listener " + after.name, details);
}

template <typename List>
auto by_name(const List& list) {
  std::unordered_map<std::string_view, const typename List::value_type*> map;
  for (const auto& item : list) map.emplace(item.name, &item);
  return map;
}

// `changed` is called with what is in both.
template <typename List, typename Object, typename Changed>
void diff_lists(const List& before, const List& after, std::vector<Change>& changes, Object object,
                Changed changed) {
  const auto known = by_name(before);
  const auto kept = by_name(after);
  for (const auto& item : after) {
    const auto same = known.find(item.name);
    if (same == known.end()) {
      changes.push_back({.kind = Kind::kAdded, .object = object(item), .details = {}});
    } else {
      changed(*same->second, item);
    }
  }
  for (const auto& item : before) {
    if (kept.contains(item.name)) continue;
    changes.push_back({.kind = Kind::kRemoved, .object = object(item), .details = {}});
  }
}

void diff_endpoint(const std::string& object, const Endpoint& before, const Endpoint& after,
                   std::vector<Change>& changes) {
  Details details;
  details.compare_text("weight", std::to_string(before.weight), std::to_string(after.weight));
  details.compare("zone", before.zone, after.zone);
  details.compare_text("priority", std::to_string(before.priority), std::to_string(after.priority));
  details.compare("address", before.address, after.address);
  add(changes, object, details);
}

void diff_cluster(const Cluster& before, const Cluster& after, const RouteComparer& comparer,
                  std::vector<Change>& changes) {
  Details details;
  details.compare("discover", before.discover, after.discover);
  details.compare("balance", before.balance, after.balance);
  details.compare("timeouts", before.timeouts, after.timeouts);
  details.compare("limits", before.limits, after.limits);
  details.compare("adaptive", before.adaptive, after.adaptive);
  const bool same_breaker = before.breaker == after.breaker && before.breaker_scope == after.breaker_scope &&
                            comparer.same(before.fallback, after.fallback);
  details.compare("breaker", true, same_breaker);
  details.compare("outlier", before.outlier, after.outlier);
  details.compare("health_check", before.health_check, after.health_check);
  details.compare("tls", before.tls, after.tls);
  details.compare("proxy_protocol", before.proxy_protocol, after.proxy_protocol);
  details.compare("slow_start", before.slow_start, after.slow_start);
  details.compare("retry", true, before.retry == after.retry && before.retry_budget == after.retry_budget);
  add(changes, "cluster " + after.name, details);
  if (before.endpoints.is(after.endpoints)) return;
  const auto object = [&](const Endpoint& e) { return "endpoint " + e.name + " of cluster " + after.name; };
  diff_lists(before.endpoints, after.endpoints, changes, object,
             [&](const Endpoint& a, const Endpoint& b) { diff_endpoint(object(b), a, b, changes); });
}

}  // namespace

const char* to_string(Change::Kind kind) {
  switch (kind) {
    case Change::Kind::kAdded: return "added";
    case Change::Kind::kRemoved: return "removed";
    case Change::Kind::kChanged: return "changed";
  }
  return "changed";
}

std::string Change::to_string() const {
  std::string line = std::string(config::to_string(kind)) + " " + object;
  for (std::size_t i = 0; i < details.size(); ++i) line += (i == 0 ? ": " : ", ") + details[i];
  if (restart) line += " (takes effect at restart)";
  return line;
}

std::vector<Change> diff(const Config& before, const Config& after) {
  std::vector<Change> changes;
  const RouteComparer comparer(before, after);
  diff_process(before, after, changes);
  diff_mesh(before.mesh, after.mesh, changes);
  diff_tracing(before.tracing, after.tracing, changes);
  diff_lists(
      before.listeners, after.listeners, changes, [](const Listener& l) { return "listener " + l.name; },
      [&](const Listener& a, const Listener& b) { diff_listener(a, b, comparer, changes); });
  diff_lists(
      before.clusters, after.clusters, changes, [](const Cluster& c) { return "cluster " + c.name; },
      [&](const Cluster& a, const Cluster& b) { diff_cluster(a, b, comparer, changes); });
  return changes;
}

std::vector<Change> diff_restart(const Config& started, const Config& after) {
  std::vector<Change> changes;
  diff_process(started, after, changes);
  diff_mesh(started.mesh, after.mesh, changes);
  std::erase_if(changes, [](const Change& change) { return !change.restart; });
  return changes;
}

}  // namespace remora::config
