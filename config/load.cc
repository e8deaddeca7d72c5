#include "config/load.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "config/draft.h"
#include "config/memo.h"
#include "config/parse.h"
#include "config/parse_json.h"
#include "config/scan.h"
#include "config/substitute.h"
#include "config/validate.h"

namespace remora::config {

namespace {

// Reads a regular file of at most kMostBytes; anything else is a problem. `kind`: what it should be.
std::optional<std::string> read_file(const std::string& path, std::string_view kind, Report& report) {
  namespace fs = std::filesystem;
  std::error_code error;
  const auto status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    report.add({}, fmt::format("there is no such file, give the path of a {} file", kind));
    return std::nullopt;
  }
  if (fs::is_directory(status)) {
    report.add({}, fmt::format("this is a directory, give the path of a {} file", kind));
    return std::nullopt;
  }
  if (!fs::is_regular_file(status)) {
    report.add(
        {}, error ? fmt::format("cannot be looked at ({}), give the path of a readable file", error.message())
                  : fmt::format("this is not a regular file, give the path of a {} file", kind));
    return std::nullopt;
  }
  std::ifstream file(path, std::ios::binary);
  const std::uintmax_t size = fs::file_size(path, error);
  std::string text(error ? 0 : std::min<std::uintmax_t>(size, kMostBytes), '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  // It may have grown. One byte more than scan() lets pass is enough to know.
  for (char byte = 0; text.size() <= kMostBytes && file.get(byte);) text.push_back(byte);
  if (!file.is_open() || file.bad()) {
    report.add({}, "cannot be read, check its permissions");
    return std::nullopt;
  }
  return text;
}

std::expected<Config, Problems> load(std::string_view text, const std::string& file_name,
                                     const Environment& environment, const Hooks& hooks, Report& report) {
  if (auto problem = scan(text)) {
    report.add({problem->line, ""}, std::move(problem->message));
    return std::unexpected(report.take());
  }
  Substitution substitution(environment);
  const auto root = parse_toml(text, substitution, report);
  if (!root) return std::unexpected(report.take());
  Draft draft(report, hooks);
  draft.config.file = file_name;
  const TableReader top(&*root, "", {}, report);
  read_process(top, draft);
  read_tracing(top, draft);
  read_listeners(top, draft);
  read_clusters(top, draft);
  read_mesh(top, draft);
  validate(draft);
  if (!report.empty()) return std::unexpected(report.take());
  return std::move(draft.config);
}

bool is_json(const std::string& file_name) { return file_name.ends_with(".json"); }

std::optional<Node> parse_list(std::string_view text, const std::string& file_name,
                               const Environment& environment, Report& report) {
  Substitution substitution(environment);
  if (is_json(file_name)) {
    if (text.size() <= kMostBytes) return parse_json(text, substitution, report);
    report.add({}, "the file is larger than 16 MiB, split it");
    return std::nullopt;
  }
  if (auto problem = scan(text)) {
    report.add({problem->line, ""}, std::move(problem->message));
    return std::nullopt;
  }
  return parse_toml(text, substitution, report);
}

std::vector<Endpoint> read_list(const Node& root, Report& report) {
  const Node* list = &root;
  if (root.kind == Node::Kind::kTable) {
    for (const auto& child : root.children) {
      if (child.key != "endpoints")
        report.add({child.line, child.key}, "unknown key, the only one here is endpoints");
    }
    list = root.find("endpoints");
  }
  if (list == nullptr) {
    report.add({}, "there is no list, write endpoints = [...], or [] if there is nobody");
    return {};
  }
  if (list->kind == Node::Kind::kBroken) return {};
  if (list->kind != Node::Kind::kArray) {
    report.add({list->line, "endpoints"}, describe(*list) + ", write an array such as [\"127.0.0.1:3000\"]");
    return {};
  }
  std::vector<Item> items;
  for (std::size_t i = 0; i < list->children.size(); ++i) {
    auto where = Where{}.element("endpoints", i);
    where.line = list->children[i].line;
    items.push_back({&list->children[i], std::move(where)});
  }
  std::vector<Where> places;
  auto endpoints = read_endpoint_list(items, report, places);
  check_endpoints(endpoints, places, report);
  return endpoints;
}

std::expected<std::vector<Endpoint>, Problems> load_list(std::string_view text, const std::string& file_name,
                                                         const Environment& environment, Report& report) {
  const auto root = parse_list(text, file_name, environment, report);
  std::vector<Endpoint> endpoints;
  if (root) endpoints = read_list(*root, report);
  if (!report.empty()) return std::unexpected(report.take());
  return endpoints;
}

}  // namespace

std::expected<Config, Problems> load_text(std::string_view text, const std::string& file_name,
                                          const Environment& environment, const Hooks& hooks) {
  Report report(file_name);
  return load(text, file_name, environment, hooks, report);
}

std::expected<Config, Problems> load_file(const std::string& path, const Hooks& hooks, Memo* memo) {
  Report report(path);
  auto text = read_file(path, "TOML", report);
  if (!text) return std::unexpected(report.take());
  if (memo != nullptr) return memo->load(*std::move(text), path, process_environment, hooks);
  return load(*text, path, process_environment, hooks, report);
}

std::expected<std::vector<Endpoint>, Problems> load_endpoints_text(std::string_view text,
                                                                   const std::string& file_name,
                                                                   const Environment& environment) {
  Report report(file_name);
  return load_list(text, file_name, environment, report);
}

std::expected<std::vector<Endpoint>, Problems> load_endpoints(const std::string& path) {
  Report report(path);
  const auto text = read_file(path, is_json(path) ? "JSON" : "TOML", report);
  if (!text) return std::unexpected(report.take());
  return load_list(*text, path, process_environment, report);
}

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace remora::config
