// The process: the control thread's loop with everything on it, and the worker threads. Starts in an order in
// which every failure is reported before anything serves, and ends as the signals say.
//
//   start     admin bound -> listeners bound -> mesh bound -> workers run -> names resolved, mesh asked ->
//   ready SIGHUP    the file is read anew and taken over, or rejected (reloader.h); so when it changes
//   SIGTERM   the mesh is left, the drain (drain.h), then exit; so POST /drain, and when the process of
//   exit_with
//             has gone
//   SIGTERM again, SIGINT, POST /quit    exit at once
//
// Thread: main, which becomes the control thread in run(). Owner: main.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/admin.h"
#include "proxy/collector.h"
#include "proxy/drain.h"
#include "proxy/endpoint_sources.h"
#include "proxy/event_ring.h"
#include "proxy/gossip.h"
#include "proxy/net/background.h"
#include "proxy/net/file_watch.h"
#include "proxy/net/loop.h"
#include "proxy/net/notify_socket.h"
#include "proxy/net/process_watch.h"
#include "proxy/net/resolver.h"
#include "proxy/net/tcp.h"
#include "proxy/process_files.h"
#include "proxy/reloader.h"
#include "proxy/service_manager.h"
#include "proxy/snapshot.h"
#include "proxy/span_exporter.h"
#include "proxy/supervisor.h"
#include "proxy/tls_store.h"
#include "proxy/worker_thread.h"

namespace remora::proxy {

class Server final : public AdminSource {
 public:
  // How the configuration is read anew; empty: it cannot be.
  using Load = std::function<std::expected<config::Config, config::Problems>()>;
  explicit Server(config::Config config, Load load = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Binds everything. An error's detail says what could not be bound and why.
  Result<void> start();
  // Serves until told to stop. Call once, after start().
  void run();
  // Ends run() as SIGTERM does; `trigger` is for the log. False: that is under way. On the control thread.
  bool drain(std::string_view trigger, Drain::Scope scope = Drain::Scope::kAll);
  // Ends run() now. Any thread.
  void exit_now();

  const Address& admin_address() const { return admin_->address(); }
  const Address& listen_address(std::size_t i) const { return snapshot_->listen_addresses[i]; }
  // The control thread's loop, for whoever wants to run on it (the demo).
  net::Loop& loop() { return loop_; }

 private:
  void collect(Reports receive) override;
  ProcessStatus status() const override;
  const EventRing& events() const override { return events_; }
  std::span<const std::string> admin_hosts() const override { return config_->admin.hosts; }
  void metrics(std::vector<WorkerReport> reports, Text receive) override;
  std::string effective_config() const override;
  void reload(std::move_only_function<void(const ReloadReport&)> receive) override {
    look_at_files();
    reloader_.reload("POST /reload", std::move(receive));
  }
  const ReloadReport& last_reload() const override { return reloader_.last(); }
  std::string begin_drain(bool inbound_alone) override;
  void quit() override;
  std::vector<ClusterView> clusters() const override;
  std::optional<MeshView> mesh() const override {
    return gossip_ ? std::optional(gossip_->view()) : std::nullopt;
  }
  std::optional<Supervisor::Refused> obey(std::string_view cluster, std::string_view endpoint,
                                          Supervisor::Order order) override {
    return supervisor_->obey(cluster, endpoint, order);
  }

  // Empty when ready, else why not.
  std::string not_ready_reason() const;
  void tell(Event::Kind kind, std::string from, std::string to, std::string reason = {});
  Result<void> open_logs();
  Result<void> bind_admin();
  Result<void> bind_listeners();
  Result<void> bind_mesh();
  void announce_services();
  void look_at_files();
  Result<void> check_port(const config::Listener& listener);
  std::string reload_refusal() const;
  void take_over(std::shared_ptr<const config::Config> config, std::vector<Address> addresses,
                 std::function<void()> taken_over);
  void watch_file();
  void publish();
  void on_endpoints_changed();
  void announce_when_ready();
  void measure_memory();
  void tell_workers_of_room(const ClusterState& cluster, std::uint64_t workers);
  void warn_of_lost_files() const;
  void handle_signals();
  void reopen_logs();
  Result<void> open_notify_socket();
  void ask_workers();
  std::string summary() const;
  void watch_application();
  void leave_mesh();
  void on_drain_changed();
  void announce_drain(config::Direction direction);
  void finish_traffic(config::Direction direction, std::function<void()> finished);

  std::shared_ptr<const config::Config> config_;
  const config::Config started_with_;  // without listeners and clusters
  Load load_;
  std::unique_ptr<LogWriter> log_writer_;
  std::unique_ptr<LogWriter> access_writer_;
  net::Loop loop_;
  net::UvNetwork network_{loop_};
  Random random_;
  BufferPool buffers_;
  http::H1Scratch scratch_;
  HttpDate date_{&net::wall_clock_seconds};
  Env env_;
  EventRing events_;
  ProcessFiles process_files_;
  TimePoint started_{};
  const std::string pseudonym_;
  TlsStore tls_;
  net::Resolver resolver_;
  EndpointSources sources_;
  std::unique_ptr<Gossip> gossip_;  // null: no [mesh]
  std::unique_ptr<Admin> admin_;
  std::unique_ptr<Supervisor> supervisor_;
  std::vector<std::unique_ptr<WorkerThread>> workers_;
  Collector collector_{loop_, workers_};
  net::Background background_{loop_};
  SpanExporter exporter_;
  std::shared_ptr<const Snapshot> snapshot_;
  Reloader reloader_;
  std::unique_ptr<net::FileWatch> watch_;
  std::function<void()> taken_over_;  // called when every worker has taken over the latest configuration
  std::size_t behind_ = 0;            // those that have not
  std::atomic<std::uint64_t> resident_bytes_{0};  // for the workers; measured if a limit depends on it
  MemberTimer<Server, &Server::measure_memory> memory_timer_{*this};
  std::unique_ptr<net::ProcessWatch> application_;
  Drain drain_;
  std::unique_ptr<net::NotifySocket> notify_socket_;  // null: nobody wants to know
  ServiceManager manager_{loop_.wheel()};
  std::size_t undrained_ = 0;   // workers that still have traffic of the direction that ends, and the mesh
  bool leaving_ = false;        // the mesh
  std::function<void()> left_;  // called when it has been left
  bool serving_ = false;
  bool announced_ = false;
};

}  // namespace remora::proxy
