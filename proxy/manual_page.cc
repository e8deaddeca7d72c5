#include <fmt/format.h>

#include "proxy/command_info.h"

namespace remora::proxy {

namespace {

constexpr const char* kDate = "2026-11-27";  // when the prose of this page last changed

// Text as roff takes it literally: no escape, no hyphen that is a minus, no line that is a request.
std::string roff(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else if ((c == '.' || c == '\'') && (escaped.empty() || escaped.back() == '\n')) {
      escaped += "\\&";
      escaped += c;
    } else {
      escaped += c;
    }
  }
  return escaped;
}

// "the shell" -> "The shell."
std::string sentence(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return roff(text) + ".";
}

// "-c, --config FILE", the names bold and the value in italics.
std::string heading(const OptionInfo& option) {
  std::string text;
  for (const auto& name : option.names)
    text += fmt::format("{}\\fB{}\\fR", text.empty() ? "" : ", ", roff(name));
  if (option.value.empty()) return text;
  return text + fmt::format("{}\\fI{}\\fR", text.empty() ? "" : " ", roff(option.value));
}

std::string paragraph(const std::string& heading, const std::string& text) {
  return fmt::format(".TP\n{}\n{}\n", heading, text);
}

std::string options(const CommandInfo& command) {
  std::string text;
  for (const auto& option : command.options) {
    std::string about = sentence(option.description);
    if (!option.choices.empty()) about += fmt::format("\nOne of {}.", fmt::join(option.choices, ", "));
    if (option.required) about += "\nRequired.";
    text += paragraph(heading(option), about);
  }
  return text;
}

// `remora run -c FILE [OPTION...]`: what must be given, then whether there is more.
std::string synopsis(const CommandInfo& command) {
  std::string text = fmt::format("\\fBremora {}\\fR", roff(command.name));
  bool more = false;
  for (const auto& option : command.options) {
    more = more || (!option.required && option.names != command.options.front().names);
    if (!option.required) continue;
    if (!option.names.empty()) text += fmt::format(" \\fB{}\\fR", roff(option.names.back()));
    text += fmt::format(" \\fI{}\\fR", roff(option.value));
  }
  return text + (more ? " [\\fIOPTION\\fR...]" : "");
}

std::string explained(const std::vector<Explained>& entries) {
  std::string text;
  for (const auto& entry : entries)
    text += paragraph("\\fB" + roff(entry.name) + "\\fR", sentence(entry.meaning));
  return text;
}

constexpr const char* kDescription =
    R"(Remora is a sidecar proxy: one process and one TOML file beside each application instance.
It takes the application's inbound and outbound HTTP traffic and gives it load balancing, health checks, timeouts, retries, circuit
breakers, limits, metrics and a log line per request, without a control plane.
.PP
The configuration is strict: a key that does not exist, a value out of its range and a name that refers to nothing are errors, each with
file, line and remedy.
All of them are reported at once.
)";

constexpr const char* kRest = R"(.SH ENVIRONMENT
String values of the configuration may contain \fB${NAME}\fR and \fB${NAME:\-default}\fR; they are filled in from the environment.
.SH FILES
.TP
\fI/etc/remora/remora.toml\fR
The configuration that the service unit and the container image read.
.SH EXAMPLES
The smallest useful configuration brings inbound traffic to the application:
.PP
.EX
[[listener]]
address = "0.0.0.0:8080"
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["127.0.0.1:3000"]
.EE
.PP
Check it, run it, and look at what it does:
.PP
.EX
remora check \-\-config remora.toml
remora run \-\-config remora.toml
curl http://127.0.0.1:9901/clusters
.EE
.SH SEE ALSO
.BR remora.toml (5),
.BR curl (1)
)";

}  // namespace

std::string manual_page(const CommandLineInfo& info) {
  std::string page = fmt::format(".TH REMORA 1 {} \"remora {}\" \"User Commands\"\n", kDate, info.version);
  page += ".SH NAME\nremora \\- a sidecar proxy with one TOML file\n.SH SYNOPSIS\n";
  for (const auto& command : info.commands) page += synopsis(command) + "\n.br\n";
  page += "\\fBremora\\fR \\fB\\-\\-help\\fR | \\fB\\-\\-version\\fR\n";
  page += fmt::format(".SH DESCRIPTION\n{}.SH COMMANDS\n", kDescription);
  for (const auto& command : info.commands)
    page += fmt::format(".SS {}\n{}\n{}", synopsis(command), sentence(command.description), options(command));
  page += ".SH OPTIONS\n" + options(info.program);
  page += ".SH EXIT STATUS\n" + explained(info.exit_codes);
  page += ".SH SIGNALS\n" + explained(info.signals);
  return page + kRest;
}

}  // namespace remora::proxy
