// What the operator tells clusters and endpoints through the admin server: how an order is written as a path,
// and what is said when it cannot be obeyed.
//
// Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "proxy/supervisor.h"

namespace remora::proxy {

struct ParsedOrder {
  std::string cluster;
  std::string endpoint;  // "": the cluster itself
  Supervisor::Order order = Supervisor::Order::kOpen;
};

// NAME/endpoints/ADDRESS/ORDER, or NAME/ORDER for a cluster's own breaker: what follows /clusters/. Slashes
// in a name or an address (a Unix socket) are percent-encoded.
std::optional<ParsedOrder> parse_order(std::string_view path);

struct OrderAnswer {
  unsigned status = 0;
  std::string_view text;
};
OrderAnswer explain(Supervisor::Refused refused, bool asked_for_the_cluster);

// The lines of /help.
std::string_view orders_help();

}  // namespace remora::proxy
