// Keeps the endpoints of every cluster known: makes the sources that a configuration names, looks up the
// names that are in them, and says when anything has changed.
//
// A source is the same as before if it is of the same kind and name; two clusters that name it share it. What
// a file or SRV records say anew is used once each name in it has had an answer or a failure, so that
// backends do not go before their successors are known.
//
// Thread: the control thread. Owner: Server.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "proxy/dns_source.h"
#include "proxy/endpoint_source.h"
#include "proxy/file_source.h"
#include "proxy/snapshot.h"

namespace remora::proxy {

class EndpointSources final {
 public:
  static constexpr Duration kTellAfter = 10ms;

  struct Ways {
    // resolved() may say something else than before, or settled() has become true. Once for all that came
    // within kTellAfter: a thousand names that are answered together are one change.
    std::function<void()> changed;
    std::function<void(Event)> tell;
    // A service in the mesh as a source; null: there is no mesh yet.
    std::function<std::unique_ptr<EndpointSource>(const discovery::swim::WantedSettings&)> in_mesh;
  };

  EndpointSources(net::Loop& loop, Random& random, net::Resolver& resolver, Ways ways);
  ~EndpointSources();
  EndpointSources(const EndpointSources&) = delete;
  EndpointSources& operator=(const EndpointSources&) = delete;

  // Starts asking every source of the configuration that is not asked yet.
  void watch(const config::Config& config);

  // Forgets the sources that the configuration does not have. In an event of the loop.
  void keep(const config::Config& config);

  // Reads files anew.
  void look();

  // Every source but the mesh has had an answer or a failure, and changed() has been called with it.
  bool settled() const;

  // One list of endpoints per cluster: addresses as they are, names as every address they have now. Where two
  // lead to one address it is one endpoint, the first one's. `running`: what was made of it the last time,
  // null if there is nothing; a list of addresses that both configurations share is taken over from there,
  // with its states.
  std::vector<EndpointList> resolved(const config::Config& config, const Snapshot* running) const;

  // One list per cluster: its own source, then the names in it.
  std::vector<std::vector<SourceView>> view(const config::Config& config) const;

 private:
  using List = EndpointSource::List;
  using Key = std::pair<config::Discover::Source, std::string>;
  // A source whose list may have names in it.
  struct Listed {
    std::unique_ptr<EndpointSource> source;
    FileSource* file;  // the same, if it is one
    List used;         // the latest list whose names are known
  };

  Listed make(const config::Discover& discover, bool watch_files) const;
  const Listed* find(const config::Discover& discover) const;
  const DnsSource* find_name(std::string_view name) const;
  void look_up(const List& list);
  void look_up(const std::string& name);
  bool known(const List& list) const;
  void use_known();
  void drop_unneeded();
  bool all_settled() const;
  void on_changed();
  void tell_changed();
  std::unique_ptr<EndpointSource> own_source(const config::Cluster& cluster) const;
  List used(const config::Cluster& cluster) const;
  EndpointList resolved(const config::Cluster& cluster) const;
  std::vector<SourceView> view(const config::Cluster& cluster) const;

  Ways ways_;
  SourceParts parts_;
  std::map<std::string, std::unique_ptr<DnsSource>, std::less<>> names_;
  std::map<Key, Listed> listed_;
  std::unordered_set<std::string> configured_;  // names in the lists of configurations
  MemberTimer<EndpointSources, &EndpointSources::tell_changed> changed_timer_{*this};
  bool told_settled_ = false;  // all_settled(), when changed() was last called; not since a source was added
};

}  // namespace remora::proxy
