#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "config/draft.h"
#include "config/suggest.h"
#include "config/values.h"

namespace remora::config {

namespace {

constexpr std::string_view kHttp = "http://";
constexpr std::string_view kTracesPath = "/v1/traces";  // OTLP/HTTP's own
constexpr std::string_view kExample = "\"http://127.0.0.1:4318/v1/traces\"";

// What stands between the scheme and the path.
void read_authority(const TableReader& reader, std::string_view authority, Tracing& tracing) {
  if (authority.find('@') != std::string_view::npos) {
    return reader.problem("endpoint",
                          "a name and password do not belong here, write them as a header in "
                          "headers: Authorization = \"Basic ...\"");
  }
  const bool port = parse_host_port(authority).has_value();
  if (!port && !authority.empty() && !check_authority(authority)) {
    return reader.problem("endpoint", fmt::format("{} has no port, write \"http://{}:4318{}\"",
                                                  in_quotes(tracing.endpoint), authority, tracing.path));
  }
  auto endpoint = parse_endpoint(authority);
  if (!endpoint || (endpoint->address && !endpoint->address->is_ip())) {
    return reader.problem("endpoint", endpoint ? fmt::format("this is no URL, write {}", kExample)
                                               : std::move(endpoint.error()));
  }
  tracing.address = std::move(endpoint->address);
  if (endpoint->host) tracing.host = *endpoint->host;
  tracing.authority = authority;
}

void read_endpoint(const TableReader& reader, Tracing& tracing) {
  if (!reader.has("endpoint")) {
    return reader.report().add(
        reader.where(),
        fmt::format("there is no endpoint, write that of a collector: endpoint = {}", kExample));
  }
  const auto text = reader.string("endpoint", kExample);
  if (!text) return;
  tracing.endpoint = *text;
  std::string_view rest = *text;
  if (rest.starts_with("https://")) {
    return reader.problem("endpoint",
                          fmt::format("{} asks for TLS, which is not spoken to collectors: write the http:// "
                                      "URL of one beside Remora",
                                      in_quotes(*text)));
  }
  if (!rest.starts_with(kHttp)) {
    return reader.problem("endpoint",
                          fmt::format("{} is no http:// URL, write {}", in_quotes(*text), kExample));
  }
  rest.remove_prefix(kHttp.size());
  const auto slash = std::min(rest.find('/'), rest.size());
  tracing.path = rest.substr(slash).size() > 1 ? rest.substr(slash) : kTracesPath;
  reader.complain("endpoint", check_path(tracing.path));
  read_authority(reader, rest.substr(0, slash), tracing);
}

void read_propagation(const TableReader& reader, TraceFormats& formats) {
  static constexpr std::array<std::string_view, 3> kWords{"w3c", "b3", "b3multi"};
  const auto* list = reader.find("propagation");
  if (list == nullptr) return;
  const auto items = reader.elements("propagation", "[\"w3c\"]");
  if (list->kind != Node::Kind::kArray) return;
  if (items.empty()) {
    reader.problem("propagation", "the list is empty, write one or more of \"w3c\", \"b3\", \"b3multi\"");
  }
  formats = {.w3c = false, .b3 = false, .b3_multi = false};
  const std::array<bool*, 3> flags{&formats.w3c, &formats.b3, &formats.b3_multi};
  for (const auto& item : items) {
    const auto word = read_string(item, "\"w3c\"", reader.report());
    if (!word) continue;
    const auto known = std::ranges::find(kWords, *word);
    if (known == kWords.end()) {
      reader.report().add(item.where,
                          fmt::format("{} is no way of passing a trace on{}", in_quotes(*word),
                                      did_you_mean(*word, kWords, ", write \"w3c\", \"b3\" or \"b3multi\"")));
      continue;
    }
    bool& flag = *flags[static_cast<std::size_t>(known - kWords.begin())];
    if (flag) reader.report().add(item.where, fmt::format("{} is here twice, keep one", in_quotes(*word)));
    flag = true;
  }
}

void read_headers(const TableReader& reader, Tracing& tracing) {
  static constexpr std::array<std::string_view, 4> kOurs{"content-type", "host", "user-agent", "accept"};
  for (const auto& item : reader.entries("headers", "{ \"Authorization\" = \"Bearer ...\" }")) {
    const std::string& name = item.node->key;
    const auto value = read_string(item, "\"Bearer ...\"", reader.report());
    if (const auto complaint = check_edited_field(name, false, Edit::kAdd)) {
      reader.report().add(item.where, *complaint);
    } else if (std::ranges::find(kOurs, lower_case(name)) != kOurs.end()) {
      reader.report().add(item.where, fmt::format("{} is Remora's to write, remove this", in_quotes(name)));
    }
    if (!value) continue;
    if (const auto wrong = check_field_value(*value)) reader.report().add(item.where, *wrong);
    tracing.headers.emplace_back(name, *value);
  }
}

}  // namespace

void read_tracing(const TableReader& top, Draft& draft) {
  const auto reader = top.table("tracing", "tracing");
  if (!reader.present()) return;
  Tracing& tracing = draft.config.tracing.emplace();
  read_endpoint(reader, tracing);
  reader.number("sample", tracing.sample, 0, 1);
  if (const auto service = reader.string("service", "\"orders\"")) {
    reader.complain("service", check_name(*service));
    tracing.service = *service;
  }
  read_propagation(reader, tracing.propagation);
  reader.integer("batch", tracing.batch, 1, 8192);
  reader.integer("queue", tracing.queue, 1, 65536);
  reader.ordered("batch", tracing.batch, "queue", tracing.queue);
  reader.duration("interval", tracing.interval, 100ms, 1min);
  reader.duration("timeout", tracing.timeout, 100ms, 1min);
  read_headers(reader, tracing);
}

}  // namespace remora::config
