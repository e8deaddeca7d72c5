// What all connections of one listener share in one worker: settings, router and numbers.
//
// Thread: the worker's. Owner: Worker, as long as a connection of the listener lives.
#pragma once

#include <memory>
#include <vector>

#include "base/address.h"
#include "config/config.h"
#include "proxy/router.h"
#include "proxy/snapshot.h"
#include "proxy/stats.h"

namespace remora::proxy {

struct ListenerContext {
  ListenerContext(std::shared_ptr<const config::Config> from, std::size_t index,
                  std::shared_ptr<ListenerState> shared, std::string_view via)
      : config(std::move(from)),
        settings(config->listeners[index]),
        router(settings.routes),
        limits{.header_bytes = settings.limits.header_bytes,
               .header_fields = settings.limits.header_fields,
               .body_bytes = settings.limits.body_bytes},
        state(std::move(shared)),
        pseudonym(via),
        exchanges(config->clusters.size() + 1) {}

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
  Router router;
  http::H1Limits limits;
  std::shared_ptr<ListenerState> state;
  std::string_view pseudonym;  // this process's name in Via; outlives the context
  ListenerStats stats;
  std::vector<ExchangeStats> exchanges;  // by cluster, the last for replies of our own
  bool draining = false;                 // every response is the last of its connection ...
  bool trimmed = false;                  // ... for a while, since Remora is overloaded
};

}  // namespace remora::proxy
