#include "proxy/report.h"

#include <algorithm>
#include <map>
#include <utility>

namespace remora::proxy {
namespace {

template <typename Item, typename KeyOf, typename Add>
void merge_into(std::vector<Item>& total, const std::vector<Item>& more, KeyOf key_of, Add add) {
  std::map<decltype(key_of(std::declval<const Item&>())), std::size_t> places;
  for (std::size_t i = 0; i < total.size(); ++i) places.emplace(key_of(total[i]), i);
  for (const Item& item : more) {
    const auto [place, is_new] = places.emplace(key_of(item), total.size());
    if (is_new) {
      total.push_back(item);
    } else {
      add(total[place->second], item);
    }
  }
}

template <typename Counts>
void add_each(Counts& total, const Counts& more) {
  for (std::size_t i = 0; i < total.size(); ++i) total[i] += more[i];
}

void add_listener(ListenerReport& total, const ListenerReport& more) {
  ListenerStats& sum = total.stats;
  sum.connections_total += more.stats.connections_total;
  sum.connections_active += more.stats.connections_active;
  sum.connections_refused += more.stats.connections_refused;
  sum.accept_paused += more.stats.accept_paused;
  sum.tls.merge(more.stats.tls);
  sum.bytes.received += more.stats.bytes.received;
  sum.bytes.sent += more.stats.bytes.sent;
  sum.bytes.spliced += more.stats.bytes.spliced;
  sum.bytes.pipes_missing += more.stats.bytes.pipes_missing;
  add_each(sum.local_replies, more.stats.local_replies);
}

void add_exchange(ExchangeReport& total, const ExchangeReport& more) {
  add_each(total.stats.codes, more.stats.codes);
  total.stats.seconds.merge(more.stats.seconds);
}

void add_endpoint(EndpointReport& total, const EndpointReport& more) {
  total.latency_seconds = std::max(total.latency_seconds, more.latency_seconds);
  EndpointStats& sum = total.stats;
  sum.requests += more.stats.requests;
  sum.failures += more.stats.failures;
  sum.connections_total += more.stats.connections_total;
  sum.connect_failures += more.stats.connect_failures;
  sum.connections_active += more.stats.connections_active;
  sum.connections_idle += more.stats.connections_idle;
  sum.requests_active += more.stats.requests_active;
}

void merge_endpoints(std::vector<EndpointReport>& total, const std::vector<EndpointReport>& more) {
  merge_into(total, more, [](const EndpointReport& e) { return e.address; }, add_endpoint);
}

void add_cluster(ClusterReport& total, const ClusterReport& more) {
  ClusterStats& sum = total.stats;
  sum.connect_seconds.merge(more.stats.connect_seconds);
  sum.tls.merge(more.stats.tls);
  sum.transparent_retries += more.stats.transparent_retries;
  sum.retries += more.stats.retries;
  sum.retry_successes += more.stats.retry_successes;
  sum.retry_failures += more.stats.retry_failures;
  sum.hedges += more.stats.hedges;
  sum.hedge_wins += more.stats.hedge_wins;
  sum.budget_exhausted += more.stats.budget_exhausted;
  sum.fallbacks += more.stats.fallbacks;
  sum.pending += more.stats.pending;
  sum.pending_timeouts += more.stats.pending_timeouts;
  add_each(sum.limit_hits, more.stats.limit_hits);
  merge_endpoints(total.endpoints, more.endpoints);
}

}  // namespace

WorkerReport merge_reports(const std::vector<WorkerReport>& reports) {
  WorkerReport total;
  for (const WorkerReport& report : reports) {
    total.loop_lag = std::max(total.loop_lag, report.loop_lag);
    total.load = std::max(total.load, report.load);
    merge_into(
        total.listeners, report.listeners, [](const ListenerReport& l) { return l.name; }, add_listener);
    merge_into(
        total.exchanges, report.exchanges,
        [](const ExchangeReport& e) { return std::pair(e.listener, e.cluster); }, add_exchange);
    merge_into(total.clusters, report.clusters, [](const ClusterReport& c) { return c.name; }, add_cluster);
  }
  return total;
}

}  // namespace remora::proxy
