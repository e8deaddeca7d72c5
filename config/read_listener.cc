#include <fmt/format.h>

#include <array>

#include "config/draft.h"
#include "config/values.h"

namespace remora::config {

namespace {

// The validator compares routes pairwise: so many take it the better part of a second, on the control thread.
constexpr std::size_t kMostRoutes = 10000;

// Loopback, RFC 1918 and RFC 4193: who can reach us from there is beside us.
constexpr std::array<std::string_view, 7> kTrusted{"unix:",         "127.0.0.0/8",    "::1/128", "10.0.0.0/8",
                                                   "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"};

using Words = std::pair<std::string_view, Direction>;
using Protocols = std::pair<std::string_view, Listener::Protocol>;
constexpr std::array kProtocols{Protocols{"http", Listener::Protocol::kHttp},
                                Protocols{"tcp", Listener::Protocol::kTcp},
                                Protocols{"detect", Listener::Protocol::kDetect}};

constexpr std::array kDirections{Words{"inbound", Direction::kInbound},
                                 Words{"outbound", Direction::kOutbound}};

void read_address(const TableReader& reader, Listener& listener) {
  const auto name = reader.string("name", "\"in\"");
  if (name) {
    if (const auto complaint = check_name(*name)) reader.problem("name", *complaint);
    listener.name = *name;
  }
  if (!reader.has("address")) {
    reader.problem("address", "a listener needs an address, write address = \"0.0.0.0:8080\"");
    return;
  }
  const auto text = reader.string("address", "\"0.0.0.0:8080\"");
  if (!text) return;
  if (auto address = parse_listen_address(*text)) {
    listener.address = *std::move(address);
  } else {
    reader.problem("address", address.error());
  }
  if (listener.name.empty()) listener.name = *text;
}

void read_ranges(const TableReader& reader, std::string_view key, std::vector<Cidr>& ranges) {
  for (const auto& item : reader.elements(key, "[\"10.0.0.0/8\"]")) {
    const auto text = read_string(item, "\"10.0.0.0/8\"", reader.report());
    if (!text) continue;
    if (const auto range = Cidr::parse(*text)) {
      ranges.push_back(*range);
    } else {
      reader.report().add(item.where,
                          fmt::format("{} is not an address range, write \"10.0.0.0/8\", \"fc00::/7\", "
                                      "one address, or \"unix:\"",
                                      in_quotes(*text)));
    }
  }
}

void read_trusted(const TableReader& reader, Listener& listener) {
  if (reader.has("trusted")) return read_ranges(reader, "trusted", listener.trusted);
  for (const auto range : kTrusted) listener.trusted.push_back(*Cidr::parse(range));
}

void read_proxies(const TableReader& reader, Listener& listener) {
  if (!reader.present()) return;
  auto& proxies = listener.proxy_protocol.emplace();
  read_ranges(reader, "from", proxies.from);
  const auto* from = reader.find("from");
  if (from == nullptr || (from->kind == Node::Kind::kArray && from->children.empty())) {
    reader.problem("from", "nobody would be believed, write who sends the headers: from = [\"10.0.0.0/8\"]");
  }
  reader.duration("timeout", proxies.timeout, 10ms, 1h);
}

void read_timeouts(const TableReader& reader, ListenerTimeouts& timeouts) {
  reader.duration("header", timeouts.header, 1ms, 24h);
  reader.duration("body_idle", timeouts.body_idle, 1ms, 24h);
  reader.duration("keep_alive", timeouts.keep_alive, 1ms, 24h);
  reader.duration("detect", timeouts.detect, 10ms, 1h);
  reader.duration("tunnel_idle", timeouts.tunnel_idle, 1ms, 24h * 365);
}

void read_limits(const TableReader& reader, ListenerLimits& limits) {
  reader.integer("connections", limits.connections, 0, 10'000'000);
  reader.size("header_bytes", limits.header_bytes, 256, std::uint64_t{1} << 20);
  reader.integer("header_fields", limits.header_fields, 1, 10'000);
  reader.size("body_bytes", limits.body_bytes, 0, std::uint64_t{1} << 50);
}

void read_routes(const TableReader& reader, Draft& draft) {
  const auto routes = reader.tables("route", "listener.route");
  if (routes.empty() && !reader.has("route")) {
    reader.problem("route", "a listener needs a route, add [[listener.route]] with cluster = \"...\"");
  } else if (routes.empty() && reader.find("route")->kind == Node::Kind::kArray &&
             reader.find("route")->children.empty()) {
    reader.problem("route", "the list is empty, add [[listener.route]] with cluster = \"...\"");
  }
  if (routes.size() > kMostRoutes) {
    reader.report().add(
        routes[kMostRoutes].where,
        fmt::format("there are {} routes, a listener takes at most {}", routes.size(), kMostRoutes));
    return;
  }
  for (const auto& item : routes) {
    read_route(TableReader(item.node, "listener.route", item.where, reader.report()), draft);
  }
}

// Keys that only requests give a meaning.
void refuse_http(const TableReader& reader, const TableReader& timeouts, const TableReader& limits,
                 const Listener& listener) {
  static constexpr std::string_view kNoRequests = "a listener with protocol = \"tcp\" sees no requests";
  const auto refuse = [](const TableReader& table, std::initializer_list<std::string_view> keys) {
    for (const auto key : keys) {
      if (table.has(key)) table.problem(key, fmt::format("{}, remove this", kNoRequests));
    }
  };
  refuse(reader, {"trusted"});
  refuse(timeouts, {"header", "body_idle", "keep_alive"});
  refuse(limits, {"header_bytes", "header_fields", "body_bytes"});
  if (listener.rate_limit && listener.rate_limit->key == RateLimit::Key::kHeader) {
    reader.problem("rate_limit", fmt::format("{}, so no header, write key = \"source\"", kNoRequests));
  }
}

// Keys that only bytes without requests give a meaning.
void refuse_tcp(const TableReader& reader, const TableReader& timeouts) {
  if (timeouts.has("detect")) {
    timeouts.problem(
        "detect", "requests say by themselves where they go, this is for protocol = \"tcp\" and \"detect\"");
  }
  if (reader.has("cluster")) {
    reader.problem("cluster",
                   "requests have routes, write it in a [[listener.route]], or protocol = \"tcp\"");
  }
}

// Where a TCP listener leads: routes by name, then one that everything takes.
void read_tcp_targets(const TableReader& reader, Draft& draft) {
  const auto& listener = draft.config.listeners.back();
  if (reader.has("route") && listener.tls) {
    reader.problem(
        "route", "TLS ends at this listener, so nobody asks for a name behind it: remove tls or the routes");
  }
  if (reader.has("route")) read_routes(reader, draft);
  if (reader.has("cluster")) return read_tcp_target(reader, draft);
  if (reader.has("route")) return;
  reader.problem("cluster", "a listener with protocol = \"tcp\" leads to a cluster, write cluster = \"...\"");
}

}  // namespace

void read_listeners(const TableReader& top, Draft& draft) {
  const auto items = top.tables("listener", "listener");
  const auto* node = top.find("listener");
  draft.listeners_missing = node == nullptr || (node->kind == Node::Kind::kArray && node->children.empty());
  for (const auto& item : items) {
    const TableReader reader(item.node, "listener", named(item, "listener"), draft.report);
    draft.config.listeners.emplace_back();
    draft.routes.emplace_back();
    draft.hashes.emplace_back();
    auto& listener = draft.config.listeners.back();
    read_address(reader, listener);
    draft.listeners.push_back(reader.where());
    reader.choice<Listener::Protocol>("protocol", listener.protocol, kProtocols);
    reader.choice<Direction>("direction", listener.direction, kDirections);
    read_trusted(reader, listener);
    const auto timeouts = reader.table("timeouts");
    read_timeouts(timeouts, listener.timeouts);
    const auto limits = reader.table("limits");
    read_limits(limits, listener.limits);
    listener.rate_limit = read_rate_limit(reader.table("rate_limit"));
    read_proxies(reader.table("proxy_protocol"), listener);
    reader.boolean("original_destination", listener.original_destination);
    if (listener.original_destination && listener.address.is_unix()) {
      reader.problem("original_destination",
                     "nobody can redirect to a Unix socket, give it an IP address or remove this");
    }
    read_listener_tls(reader, draft.hooks, listener);
    if (listener.is_tcp()) {
      refuse_http(reader, timeouts, limits, listener);
      read_tcp_targets(reader, draft);
    } else if (listener.detects()) {
      read_routes(reader, draft);
      read_tcp_target(reader, draft);
      if (!reader.has("cluster")) {
        reader.problem("cluster", "what is no HTTP needs a cluster to go to, write cluster = \"...\"");
      }
    } else {
      refuse_tcp(reader, timeouts);
      read_routes(reader, draft);
    }
  }
}

}  // namespace remora::config
