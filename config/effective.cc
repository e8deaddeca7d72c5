#include "config/effective.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "config/effective_parts.h"
#include "config/values.h"

namespace remora::config {

namespace {

std::string_view word(LogFormat format) { return format == LogFormat::kJson ? "json" : "text"; }

std::string_view word(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace: return "trace";
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarn: return "warn";
    case LogLevel::kError: return "error";
    case LogLevel::kOff: break;
  }
  return "off";
}

// A header's value, unless nobody is to see it.
std::string value_of(std::string_view field, std::string_view value, Secrets secrets) {
  return toml_string(secrets == Secrets::kMask && is_secret(field) ? "***" : value);
}

void write_process(TomlWriter& out, const Config& config) {
  out.table("runtime");
  out.integer("workers", config.runtime.workers);
  out.duration("drain_delay", config.runtime.drain_delay);
  out.duration("drain_timeout", config.runtime.drain_timeout);
  out.text("exit_with", config.runtime.exit_with);
  out.text("zone", config.runtime.zone);
  out.boolean("watch", config.runtime.watch);
  std::vector<std::string> resolvers;
  resolvers.reserve(config.runtime.resolvers.size());
  for (const Address& server : config.runtime.resolvers) resolvers.push_back(server.to_string());
  out.list("resolvers", resolvers);
  out.text("user", config.runtime.user);
  out.boolean("core_dumps", config.runtime.core_dumps);
  out.table("overload");
  out.duration("loop_lag", config.overload.loop_lag);
  out.size("memory", config.overload.memory);
  out.duration("calm", config.overload.calm);
  out.table("admin");
  out.text("address", config.admin.address.to_string());
  out.list("hosts", config.admin.hosts);
  out.table("log");
  out.text("level", word(config.log.level));
  out.text("format", word(config.log.format));
  out.table("log.access");
  out.text("format", word(config.log.access.format));
  out.text("path", config.log.access.path);
  out.number("sample", config.log.access.sample);
}

// Every header of the collector's may be a credential, whatever its name.
void write_tracing(TomlWriter& out, const Tracing& tracing, Secrets secrets) {
  out.table("tracing");
  out.text("endpoint", tracing.endpoint);
  out.number("sample", tracing.sample);
  out.text("service", tracing.service);
  std::vector<std::string> formats;
  if (tracing.propagation.w3c) formats.emplace_back("w3c");
  if (tracing.propagation.b3) formats.emplace_back("b3");
  if (tracing.propagation.b3_multi) formats.emplace_back("b3multi");
  out.list("propagation", formats);
  out.integer("batch", tracing.batch);
  out.integer("queue", tracing.queue);
  out.duration("interval", tracing.interval);
  out.duration("timeout", tracing.timeout);
  if (!tracing.headers.empty()) out.table("tracing.headers");
  for (const auto& [name, value] : tracing.headers) {
    out.line(fmt::format("\"{}\" = {}", name, toml_string(secrets == Secrets::kMask ? "***" : value)));
  }
}

void write_match(TomlWriter& out, const Match& match) {
  if (!match.host.empty()) out.text("host", match.host);
  static constexpr std::array<std::string_view, 4> kKeys{"", "path", "prefix", "regex"};
  if (match.path_kind != Match::Path::kAny) {
    out.text(kKeys[static_cast<std::size_t>(match.path_kind)], match.path);
  }
  if (!match.methods.empty()) out.list("methods", match.methods);
  if (match.connect) out.boolean("connect", true);
}

void write_clusters(TomlWriter& out, const Forward& forward, const Config& config) {
  if (forward.clusters.size() == 1 && forward.clusters.front().weight == 1) {
    out.text("cluster", config.clusters[forward.clusters.front().cluster].name);
  } else {
    std::vector<std::string> clusters;
    clusters.reserve(forward.clusters.size());
    for (const auto& [cluster, weight] : forward.clusters) {
      clusters.push_back(
          fmt::format("{{ name = {}, weight = {} }}", toml_string(config.clusters[cluster].name), weight));
    }
    out.values("clusters", clusters);
  }
}

void write_forward(TomlWriter& out, const Forward& forward, const Route& route, const Config& config) {
  write_clusters(out, forward, config);
  if (route.rewrite) out.text("rewrite", *route.rewrite);
  out.duration("timeout", route.timeout);
  const auto name = toml_string(route.hash.name);
  using Source = HashKey::Source;
  switch (route.hash.source) {
    case Source::kNone: break;
    case Source::kHeader: out.line(fmt::format("hash = {{ header = {} }}", name)); break;
    case Source::kCookie: out.line(fmt::format("hash = {{ cookie = {} }}", name)); break;
    case Source::kQuery: out.line(fmt::format("hash = {{ query = {} }}", name)); break;
    case Source::kSourceAddress: out.line("hash = { source = true }"); break;
    case Source::kPath: out.line("hash = { path = true }"); break;
  }
}

void write_redirect(TomlWriter& out, const Redirect& redirect) {
  out.table("listener.route.redirect");
  out.integer("status", redirect.status);
  if (!redirect.to.empty()) out.text("to", redirect.to);
  if (!redirect.scheme.empty()) out.text("scheme", redirect.scheme);
  if (!redirect.host.empty()) out.text("host", redirect.host);
  if (!redirect.path.empty()) out.text("path", redirect.path);
}

void write_edits(TomlWriter& out, const FieldEdits& edits, std::string_view key, Secrets secrets) {
  if (edits.empty()) return;
  const auto table = fmt::format("listener.route.{}", key);
  out.table(table);
  out.list("remove", edits.remove);
  if (!edits.set.empty()) out.table(table + ".set");
  for (const auto& [name, value] : edits.set) {
    out.line(fmt::format("\"{}\" = {}", name, value_of(name, value, secrets)));
  }
  if (!edits.add.empty()) out.table(table + ".add");
  // Values of one name stand together, in one array.
  for (std::size_t i = 0; i < edits.add.size();) {
    const auto& name = edits.add[i].first;
    std::vector<std::string> values;
    for (; i < edits.add.size() && edits.add[i].first == name; ++i) {
      values.push_back(value_of(name, edits.add[i].second, secrets));
    }
    out.values(fmt::format("\"{}\"", name), values);
  }
}

void write_route(TomlWriter& out, const Route& route, const Config& config, Secrets secrets) {
  out.element("listener.route");
  write_match(out, route.match);
  write_allow(out, route.allow);
  if (const auto* forward = std::get_if<Forward>(&route.action)) write_forward(out, *forward, route, config);
  if (!route.match.headers.empty()) out.table("listener.route.headers");
  for (const auto& field : route.match.headers) {
    out.line(fmt::format("\"{}\" = {}", field.name,
                         field.value ? value_of(field.name, *field.value, secrets) : toml_string("*")));
  }
  if (const auto* redirect = std::get_if<Rare<Redirect>>(&route.action)) write_redirect(out, **redirect);
  if (const auto* respond = std::get_if<Rare<Respond>>(&route.action)) {
    out.table("listener.route.respond");
    write_respond(out, **respond);
  }
  if (route.request_headers) write_edits(out, *route.request_headers, "request_headers", secrets);
  if (route.response_headers) write_edits(out, *route.response_headers, "response_headers", secrets);
  if (route.retry) write_retry(out, "listener.route.retry", *route.retry);
  if (route.rate_limit) write_rate_limit(out, "listener.route.rate_limit", *route.rate_limit);
}

std::vector<std::string> ranges(const std::vector<Cidr>& list) {
  std::vector<std::string> texts;
  texts.reserve(list.size());
  for (const auto& range : list) texts.push_back(range.to_string());
  return texts;
}

void write_proxies(TomlWriter& out, const std::optional<ListenerProxies>& proxies) {
  if (!proxies) return;
  out.table("listener.proxy_protocol");
  out.list("from", ranges(proxies->from));
  out.duration("timeout", proxies->timeout);
}

// The rest of a listener that has no requests.
void write_tcp(TomlWriter& out, const Listener& listener, const Config& config) {
  const Route& last = listener.routes.back();
  if (last.match.host.empty()) write_clusters(out, std::get<Forward>(last.action), config);
  write_allow(out, listener.allow);
  out.table("listener.timeouts");
  out.duration("detect", listener.timeouts.detect);
  out.duration("tunnel_idle", listener.timeouts.tunnel_idle);
  out.table("listener.limits");
  out.integer("connections", listener.limits.connections);
  write_proxies(out, listener.proxy_protocol);
  if (listener.tls) write_listener_tls(out, *listener.tls);
  if (listener.rate_limit) write_rate_limit(out, "listener.rate_limit", *listener.rate_limit);
  for (const Route& route : listener.routes) {
    if (route.match.host.empty()) break;
    out.element("listener.route");
    write_match(out, route.match);
    write_clusters(out, std::get<Forward>(route.action), config);
    if (route.retry) write_retry(out, "listener.route.retry", *route.retry);
    if (route.rate_limit) write_rate_limit(out, "listener.route.rate_limit", *route.rate_limit);
  }
}

void write_listener(TomlWriter& out, const Listener& listener, const Config& config, Secrets secrets) {
  out.element("listener");
  out.text("name", listener.name);
  out.text("address", listener.address.to_string());
  out.text("protocol", listener.is_tcp() ? "tcp" : listener.detects() ? "detect" : "http");
  out.text("direction", listener.direction == Direction::kOutbound ? "outbound" : "inbound");
  out.boolean("original_destination", listener.original_destination);
  if (listener.is_tcp()) return write_tcp(out, listener, config);
  if (listener.detects()) write_clusters(out, std::get<Forward>(listener.routes.back().action), config);
  out.list("trusted", ranges(listener.trusted));
  write_allow(out, listener.allow);
  out.table("listener.timeouts");
  out.duration("header", listener.timeouts.header);
  out.duration("body_idle", listener.timeouts.body_idle);
  out.duration("keep_alive", listener.timeouts.keep_alive);
  out.duration("tunnel_idle", listener.timeouts.tunnel_idle);
  if (listener.detects()) out.duration("detect", listener.timeouts.detect);
  out.table("listener.limits");
  out.integer("connections", listener.limits.connections);
  out.size("header_bytes", listener.limits.header_bytes);
  out.integer("header_fields", listener.limits.header_fields);
  out.size("body_bytes", listener.limits.body_bytes);
  write_proxies(out, listener.proxy_protocol);
  if (listener.tls) write_listener_tls(out, *listener.tls);
  if (listener.rate_limit) write_rate_limit(out, "listener.rate_limit", *listener.rate_limit);
  for (std::size_t i = 0; i < listener.request_routes(); ++i) {
    write_route(out, listener.routes[i], config, secrets);
  }
}

}  // namespace

bool is_secret(std::string_view field) {
  static constexpr std::array<std::string_view, 6> kParts{"authorization", "cookie", "token",
                                                          "secret",        "passw",  "key"};
  const auto name = lower_case(field);
  return std::ranges::any_of(kParts,
                             [&](std::string_view part) { return name.find(part) != std::string::npos; });
}

void write_respond(TomlWriter& out, const Respond& respond) {
  out.integer("status", respond.status);
  out.text("body", respond.body);
  out.text("content_type", respond.content_type);
}

void write_rate_limit(TomlWriter& out, std::string_view table, const RateLimit& limit) {
  out.table(table);
  out.number("requests", limit.bucket.requests);
  out.duration("per", limit.bucket.per);
  out.integer("burst", limit.bucket.burst);
  if (limit.key == RateLimit::Key::kAll) return;
  out.integer("keys", limit.keys);
  if (limit.key == RateLimit::Key::kSourceAddress) return out.text("key", "source");
  out.line(fmt::format("key = {{ header = {} }}", toml_string(limit.header)));
}

std::string effective_toml(const Config& config, Secrets secrets) {
  TomlWriter out;
  write_process(out, config);
  if (config.tracing) write_tracing(out, *config.tracing, secrets);
  for (const auto& listener : config.listeners) write_listener(out, listener, config, secrets);
  for (const auto& cluster : config.clusters) write_cluster(out, cluster, config, secrets);
  if (config.mesh) write_mesh(out, *config.mesh, secrets);
  return out.take();
}

}  // namespace remora::config
