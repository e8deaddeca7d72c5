#include "proxy/endpoint_sources.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace remora::proxy {

namespace {

using Source = config::Discover::Source;

// The list in the configuration.
class StaticSource final : public EndpointSource {
 public:
  explicit StaticSource(const SharedList<config::Endpoint>& endpoints) : endpoints_(endpoints) {}

  List list() const override {
    List list;
    list.reserve(endpoints_.size());
    for (const config::Endpoint& endpoint : endpoints_) list.push_back({.endpoint = endpoint});
    return list;
  }
  bool settled() const override { return true; }
  SourceView view() const override {
    SourceView view;
    view.endpoints = static_cast<std::size_t>(
        std::ranges::count_if(endpoints_, [](const auto& endpoint) { return endpoint.address.has_value(); }));
    return view;
  }

 private:
  const SharedList<config::Endpoint>& endpoints_;
};

// Its endpoints are those that the configuration lists, all of them addresses: they never change by
// themselves.
bool is_fixed(const config::Cluster& cluster) {
  return !cluster.discover && std::ranges::all_of(cluster.endpoints, [](const config::Endpoint& endpoint) {
    return endpoint.address.has_value();
  });
}

bool has_list(const config::Cluster& cluster) {
  return cluster.discover &&
         (cluster.discover->source == Source::kFile || cluster.discover->source == Source::kSrv);
}

void add_names(const EndpointSource::List& list, std::unordered_set<std::string>& names) {
  for (const FoundEndpoint& found : list) {
    if (!found.endpoint.address) names.insert(found.endpoint.host->host);
  }
}

ResolvedEndpoint resolve(const FoundEndpoint& found, Address address) {
  const config::Endpoint& from = found.endpoint;
  return {.name = from.name,
          .address = std::move(address),
          .weight = from.weight,
          .zone = from.zone,
          .priority = from.priority,
          .state = nullptr,
          .member = found.member};
}

}  // namespace

SourceView view_of(const discovery::SourceRecord& record, SourceView::Kind kind, std::string name,
                   std::size_t endpoints, TimePoint now) {
  SourceView view{.kind = kind,
                  .name = std::move(name),
                  .state = record.state(),
                  .endpoints = endpoints,
                  .answer_age = {},
                  .failed_ago = {},
                  .last_error = record.last_error(),
                  .failures = record.failures()};
  if (record.answered_at()) view.answer_age = now - *record.answered_at();
  if (record.failed_at()) view.failed_ago = now - *record.failed_at();
  return view;
}

EndpointSources::EndpointSources(net::Loop& loop, Random& random, net::Resolver& resolver, Ways ways)
    : ways_(std::move(ways)),
      parts_{.loop = loop,
             .random = random,
             .resolver = resolver,
             .changed = [this] { on_changed(); },
             .tell = ways_.tell} {}

EndpointSources::~EndpointSources() = default;

void EndpointSources::watch(const config::Config& config) {
  for (const config::Cluster& cluster : config.clusters) {
    if (is_fixed(cluster)) continue;
    const List list = StaticSource(cluster.endpoints).list();
    add_names(list, configured_);
    look_up(list);
    if (!has_list(cluster) || find(*cluster.discover) != nullptr) continue;
    const auto [listed, _] = listed_.emplace(Key{cluster.discover->source, cluster.discover->name},
                                             make(*cluster.discover, config.runtime.watch));
    told_settled_ = told_settled_ && listed->second.source->settled();
    look_up(listed->second.source->list());
  }
  use_known();
}

EndpointSources::Listed EndpointSources::make(const config::Discover& discover, bool watch_files) const {
  Listed listed{.source = {}, .file = nullptr, .used = {}};
  if (discover.source == Source::kSrv) {
    listed.source = std::make_unique<DnsSource>(parts_, DnsSource::Records::kServices, discover.name);
    return listed;
  }
  auto file = std::make_unique<FileSource>(parts_, discover.name, watch_files);
  listed.file = file.get();
  listed.source = std::move(file);
  return listed;
}

void EndpointSources::keep(const config::Config& config) {
  configured_.clear();
  std::set<Key> kept;
  for (const config::Cluster& cluster : config.clusters) {
    if (is_fixed(cluster)) continue;
    add_names(StaticSource(cluster.endpoints).list(), configured_);
    if (has_list(cluster)) kept.emplace(cluster.discover->source, cluster.discover->name);
  }
  for (auto next = listed_.begin(); next != listed_.end();) {
    Listed& listed = next->second;
    if (!kept.contains(next->first)) {
      parts_.loop.turn().bury(std::move(listed.source));
      next = listed_.erase(next);
      continue;
    }
    if (listed.file != nullptr) listed.file->watch(config.runtime.watch);
    ++next;
  }
  drop_unneeded();
}

void EndpointSources::look() {
  for (const auto& [key, listed] : listed_) {
    if (listed.file != nullptr) listed.file->look();
  }
  // Who has files read anew wants to see what they say.
  if (changed_timer_.armed()) tell_changed();
}

void EndpointSources::on_changed() {
  if (!changed_timer_.armed()) parts_.loop.wheel().arm_in(changed_timer_, kTellAfter);
}

void EndpointSources::tell_changed() {
  changed_timer_.cancel();
  told_settled_ = all_settled();
  for (const auto& [key, listed] : listed_) look_up(listed.source->list());
  use_known();
  drop_unneeded();
  ways_.changed();
}

void EndpointSources::look_up(const List& list) {
  for (const FoundEndpoint& found : list) {
    if (!found.endpoint.address) look_up(found.endpoint.host->host);
  }
}

void EndpointSources::look_up(const std::string& name) {
  auto& known = names_[name];
  if (known != nullptr) return;
  known = std::make_unique<DnsSource>(parts_, DnsSource::Records::kAddresses, name);
  told_settled_ = false;
}

bool EndpointSources::known(const List& list) const {
  return std::ranges::all_of(list, [this](const FoundEndpoint& found) {
    if (found.endpoint.address) return true;
    const DnsSource* name = find_name(found.endpoint.host->host);
    return name != nullptr && name->settled();
  });
}

void EndpointSources::use_known() {
  for (auto& [key, listed] : listed_) {
    List latest = listed.source->list();
    if (latest != listed.used && known(latest)) listed.used = std::move(latest);
  }
}

// One that goes may be the one whose event this is.
void EndpointSources::drop_unneeded() {
  std::unordered_set<std::string> needed = configured_;
  for (const auto& [key, listed] : listed_) {
    add_names(listed.used, needed);
    add_names(listed.source->list(), needed);
  }
  for (auto next = names_.begin(); next != names_.end();) {
    const auto at = next++;
    if (needed.contains(at->first)) continue;
    parts_.loop.turn().bury(std::move(at->second));
    names_.erase(at);
  }
}

const EndpointSources::Listed* EndpointSources::find(const config::Discover& discover) const {
  const auto found = listed_.find(Key{discover.source, discover.name});
  return found == listed_.end() ? nullptr : &found->second;
}

const DnsSource* EndpointSources::find_name(std::string_view name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : found->second.get();
}

// Answers that nobody has been told yet are of no use to requests: those that were missing are still missing.
bool EndpointSources::settled() const { return all_settled() && (told_settled_ || !changed_timer_.armed()); }

bool EndpointSources::all_settled() const {
  return std::ranges::all_of(names_, [](const auto& entry) { return entry.second->settled(); }) &&
         std::ranges::all_of(listed_, [](const auto& entry) { return entry.second.source->settled(); });
}

// Null: it is not there yet, or belongs to `listed_`.
std::unique_ptr<EndpointSource> EndpointSources::own_source(const config::Cluster& cluster) const {
  if (!cluster.discover || cluster.discover->source == Source::kDns) {
    return std::make_unique<StaticSource>(cluster.endpoints);
  }
  return cluster.discover->source == Source::kSwim ? ways_.in_mesh(cluster.discover->swim) : nullptr;
}

EndpointSources::List EndpointSources::used(const config::Cluster& cluster) const {
  if (has_list(cluster)) {
    const Listed* listed = find(*cluster.discover);
    return listed != nullptr ? listed->used : List();
  }
  const auto source = own_source(cluster);
  return source != nullptr ? source->list() : List();
}

std::vector<EndpointList> EndpointSources::resolved(const config::Config& config,
                                                    const Snapshot* running) const {
  std::unordered_map<const config::Endpoint*, const EndpointList*> known;
  for (std::size_t i = 0; running != nullptr && i < running->config->clusters.size(); ++i) {
    const config::Cluster& cluster = running->config->clusters[i];
    if (is_fixed(cluster)) known.emplace(cluster.endpoints.data(), &running->endpoints[i]);
  }
  std::vector<EndpointList> clusters;
  clusters.reserve(config.clusters.size());
  for (const config::Cluster& cluster : config.clusters) {
    const auto same = is_fixed(cluster) ? known.find(cluster.endpoints.data()) : known.end();
    clusters.push_back(same != known.end() ? *same->second : resolved(cluster));
  }
  return clusters;
}

EndpointList EndpointSources::resolved(const config::Cluster& cluster) const {
  std::vector<ResolvedEndpoint> endpoints;
  std::unordered_set<std::string> addresses;
  const auto add = [&](const FoundEndpoint& found, Address address) {
    if (addresses.insert(address.to_string()).second) {
      endpoints.push_back(resolve(found, std::move(address)));
    }
  };
  for (const FoundEndpoint& found : used(cluster)) {
    if (found.endpoint.address) {
      add(found, *found.endpoint.address);
      continue;
    }
    const DnsSource* name = find_name(found.endpoint.host->host);
    if (name == nullptr) continue;
    for (const FoundEndpoint& at : name->list()) {
      Address address = *at.endpoint.address;
      address.set_port(found.endpoint.host->port);
      add(found, std::move(address));
    }
  }
  endpoints.shrink_to_fit();
  return endpoints;
}

std::vector<SourceView> EndpointSources::view(const config::Cluster& cluster) const {
  std::vector<SourceView> views;
  if (cluster.goes_anywhere()) {
    views.push_back({.kind = SourceView::Kind::kOriginalDestination,
                     .name = {},
                     .answer_age = {},
                     .failed_ago = {},
                     .last_error = {}});
    return views;
  }
  List names = used(cluster);
  if (has_list(cluster)) {
    if (const Listed* listed = find(*cluster.discover)) {
      views.push_back(listed->source->view());
      const List latest = listed->source->list();
      names.insert(names.end(), latest.begin(), latest.end());
    }
  } else if (const auto source = own_source(cluster)) {
    SourceView view = source->view();
    // A list of names only has nothing to say of its own.
    if (view.kind != SourceView::Kind::kStatic || view.endpoints > 0) views.push_back(std::move(view));
  }
  std::unordered_set<std::string_view> seen;
  for (const FoundEndpoint& found : names) {
    if (found.endpoint.address || !seen.insert(found.endpoint.host->host).second) continue;
    if (const DnsSource* name = find_name(found.endpoint.host->host)) views.push_back(name->view());
  }
  return views;
}

std::vector<std::vector<SourceView>> EndpointSources::view(const config::Config& config) const {
  std::vector<std::vector<SourceView>> views;
  views.reserve(config.clusters.size());
  for (const config::Cluster& cluster : config.clusters) views.push_back(view(cluster));
  return views;
}

}  // namespace remora::proxy
