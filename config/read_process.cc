#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "config/cores.h"
#include "config/draft.h"
#include "config/values.h"

namespace remora::config {

namespace {

using Words = std::pair<std::string_view, LogFormat>;
constexpr std::array kFormats{Words{"text", LogFormat::kText}, Words{"json", LogFormat::kJson}};

using Levels = std::pair<std::string_view, LogLevel>;
constexpr std::array kLevels{Levels{"trace", LogLevel::kTrace}, Levels{"debug", LogLevel::kDebug},
                             Levels{"info", LogLevel::kInfo},   Levels{"warn", LogLevel::kWarn},
                             Levels{"error", LogLevel::kError}, Levels{"off", LogLevel::kOff}};

constexpr std::size_t kLongestPid = 9;
constexpr std::uint16_t kDnsPort = 53;
constexpr Duration kLeastLag = 10ms;  // a tick of the timers
constexpr std::uint64_t kLeastMemory = std::uint64_t{16} << 20;
constexpr std::uint64_t kMostMemory = std::uint64_t{1} << 50;

void read_workers(const TableReader& reader, Draft& draft) {
  const auto* node = reader.find("workers");
  if (node == nullptr) return;
  if (node->kind == Node::Kind::kString && node->text == "auto") {
    draft.config.runtime.workers = draft.hooks.cores ? draft.hooks.cores() : granted_cores();
    return;
  }
  const bool number = node->kind == Node::Kind::kInteger || node->from_environment;
  if (!number && node->kind != Node::Kind::kBroken) {
    reader.problem("workers", describe(*node) + ", write a whole number from 1 to 256, or \"auto\"");
    return;
  }
  reader.integer("workers", draft.config.runtime.workers, 1, kMostWorkers);
}

void read_exit_with(const TableReader& reader, Runtime& runtime) {
  const auto text = reader.string("exit_with", "\"/run/app.pid\"");
  if (!text) return;
  const bool digits = text->find_first_not_of("0123456789") == std::string::npos;
  const bool pid = digits && text->size() <= kLongestPid && text->find_first_not_of('0') != std::string::npos;
  if (!text->empty() && !pid && !text->starts_with('/')) {
    reader.problem("exit_with", fmt::format("{} is neither, write a pid such as \"42\", or the absolute path "
                                            "of a file that has it, such as \"/run/app.pid\"",
                                            in_quotes(*text)));
  }
  runtime.exit_with = *text;
}

// NAME, UID or UID:GID. Whether the system knows it is found out when it is needed.
void read_user(const TableReader& reader, Runtime& runtime) {
  const auto text = reader.string("user", "\"remora\"");
  if (!text) return;
  const auto visible = [](char c) { return c > ' ' && c < '\x7f'; };
  const auto digits = [](std::string_view part) {
    return !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
  };
  const std::string_view whole = *text;
  const std::size_t colon = whole.find(':');
  const bool pair = colon != std::string_view::npos;
  if (!std::ranges::all_of(whole, visible) ||
      (pair && !(digits(whole.substr(0, colon)) && digits(whole.substr(colon + 1))))) {
    reader.problem("user",
                   fmt::format("{} is neither, write a name such as \"remora\", or the numbers of a user "
                               "and a group such as \"65532:65532\"",
                               in_quotes(*text)));
  }
  runtime.user = *text;
}

void read_runtime(const TableReader& reader, Draft& draft) {
  auto& runtime = draft.config.runtime;
  read_workers(reader, draft);
  reader.duration("drain_delay", runtime.drain_delay, 0s, 24h);
  reader.duration("drain_timeout", runtime.drain_timeout, 0s, 24h);
  reader.ordered("drain_delay", runtime.drain_delay, "drain_timeout", runtime.drain_timeout);
  read_exit_with(reader, runtime);
  if (const auto zone = reader.string("zone", "\"eu-1a\"")) {
    const auto complaint = zone->empty() ? std::nullopt : check_name(*zone);
    if (complaint) reader.problem("zone", *complaint);
    runtime.zone = *zone;
  }
  reader.boolean("watch", runtime.watch);
  for (const auto& item : reader.elements("resolvers", "[\"10.0.0.53\"]")) {
    const auto text = read_string(item, "\"10.0.0.53\"", reader.report());
    if (!text) continue;
    auto server = Address::parse_ip(*text, kDnsPort);
    if (!server) server = Address::parse(*text);
    if (server && server->is_ip() && server->port() != 0) {
      runtime.resolvers.push_back(*server);
    } else {
      reader.report().add(item.where, in_quotes(*text) +
                                          " is no IP address, write \"10.0.0.53\", or "
                                          "\"10.0.0.53:53\" with a port");
    }
  }
  read_user(reader, runtime);
  reader.boolean("core_dumps", runtime.core_dumps);
}

// A watermark that an idle process reaches would shed everything, always.
void read_overload(const TableReader& reader, breaker::Overload::Settings& overload) {
  reader.duration_or_zero("loop_lag", overload.loop_lag, kLeastLag, 1min, "no watermark");
  reader.size_or_zero("memory", overload.memory, kLeastMemory, kMostMemory, "no watermark");
  reader.duration("calm", overload.calm, kLeastLag, 1h);
}

void read_admin_hosts(const TableReader& reader, Admin& admin) {
  for (const auto& item : reader.elements("hosts", "[\"remora.internal\"]")) {
    const auto text = read_string(item, "\"remora.internal\"", reader.report());
    if (!text) continue;
    if (auto host = parse_host_pattern(*text)) {
      admin.hosts.push_back(*std::move(host));
    } else {
      reader.report().add(item.where, host.error());
    }
  }
}

void read_admin(const TableReader& reader, Draft& draft) {
  read_admin_hosts(reader, draft.config.admin);
  draft.config.admin.address = *Address::parse("127.0.0.1:9901");
  draft.admin = reader.where("address");
  const auto text = reader.string("address", "\"127.0.0.1:9901\"");
  if (!text) return;
  if (auto address = parse_listen_address(*text)) {
    draft.config.admin.address = *std::move(address);
  } else {
    reader.problem("address", address.error());
  }
}

void read_log(const TableReader& reader, Draft& draft) {
  auto& log = draft.config.log;
  reader.choice<LogLevel>("level", log.level, kLevels);
  reader.choice<LogFormat>("format", log.format, kFormats);
  log.access.format = log.format;
  const auto access = reader.table("access");
  access.choice<LogFormat>("format", log.access.format, kFormats);
  if (const auto sample = access.number("sample", 0, 1)) log.access.sample = *sample;
  if (auto path = access.string("path", "\"stdout\"")) {
    if (path->empty())
      access.problem("path", "the path is empty, write a file's path, \"stdout\", \"stderr\" or \"off\"");
    log.access.path = *std::move(path);
  }
}

}  // namespace

void read_process(const TableReader& top, Draft& draft) {
  read_runtime(top.table("runtime", "runtime"), draft);
  read_overload(top.table("overload", "overload"), draft.config.overload);
  read_admin(top.table("admin", "admin"), draft);
  read_log(top.table("log", "log"), draft);
}

}  // namespace remora::config
