// Does what the command line asks for: one function for each subcommand of command_line.cc.
#include <fmt/core.h>

#include <cstdio>
#include <new>

#include "base/out_of_memory.h"
#include "config/diff.h"
#include "config/load.h"
#include "config/memo.h"
#include "proxy/admin_client.h"
#include "proxy/command_line.h"
#include "proxy/demo.h"
#include "proxy/ready.h"
#include "proxy/router.h"
#include "proxy/server.h"
#include "proxy/tls_store.h"
#include "proxy/top.h"

namespace {

using namespace remora::proxy;
using namespace std::chrono_literals;

// What the configuration needs to know of libraries that it does not include.
remora::config::Hooks hooks() {
  return {.check_regex = &regex_problem,
          .cores = {},
          .check_listener_tls = [](const remora::config::ListenerTls& tls) { return tls_problem(tls); },
          .check_cluster_tls = [](const remora::config::ClusterTls& tls) { return tls_problem(tls); }};
}

int report(const remora::config::Problems& problems) {
  for (const auto& problem : problems) fmt::print(stderr, "{}\n", problem.to_string());
  return kExitBadConfig;
}

int cannot_start(const remora::Error& error) {
  fmt::print(stderr, "remora: {}\n",
             error.detail.empty() ? std::string(to_string(error.code)) : error.detail);
  return kExitCannotStart;
}

int check(const std::string& file) {
  const auto config = remora::config::load_file(file, hooks());
  if (!config) return report(config.error());
  fmt::print("{}: ok\n", file);
  return kExitOk;
}

// What a reload from one file to the other would change.
int diff(const std::vector<std::string>& files) {
  const auto before = remora::config::load_file(files[0], hooks());
  const auto after = remora::config::load_file(files[1], hooks());
  if (!before) report(before.error());
  if (!after) report(after.error());
  if (!before || !after) return kExitBadConfig;
  const auto changes = remora::config::diff(*before, *after);
  for (const auto& change : changes) fmt::print("{}\n", change.to_string());
  if (changes.empty()) fmt::print("nothing has changed\n");
  return kExitOk;
}

// Asks a running Remora for a page and prints what it says. `refused`: the exit code when that is no 200.
int ask(const std::string& admin, std::string_view method, std::string_view page, int refused) {
  const auto address = parse_admin_address(admin);
  if (!address) {
    fmt::print(stderr, "remora: {}\n", address.error().detail);
    return kExitBadUsage;
  }
  // A reload may wait for names, and for reloads before it.
  const auto answer = ask_admin(*address, method, page, remora::Duration(60s));
  if (!answer) return cannot_start(answer.error());
  fmt::print(answer->status == 200 ? stdout : stderr, "{}", answer->body);
  return answer->status == 200 ? kExitOk : refused;
}

int run(const std::string& file) {
  remora::config::Memo memo;
  const auto load = [&] { return remora::config::load_file(file, hooks(), &memo); };
  auto config = load();
  if (!config) return report(config.error());
  Server server(std::move(*config), load);
  if (const auto started = server.start(); !started) return cannot_start(started.error());
  server.run();
  return kExitOk;
}

int demo(std::uint64_t requests) {
  Demo demo;
  if (const auto ready = demo.prepare(); !ready) return cannot_start(ready.error());
  const std::string text = demo.config_text();
  auto config =
      remora::config::load_text(text, "demo.toml", [](const std::string&) { return std::nullopt; }, hooks());
  if (!config) return report(config.error());
  Server server(std::move(*config));
  if (const auto started = server.start(); !started) return cannot_start(started.error());
  const std::string proxy = server.listen_address(0).to_string();
  const std::string admin = server.admin_address().to_string();
  fmt::print(
      "This configuration is running:\n\n{}\n"
      "try     curl http://{}/hello\n"
      "see     http://{}/ in a browser, or remora top --admin {}\n"
      "metrics curl http://{}/metrics\n"
      "state   curl http://{}/clusters\n"
      "Ctrl-C ends it. One line per request:\n\n",
      text, proxy, admin, admin, admin, admin);
  std::fflush(stdout);
  demo.start(server.listen_address(0), server.admin_address(), requests,
             [&server] { server.loop().post([&server] { server.drain("the demo"); }); });
  server.run();
  demo.stop();
  fmt::print("\n{} requests answered with 200, {} otherwise\n", demo.good(), demo.bad());
  return demo.bad() == 0 ? kExitOk : kExitCannotStart;
}

int completion(const std::string& shell) {
  const auto info = describe_command_line();
  fmt::print("{}", shell == "bash"  ? bash_completion(info)
                   : shell == "zsh" ? zsh_completion(info)
                                    : fish_completion(info));
  return kExitOk;
}

int manual() {
  fmt::print("{}", manual_page(describe_command_line()));
  return kExitOk;
}

int obey(int argc, char** argv) {
  const auto arguments = parse_arguments(argc, argv);
  if (!arguments) return arguments.error();
  if (arguments->command == "run") return run(arguments->config);
  if (arguments->command == "check") {
    return arguments->diff.empty() ? check(arguments->config) : diff(arguments->diff);
  }
  if (arguments->command == "reload")
    return ask(arguments->admin, "POST", "/reload?format=text", kExitBadConfig);
  if (arguments->command == "drain") {
    return ask(arguments->admin, "POST", arguments->inbound ? "/drain?only=inbound" : "/drain",
               kExitCannotStart);
  }
  if (arguments->command == "quit") return ask(arguments->admin, "POST", "/quit", kExitCannotStart);
  if (arguments->command == "members")
    return ask(arguments->admin, "GET", "/members?format=text", kExitBadConfig);
  if (arguments->command == "completion") return completion(arguments->shell);
  if (arguments->command == "top") return run_top({.server = arguments->admin, .once = arguments->once});
  if (arguments->command == "ready") return run_ready({.server = arguments->admin, .wait = arguments->wait});
  if (arguments->command == "manual") return manual();
  return demo(arguments->requests);
}

}  // namespace

int main(int argc, char** argv) {
  std::set_new_handler(&remora::end_out_of_memory);
  try {
    return obey(argc, argv);
  } catch (const std::exception& error) {
    std::fputs(error.what(), stderr);
    std::fputs("\n", stderr);
    return kExitCannotStart;
  }
}
