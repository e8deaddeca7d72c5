// What a route does with the requests that match it.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_set>

#include "config/draft.h"
#include "config/values.h"

namespace remora::config {

namespace {

void refer(const Item& item, std::string name, Draft& draft, Forward& forward, std::uint32_t weight) {
  draft.references.push_back({draft.config.listeners.size() - 1, draft.routes.back().size() - 1,
                              forward.clusters.size(), std::move(name), item.where});
  forward.clusters.push_back({0, weight});
}

Forward read_weighted(const TableReader& reader, Draft& draft) {
  Forward forward;
  const auto items =
      reader.elements("clusters", "[{ name = \"a\", weight = 9 }, { name = \"b\", weight = 1 }]");
  std::uint64_t sum = 0;
  std::unordered_set<std::string> seen;
  bool judged = !items.empty();
  for (const auto& item : items) {
    if (item.node->kind != Node::Kind::kTable) {
      judged = false;
      if (item.node->kind != Node::Kind::kBroken) {
        reader.report().add(item.where,
                            describe(*item.node) + ", write a table such as { name = \"a\", weight = 1 }");
      }
      continue;
    }
    const TableReader entry(item.node, "listener.route.clusters", item.where, reader.report());
    std::uint32_t weight = 1;
    entry.integer("weight", weight, 0, 65535);
    sum += weight;
    if (!entry.has("name")) entry.problem("name", "the name of the cluster is missing, write name = \"...\"");
    const auto name = entry.string("name", "\"app\"");
    if (!name) {
      judged = false;
      continue;
    }
    if (!seen.insert(*name).second) {
      entry.problem("name", fmt::format("{} is listed twice, add up the weights", in_quotes(*name)));
    }
    refer({entry.find("name"), entry.where("name")}, *name, draft, forward, weight);
  }
  const auto* list = reader.find("clusters");
  if (list->kind == Node::Kind::kArray && list->children.empty()) {
    reader.problem("clusters", "the list is empty, write at least one { name = \"...\" }");
  }
  if (judged && sum == 0)
    reader.problem("clusters", "the weights add up to 0, give at least one a weight of 1 or more");
  return forward;
}

Redirect read_redirect(const TableReader& reader) {
  Redirect redirect;
  static constexpr std::array<std::int64_t, 5> kStatuses{301, 302, 303, 307, 308};
  if (const auto status = reader.integer("status", 0, 999)) {
    if (std::ranges::find(kStatuses, *status) == kStatuses.end()) {
      reader.problem("status", fmt::format("{} is not a redirect, write 301, 302, 303, 307 or 308", *status));
    }
    redirect.status = static_cast<std::uint16_t>(*status);
  }
  if (const auto to = reader.string("to", "\"https://example.org/\"")) {
    reader.complain("to", check_location(*to));
    redirect.to = *to;
  }
  if (const auto scheme = reader.string("scheme", "\"https\"")) {
    if (*scheme != "http" && *scheme != "https") {
      reader.problem("scheme", in_quotes(*scheme) + " is not a scheme, write \"http\" or \"https\"");
    }
    redirect.scheme = *scheme;
  }
  if (const auto host = reader.string("host", "\"www.example.org\"")) {
    reader.complain("host", check_authority(*host));
    redirect.host = *host;
  }
  if (const auto path = reader.string("path", "\"/new\"")) {
    reader.complain("path", check_path(*path));
    redirect.path = *path;
  }
  bool parts = false;
  for (const std::string_view key : {"scheme", "host", "path"}) {
    if (!reader.has(key)) continue;
    parts = true;
    if (reader.has("to")) reader.problem(key, fmt::format("to is the whole location, remove to or {}", key));
  }
  if (reader.present() && !parts && !reader.has("to")) {
    reader.problem("to", "the redirect leads nowhere, write to = \"https://...\", or scheme, host or path");
  }
  return redirect;
}

// What only a route that forwards can do.
void refuse_without_forwarding(const TableReader& reader, std::string_view action) {
  for (const std::string_view key : {"rewrite", "request_headers", "timeout", "hash", "retry"}) {
    if (reader.has(key)) {
      reader.problem(key, fmt::format("this route does not forward but has {}, remove {}", action, key));
    }
  }
}

}  // namespace

Respond read_respond(const TableReader& reader) {
  Respond respond;
  reader.integer("status", respond.status, 200, 599);
  if (const auto type = reader.string("content_type", "\"text/plain\"")) {
    reader.complain("content_type", check_field_value(*type));
    if (type->empty()) reader.problem("content_type", "the type is empty, write one such as \"text/plain\"");
    respond.content_type = *type;
  }
  if (const auto body = reader.string("body", "\"gone fishing\"")) respond.body = *body;
  const bool bodiless = respond.status == 204 || respond.status == 205 || respond.status == 304;
  if (bodiless && !respond.body.empty()) {
    reader.problem("body", fmt::format("a response with status {} has no body, remove it", respond.status));
  }
  return respond;
}

void read_target(const TableReader& reader, Draft& draft, Forward& forward) {
  const auto name = reader.string("cluster", "\"app\"");
  if (!name) return;
  forward.clusters.clear();
  refer({reader.find("cluster"), reader.where("cluster")}, *name, draft, forward, 1);
}

void read_action(const TableReader& reader, Draft& draft, Route& route) {
  static constexpr std::array<std::string_view, 4> kKeys{"cluster", "clusters", "redirect", "respond"};
  const auto key = reader.only_one(kKeys);
  // Read even what is one too many, for its own mistakes; the last line of each wins and does not matter.
  const auto redirect = read_redirect(reader.table("redirect"));
  const auto respond = read_respond(reader.table("respond"));
  Forward forward;
  if (reader.has("clusters")) forward = read_weighted(reader, draft);
  read_target(reader, draft, forward);
  if (key == "redirect") {
    route.action = redirect;
  } else if (key == "respond") {
    route.action = respond;
  } else {
    route.action = std::move(forward);
  }
  if (key == "redirect" || key == "respond") refuse_without_forwarding(reader, key);
  if (key.empty()) {
    reader.report().add(reader.where(), "the route does nothing, add cluster, clusters, redirect or respond");
  }
}

}  // namespace remora::config
