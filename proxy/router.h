// Which route a request takes: the first of the listener's list that matches. Built once per configuration
// and worker; regular expressions are RE2, so that no request can make one expensive.
//
// Thread: the worker's. Owner: ListenerContext. The routes of the configuration outlive it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "config/config.h"
#include "proxy/http/message.h"
#include "proxy/route_index.h"

namespace remora::proxy {

class Router final {
 public:
  // Up to so many routes are looked at one after the other, which is quicker than to look them up.
  static constexpr std::size_t kFew = 16;

  explicit Router(std::span<const config::Route> routes, std::size_t few = kFew);
  ~Router();

  // The first matching route, or null. Without allocation. O(path) and the routes that share host and path
  // (route_index.h).
  const config::Route* match(const http::RequestHead& head) const;

 private:
  struct Entry;
  std::vector<Entry> entries_;
  std::optional<RouteIndex> index_;  // null: they are few
};

// Null if `pattern` is a valid RE2 expression, else what is wrong with it. For the configuration's
// validation.
std::optional<std::string> regex_problem(const std::string& pattern);

// The target with the route's rewrite applied; the query stays. Only for routes with a rewrite.
std::string rewritten_target(const config::Route& route, const http::RequestHead& head);

// The Location of a redirect. `scheme`: how the client reached us.
std::string redirect_location(const config::Redirect& redirect, const http::RequestHead& head,
                              std::string_view scheme);

// The hash of the part of the request that the route names; nullopt when the request has no such part.
std::optional<std::uint64_t> request_key(const config::HashKey& hash, const http::RequestHead& head,
                                         std::string_view source_address);

// Applies edits from the configuration: remove, set, add.
void apply_edits(const config::FieldEdits& edits, http::FieldList& fields);

}  // namespace remora::proxy
