#include "tests/support/world.h"

#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <iterator>
#include <utility>

#include "config/load.h"
#include "proxy/supervisor.h"

namespace remora::testing {

std::shared_ptr<const config::Config> World::load(std::string_view toml) {
  auto config =
      config::load_text(toml, "world.toml", [](const std::string&) { return std::optional<std::string>(); });
  if (!config) {
    for (const auto& problem : config.error()) fmt::print(stderr, "{}\n", problem.to_string());
    std::abort();
  }
  return std::make_shared<const config::Config>(std::move(*config));
}

World::World(std::string_view toml, std::uint64_t seed, proxy::Codecs codecs)
    : random_(seed),
      env_{.wheel = wheel_,
           .turn = turn_,
           .network = network_,
           .random = random_,
           .buffers = buffers_,
           .scratch = scratch_,
           .date = date_,
           .codecs = codecs,
           .spans = &spans_},
      log_fd_(memfd_create("access-log", MFD_CLOEXEC)) {
  // `drain`: whether all of it is written must not depend on how busy the machine is.
  auto writer = LogWriter::from_descriptor(dup(log_fd_), "memory", {.drain = 2min});
  if (!writer) std::abort();
  log_writer_ = std::move(*writer);
  log_ = std::make_unique<proxy::AccessLog>(log_writer_->make_producer(), LogFormat::kJson, 1.0);
  start(load(toml), *log_);
}

World::World(std::shared_ptr<const config::Config> config, std::uint64_t seed, proxy::AccessLog* log)
    : random_(seed),
      env_{.wheel = wheel_,
           .turn = turn_,
           .network = network_,
           .random = random_,
           .buffers = buffers_,
           .scratch = scratch_,
           .date = date_,
           .spans = &spans_} {
  if (log == nullptr) log_ = std::make_unique<proxy::AccessLog>(nullptr, LogFormat::kJson, 1.0);
  start(std::move(config), log != nullptr ? *log : *log_);
}

World::World(std::shared_ptr<const config::Config> config, std::uint64_t seed, proxy::AccessLog& log,
             std::shared_ptr<const proxy::TlsContexts> tls)
    : random_(seed),
      env_{.wheel = wheel_,
           .turn = turn_,
           .network = network_,
           .random = random_,
           .buffers = buffers_,
           .scratch = scratch_,
           .date = date_,
           .spans = &spans_},
      tls_(std::move(tls)) {
  proxy::Supervisor::Ways ways;
  ways.to_control = [this](std::move_only_function<void()> task) {
    tasks_.push_back(std::move(task));
    if (!tasks_timer_.armed()) wheel_.arm_in(tasks_timer_, TimerWheel::kTick);
  };
  ways.to_workers = [this](const proxy::ClusterState& cluster, std::uint64_t) { worker_->on_room(cluster); };
  ways.settled = [] {};
  supervisor_ = std::make_unique<proxy::Supervisor>(env_, std::move(ways));
  start(std::move(config), log);
  supervisor_->start();
}

void World::run_tasks() {
  for (auto& task : std::exchange(tasks_, {})) task();
}

void World::fill(proxy::Snapshot& snapshot) {
  if (supervisor_) return supervisor_->supervise(snapshot);
  states_.fill(snapshot, wheel_.now());
}

void World::stop_supervising() {
  for (const auto& cluster : snapshot_->clusters) cluster->events = nullptr;
  tasks_timer_.cancel();
  tasks_.clear();
  supervisor_.reset();
  turn_.finish();
}

std::shared_ptr<proxy::Snapshot> World::snapshot_of(std::shared_ptr<const config::Config> config) const {
  auto snapshot = std::make_shared<proxy::Snapshot>();
  snapshot->tls = tls_;
  snapshot->config = std::move(config);
  for (const auto& listener : snapshot->config->listeners) {
    snapshot->listen_addresses.push_back(listener.address);
  }
  for (const auto& cluster : snapshot->config->clusters) {
    auto& endpoints = snapshot->endpoints.emplace_back();
    for (const auto& endpoint : cluster.endpoints) {
      if (!endpoint.address) continue;
      endpoints.push_back({.name = endpoint.name,
                           .address = *endpoint.address,
                           .weight = endpoint.weight,
                           .zone = endpoint.zone,
                           .priority = endpoint.priority,
                           .state = nullptr});
    }
  }
  return snapshot;
}

bool World::reload(std::shared_ptr<const config::Config> config) {
  auto next = snapshot_of(std::move(config));
  next->generation = snapshot_->generation + 1;
  if (!worker_->prepare(*next)) return false;
  fill(*next);
  snapshot_ = next;
  if (!worker_->apply(snapshot_)) std::abort();
  turn_.finish();
  return true;
}

void World::start(std::shared_ptr<const config::Config> config, proxy::AccessLog& log) {
  const auto snapshot = snapshot_of(std::move(config));
  fill(*snapshot);
  worker_ = std::make_unique<proxy::Worker>(env_, log, 0, "remora-test");
  snapshot_ = snapshot;
  if (!worker_->apply(snapshot_)) std::abort();
}

World::~World() {
  worker_.reset();
  supervisor_.reset();
  turn_.finish();
  backends_.clear();
  log_.reset();
  log_writer_.reset();
  if (log_fd_ >= 0) close(log_fd_);
}

std::unique_ptr<RawPeer> World::client(std::size_t index, std::string_view from) {
  const Address to = worker_->listen_address(index);
  const auto peer = Address::parse(from);
  if (!peer) std::abort();
  return RawPeer::dial([&](net::Stream::Events& events) { return network_.connect_from(*peer, to, events); });
}

RawServer& World::backend(std::string_view address) {
  for (auto& [name, server] : backends_) {
    if (name == address) return *server;
  }
  const auto parsed = Address::parse(address);
  if (!parsed) std::abort();
  backends_.emplace_back(std::string(address), std::make_unique<RawServer>(network_, *parsed));
  return *backends_.back().second;
}

void World::answer(RawServer& server, std::string response) {
  server.when_accepted = [response = std::move(response)](RawPeer& peer) {
    peer.when_received = [response, answered = std::size_t{0}](RawPeer& p) mutable {
      constexpr std::string_view kBlank = "\r\n\r\n";
      for (;;) {
        const auto end = p.received().find(kBlank, answered);
        if (end == std::string::npos) return;
        answered = end + kBlank.size();
        p.send(response);
      }
    };
  };
}

void World::apply_endpoints(std::vector<std::vector<proxy::ResolvedEndpoint>> endpoints) {
  auto next = std::make_shared<proxy::Snapshot>(*snapshot_);
  ++next->generation;
  next->endpoints.assign(std::make_move_iterator(endpoints.begin()),
                         std::make_move_iterator(endpoints.end()));
  fill(*next);
  snapshot_ = next;
  if (!worker_->apply(snapshot_)) std::abort();
  turn_.finish();
}

std::vector<std::string> World::log() {
  if (!log_writer_) return {};
  log_writer_->flush();
  std::vector<std::string> lines;
  std::string text(static_cast<std::size_t>(lseek(log_fd_, 0, SEEK_END)), '\0');
  const auto got = pread(log_fd_, text.data(), text.size(), 0);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  for (std::size_t at = 0; at < text.size();) {
    const auto end = text.find('\n', at);
    lines.push_back(text.substr(at, end - at));
    at = end == std::string::npos ? text.size() : end + 1;
  }
  return lines;
}

}  // namespace remora::testing
