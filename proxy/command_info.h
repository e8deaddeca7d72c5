// The command line as data: what --help shows, for the manual page and the completion of the shells.
//
// Thread: any. Values without references into anything.
#pragma once

#include <string>
#include <vector>

namespace remora::proxy {

struct OptionInfo {
  std::vector<std::string> names;    // "-c", "--config"; a positional argument has none
  std::string value;                 // what stands for its value, "FILE"; empty: it takes none
  std::vector<std::string> choices;  // all the values there are; empty: others
  std::string description;
  bool required = false;

  // Its value is the path of a file.
  bool is_file() const { return value.find("FILE") != std::string::npos; }
};

struct CommandInfo {
  std::string name;
  std::string description;
  std::vector<OptionInfo> options;  // in the order of declaration, --help first
};

// Something with a sentence about it: an exit code, a signal.
struct Explained {
  std::string name;
  std::string meaning;
};

struct CommandLineInfo {
  CommandInfo program;                // its options are those before a subcommand
  std::vector<CommandInfo> commands;  // subcommands have none of their own
  std::vector<Explained> exit_codes;
  std::vector<Explained> signals;
  std::string version;
};

// remora(1) for man, in the macros of man(7).
std::string manual_page(const CommandLineInfo& info);

// What the shell reads to complete `remora`.
std::string bash_completion(const CommandLineInfo& info);
std::string zsh_completion(const CommandLineInfo& info);
std::string fish_completion(const CommandLineInfo& info);

}  // namespace remora::proxy
