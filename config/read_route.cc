#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_set>

#include "config/draft.h"
#include "config/suggest.h"
#include "config/values.h"

namespace remora::config {

namespace {

void complain(const TableReader& reader, std::string_view key, const Complaint& complaint) {
  if (complaint) reader.problem(key, *complaint);
}

// Which of the keys the table has. More than one is reported at the second.
std::string_view only_one(const TableReader& reader, std::span<const std::string_view> keys) {
  std::string_view first;
  for (const auto key : keys) {
    if (!reader.has(key)) continue;
    if (first.empty()) {
      first = key;
    } else {
      reader.problem(key, fmt::format("{} and {} exclude each other, keep one", first, key));
    }
  }
  return first;
}

void read_path(const TableReader& reader, const Hooks& hooks, Match& match) {
  static constexpr std::array<std::string_view, 3> kKeys{"path", "prefix", "regex"};
  const auto key = only_one(reader, kKeys);
  if (key.empty()) return;
  const auto text = reader.string(key, "\"/api\"");
  match.path_kind = key == "path"     ? Match::Path::kExact
                    : key == "prefix" ? Match::Path::kPrefix
                                      : Match::Path::kRegex;
  if (!text) return;
  match.path = *text;
  if (key != "regex") return complain(reader, key, check_path(*text));
  if (text->empty())
    return reader.problem(key, "the pattern is empty and matches nothing, write one such as \"/v[0-9]+/.*\"");
  const auto wrong = hooks.check_regex ? hooks.check_regex(*text) : std::nullopt;
  if (wrong) {
    const auto reason = quoted(*wrong);  // the engine repeats the pattern, which may hold anything
    reader.problem(key, fmt::format("{} is not an RE2 pattern ({}), correct it", quoted(*text),
                                    reason.substr(1, reason.size() - 2)));
  }
}

void read_match(const TableReader& reader, const Hooks& hooks, Match& match) {
  if (const auto host = reader.string("host", "\"api.example\"")) {
    if (auto pattern = parse_host_pattern(*host)) {
      match.host = *std::move(pattern);
    } else {
      reader.problem("host", pattern.error());
    }
  }
  read_path(reader, hooks, match);
  const auto methods = reader.elements("methods", "[\"GET\"]");
  const auto* list = reader.find("methods");
  if (list != nullptr && list->kind == Node::Kind::kArray && list->children.empty()) {
    reader.problem("methods", "the list is empty, leave the key out to match every method");
  }
  for (const auto& item : methods) {
    const auto method = read_string(item, "\"GET\"", reader.report());
    if (!method) continue;
    if (const auto complaint = check_method(*method)) reader.report().add(item.where, *complaint);
    match.methods.push_back(*method);
  }
  for (const auto& item : reader.entries("headers", "{ \"X-Canary\" = \"yes\" }")) {
    const auto value = read_string(item, "\"yes\"", reader.report());
    const auto complaint = check_field_name(item.node->key);
    if (complaint) reader.report().add(item.where, *complaint);
    if (!value) continue;
    if (*value == "*") {
      match.headers.push_back({item.node->key, std::nullopt});
      continue;
    }
    if (const auto wrong = check_field_value(*value)) reader.report().add(item.where, *wrong);
    match.headers.push_back({item.node->key, value});
  }
}

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
      entry.problem("name", fmt::format("{} is listed twice, add up the weights", quoted(*name)));
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
    complain(reader, "to", check_location(*to));
    redirect.to = *to;
  }
  if (const auto scheme = reader.string("scheme", "\"https\"")) {
    if (*scheme != "http" && *scheme != "https") {
      reader.problem("scheme", quoted(*scheme) + " is not a scheme, write \"http\" or \"https\"");
    }
    redirect.scheme = *scheme;
  }
  if (const auto host = reader.string("host", "\"www.example.org\"")) {
    complain(reader, "host", check_authority(*host));
    redirect.host = *host;
  }
  if (const auto path = reader.string("path", "\"/new\"")) {
    complain(reader, "path", check_path(*path));
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

Respond read_respond(const TableReader& reader) {
  Respond respond;
  reader.integer("status", respond.status, 200, 599);
  if (const auto type = reader.string("content_type", "\"text/plain\"")) {
    complain(reader, "content_type", check_field_value(*type));
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

// What only a route that forwards can do.
void refuse_without_forwarding(const TableReader& reader, std::string_view action) {
  for (const std::string_view key : {"rewrite", "request_headers", "timeout", "hash"}) {
    if (reader.has(key)) {
      reader.problem(key, fmt::format("this route does not forward but has {}, remove {}", action, key));
    }
  }
}

void read_action(const TableReader& reader, Draft& draft, Route& route) {
  static constexpr std::array<std::string_view, 4> kKeys{"cluster", "clusters", "redirect", "respond"};
  const auto key = only_one(reader, kKeys);
  // Read even what is one too many, for its own mistakes; the last line of each wins and does not matter.
  const auto redirect = read_redirect(reader.table("redirect", "listener.route.redirect"));
  const auto respond = read_respond(reader.table("respond", "listener.route.respond"));
  Forward forward;
  if (reader.has("clusters")) forward = read_weighted(reader, draft);
  if (const auto name = reader.string("cluster", "\"app\"")) {
    forward.clusters.clear();
    refer({reader.find("cluster"), reader.where("cluster")}, *name, draft, forward, 1);
  }
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

void read_values(const TableReader& reader, std::string_view key, bool request, Edit edit,
                 std::vector<std::pair<std::string, std::string>>& out) {
  std::unordered_set<std::string> seen;
  for (const auto& item : reader.entries(key, "{ \"X-Proxy\" = \"remora\" }")) {
    if (const auto complaint = check_edited_field(item.node->key, request, edit)) {
      reader.report().add(item.where, *complaint);
    }
    if (!seen.insert(lower_case(item.node->key)).second) {
      reader.report().add(item.where, "this header is here twice, names compare without case: keep one");
    }
    // Several values of one name can only be added, and only as an array.
    const bool several = edit == Edit::kAdd && item.node->kind == Node::Kind::kArray;
    std::vector<Item> values{item};
    if (several) {
      values.clear();
      for (const auto& child : item.node->children) values.push_back({&child, {child.line, item.where.key}});
    }
    for (const auto& value : values) {
      const auto text = read_string(value, "\"remora\"", reader.report());
      if (!text) continue;
      if (const auto complaint = check_field_value(*text)) reader.report().add(value.where, *complaint);
      out.emplace_back(item.node->key, *text);
    }
  }
}

FieldEdits read_edits(const TableReader& reader, bool request) {
  FieldEdits edits;
  read_values(reader, "set", request, Edit::kSet, edits.set);
  read_values(reader, "add", request, Edit::kAdd, edits.add);
  for (const auto& item : reader.elements("remove", "[\"Server\"]")) {
    const auto name = read_string(item, "\"Server\"", reader.report());
    if (!name) continue;
    if (const auto complaint = check_edited_field(*name, request, Edit::kRemove)) {
      reader.report().add(item.where, *complaint);
    }
    edits.remove.push_back(*name);
  }
  return edits;
}

HashKey read_hash(const TableReader& reader) {
  HashKey hash;
  if (!reader.present()) return hash;
  static constexpr std::array<std::string_view, 5> kKeys{"header", "cookie", "source", "query", "path"};
  using Source = HashKey::Source;
  const auto key = only_one(reader, kKeys);
  if (key.empty()) {
    reader.report().add(reader.where(), "the hash has no key, add header, cookie, source, query or path");
    return hash;
  }
  if (key == "source" || key == "path") {
    hash.source = key == "source" ? Source::kSourceAddress : Source::kPath;
    const auto wanted = reader.boolean(key);
    if (wanted && !*wanted) reader.problem(key, "false means nothing here, write true or remove the hash");
    return hash;
  }
  hash.source = key == "header" ? Source::kHeader : key == "cookie" ? Source::kCookie : Source::kQuery;
  const auto name = reader.string(key, "\"X-User\"");
  if (!name) return hash;
  hash.name = *name;
  if (key != "query") {
    complain(reader, key, check_field_name(*name));  // RFC 6265 section 4.1.1: a cookie's name is a token too
  } else if (name->empty()) {
    reader.problem(key, "the name of the parameter is empty, write one");
  }
  return hash;
}

}  // namespace

void read_route(const TableReader& reader, Draft& draft) {
  Route route;
  draft.routes.back().push_back(reader.where());
  draft.hashes.back().push_back(reader.where("hash"));
  read_match(reader, draft.hooks, route.match);
  read_action(reader, draft, route);
  if (const auto rewrite = reader.string("rewrite", "\"/new\"")) {
    complain(reader, "rewrite", check_path(*rewrite));
    if (!reader.has("path") && !reader.has("prefix")) {
      reader.problem("rewrite", "rewrite replaces what path or prefix has matched, add one of them");
    }
    route.rewrite = *rewrite;
  }
  route.request_headers = read_edits(reader.table("request_headers", "listener.route.request_headers"), true);
  route.response_headers =
      read_edits(reader.table("response_headers", "listener.route.response_headers"), false);
  reader.duration("timeout", route.timeout, 0s, 24h);
  route.hash = read_hash(reader.table("hash", "listener.route.hash"));
  draft.config.listeners.back().routes.push_back(std::move(route));
}

}  // namespace remora::config
