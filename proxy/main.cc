// The command line: `remora run | check | demo`, and nothing else. Exit codes: 0 ok, 1 bad configuration, 2
// bad usage, 3 cannot bind or start.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "config/load.h"
#include "proxy/demo.h"
#include "proxy/router.h"
#include "proxy/server.h"

namespace {

constexpr int kOk = 0;
constexpr int kBadConfig = 1;
constexpr int kBadUsage = 2;
constexpr int kCannotStart = 3;

// What the configuration needs to know of libraries that it does not include.
remora::config::Hooks hooks() { return {.check_regex = &remora::proxy::regex_problem, .cores = {}}; }

int report(const remora::config::Problems& problems) {
  for (const auto& problem : problems) fmt::print(stderr, "{}\n", problem.to_string());
  return kBadConfig;
}

int cannot_start(const remora::Error& error) {
  fmt::print(stderr, "remora: {}\n",
             error.detail.empty() ? std::string(to_string(error.code)) : error.detail);
  return kCannotStart;
}

int check(const std::string& file) {
  const auto config = remora::config::load_file(file, hooks());
  if (!config) return report(config.error());
  fmt::print("{}: ok\n", file);
  return kOk;
}

int run(const std::string& file) {
  auto config = remora::config::load_file(file, hooks());
  if (!config) return report(config.error());
  remora::proxy::Server server(std::move(*config));
  if (const auto started = server.start(); !started) return cannot_start(started.error());
  server.run();
  return kOk;
}

int demo(std::uint64_t requests) {
  remora::proxy::Demo demo;
  if (const auto ready = demo.prepare(); !ready) return cannot_start(ready.error());
  const std::string text = demo.config_text();
  auto config =
      remora::config::load_text(text, "demo.toml", [](const std::string&) { return std::nullopt; }, hooks());
  if (!config) return report(config.error());
  remora::proxy::Server server(std::move(*config));
  if (const auto started = server.start(); !started) return cannot_start(started.error());
  const std::string proxy = server.listen_address(0).to_string();
  const std::string admin = server.admin_address().to_string();
  fmt::print(
      "This configuration is running:\n\n{}\n"
      "try     curl http://{}/hello\n"
      "metrics curl http://{}/metrics\n"
      "state   curl http://{}/clusters\n"
      "Ctrl-C ends it. One line per request:\n\n",
      text, proxy, admin, admin);
  std::fflush(stdout);
  demo.start(server.listen_address(0), server.admin_address(), requests,
             [&server] { server.loop().post([&server] { server.drain(); }); });
  server.run();
  demo.stop();
  fmt::print("\n{} requests answered with 200, {} otherwise\n", demo.good(), demo.bad());
  return demo.bad() == 0 ? kOk : kCannotStart;
}

int command_line(int argc, char** argv) {
  CLI::App app{"Remora: a sidecar proxy. One binary, one TOML file."};
  app.set_version_flag("--version", "remora " REMORA_VERSION);
  app.require_subcommand(1);

  std::string file;
  auto* run_command = app.add_subcommand("run", "serve traffic as the configuration says");
  run_command->add_option("-c,--config", file, "the configuration file")->required();
  auto* check_command = app.add_subcommand("check", "report every error of a configuration; exit 0 or 1");
  check_command->add_option("-c,--config", file, "the configuration file")->required();
  std::uint64_t requests = 0;
  auto* demo_command = app.add_subcommand("demo", "run with embedded backends and traffic of its own");
  demo_command->add_option("--requests", requests, "end after so many requests; 0 = until Ctrl-C");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? kOk : kBadUsage;
  }
  if (run_command->parsed()) return run(file);
  if (check_command->parsed()) return check(file);
  return demo(requests);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return command_line(argc, argv);
  } catch (const std::exception& error) {
    std::fputs(error.what(), stderr);
    std::fputs("\n", stderr);
    return kCannotStart;
  }
}
