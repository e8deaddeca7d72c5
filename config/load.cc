#include "config/load.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "config/draft.h"
#include "config/parse.h"
#include "config/scan.h"
#include "config/substitute.h"
#include "config/validate.h"

namespace remora::config {

namespace {

// Reads a regular file of at most kMostBytes; anything else is a problem.
std::optional<std::string> read_file(const std::string& path, Report& report) {
  namespace fs = std::filesystem;
  std::error_code error;
  const auto status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    report.add({}, "there is no such file, give the path of a TOML file");
    return std::nullopt;
  }
  if (fs::is_directory(status)) {
    report.add({}, "this is a directory, give the path of a TOML file");
    return std::nullopt;
  }
  if (!fs::is_regular_file(status)) {
    report.add(
        {}, error ? fmt::format("cannot be looked at ({}), give the path of a readable file", error.message())
                  : std::string("this is not a regular file, give the path of a TOML file"));
    return std::nullopt;
  }
  std::ifstream file(path, std::ios::binary);
  std::string text(kMostBytes + 1, '\0');  // one more than scan() lets pass
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad()) {
    report.add({}, "cannot be read, check its permissions");
    return std::nullopt;
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
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

}  // namespace

std::expected<Config, Problems> load_text(std::string_view text, const std::string& file_name,
                                          const Environment& environment, const Hooks& hooks) {
  Report report(file_name);
  return load(text, file_name, environment, hooks, report);
}

std::expected<Config, Problems> load_file(const std::string& path, const Hooks& hooks) {
  Report report(path);
  const auto text = read_file(path, report);
  if (!text) return std::unexpected(report.take());
  return load(*text, path, process_environment, hooks, report);
}

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace remora::config
