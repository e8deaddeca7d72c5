// What requests of one listener share in one worker: settings, router, clusters, and where they are counted.
// It belongs to one configuration and never changes; a newer configuration makes a new one, and each exchange
// keeps the one it began with to its end.
//
// Thread: the worker's. Owner: the WorkerListener whose latest it is, and the exchanges that began with it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/ref.h"
#include "config/config.h"
#include "proxy/router.h"
#include "proxy/snapshot.h"
#include "proxy/stats.h"
#include "proxy/upstreams.h"

namespace remora::proxy {

// The numbers of one listener's name and one cluster's.
struct ExchangeCounter final : Counted<ExchangeCounter>, ExchangeStats {};

// What a listener has counted since there is one of this name, whatever else has changed about it.
struct ListenerTotals final : Counted<ListenerTotals> {
  ListenerStats stats;
  // By cluster: those of the latest configuration that have served one.
  std::map<std::string, Ref<ExchangeCounter>, std::less<>> exchanges;
};

// By cluster: whether the listener's routes, or the fallbacks of the clusters they lead to, lead there.
inline std::vector<bool> reached_clusters(const config::Config& config, const config::Listener& listener) {
  std::vector<bool> reached(config.clusters.size());
  for (const config::Route& route : listener.routes) {
    const auto* const forward = std::get_if<config::Forward>(&route.action);
    if (forward == nullptr) continue;
    for (const config::WeightedCluster& to : forward->clusters) {
      reached[to.cluster] = true;
      const auto* const fallback =
          std::get_if<config::WeightedCluster>(&config.clusters[to.cluster].fallback);
      if (fallback != nullptr) reached[fallback->cluster] = true;
    }
  }
  return reached;
}

struct ListenerContext final : Counted<ListenerContext> {
  // The listener at `index`. `from`: its router, clusters and states are those of the snapshot's
  // configuration.
  ListenerContext(const Snapshot& snapshot, std::size_t index, const Upstreams& upstreams,
                  Ref<ListenerTotals> counts, std::string_view via)
      : config(snapshot.config),
        settings(config->listeners[index]),
        tracing(config->tracing ? &*config->tracing : nullptr),
        router(std::span(settings.routes)
                   .first(settings.is_tcp() ? settings.routes.size() : settings.request_routes())),
        rates(snapshot.rates[index]),
        clusters(upstreams.clusters()),
        totals(std::move(counts)),
        stats(totals->stats),
        asks_clients(settings.tls && !settings.tls->client_ca.empty()),
        pseudonym(via),
        reached(reached_clusters(*config, settings)) {
    decltype(totals->exchanges) next;
    for (std::size_t i = 0; i <= config->clusters.size(); ++i) {
      const auto known = totals->exchanges.find(counted_at(i));
      exchanges.push_back(known != totals->exchanges.end() ? known->second : Ref<ExchangeCounter>());
      if (known != totals->exchanges.end()) next.insert(*known);
    }
    totals->exchanges = std::move(next);
  }

  static constexpr std::string_view kLocal = "-";  // for a cluster, where Remora itself has answered

  // The cluster's name, or kLocal.
  std::string_view counted_at(std::size_t cluster) const {
    return cluster < config->clusters.size() ? std::string_view(config->clusters[cluster].name) : kLocal;
  }
  // Null: none yet, whichever context it began with.
  const ExchangeCounter* counted(std::size_t cluster) const {
    if (exchanges[cluster]) return exchanges[cluster].get();
    const auto total = totals->exchanges.find(counted_at(cluster));
    return total != totals->exchanges.end() ? total->second.get() : nullptr;
  }
  // Where the exchanges that the cluster served are counted, with the others that this listener's earlier and
  // later contexts count there. Made for the first of them.
  ExchangeCounter& counter(std::size_t cluster) {
    Ref<ExchangeCounter>& counter = exchanges[cluster];
    if (!counter) {
      Ref<ExchangeCounter>& total = totals->exchanges[std::string(counted_at(cluster))];
      if (!total) total = Ref<ExchangeCounter>::make();
      counter = total;
    }
    return *counter;
  }

  bool trusts(const Address& peer) const {
    for (const Cidr& range : settings.trusted) {
      if (range.contains(peer)) return true;
    }
    return false;
  }
  // The next response is the last one of its connection.
  bool closing() const { return draining || trimmed; }
  // Where exchanges that no cluster served are counted.
  std::size_t local() const { return exchanges.size() - 1; }

  std::shared_ptr<const config::Config> config;
  const config::Listener& settings;
  const config::Tracing* tracing;  // null: off
  Router router;
  ListenerRates rates;
  std::vector<Ref<Cluster>> clusters;  // by the configuration's index
  Ref<ListenerTotals> totals;
  ListenerStats& stats;
  bool asks_clients;                            // for certificates: X-Forwarded-Client-Cert is ours to write
  std::string_view pseudonym;                   // this process's name in Via; outlives the context
  std::vector<Ref<ExchangeCounter>> exchanges;  // by cluster, the last for replies of our own; null: none yet
  std::vector<bool> reached;                    // by cluster: requests may come there
  bool draining = false;                        // every response is the last of its connection ...
  bool trimmed = false;                         // ... for a while, since Remora is overloaded
};

}  // namespace remora::proxy
