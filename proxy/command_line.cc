#include "proxy/command_line.h"

#include <CLI/CLI.hpp>

namespace remora::proxy {

namespace {

void add_config(CLI::App& command, Arguments& arguments) {
  command.add_option("-c,--config", arguments.config, "the configuration file")
      ->required()
      ->type_name("FILE");
}

// Every word and option. `arguments` is where their values go, and outlives `app`.
void declare(CLI::App& app, Arguments& arguments) {
  app.set_version_flag("--version", "remora " REMORA_VERSION);
  app.require_subcommand(1);

  add_config(*app.add_subcommand("run", "serve traffic as the configuration says"), arguments);
  add_config(*app.add_subcommand("check", "report every error of a configuration; exit 0 or 1"), arguments);
  auto* demo = app.add_subcommand("demo", "run with embedded backends and traffic of its own");
  demo->add_option("--requests", arguments.requests, "end after so many requests; 0 = until Ctrl-C")
      ->type_name("NUMBER");
}

}  // namespace

std::expected<Arguments, int> parse_arguments(int argc, const char* const* argv) {
  Arguments arguments;
  CLI::App app{"Remora: a sidecar proxy. One binary, one TOML file.", "remora"};
  declare(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return std::unexpected(app.exit(error) == 0 ? kExitOk : kExitBadUsage);
  }
  arguments.command = app.get_subcommands().front()->get_name();
  return arguments;
}

}  // namespace remora::proxy
