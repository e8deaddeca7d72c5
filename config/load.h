// TOML text -> Config, or every error at once. The whole of what the rest of Remora knows about the file's
// syntax.
//
// Thread: any. Pure but for load_file reading the file, and for what `Environment` and `Hooks` ask of the
// machine.
#pragma once

#include <cstddef>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace remora::config {

// One mistake, printable as "file:line: key: what is wrong, what would be right".
struct Problem {
  std::string file;
  std::size_t line = 0;  // 1-based; 0 = the file as a whole
  std::string key;       // "cluster.app.timeouts.connect"; may be empty for syntax errors
  std::string message;   // one line, without control characters
  std::string to_string() const;
};

using Problems = std::vector<Problem>;

// Looks up an environment variable; nullopt if unset.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

class Memo;

// What only others can tell. Any of them may be empty.
struct Hooks {
  // Whether the router's engine takes this pattern: nullopt, or what is wrong with it in one line. Called for
  // every `regex`. Empty: patterns are not checked, and the caller has to.
  std::function<std::optional<std::string>(const std::string& pattern)> check_regex;
  // What workers = "auto" stands for. Empty: granted_cores() of config/cores.h.
  std::function<unsigned()> cores;
  // Whether the files of a [listener.tls] or [cluster.tls] can be used: nullopt, or what is wrong with which
  // of them in one line. Empty: they are not looked at.
  std::function<std::optional<std::string>(const ListenerTls&)> check_listener_tls{};
  std::function<std::optional<std::string>(const ClusterTls&)> check_cluster_tls{};
};

// Parses and validates. On failure: all problems, in order of line, never empty.
std::expected<Config, Problems> load_text(std::string_view text, const std::string& file_name,
                                          const Environment& environment, const Hooks& hooks = {});

// Reads (regular files up to 16 MiB) and load_text()s, with the process's environment. `memo`: of the same
// file, which loads it instead.
std::expected<Config, Problems> load_file(const std::string& path, const Hooks& hooks = {},
                                          Memo* memo = nullptr);

// A list of endpoints in a file of its own (Discover::Source::kFile): `endpoints = [...]` in TOML, as in a
// [[cluster]]; if the name ends in .json, an object with that member, or the list alone. Strings may take
// parts from the environment. An empty list is a list.
std::expected<std::vector<Endpoint>, Problems> load_endpoints_text(std::string_view text,
                                                                   const std::string& file_name,
                                                                   const Environment& environment);
// Reads (regular files up to 16 MiB) and does the same, with the process's environment.
std::expected<std::vector<Endpoint>, Problems> load_endpoints(const std::string& path);

// The process's own environment. Reads it without a lock: nothing may change it at the same time.
std::optional<std::string> process_environment(const std::string& name);

}  // namespace remora::config
