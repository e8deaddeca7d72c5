#include "proxy/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

namespace remora::proxy {

namespace {

const std::vector<Explained> kExitCodes{
    {"0", "done; or stopped, by a signal, by drain, quit or exit_with"},
    {"1", "the configuration has errors; or, of ready, not ready"},
    {"2", "bad usage"},
    {"3", "cannot bind or start"},
};
const std::vector<Explained> kSignals{
    {"SIGTERM",
     "finish what is in flight, within runtime.drain_timeout, then exit; the second one exits at once"},
    {"SIGINT", "exit at once"},
    {"SIGHUP", "read the configuration anew"},
    {"SIGUSR1", "open the log files anew, after they have been renamed"},
};

std::string listed(const std::vector<Explained>& entries) {
  std::string text;
  for (const auto& entry : entries) text += fmt::format("  {:<28}{}\n", entry.name, entry.meaning);
  return text;
}

void add_config(CLI::App& command, Arguments& arguments) {
  command.add_option("-c,--config", arguments.config, "the configuration file")
      ->required()
      ->type_name("FILE");
}

void add_admin(CLI::App& command, Arguments& arguments) {
  command.add_option("--admin", arguments.admin, "its admin address (127.0.0.1:9901)")->type_name("ADDRESS");
}

// Every word and option. `arguments` is where their values go, and outlives `app`. The type name of an
// option's value tells the shells how to complete it: one with FILE in it is a path, and CLI::IsMember lists
// what there is.
void declare(CLI::App& app, Arguments& arguments) {
  app.set_help_flag("-h,--help", "print this help and exit");
  app.set_version_flag("--version", "remora " REMORA_VERSION, "print the version and exit");
  app.footer([] { return "Exit codes:\n" + listed(kExitCodes) + "\nSignals:\n" + listed(kSignals); });
  app.require_subcommand(1);

  add_config(*app.add_subcommand("run", "serve traffic as the configuration says"), arguments);
  auto* check = app.add_subcommand("check", "report every error of a configuration; exit 0 or 1");
  auto* one = check->add_option("-c,--config", arguments.config, "the configuration file")->type_name("FILE");
  check->add_option("--diff", arguments.diff, "two files, and what a reload from one to the other changes")
      ->expected(2)
      ->type_name("FILE")
      ->excludes(one);
  check->callback([&arguments] {
    if (arguments.config.empty() && arguments.diff.empty()) throw CLI::RequiredError("--config or --diff");
  });
  auto* reload = app.add_subcommand("reload", "let a running Remora read its configuration anew");
  add_admin(*reload, arguments);
  auto* drain = app.add_subcommand("drain", "let a running Remora finish what is in flight, then end");
  add_admin(*drain, arguments);
  drain->add_flag("--inbound", arguments.inbound,
                  "end inbound traffic alone: outbound is served until SIGTERM");
  add_admin(*app.add_subcommand("quit", "let a running Remora end at once"), arguments);
  auto* demo = app.add_subcommand("demo", "run with embedded backends and traffic of its own");
  demo->add_option("--requests", arguments.requests, "end after so many requests; 0 = until Ctrl-C")
      ->type_name("NUMBER");
  auto* top = app.add_subcommand("top", "show what a running Remora does, once a second; q quits");
  add_admin(*top, arguments);
  top->add_flag("--once", arguments.once, "print one frame without escape codes, for scripts");
  auto* members = app.add_subcommand("members", "list the members of a running Remora's mesh");
  add_admin(*members, arguments);
  auto* ready =
      app.add_subcommand("ready", "exit with 0 when a running Remora serves, else with 1 and the reason");
  add_admin(*ready, arguments);
  ready->add_option("--wait", arguments.wait, "how long to wait until it does, such as 30s; 0 = ask once")
      ->type_name("DURATION");
  auto* completion =
      app.add_subcommand("completion", "print what a shell needs to complete this command line");
  completion->add_option("shell", arguments.shell, "the shell")
      ->required()
      ->type_name("SHELL")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  app.add_subcommand("manual", "print the manual page: remora manual | man -l -");
}

// "SHELL:{bash,zsh,fish}" is the value SHELL and three choices.
void set_value(OptionInfo& info, const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return;
  const std::string type = option.get_type_name();
  const auto brace = type.find('{');
  info.value = type.substr(0, type.find(':'));
  if (brace == std::string::npos) return;
  for (auto& choice : CLI::detail::split(type.substr(brace + 1, type.find('}') - brace - 1), ','))
    info.choices.push_back(std::move(choice));
}

CommandInfo describe(const CLI::App& app) {
  CommandInfo info{.name = app.get_name(), .description = app.get_description(), .options = {}};
  for (const auto* option : app.get_options()) {
    if (option->get_group().empty()) continue;  // hidden
    OptionInfo& added = info.options.emplace_back();
    for (const auto& name : option->get_snames()) added.names.push_back("-" + name);
    for (const auto& name : option->get_lnames()) added.names.push_back("--" + name);
    added.description = option->get_description();
    added.required = option->get_required();
    set_value(added, *option);
  }
  return info;
}

constexpr const char* kAbout = "Remora: a sidecar proxy. One binary, one TOML file.";

}  // namespace

std::expected<Arguments, int> parse_arguments(int argc, const char* const* argv) {
  Arguments arguments;
  CLI::App app{kAbout, "remora"};
  declare(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return std::unexpected(app.exit(error) == 0 ? kExitOk : kExitBadUsage);
  }
  arguments.command = app.get_subcommands().front()->get_name();
  return arguments;
}

CommandLineInfo describe_command_line() {
  Arguments nowhere;
  CLI::App app{kAbout, "remora"};
  declare(app, nowhere);
  CommandLineInfo info{.program = describe(app),
                       .commands = {},
                       .exit_codes = kExitCodes,
                       .signals = kSignals,
                       .version = REMORA_VERSION};
  for (const auto* command : app.get_subcommands(nullptr))
    if (!command->get_group().empty()) info.commands.push_back(describe(*command));
  return info;
}

}  // namespace remora::proxy
