// Long because everything meets here: each part is a class of its own, and this is how they are wired.
#include "proxy/server.h"

#include <malloc.h>

#include <csignal>

#include "base/log.h"
#include "base/log_format.h"
#include "config/effective.h"
#include "proxy/metrics.h"
#include "proxy/net/listen_socket.h"
#include "proxy/privileges.h"

namespace remora::proxy {

namespace {

// This process's name in Via: unlike that of the next sidecar, so that only a real loop looks like one.
std::string make_pseudonym(Random& random) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string name = "remora-";
  for (int i = 0; i < 8; ++i) name += kDigits[random.below(16)];
  return name;
}

// What of a configuration takes effect at start only.
config::Config process_part(const config::Config& config) {
  config::Config part;
  part.runtime = config.runtime;
  part.overload = config.overload;
  part.admin = config.admin;
  part.log = config.log;
  part.mesh = config.mesh;
  return part;
}

// The network's detail names the address and the reason.
Error cannot_bind(const std::string& what, Error error) {
  error.detail = "cannot bind " + what + ": " +
                 (error.detail.empty() ? std::string(to_string(error.code)) : error.detail);
  return error;
}

// The handlers end with the loop, and a signal that came after them would kill a process that has ended well.
// The other threads have ended by then, or take no signals.
void ignore_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGHUP, SIGINT, SIGTERM, SIGUSR1}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

}  // namespace

Server::Server(config::Config config, Load load)
    : config_(std::make_shared<const config::Config>(std::move(config))),
      started_with_(process_part(*config_)),
      load_(std::move(load)),
      random_(net::random_seed()),
      env_{.wheel = loop_.wheel(),
           .turn = loop_.turn(),
           .network = network_,
           .random = random_,
           .buffers = buffers_,
           .scratch = scratch_,
           .date = date_},
      pseudonym_(make_pseudonym(random_)),
      tls_(loop_, [this] { publish(); }),
      resolver_(loop_, {.servers = config_->runtime.resolvers}),
      sources_(
          loop_, random_, resolver_,
          {.changed = [this] { on_endpoints_changed(); },
           .tell = [this](Event event) { events_.add(std::move(event)); },
           .in_mesh = [this](const auto& wanted) { return gossip_ ? gossip_->source(wanted) : nullptr; }}),
      supervisor_(std::make_unique<Supervisor>(
          env_, Supervisor::Ways{
                    .to_control = [this](auto task) { loop_.post(std::move(task)); },
                    .to_workers = [this](const ClusterState& cluster,
                                         std::uint64_t workers) { tell_workers_of_room(cluster, workers); },
                    .settled = [this] { announce_when_ready(); },
                    .tell =
                        [this](Event event) {
                          // In an event of its own: what comes of it may end the check whose event this is.
                          const bool counts =
                              event.kind == Event::Kind::kHealthCheck || event.kind == Event::Kind::kOrder;
                          events_.add(std::move(event));
                          if (counts && gossip_) loop_.post([this] { announce_services(); });
                        }})),
      exporter_(env_,
                {.resolve = [this](const std::string& host,
                                   auto callback) { return resolver_.resolve(host, std::move(callback)); },
                 .wall_clock_us = &wall_clock_us,
                 .instance = pseudonym_}),
      reloader_(
          loop_, sources_, workers_,
          {.load = load_,
           .running = [this] { return snapshot_; },
           .refusal = [this] { return reload_refusal(); },
           .read_tls = [this](auto next) { return tls_.read(std::move(next)); },
           .check_address = [this](const config::Listener& listener) { return check_port(listener); },
           .commit = [this](auto next, auto addresses,
                            auto done) { take_over(std::move(next), std::move(addresses), std::move(done)); },
           .busy = [this](bool busy) { busy ? manager_.reloading() : manager_.reloaded(summary()); },
           .tell =
               [this](const ReloadReport& report) {
                 tell(Event::Kind::kReload, {}, to_string(report.result), reload_summary(report));
               },
           .started = &started_with_}),
      drain_(loop_.wheel(),
             {.announce = [this](config::Direction direction) { announce_drain(direction); },
              .finish = [this](config::Direction direction,
                               auto finished) { finish_traffic(direction, std::move(finished)); },
              .changed = [this] { on_drain_changed(); }}) {}

Server::~Server() {
  for (auto& worker : workers_) worker->stop();
  gossip_.reset();
  admin_.reset();
  supervisor_.reset();
  loop_.turn().finish();
  set_log_sink(nullptr, LogFormat::kText);
}

Result<void> Server::start() {
  std::signal(SIGPIPE, SIG_IGN);
  forbid_new_privileges();
  if (auto opened = open_logs(); !opened) return opened;
  if (auto opened = open_notify_socket(); !opened) return opened;
  if (auto bound = bind_admin(); !bound) return bound;
  if (auto bound = bind_listeners(); !bound) return bound;
  if (auto bound = bind_mesh(); !bound) return bound;
  if (auto given = give_up_privileges(config_->runtime); !given) return given;
  guard_memory(*config_);
  warn_of_lost_files();
  handle_signals();
  return {};
}

// They were opened by another user, and will not be again: better said now than by the first renewal, or
// rotation.
void Server::warn_of_lost_files() const {
  const auto& user = config_->runtime.user;
  if (user.empty()) return;
  std::vector<std::string> files = tls_.watched();
  if (load_) files.push_back(config_->file);
  for (const std::string& file : files) {
    if (readable(file)) continue;
    log_warn("a file cannot be read any more, its changes will not be taken over",
             {{"file", file}, {"user", user}});
  }
  const std::string& log = config_->log.access.path;
  if (access_writer_ && log.starts_with('/') && !writable(log)) {
    log_warn("the access log cannot be opened any more, and will end when it is rotated",
             {{"file", log}, {"user", user}});
  }
}

void Server::handle_signals() {
  loop_.on_signal(SIGHUP, [this] {
    look_at_files();
    reloader_.reload("SIGHUP", {});
  });
  loop_.on_signal(SIGTERM, [this] {
    if (!drain("SIGTERM")) exit_now();
  });
  loop_.on_signal(SIGINT, [this] { exit_now(); });
  loop_.on_signal(SIGUSR1, [this] { reopen_logs(); });
}

void Server::reopen_logs() {
  if (access_writer_) access_writer_->reopen();
  log_writer_->reopen();
  log_info("log files opened anew");
}

Result<void> Server::open_notify_socket() {
  auto opened = net::NotifySocket::from_environment();
  if (!opened) return std::unexpected(std::move(opened.error()));
  notify_socket_ = std::move(*opened);
  return {};
}

// Their answers are for the watchdog.
void Server::ask_workers() {
  for (auto& worker : workers_) {
    worker->post([this](Worker&) { loop_.post([this] { manager_.answered(); }); });
  }
}

std::string Server::summary() const {
  const auto counted = [](std::size_t n, std::string_view what) {
    return std::to_string(n) + ' ' + std::string(what) + (n == 1 ? "" : "s");
  };
  return "ready: " + counted(config_->listeners.size(), "listener") + ", " +
         counted(config_->clusters.size(), "cluster") + ", " + counted(workers_.size(), "worker");
}

Result<void> Server::open_logs() {
  auto writer = LogWriter::open("stderr");
  if (!writer) return std::unexpected(std::move(writer.error()));
  log_writer_ = std::move(*writer);
  set_log_level(config_->log.level);
  set_log_sink(log_writer_.get(), config_->log.format);
  const config::AccessLog& access = config_->log.access;
  if (access.path == "off") return {};
  auto opened = LogWriter::open(access.path);
  if (!opened) {
    opened.error().detail = "cannot open the access log " + access.path + ": " + opened.error().detail;
    return std::unexpected(std::move(opened.error()));
  }
  access_writer_ = std::move(*opened);
  return {};
}

Result<void> Server::bind_admin() {
  admin_ = std::make_unique<Admin>(env_, *this);
  if (auto bound = admin_->listen(config_->admin.address); !bound) {
    return std::unexpected(cannot_bind("the admin server", std::move(bound.error())));
  }
  return {};
}

// With SO_REUSEPORT a second Remora would quietly share the port with the first; a plain bind finds out.
Result<void> Server::check_port(const config::Listener& listener) {
  if (!listener.address.is_ip() || listener.address.port() == 0) return {};
  const auto free = net::ListenSocket::check_free(listener.address);
  if (free) return {};
  return std::unexpected(cannot_bind("listener " + listener.name, free.error()));
}

Result<void> Server::bind_listeners() {
  if (auto read = tls_.read(config_); !read) return read;
  tls_.use();
  Snapshot next{.generation = 1,
                .config = config_,
                .endpoints = sources_.resolved(*config_, nullptr),
                .clusters = {},
                .listeners = {},
                .rates = {},
                .listen_addresses = {},
                .tls = tls_.contexts()};
  for (const auto& listener : config_->listeners) {
    if (auto free = check_port(listener); !free) return free;
    next.listen_addresses.push_back(listener.address);
  }
  supervisor_->supervise(next);
  snapshot_ = std::make_shared<const Snapshot>(next);
  for (unsigned i = 0; i < config_->runtime.workers; ++i) {
    workers_.push_back(
        std::make_unique<WorkerThread>(WorkerThread::Settings{.index = i,
                                                              .pseudonym = pseudonym_,
                                                              .seed = random_.next(),
                                                              .access_log = access_writer_.get(),
                                                              .access_format = config_->log.access.format,
                                                              .access_sample = config_->log.access.sample,
                                                              .overload = config_->overload,
                                                              .resident_bytes = &resident_bytes_}));
    if (auto bound = workers_.back()->prepare(snapshot_); !bound) {
      return std::unexpected(Error(bound.error().code, Side::kInternal, Retry::kNo,
                                   "cannot bind a listener: " + bound.error().detail));
    }
    exporter_.add_source(workers_.back()->spans());
    if (i > 0) continue;
    // The first worker has found the ports of those that asked for any; the others share them.
    for (std::size_t n = 0; n < config_->listeners.size(); ++n) {
      next.listen_addresses[n] = workers_.front()->listen_address(n);
    }
    snapshot_ = std::make_shared<const Snapshot>(next);
  }
  return {};
}

Result<void> Server::bind_mesh() {
  if (!config_->mesh) return {};
  gossip_ = std::make_unique<Gossip>(
      env_, *config_->mesh, net::random_seed(),
      Gossip::Ways{.resolve = [this](const std::string& host,
                                     auto callback) { return resolver_.resolve(host, std::move(callback)); },
                   .tell = [this](Event event) { events_.add(std::move(event)); },
                   .settled = [this] { announce_when_ready(); },
                   .changed = [this] { on_endpoints_changed(); }});
  return gossip_->bind();
}

// Each while its cluster's checks pass.
void Server::announce_services() {
  if (!gossip_ || !config_->mesh) return;
  std::vector<discovery::swim::ServiceSettings> services;
  for (const auto& [service, cluster] : config_->mesh->services) {
    if (cluster.empty() || supervisor_->passes(cluster)) services.push_back(service);
  }
  gossip_->announce(services);
}

// Those that are read by themselves, besides the configuration.
void Server::look_at_files() {
  tls_.look();
  sources_.look();
  if (gossip_ != nullptr) gossip_->read_keys();
}

void Server::run() {
  log_info("admin listening", {{"address", admin_->address().to_string()}});
  for (std::size_t i = 0; i < config_->listeners.size(); ++i) {
    log_info("listening", {{"listener", config_->listeners[i].name},
                           {"address", snapshot_->listen_addresses[i].to_string()}});
  }
  for (auto& worker : workers_) worker->start();
  serving_ = true;
  loop_.post([this] {
    started_ = env_.now();
    ServiceManager::Ways ways{.send = {}, .ask = [this] { ask_workers(); }};
    if (notify_socket_) ways.send = [this](std::string_view state) { return notify_socket_->send(state); };
    manager_.start(std::move(ways), net::NotifySocket::watchdog_of_environment(), workers_.size());
    supervisor_->start();
    exporter_.set(config_);
    if (config_->overload.memory > 0) measure_memory();
    sources_.watch(*config_);
    announce_services();
    if (gossip_) gossip_->start();
    on_endpoints_changed();
    watch_file();
    watch_application();
  });
  loop_.run();
  ignore_signals();
  watch_ = nullptr;
  application_ = nullptr;
  for (auto& worker : workers_) worker->stop();
  log_info("stopped");
}

void Server::on_endpoints_changed() {
  publish();
  announce_services();  // the last endpoint that passed its checks may have gone
  announce_when_ready();
  reloader_.on_names();
}

void Server::announce_when_ready() {
  if (announced_ || !not_ready_reason().empty()) return;
  announced_ = true;
  log_info("ready", {{"workers", std::to_string(workers_.size())}});
  tell(Event::Kind::kProcess, "starting", "ready");
  manager_.ready(summary());
}

std::string Server::reload_refusal() const {
  if (!load_) return "this process was not started from a file";
  if (drain_.begun()) return "draining";
  return serving_ ? "" : "starting";
}

// The control thread's part of the switch; then every worker's, each in one turn.
void Server::take_over(std::shared_ptr<const config::Config> config, std::vector<Address> addresses,
                       std::function<void()> taken_over) {
  if (config->log.level != config_->log.level) set_log_level(config->log.level);
  set_log_sink(log_writer_.get(), config->log.format);
  config_ = std::move(config);
  tls_.use();
  Snapshot next{.generation = snapshot_->generation + 1,
                .config = config_,
                .endpoints = sources_.resolved(*config_, snapshot_.get()),
                .clusters = {},
                .listeners = {},
                .rates = {},
                .listen_addresses = std::move(addresses),
                .tls = tls_.contexts()};
  supervisor_->supervise(next);
  snapshot_ = std::make_shared<const Snapshot>(std::move(next));
  exporter_.set(config_);
  guard_memory(*config_);
  if (config_->overload.memory > 0 && !memory_timer_.armed()) measure_memory();
  loop_.post([this] { announce_services(); });
  watch_file();
  watch_application();
  taken_over_ = std::move(taken_over);
  behind_ = workers_.size();
  for (auto& worker : workers_) {
    worker->apply(snapshot_, [this] {
      loop_.post([this] {
        if (--behind_ == 0) std::exchange(taken_over_, nullptr)();
      });
    });
  }
}

void Server::watch_file() {
  if (!load_ || !config_->runtime.watch) {
    watch_ = nullptr;
  } else if (watch_ == nullptr) {
    watch_ = std::make_unique<net::FileWatch>(loop_, config_->file, [this] { reloader_.look(); });
  }
}

void Server::measure_memory() {
  if (config_->overload.memory == 0) return resident_bytes_.store(0, std::memory_order_relaxed);
  std::uint64_t resident = process_files_.resident_bytes();
  if (resident > config_->overload.memory / 10 * 9) {
    // What was freed may still be resident: asked for it back, or the load would never seem to end.
    malloc_trim(0);
    resident = process_files_.resident_bytes();
  }
  resident_bytes_.store(resident, std::memory_order_relaxed);
  loop_.wheel().arm_in(memory_timer_, 1s);
}

void Server::tell_workers_of_room(const ClusterState& cluster, std::uint64_t workers) {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if ((workers >> (i % 64) & 1U) == 0) continue;
    workers_[i]->post([&cluster](Worker& worker) { worker.on_room(cluster); });
  }
}

void Server::publish() {
  auto endpoints = sources_.resolved(*config_, snapshot_.get());
  Snapshot next = *snapshot_;
  ++next.generation;
  next.endpoints = std::move(endpoints);
  next.tls = tls_.contexts();
  supervisor_->supervise(next);
  if (next.endpoints == snapshot_->endpoints && next.tls == snapshot_->tls) return;
  snapshot_ = std::make_shared<const Snapshot>(std::move(next));
  for (auto& worker : workers_) {
    worker->post([snapshot = snapshot_](Worker& w) { static_cast<void>(w.apply(snapshot)); });
  }
}

void Server::collect(Reports receive) { collector_.collect(std::move(receive)); }

std::string Server::not_ready_reason() const {
  if (drain_.begun()) return std::string(drain_.reason());
  if (!serving_) return "starting";
  if (announced_)
    return {};  // what comes later, a new address that is not checked yet, does not take it back
  if (!sources_.settled()) return "endpoint names are not resolved yet";
  if (gossip_ && !gossip_->settled()) return "the mesh has not been asked yet";
  if (!supervisor_->settled()) return "the first health checks are not done yet";
  return {};
}

ProcessStatus Server::status() const {
  return {.info = process_files_.read(access_writer_ ? access_writer_->dropped() : 0),
          .now = static_cast<double>(wall_clock_ms()) / 1e3,
          .uptime = started_ == TimePoint{} ? Duration::zero() : env_.now() - started_,
          .not_ready_reason = not_ready_reason(),
          .workers = workers_.size(),
          .last_event = events_.last(),
          .rejected = reloader_.status().last_rejected ? &reloader_.last() : nullptr,
          .pages = {}};
}

void Server::tell(Event::Kind kind, std::string from, std::string to, std::string reason) {
  events_.add({.at = env_.now(),
               .kind = kind,
               .cluster = {},
               .endpoint = {},
               .from = std::move(from),
               .to = std::move(to),
               .reason = std::move(reason)});
}

void Server::metrics(std::vector<WorkerReport> reports, Text receive) {
  const std::uint64_t dropped = access_writer_ ? access_writer_->dropped() : 0;
  ProcessInfo process = process_files_.read(dropped);
  process.reloads = reloader_.status();
  if (gossip_) process.mesh = gossip_->numbers();
  process.tracing = exporter_.status();
  process.tls = tls_.files();
  background_.run([reports = std::move(reports), views = clusters(), process = std::move(process),
                   receive = std::move(receive)]() mutable {
    std::string text = exposition(reports, views, process);
    return [text = std::move(text), receive = std::move(receive)]() mutable { receive(std::move(text)); };
  });
}

std::vector<ClusterView> Server::clusters() const {
  std::vector<ClusterView> views = supervisor_->view();
  auto sources = sources_.view(*config_);
  // Both are of the configuration that runs, cluster by cluster.
  for (std::size_t i = 0; i < views.size() && i < sources.size(); ++i) {
    views[i].sources = std::move(sources[i]);
  }
  return views;
}

std::string Server::effective_config() const {
  std::string text;
  if (reloader_.status().last_rejected) {
    text = "# The last reload was rejected; this, from before it, is running.\n";
    for (const std::string& error : reloader_.last().errors) text += "# " + error + '\n';
  }
  return text + config::effective_toml(*config_);
}

}  // namespace remora::proxy
