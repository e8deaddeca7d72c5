// Where endpoints of clusters come from: the configuration itself, a file, DNS, the mesh. Each source says
// whom it knows now, and how it has fared.
//
// Thread: the control thread. Owner: EndpointSources.
#pragma once

#include <functional>
#include <vector>

#include "base/random.h"
#include "config/config.h"
#include "health/availability.h"
#include "proxy/cluster_view.h"
#include "proxy/event_ring.h"
#include "proxy/net/loop.h"
#include "proxy/net/resolver.h"

namespace remora::proxy {

// One that a source has found: at an address, or behind a name that has yet to be looked up.
struct FoundEndpoint {
  config::Endpoint endpoint;
  health::Sources::Member member = health::Sources::Member::kNone;  // what the mesh thinks of it
  bool operator==(const FoundEndpoint&) const = default;
};

class EndpointSource {
 public:
  using List = std::vector<FoundEndpoint>;
  virtual ~EndpointSource() = default;
  // Whom it knows: the last good answer, whatever came after it.
  virtual List list() const = 0;
  // A first answer or failure has come.
  virtual bool settled() const = 0;
  virtual SourceView view() const = 0;
};

// What sources that wait for something work with.
struct SourceParts {
  net::Loop& loop;
  Random& random;
  net::Resolver& resolver;
  // list() says something else than before, or settled() has become true. From an event of the loop.
  std::function<void()> changed;
  // Something has changed that people want to see.
  std::function<void(Event)> tell;
};

// Of a record, for the pages.
SourceView view_of(const discovery::SourceRecord& record, SourceView::Kind kind, std::string name,
                   std::size_t endpoints, TimePoint now);

}  // namespace remora::proxy
