#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_set>

#include "config/draft.h"
#include "config/suggest.h"
#include "config/values.h"

namespace remora::config {

namespace {

void read_path(const TableReader& reader, const Hooks& hooks, Match& match) {
  static constexpr std::array<std::string_view, 3> kKeys{"path", "prefix", "regex"};
  const auto key = reader.only_one(kKeys);
  if (key.empty()) return;
  const auto text = reader.string(key, "\"/api\"");
  match.path_kind = key == "path"     ? Match::Path::kExact
                    : key == "prefix" ? Match::Path::kPrefix
                                      : Match::Path::kRegex;
  if (!text) return;
  match.path = *text;
  if (key != "regex") return reader.complain(key, check_path(*text));
  if (text->empty())
    return reader.problem(key, "the pattern is empty and matches nothing, write one such as \"/v[0-9]+/.*\"");
  const auto wrong = hooks.check_regex ? hooks.check_regex(*text) : std::nullopt;
  if (wrong) {
    const auto reason = in_quotes(*wrong);  // the engine repeats the pattern, which may hold anything
    reader.problem(key, fmt::format("{} is not an RE2 pattern ({}), correct it", in_quotes(*text),
                                    reason.substr(1, reason.size() - 2)));
  }
}

void read_host(const TableReader& reader, Match& match) {
  const auto host = reader.string("host", "\"api.example\"");
  if (!host) return;
  if (auto pattern = parse_host_pattern(*host)) {
    match.host = *std::move(pattern);
  } else {
    reader.problem("host", pattern.error());
  }
}

void read_match(const TableReader& reader, const Hooks& hooks, Match& match) {
  read_host(reader, match);
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

Rare<FieldEdits> read_edits(const TableReader& reader, bool request) {
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
  if (edits.empty()) return {};
  return edits;
}

HashKey read_hash(const TableReader& reader) {
  HashKey hash;
  if (!reader.present()) return hash;
  static constexpr std::array<std::string_view, 5> kKeys{"header", "cookie", "source", "query", "path"};
  using Source = HashKey::Source;
  const auto key = reader.only_one(kKeys);
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
    reader.complain(key, check_field_name(*name));  // RFC 6265 section 4.1.1: a cookie's name is a token too
  } else if (name->empty()) {
    reader.problem(key, "the name of the parameter is empty, write one");
  }
  return hash;
}

// What connections of a TCP listener do when their TLS asks for a name. Hashes go by the client's address,
// since there is nothing else to go by.
void read_named_route(const TableReader& reader, Draft& draft, Route& route) {
  static constexpr std::array<std::string_view, 14> kOfRequests{
      "path",    "prefix",  "regex", "methods", "headers",         "redirect",         "respond",
      "rewrite", "timeout", "hash",  "allow",   "request_headers", "response_headers", "connect"};
  for (const auto key : kOfRequests) {
    if (!reader.has(key)) continue;
    reader.problem(key, "a listener with protocol = \"tcp\" sees no requests, remove this");
  }
  if (!reader.has("host")) {
    reader.report().add(
        reader.where(),
        "this route is for a name that TLS clients ask for, write host = \"...\"; the cluster for "
        "all others is the listener's own key");
  }
  read_host(reader, route.match);
  read_action(reader, draft, route);
  route.hash.source = HashKey::Source::kSourceAddress;
  route.rate_limit = read_rate_limit(reader.table("rate_limit"));
  if (route.rate_limit && route.rate_limit->key == RateLimit::Key::kHeader) {
    reader.problem("rate_limit", "connections have no header, write key = \"source\"");
  }
}

// A tunnel is asked for by host and port, and answered with no more than that it is there.
void refuse_of_connect(const TableReader& reader) {
  for (const auto key : {"path", "prefix", "regex", "methods", "redirect", "respond", "rewrite",
                         "request_headers", "response_headers"}) {
    if (reader.has(key)) reader.problem(key, "a route with connect = true leads to a tunnel, remove this");
  }
}

void read_request_route(const TableReader& reader, Draft& draft, Route& route) {
  reader.boolean("connect", route.match.connect);
  if (route.match.connect) refuse_of_connect(reader);
  read_match(reader, draft.hooks, route.match);
  read_action(reader, draft, route);
  if (const auto rewrite = reader.string("rewrite", "\"/new\"")) {
    reader.complain("rewrite", check_path(*rewrite));
    if (!reader.has("path") && !reader.has("prefix")) {
      reader.problem("rewrite", "rewrite replaces what path or prefix has matched, add one of them");
    }
    route.rewrite = *rewrite;
  }
  route.request_headers = read_edits(reader.table("request_headers"), true);
  route.response_headers = read_edits(reader.table("response_headers"), false);
  reader.duration("timeout", route.timeout, 0s, 24h);
  route.hash = read_hash(reader.table("hash"));
  route.rate_limit = read_rate_limit(reader.table("rate_limit"));
  route.allow = read_allow(reader, "listener.route.allow", draft.config.listeners.back().tls);
}

}  // namespace

void read_tcp_target(const TableReader& reader, Draft& draft) {
  Route route;
  route.hash.source = HashKey::Source::kSourceAddress;
  draft.routes.back().push_back(reader.where("cluster"));
  draft.hashes.back().push_back(reader.where("cluster"));
  Forward forward;
  read_target(reader, draft, forward);
  route.action = std::move(forward);
  draft.config.listeners.back().routes.push_back(std::move(route));
}

void read_route(const TableReader& reader, Draft& draft) {
  Route route;
  draft.routes.back().push_back(reader.where());
  draft.hashes.back().push_back(reader.where("hash"));
  if (draft.config.listeners.back().is_tcp()) {
    read_named_route(reader, draft, route);
  } else {
    read_request_route(reader, draft, route);
  }
  if (const auto retry = reader.table("retry"); retry.present()) route.retry = read_retry(retry);
  draft.config.listeners.back().routes.push_back(std::move(route));
}

}  // namespace remora::config
