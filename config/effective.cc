#include "config/effective.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <string_view>
#include <vector>

#include "config/units.h"
#include "config/values.h"

namespace remora::config {

namespace {

constexpr std::size_t kPiece = 1000;  // bytes of a string per line: lines have a limit

std::string escaped(char c) {
  switch (c) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    case '$': return "$$";  // a variable begins with one
    default: break;
  }
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f ? fmt::format("\\u{:04X}", byte) : std::string(1, c);
}

bool inside_utf8(char c) { return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U; }

// A basic string; a long one in several lines, each but the last ending in a backslash, after which TOML
// skips the line break and blanks: hence the escape for a blank that begins a line.
std::string text(std::string_view value) {
  const bool several = value.size() > kPiece;
  std::string out = several ? "\"\"\"" : "\"";
  std::size_t in_line = 0;
  for (const char c : value) {
    const bool fresh = several && in_line >= kPiece && !inside_utf8(c);
    if (fresh) {
      out += "\\\n";
      in_line = 0;
    }
    out += fresh && c == ' ' ? "\\u0020" : escaped(c);
    ++in_line;
  }
  return out + (several ? "\"\"\"" : "\"");
}

std::string real(double value) {
  std::array<char, 512> buffer{};
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed).ptr;
  std::string out(buffer.data(), end);
  return out.find('.') == std::string::npos ? out + ".0" : out;
}

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

std::string_view word(lb::Algorithm algorithm) {
  switch (algorithm) {
    case lb::Algorithm::kRoundRobin: return "round_robin";
    case lb::Algorithm::kLeastRequest: return "least_request";
    case lb::Algorithm::kRandom: return "random";
    case lb::Algorithm::kPeakEwma: return "peak_ewma";
    case lb::Algorithm::kRingHash: return "ring_hash";
    case lb::Algorithm::kMaglev: break;
  }
  return "maglev";
}

bool secret(std::string_view field) {
  static constexpr std::array<std::string_view, 6> kParts{"authorization", "cookie", "token",
                                                          "secret",        "passw",  "key"};
  const auto name = lower_case(field);
  return std::ranges::any_of(kParts,
                             [&](std::string_view part) { return name.find(part) != std::string::npos; });
}

class Writer final {
 public:
  Writer(const Config& config, Secrets secrets) : config_(config), secrets_(secrets) {}

  std::string write() {
    process();
    for (const auto& listener : config_.listeners) write(listener);
    for (const auto& cluster : config_.clusters) write(cluster);
    return std::move(out_);
  }

 private:
  template <typename... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    out_ += '\n';
  }
  // A header's value, unless nobody is to see it.
  std::string value_of(std::string_view field, std::string_view value) const {
    return text(secrets_ == Secrets::kMask && secret(field) ? "***" : value);
  }

  void process() {
    line("[runtime]");
    line("workers = {}", config_.runtime.workers);
    line("drain_timeout = \"{}\"", format_duration(config_.runtime.drain_timeout));
    line("zone = {}", text(config_.runtime.zone));
    line("\n[admin]");
    line("address = {}", text(config_.admin.address.to_string()));
    line("\n[log]");
    line("level = \"{}\"", word(config_.log.level));
    line("format = \"{}\"", word(config_.log.format));
    line("\n[log.access]");
    line("format = \"{}\"", word(config_.log.access.format));
    line("path = {}", text(config_.log.access.path));
    line("sample = {}", real(config_.log.access.sample));
  }

  void write(const Listener& listener) {
    line("\n[[listener]]");
    line("name = {}", text(listener.name));
    line("address = {}", text(listener.address.to_string()));
    line("trusted = [");
    for (const auto& range : listener.trusted) line("  {},", text(range.to_string()));
    line("]");
    line("\n[listener.timeouts]");
    line("header = \"{}\"", format_duration(listener.timeouts.header));
    line("body_idle = \"{}\"", format_duration(listener.timeouts.body_idle));
    line("keep_alive = \"{}\"", format_duration(listener.timeouts.keep_alive));
    line("tunnel_idle = \"{}\"", format_duration(listener.timeouts.tunnel_idle));
    line("\n[listener.limits]");
    line("connections = {}", listener.limits.connections);
    line("header_bytes = \"{}\"", format_size(listener.limits.header_bytes));
    line("header_fields = {}", listener.limits.header_fields);
    line("body_bytes = \"{}\"", format_size(listener.limits.body_bytes));
    for (const auto& route : listener.routes) write(route);
  }

  void write(const Route& route) {
    line("\n[[listener.route]]");
    write(route.match);
    if (const auto* forward = std::get_if<Forward>(&route.action)) write(*forward, route);
    if (!route.match.headers.empty()) {
      line("\n[listener.route.headers]");
      for (const auto& field : route.match.headers) {
        line("\"{}\" = {}", field.name, field.value ? value_of(field.name, *field.value) : text("*"));
      }
    }
    if (const auto* redirect = std::get_if<Redirect>(&route.action)) write(*redirect);
    if (const auto* respond = std::get_if<Respond>(&route.action)) {
      line("\n[listener.route.respond]");
      line("status = {}", respond->status);
      line("body = {}", text(respond->body));
      line("content_type = {}", text(respond->content_type));
    }
    write(route.request_headers, "request_headers");
    write(route.response_headers, "response_headers");
  }

  void write(const Match& match) {
    if (!match.host.empty()) line("host = {}", text(match.host));
    static constexpr std::array<std::string_view, 4> kKeys{"", "path", "prefix", "regex"};
    if (match.path_kind != Match::Path::kAny) {
      line("{} = {}", kKeys[static_cast<std::size_t>(match.path_kind)], text(match.path));
    }
    if (match.methods.empty()) return;
    line("methods = [");
    for (const auto& method : match.methods) line("  {},", text(method));
    line("]");
  }

  void write(const Forward& forward, const Route& route) {
    if (forward.clusters.size() == 1 && forward.clusters.front().weight == 1) {
      line("cluster = {}", text(config_.clusters[forward.clusters.front().cluster].name));
    } else {
      line("clusters = [");
      for (const auto& [cluster, weight] : forward.clusters) {
        line("  {{ name = {}, weight = {} }},", text(config_.clusters[cluster].name), weight);
      }
      line("]");
    }
    if (route.rewrite) line("rewrite = {}", text(*route.rewrite));
    line("timeout = \"{}\"", format_duration(route.timeout));
    using Source = HashKey::Source;
    switch (route.hash.source) {
      case Source::kNone: break;
      case Source::kHeader: line("hash = {{ header = {} }}", text(route.hash.name)); break;
      case Source::kCookie: line("hash = {{ cookie = {} }}", text(route.hash.name)); break;
      case Source::kQuery: line("hash = {{ query = {} }}", text(route.hash.name)); break;
      case Source::kSourceAddress: line("hash = {{ source = true }}"); break;
      case Source::kPath: line("hash = {{ path = true }}"); break;
    }
  }

  void write(const Redirect& redirect) {
    line("\n[listener.route.redirect]");
    line("status = {}", redirect.status);
    if (!redirect.to.empty()) line("to = {}", text(redirect.to));
    if (!redirect.scheme.empty()) line("scheme = {}", text(redirect.scheme));
    if (!redirect.host.empty()) line("host = {}", text(redirect.host));
    if (!redirect.path.empty()) line("path = {}", text(redirect.path));
  }

  void write(const FieldEdits& edits, std::string_view key) {
    if (edits.empty()) return;
    line("\n[listener.route.{}]", key);
    line("remove = [");
    for (const auto& name : edits.remove) line("  {},", text(name));
    line("]");
    if (!edits.set.empty()) line("\n[listener.route.{}.set]", key);
    for (const auto& [name, value] : edits.set) line("\"{}\" = {}", name, value_of(name, value));
    if (!edits.add.empty()) line("\n[listener.route.{}.add]", key);
    // Values of one name stand together, in one array.
    for (std::size_t i = 0; i < edits.add.size(); ++i) {
      const auto& name = edits.add[i].first;
      line("\"{}\" = [", name);
      line("  {},", value_of(name, edits.add[i].second));
      while (i + 1 < edits.add.size() && edits.add[i + 1].first == name) {
        line("  {},", value_of(name, edits.add[++i].second));
      }
      line("]");
    }
  }

  void write(const Cluster& cluster) {
    line("\n[[cluster]]");
    line("name = {}", text(cluster.name));
    line("balance = \"{}\"", word(cluster.balance.algorithm));
    line("bounded_load = {}", real(cluster.balance.bounded_load));
    line("endpoints = [");
    for (const auto& endpoint : cluster.endpoints) {
      line("  {{ address = {}, weight = {}, zone = {}, priority = {} }},", text(endpoint.name),
           endpoint.weight, text(endpoint.zone), endpoint.priority);
    }
    line("]");
    line("\n[cluster.timeouts]");
    line("connect = \"{}\"", format_duration(cluster.timeouts.connect));
    line("idle = \"{}\"", format_duration(cluster.timeouts.idle));
  }

  const Config& config_;
  const Secrets secrets_;
  std::string out_;
};

}  // namespace

std::string effective_toml(const Config& config, Secrets secrets) { return Writer(config, secrets).write(); }

}  // namespace remora::config
