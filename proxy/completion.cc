#include <fmt/format.h>

#include "proxy/command_info.h"

namespace remora::proxy {

namespace {

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

// Between single quotes of the shell, whatever is in it. Fish takes \' where the others need the quotes to
// end.
std::string quoted(const std::string& text) { return "'" + replaced(text, "'", R"('\'')") + "'"; }
std::string quoted_for_fish(const std::string& text) {
  return "'" + replaced(replaced(text, R"(\)", R"(\\)"), "'", R"(\')") + "'";
}

// Every word that may begin an argument of the command: names of options, and choices of what has no name.
std::vector<std::string> words(const CommandInfo& command) {
  std::vector<std::string> all;
  for (const auto& option : command.options) {
    all.insert(all.end(), option.names.begin(), option.names.end());
    if (option.names.empty()) all.insert(all.end(), option.choices.begin(), option.choices.end());
  }
  return all;
}

std::vector<std::string> names(const std::vector<CommandInfo>& commands) {
  std::vector<std::string> all;
  all.reserve(commands.size());
  for (const auto& command : commands) all.push_back(command.name);
  return all;
}

// The branches of bash's `case "$command $previous"` for the options that take a value.
std::string bash_values(const CommandInfo& command) {
  std::string text;
  for (const auto& option : command.options) {
    if (option.value.empty()) continue;
    for (const auto& name : option.names) {
      text += fmt::format("    '{} {}')\n", command.name, name);
      if (option.is_file())
        text += "      compopt -o filenames\n      mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n";
      else if (!option.choices.empty())
        text += fmt::format("      mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$current\")\n",
                            fmt::join(option.choices, " "));
      text += "      return\n      ;;\n";
    }
  }
  return text;
}

bool takes_file(const CommandInfo& command) {
  for (const auto& option : command.options)
    if (option.is_file()) return true;
  return false;
}

// In zsh's specifications, brackets end a description and colons separate.
std::string zsh_text(const std::string& text) {
  return replaced(replaced(replaced(text, "[", R"(\[)"), "]", R"(\])"), ":", R"(\:)");
}

std::string zsh_option(const OptionInfo& option) {
  std::string value;
  if (!option.value.empty()) {
    const std::string action = option.is_file()         ? "_files"
                               : option.choices.empty() ? " "
                                                        : fmt::format("({})", fmt::join(option.choices, " "));
    value = fmt::format(":{}:{}", zsh_text(option.value), action);
  }
  if (option.names.empty()) return quoted("*" + value);
  const std::string rest = quoted("[" + zsh_text(option.description) + "]" + value);
  if (option.names.size() == 1) return option.names[0] + rest;
  return fmt::format("'({})'{{{}}}{}", fmt::join(option.names, " "), fmt::join(option.names, ","), rest);
}

std::string fish_option(const OptionInfo& option, const std::string& condition) {
  std::string text = "complete -c remora -n " + quoted_for_fish(condition);
  for (const auto& name : option.names)
    text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  if (!option.value.empty() && !option.names.empty()) text += option.is_file() ? " -r -F" : " -x";
  if (option.names.empty() && option.is_file()) text += " -F";
  if (!option.choices.empty()) text += fmt::format(" -a '{}'", fmt::join(option.choices, " "));
  return text + " -d " + quoted_for_fish(option.description) + "\n";
}

constexpr const char* kBash =
    R"(# bash completion for remora. For this shell only: source <(remora completion bash)
_remora() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} command='' words='' files='' i
  # Bash takes --name=value for three words.
  if [ "$previous" = = ]; then previous=${{COMP_WORDS[COMP_CWORD - 2]}}; fi
  if [ "$current" = = ]; then current=''; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${{COMP_WORDS[i]}} in
      {})
        command=${{COMP_WORDS[i]}}
        break
        ;;
    esac
  done
  case "$command $previous" in
{}  esac
  case $command in
{}  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if [ ${{#COMPREPLY[@]}} -eq 0 ] && [ -n "$files" ]; then
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}}
complete -F _remora remora
)";

constexpr const char* kZsh = R"(#compdef remora
# zsh completion for remora: a file _remora in a directory of $fpath, or for this shell only: source <(remora completion zsh)
_remora() {{
  local curcontext="$curcontext" state line
  typeset -A opt_args
  _arguments -C {} '1:command:->command' '*::argument:->argument'
  case $state in
    command)
      local -a commands
      commands=(
{}      )
      _describe command commands
      ;;
    argument)
      case $words[1] in
{}      esac
      ;;
  esac
}}
if [[ $funcstack[1] == _remora ]]; then
  _remora "$@"
else
  compdef _remora remora
fi
)";

}  // namespace

std::string bash_completion(const CommandLineInfo& info) {
  const auto offer = [](const std::string& command, const std::string& offered, bool files) {
    return fmt::format("    {})\n      words='{}'\n{}      ;;\n", command, offered,
                       files ? "      files=yes\n" : "");
  };
  std::string values = bash_values(info.program);
  std::string offers = offer(
      "''", fmt::format("{} {}", fmt::join(names(info.commands), " "), fmt::join(words(info.program), " ")),
      false);
  for (const auto& command : info.commands) {
    values += bash_values(command);
    offers += offer(command.name, fmt::format("{}", fmt::join(words(command), " ")), takes_file(command));
  }
  return fmt::format(kBash, fmt::join(names(info.commands), " | "), values, offers);
}

std::string zsh_completion(const CommandLineInfo& info) {
  std::vector<std::string> before;
  before.reserve(info.program.options.size());
  for (const auto& option : info.program.options) before.push_back(zsh_option(option));
  std::string commands, branches;
  for (const auto& command : info.commands) {
    commands += fmt::format("        {}\n", quoted(zsh_text(command.name) + ":" + command.description));
    branches += fmt::format("        {})\n          _arguments", command.name);
    for (const auto& option : command.options) branches += " \\\n            " + zsh_option(option);
    branches += "\n          ;;\n";
  }
  return fmt::format(kZsh, fmt::join(before, " "), commands, branches);
}

std::string fish_completion(const CommandLineInfo& info) {
  std::string text =
      "# fish completion for remora. For this shell only: remora completion fish | source\n"
      "complete -c remora -f\n";
  for (const auto& option : info.program.options) text += fish_option(option, "__fish_use_subcommand");
  for (const auto& command : info.commands) {
    text += fmt::format("complete -c remora -n '__fish_use_subcommand' -a {} -d {}\n", command.name,
                        quoted_for_fish(command.description));
    for (const auto& option : command.options)
      text += fish_option(option, "__fish_seen_subcommand_from " + command.name);
  }
  return text;
}

}  // namespace remora::proxy
