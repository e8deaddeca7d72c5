// The connections of one worker to one endpoint: reuse of idle ones (the most recently used first, so that
// the others can age out), dialling, idle timeout. Whether a connection can carry several exchanges at once
// is its codec's business.
//
// Thread: the worker's. Owner: the Cluster's endpoint. Destroying it closes every connection; exchanges on
// them are reset.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/slot_list.h"
#include "breaker/limiter.h"
#include "proxy/dial.h"
#include "proxy/env.h"
#include "proxy/http/codec.h"
#include "proxy/stats.h"

namespace remora::proxy {

class UpstreamConnection;

class UpstreamPool final {
 public:
  struct Settings {
    Duration connect_timeout = 1s;
    Duration idle_timeout = 30s;
    http::H1Limits limits;
    TurnTask* room = nullptr;  // deferred when a connection has become free or has gone; may be null
  };

  // The right to have one more connection: of the endpoint and of the cluster, where those are limited.
  struct Permits {
    breaker::Permit endpoint;
    breaker::Permit cluster;
  };

  // Who waits for a stream.
  class Waiter {
   public:
    // A connection is there and an exchange on it has begun. Called inside open() when one was idle, later
    // otherwise.
    // `reused`: it has waited in the pool, and the peer may have closed it there.
    virtual void on_stream(http::ClientStream& stream, bool reused) = 0;
    // Dialling failed: refused, unreachable, timed out.
    virtual void on_connect_failed(const Error& error) = 0;

   protected:
    ~Waiter() = default;
  };

  // The references outlive the pool; `stats` is where connections are counted. The settings may change under
  // it: new ones hold from now on, connections that are there stay.
  UpstreamPool(Env& env, const Address& address, const Settings& settings, EndpointStats& stats,
               ClusterCounters& cluster);
  UpstreamPool(Env&, const Address&, const Settings&&, EndpointStats&, ClusterCounters&) = delete;
  UpstreamPool(Env&, const Address&&, const Settings&, EndpointStats&, ClusterCounters&) = delete;
  ~UpstreamPool();
  UpstreamPool(const UpstreamPool&) = delete;
  UpstreamPool& operator=(const UpstreamPool&) = delete;

  // Gets a stream for one exchange; `responses` is told of the response. `fresh`: dial even if a connection
  // is idle. `permits` are for a connection that has to be dialled. `tunnel`: for bytes that are no HTTP;
  // fresh then, and begun with these, in the clear. Null: for HTTP. Returns what to cancel() with while
  // waiting, or null when on_stream was called already.
  UpstreamConnection* open(http::Responses& responses, Waiter& waiter, bool fresh, Permits permits = {},
                           const std::string_view* tunnel = nullptr);
  // An exchange can be begun without dialling.
  bool has_available();

  // The waiter is no longer interested; the dialling goes on and the connection is kept for others, unless it
  // was to be a tunnel.
  void cancel(UpstreamConnection& dialling);

  // The same address in another place, which outlives the pool.
  void set_address(const Address& address) { address_ = &address; }

  // How the endpoint is spoken to from now on. `other`: the settings have changed; connections that are there
  // end with their exchanges.
  void set_tls(bool wanted, std::shared_ptr<const net::TlsContext> context, std::string name, bool other);

  // No idle connection is kept from now on: those there are close, the others after their exchange.
  void retire();
  // Closes the idle connections there are: the endpoint has failed. Those that come back later are kept
  // again.
  void close_idle() { close_idle_since(TimePoint::max()); }
  // Closes the one that has been idle the longest; false if there is none.
  bool close_oldest_idle();

  std::size_t size() const { return connections_.size(); }

 private:
  friend class UpstreamConnection;

  void begin(UpstreamConnection& connection, http::Responses& responses, Waiter& waiter, bool reused);
  // An event has touched this open connection: whether it may be used, and is idle, may have changed.
  void on_turn(UpstreamConnection& connection);
  void on_gone(UpstreamConnection& connection);
  void unlist(UpstreamConnection& connection);
  void set_idle(UpstreamConnection& connection, bool idle);
  void on_idle_timer();
  std::optional<TimePoint> close_idle_since(TimePoint limit);
  void count();
  bool is_outdated(const UpstreamConnection& connection) const;
  const UpstreamTls& tls() const;

  Env& env_;
  const Address* address_;
  const Settings& settings_;
  std::unique_ptr<UpstreamTls> tls_;  // null: in the clear
  unsigned epoch_ = 0;                // of the TLS settings
  EndpointStats& stats_;
  ClusterCounters& cluster_;
  SlotList<UpstreamConnection> connections_;
  // Could take an exchange at the end of a turn; the most recently listed last.
  std::vector<UpstreamConnection*> available_;
  std::size_t idle_ = 0;  // those of them without any
  MemberTimer<UpstreamPool, &UpstreamPool::on_idle_timer> idle_timer_{*this};
  bool retired_ = false;
};

}  // namespace remora::proxy
