// The operator's HTTP server, on the control thread and the same codec as the traffic: the live page, health,
// metrics, state. Reading is GET (or HEAD); whatever changes something is POST. The pages are a table in
// proxy/admin_visit.cc, and docs/admin.md describes them.
//
// Thread: the control thread. Owner: Server.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/slot_list.h"
#include "proxy/admin_stats.h"
#include "proxy/downstream.h"
#include "proxy/env.h"
#include "proxy/event_ring.h"
#include "proxy/reload_report.h"
#include "proxy/stats.h"
#include "proxy/supervisor.h"

namespace remora::proxy {

// What the pages show; implemented by Server.
class AdminSource {
 public:
  using Reports = std::move_only_function<void(std::vector<WorkerReport>)>;
  // Gathers the workers' numbers and calls back on the control thread, later.
  virtual void collect(Reports receive) = 0;
  // All but the pages.
  virtual ProcessStatus status() const = 0;
  virtual const EventRing& events() const = 0;
  // Names in Host that are allowed besides addresses and localhost.
  virtual std::span<const std::string> admin_hosts() const = 0;
  // Makes the exposition of all metrics; calls back on the control thread, later.
  using Text = std::move_only_function<void(std::string)>;
  virtual void metrics(std::vector<WorkerReport> reports, Text receive) = 0;
  virtual std::string effective_config() const = 0;
  // Reads the configuration anew; calls back on the control thread, later or now.
  virtual void reload(std::move_only_function<void(const ReloadReport&)> receive) = 0;
  virtual const ReloadReport& last_reload() const = 0;
  // Begins the drain, of inbound alone or to the end of the process, and says how far it is.
  virtual std::string begin_drain(bool inbound_alone) = 0;
  // Ends the process once what is being answered has been.
  virtual void quit() = 0;
  virtual std::vector<ClusterView> clusters() const = 0;
  // nullopt: this process is in no mesh.
  virtual std::optional<MeshView> mesh() const = 0;
  virtual std::optional<Supervisor::Refused> obey(std::string_view cluster, std::string_view endpoint,
                                                  Supervisor::Order order) = 0;

 protected:
  ~AdminSource() = default;
};

class Admin final : public net::Acceptor, public Downstream::Handler {
 public:
  Admin(Env& env, AdminSource& source);
  ~Admin();
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

  Result<void> listen(const Address& address);
  const Address& address() const { return listener_->address(); }

 private:
  class Visit;  // one request

  void on_accept(std::unique_ptr<net::Stream> stream) override;
  void on_accept_exhausted() override {}
  http::Receiver* on_request(Downstream& downstream, http::ServerStream& stream, http::RequestHead& head,
                             bool end) override;
  void on_bad_request(Downstream& downstream, http::ServerStream& stream, const Error& error) override;
  void on_downstream_closed(Downstream& downstream) override;
  void forget(Visit& visit);

  Env& env_;
  AdminSource& source_;
  std::unique_ptr<net::Listener> listener_;
  SlotList<Downstream> downstreams_;
  SlotList<Visit> visits_;
};

}  // namespace remora::proxy
