// The command line: which words and options there are, and what those that were given ask for. CLI11 is used
// here and nowhere else. Who adds a subcommand declares it in command_line.cc and gives it its branch in
// main.cc.
//
// Thread: main, before any other is started.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "proxy/command_info.h"

namespace remora::proxy {

// What a process ends with.
inline constexpr int kExitOk = 0;
inline constexpr int kExitBadConfig = 1;
inline constexpr int kExitNotReady = 1;
inline constexpr int kExitBadUsage = 2;
inline constexpr int kExitCannotStart = 3;

// A member keeps its default when its option was not given, or belongs to another command.
struct Arguments {
  std::string command;                   // the name of the subcommand: "run"
  std::string config;                    // --config
  std::vector<std::string> diff;         // --diff
  std::uint64_t requests = 0;            // --requests
  std::string shell;                     // of `completion`
  std::string admin = "127.0.0.1:9901";  // --admin
  bool once = false;                     // --once
  bool inbound = false;                  // --inbound
  std::string wait = "0";                // --wait
};

// The error is the exit code with which the process ends at once: kExitOk after --help and --version,
// kExitBadUsage after a mistake. What there is to say about either has been printed then.
std::expected<Arguments, int> parse_arguments(int argc, const char* const* argv);

// The same declaration as data; hidden words and options are left out.
CommandLineInfo describe_command_line();

}  // namespace remora::proxy
