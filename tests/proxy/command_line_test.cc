// The command line as data, and what is written from it. Whether the shells and man accept that is for
// tests/e2e/shipping_test.py.
#include "proxy/command_line.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>

using namespace remora::proxy;

namespace {

const CommandInfo& command(const CommandLineInfo& info, const std::string& name) {
  const auto found = std::ranges::find(info.commands, name, &CommandInfo::name);
  REQUIRE(found != info.commands.end());
  return *found;
}

const OptionInfo& option(const CommandInfo& command, const std::string& name) {
  const auto found = std::ranges::find_if(command.options, [&name](const OptionInfo& candidate) {
    return std::ranges::find(candidate.names, name) != candidate.names.end();
  });
  REQUIRE(found != command.options.end());
  return *found;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// One command with everything that needs care.
CommandLineInfo awkward() {
  return {.program = {.name = "remora", .description = "about", .options = {}},
          .commands =
              {{.name = "go",
                .description = "it's a [trap]: \\fBnot bold\\fR",
                .options = {{.names = {"-h", "--help"}, .value = "", .choices = {}, .description = "help"},
                            {.names = {"--colour"},
                             .value = "COLOUR",
                             .choices = {"red", "blue"},
                             .description = "which [one]: it's yours"},
                            {.names = {"--into"},
                             .value = "FILE",
                             .choices = {},
                             .description = ".where",
                             .required = true}}}},
          .exit_codes = {{"0", "ok"}},
          .signals = {},
          .version = "1.2.3"};
}

}  // namespace

TEST_CASE("the command line describes what it accepts") {
  const auto info = describe_command_line();
  const auto& config = option(command(info, "run"), "--config");
  CHECK(config.names == std::vector<std::string>{"-c", "--config"});
  CHECK(config.value == "FILE");
  CHECK(config.is_file());
  CHECK(config.required);
  CHECK(config.choices.empty());
  CHECK(option(command(info, "run"), "--help").value == "");
  CHECK(option(command(info, "demo"), "--requests").value == "NUMBER");
  CHECK_FALSE(option(command(info, "demo"), "--requests").required);
  CHECK(option(info.program, "--version").value == "");

  const auto& shell = command(info, "completion").options.back();
  CHECK(shell.names.empty());
  CHECK(shell.value == "SHELL");
  CHECK(shell.choices == std::vector<std::string>{"bash", "zsh", "fish"});
}

TEST_CASE("every word, option, exit code and signal is described in a few words") {
  const auto info = describe_command_line();
  CHECK_FALSE(info.commands.empty());
  for (const auto& each : info.commands) {
    CAPTURE(each.name);
    CHECK_FALSE(each.description.empty());
    for (const auto& given : each.options) {
      CHECK_FALSE(given.description.empty());
      // A value that is called TEXT tells neither a reader nor a shell anything.
      CHECK(given.value != "TEXT");
      CHECK(given.value != "UINT");
    }
  }
  for (const auto& each : info.exit_codes) CHECK_FALSE(each.meaning.empty());
  for (const auto& each : info.signals) CHECK_FALSE(each.meaning.empty());
}

TEST_CASE("the manual page and every completion have every word and option") {
  const auto info = describe_command_line();
  const auto man = manual_page(info);
  const std::array completions{bash_completion(info), zsh_completion(info)};
  const auto fish = fish_completion(info);
  for (const auto& each : info.commands) {
    CAPTURE(each.name);
    CHECK(has(man, ".SS \\fBremora " + each.name + "\\fR"));
    CHECK(has(fish, " -a " + each.name + " "));
    for (const auto& text : completions) CHECK(has(text, each.name + ")\n"));
    for (const auto& given : each.options)
      for (const auto& name : given.names) {
        CAPTURE(name);
        for (const auto& text : completions) CHECK(has(text, name));
        const bool is_long = name.starts_with("--");
        CHECK(has(fish, is_long ? " -l " + name.substr(2) : " -s " + name.substr(1)));
        CHECK(has(man, is_long ? "\\fB\\-\\-" : "\\fB\\-" + name.substr(1)));
      }
  }
  for (const auto& each : info.exit_codes) CHECK(has(man, "\\fB" + each.name + "\\fR"));
  for (const auto& each : info.signals) CHECK(has(man, "\\fB" + each.name + "\\fR"));
}

TEST_CASE("the manual page takes every text literally") {
  const auto man = manual_page(awkward());
  CHECK(has(man, "\nIt's a [trap]: \\efBnot bold\\efR.\n"));
  CHECK(has(man, "\n\\&.where.\nRequired.\n"));
  CHECK(has(man, "\nOne of red, blue.\n"));
  CHECK(has(man, ".SS \\fBremora go\\fR \\fB\\-\\-into\\fR \\fIFILE\\fR [\\fIOPTION\\fR...]\n"));
}

TEST_CASE("the completions quote what their shell would take for itself") {
  const auto info = awkward();
  CHECK(has(zsh_completion(info), R"(--colour'[which \[one\]\: it'\''s yours]:COLOUR:(red blue)')"));
  CHECK(has(zsh_completion(info), R"(--into'[.where]:FILE:_files')"));
  CHECK(has(fish_completion(info), R"(-l colour -x -a 'red blue' -d 'which [one]: it\'s yours')"));
  CHECK(has(fish_completion(info), R"(-d 'it\'s a [trap]: \\fBnot bold\\fR')"));
  CHECK(has(bash_completion(info), "'go --colour')\n      mapfile -t COMPREPLY < <(compgen -W 'red blue'"));
}
