#include "proxy/admin_pages.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "proxy/plain_text.h"
#include "proxy/report.h"

namespace remora::proxy {
namespace {

using Json = nlohmann::ordered_json;
using breaker::CircuitBreaker;
using health::OutlierDetector;
using health::Why;

Json seconds(std::optional<Duration> duration) {
  return duration ? Json(static_cast<double>(*duration / 1ms) / 1e3) : Json();
}

Json text_or_null(std::string_view text) { return text.empty() ? Json() : Json(text); }

// Calls visit(view, report) for those with the same key: first the views in their order, then the reports
// that are left. One of the two may be nullptr.
template <typename View, typename Report, typename Visit>
void pair_up(const std::vector<View>& views, std::string View::* view_key, const std::vector<Report>& reports,
             std::string Report::* report_key, Visit visit) {
  std::map<std::string_view, const Report*> left;
  for (const Report& report : reports) left.emplace(report.*report_key, &report);
  for (const View& view : views) {
    const auto same = left.find(view.*view_key);
    visit(&view, same != left.end() ? same->second : nullptr);
    if (same != left.end()) left.erase(same);
  }
  for (const Report& report : reports) {
    if (left.contains(report.*report_key)) visit(static_cast<const View*>(nullptr), &report);
  }
}

// A number of the workers; null when none has reported `from`.
template <typename Report, typename Number>
Json number(const Report* from, Number of) {
  return from != nullptr ? Json(of(*from)) : Json();
}

Json describe_breaker(const CircuitBreaker::View& breaker, std::optional<Duration> changed_ago,
                      std::optional<Duration> opens_for) {
  const bool has_reason = breaker.last_reason != CircuitBreaker::Reason::kNone;
  return {
      {"state", to_string(breaker.phase)},
      {"forced", breaker.forced},
      {"reason", has_reason ? Json(to_string(breaker.last_reason)) : Json()},
      {"changed_seconds_ago", seconds(changed_ago)},
      {"probes_in_seconds", seconds(opens_for)},
      {"openings", breaker.openings},
      {"consecutive_failures", breaker.consecutive_failures},
      {"probes_in_flight", breaker.probes_in_flight},
      {"window",
       {{"total", breaker.window.total}, {"failed", breaker.window.failed}, {"slow", breaker.window.slow}}}};
}

Json describe(const std::optional<EndpointView::ActiveCheck>& check) {
  if (!check) return {};
  return {{"state", to_string(check->state)},
          {"last_reason", text_or_null(check->last_reason)},
          {"failed_seconds_ago", seconds(check->failed_ago)},
          {"changed_seconds_ago", seconds(check->changed_ago)},
          {"passes", check->passes},
          {"failures", check->failures}};
}

Json describe(const std::optional<EndpointView::Outlier>& outlier) {
  if (!outlier) return {};
  const bool has_reason = outlier->last_reason != OutlierDetector::Reason::kNone;
  return {{"ejected", outlier->ejected},
          {"for_seconds", outlier->ejected ? seconds(outlier->ejected_for) : Json()},
          {"ejections", outlier->ejections},
          {"last_reason", has_reason ? Json(to_string(outlier->last_reason)) : Json()},
          {"last_detail", text_or_null(outlier->last_detail)}};
}

// What the control thread knows; nullptr: the endpoint is gone.
void add_view(Json& page, const EndpointView* view, bool cluster_breaker) {
  const Why why = view != nullptr ? view->why : Why::kRemoved;
  page["available"] = why == Why::kAvailable;
  page["unavailable_because"] = why == Why::kAvailable ? Json() : Json(to_string(why));
  page["share"] = view != nullptr ? Json(view->share) : Json();
  page["draining"] = view != nullptr ? Json(view->draining) : Json();
  const bool of_mesh = view != nullptr && view->member != health::Sources::Member::kNone;
  page["member"] = of_mesh ? Json(to_string(view->member)) : Json();
  page["breaker"] = view != nullptr && !cluster_breaker
                        ? describe_breaker(view->breaker, view->breaker_changed_ago, view->breaker_opens_for)
                        : Json();
  page["health_check"] = view != nullptr ? describe(view->check) : Json();
  page["outlier"] = view != nullptr ? describe(view->outlier) : Json();
}

// One of the two may be nullptr.
Json describe(const EndpointView* view, const EndpointReport* report, bool cluster_breaker) {
  const auto count = [report](std::uint64_t EndpointStats::* counter) {
    return number(report, [counter](const EndpointReport& e) { return e.stats.*counter; });
  };
  Json page{{"name", view != nullptr ? view->name : report->name},
            {"address", view != nullptr ? view->address : report->address},
            {"zone", number(report, [](const EndpointReport& e) { return e.zone; })},
            {"weight", number(report, [](const EndpointReport& e) { return e.weight; })},
            {"priority", number(report, [](const EndpointReport& e) { return e.priority; })}};
  add_view(page, view, cluster_breaker);
  page["latency_ms"] = number(report, [](const EndpointReport& e) { return e.latency_seconds * 1e3; });
  page["active_requests"] = count(&EndpointStats::requests_active);
  page["active_connections"] = count(&EndpointStats::connections_active);
  page["idle_connections"] = count(&EndpointStats::connections_idle);
  page["connections"] = count(&EndpointStats::connections_total);
  page["connect_failures"] = count(&EndpointStats::connect_failures);
  page["requests"] = count(&EndpointStats::requests);
  page["failures"] = count(&EndpointStats::failures);
  return page;
}

// A limit that is set counts what it lets through; else `counted` is what the workers see.
Json describe(const LimitView& limit, Json counted) {
  if (limit.most != 0) return {{"limit", limit.most}, {"in_use", limit.in_use}};
  return {{"limit", nullptr}, {"in_use", std::move(counted)}};
}

std::uint64_t sum(const ClusterReport& cluster, std::uint64_t EndpointStats::* counter) {
  std::uint64_t total = 0;
  for (const EndpointReport& endpoint : cluster.endpoints) total += endpoint.stats.*counter;
  return total;
}

Json describe_limits(const ClusterView& view, const ClusterReport* report) {
  Json limits;
  limits["requests"] = describe(view.requests, number(report, [](const ClusterReport& c) {
                                  return sum(c, &EndpointStats::requests_active);
                                }));
  limits["connections"] =
      describe(view.connections, number(report, [](const ClusterReport& c) {
                 return sum(c, &EndpointStats::connections_active) + sum(c, &EndpointStats::connections_idle);
               }));
  limits["pending"] = Json{{"limit", view.pending.most}, {"in_use", view.pending.in_use}};
  limits["retries"] = describe(view.retries, Json());
  limits["adaptive"] = view.adaptive ? describe(*view.adaptive, Json()) : Json();
  return limits;
}

Json describe_retries(const ClusterReport* report) {
  const auto count = [report](std::uint64_t ClusterStats::* counter) {
    return number(report, [counter](const ClusterReport& c) { return c.stats.*counter; });
  };
  return {{"made", count(&ClusterStats::retries)},
          {"succeeded", count(&ClusterStats::retry_successes)},
          {"failed", count(&ClusterStats::retry_failures)},
          {"hedges", count(&ClusterStats::hedges)},
          {"hedge_wins", count(&ClusterStats::hedge_wins)},
          {"budget_exhausted", count(&ClusterStats::budget_exhausted)},
          {"transparent", count(&ClusterStats::transparent_retries)}};
}

Json describe_endpoints(const ClusterView* view, const ClusterReport* report) {
  const std::vector<EndpointView> no_views;
  const std::vector<EndpointReport> no_reports;
  const bool cluster_breaker = view != nullptr && view->cluster_breaker;
  Json endpoints = Json::array();
  pair_up(view != nullptr ? view->endpoints : no_views, &EndpointView::address,
          report != nullptr ? report->endpoints : no_reports, &EndpointReport::address,
          [&](const EndpointView* known, const EndpointReport* reported) {
            endpoints.push_back(describe(known, reported, cluster_breaker));
          });
  return endpoints;
}

Json describe_sources(const ClusterView& view) {
  Json sources = Json::array();
  for (const SourceView& source : view.sources) {
    sources.push_back({{"source", to_string(source.kind)},
                       {"name", text_or_null(source.name)},
                       {"state", to_string(source.state)},
                       {"endpoints", source.endpoints},
                       {"answered_seconds_ago", seconds(source.answer_age)},
                       {"failures", source.failures},
                       {"last_error", text_or_null(source.last_error)},
                       {"failed_seconds_ago", seconds(source.failed_ago)}});
  }
  return sources;
}

// One of the two may be nullptr.
Json describe(const ClusterView* view, const ClusterReport* report) {
  const auto count = [report](std::uint64_t ClusterStats::* counter) {
    return number(report, [counter](const ClusterReport& c) { return c.stats.*counter; });
  };
  const bool has_breaker = view != nullptr && view->cluster_breaker;
  Json page;
  page["name"] = view != nullptr ? view->name : report->name;
  page["panic"] = view != nullptr ? Json(view->panic) : Json();
  page["limits"] = view != nullptr ? describe_limits(*view, report) : Json();
  page["retry_budget_left"] = view != nullptr ? Json(view->retry_budget_left) : Json();
  page["retries"] = describe_retries(report);
  page["fallbacks"] = count(&ClusterStats::fallbacks);
  page["pending_timeouts"] = count(&ClusterStats::pending_timeouts);
  page["ejections_suppressed"] = view != nullptr ? Json(view->ejections_suppressed) : Json();
  page["breaker"] = has_breaker
                        ? describe_breaker(view->breaker, view->breaker_changed_ago, view->breaker_opens_for)
                        : Json();
  page["sources"] = view != nullptr ? describe_sources(*view) : Json();
  page["endpoints"] = describe_endpoints(view, report);
  return page;
}

std::string source_line(const SourceView& source) {
  std::string line = fmt::format("  {}{}{}: {}, {} endpoint{}", to_string(source.kind),
                                 source.name.empty() ? "" : " ", printable(source.name),
                                 to_string(source.state), source.endpoints, source.endpoints == 1 ? "" : "s");
  if (source.answer_age) line += fmt::format(", answered {} ago", show_whole(*source.answer_age));
  if (source.failed_ago) {
    line += fmt::format("; failed {} ago: {}", show_whole(*source.failed_ago), printable(source.last_error));
  }
  return line + '\n';
}

}  // namespace

std::string clusters_text(const std::vector<ClusterView>& views) {
  std::string text;
  for (const ClusterView& view : views) {
    text += printable(view.name) + '\n';
    for (const SourceView& source : view.sources) text += source_line(source);
    for (const EndpointView& endpoint : view.endpoints) {
      const bool named = endpoint.name != endpoint.address;
      text += fmt::format("    {}{}{}  {}\n", printable(endpoint.address), named ? " " : "",
                          named ? printable(endpoint.name) : "",
                          endpoint.why == Why::kAvailable ? "available" : to_string(endpoint.why));
    }
  }
  return text;
}

std::string clusters_json(const std::vector<WorkerReport>& reports, const std::vector<ClusterView>& views) {
  Json clusters = Json::array();
  pair_up(views, &ClusterView::name, merge_reports(reports).clusters, &ClusterReport::name,
          [&](const ClusterView* view, const ClusterReport* report) {
            clusters.push_back(describe(view, report));
          });
  // Names are UTF-8, since the configuration is; what a peer has sent (a check's reason) need not be, and the
  // page is still a page.
  const Json page{{"clusters", std::move(clusters)}};
  return page.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace remora::proxy
