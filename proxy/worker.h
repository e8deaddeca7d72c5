// One thread's share of the work: its listeners, its downstream connections, its exchanges, its upstreams. It
// knows neither libuv nor the clock, so that tests run it unchanged on a fake network in virtual time.
//
// Thread: one. Owner: WorkerThread, or a test's World.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/slot_list.h"
#include "breaker/overload.h"
#include "proxy/access_log.h"
#include "proxy/downstream.h"
#include "proxy/env.h"
#include "proxy/exchange_pool.h"
#include "proxy/handshakes.h"
#include "proxy/prefaces.h"
#include "proxy/snapshot.h"
#include "proxy/upstreams.h"
#include "proxy/worker_listener.h"

namespace remora::proxy {

class Worker final : public Downstream::Handler, private Handshakes::Owner {
 public:
  // `index`: this worker's number. `pseudonym`: the process's name in Via. All references outlive the worker.
  Worker(Env& env, AccessLog& log, unsigned index, std::string pseudonym);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Binds what `next` needs and is not bound yet, without accepting there. An error leaves everything as it
  // was. apply() of the same snapshot, or abandon(), follows.
  Result<void> prepare(const Snapshot& next);
  // Where prepare() has bound listener `i`, or will when nothing else is said, with the real port.
  const Address& prepared_address(const Snapshot& next, std::size_t i) const;
  // Lets go of what prepare() has bound.
  void abandon() { prepared_.clear(); }
  // Takes over what the snapshot says, in this turn and whole; prepares what is not prepared. Listeners and
  // clusters that it still names keep what they have (worker_listener.h, cluster.h); others are retired. An
  // error, which only preparing can make, leaves everything as it was.
  Result<void> apply(std::shared_ptr<const Snapshot> snapshot);

  // The next response of each connection of these listeners is its last; all else goes on.
  void announce_drain(config::Direction direction);
  // These listeners stop accepting and let their exchanges end, those that a reload has retired included.
  // `drained` is called once no connection of theirs is left (maybe at once).
  void drain(config::Direction direction, std::function<void()> drained);

  // How overloaded this worker is: keep-alives end, new requests get 503, nothing is accepted (each includes
  // those before).
  void set_load(breaker::Overload::Level level);

  // Somebody has made room in the cluster with this state, for which a request here may wait.
  void on_room(const ClusterState& cluster) { upstreams_.on_room(cluster); }

  WorkerReport report();
  // Where listener `i` of the configuration is bound, with the real port.
  const Address& listen_address(std::size_t i) const;
  std::size_t connections() const { return downstreams_.size(); }
  std::size_t exchanges() const { return exchanges_.active(); }
  // Listeners and clusters that no configuration has any more and somebody still uses.
  std::size_t retired() const { return retired_.size() + upstreams_.retired(); }

 private:
  void accept(WorkerListener& listener, std::unique_ptr<net::Stream> stream);
  bool find_destination(Arrival& arrival);
  void serve(Arrival arrival);
  void on_arrival(Arrival arrival) override;
  void on_refused(WorkerListener& listener) override;
  void on_room_changed(WorkerListener& listener) override { apply_load(listener); }
  void on_connection_gone(WorkerListener& listener);
  WorkerListener* bound_at(const Address& address) const;
  void switch_listeners();
  void set_tls();
  void retire(std::unique_ptr<WorkerListener> listener);
  void bury_if_unused(WorkerListener& listener);
  void close_late();
  void apply_load(WorkerListener& listener) const;
  void tell_if_drained();
  std::unique_ptr<WorkerSocket> take_socket(std::size_t index,
                                            std::vector<std::unique_ptr<WorkerSocket>>& free);
  http::Receiver* on_request(Downstream& downstream, http::ServerStream& stream, http::RequestHead& head,
                             bool end) override;
  void on_bad_request(Downstream& downstream, http::ServerStream& stream, const Error& error) override;
  void on_downstream_closed(Downstream& downstream) override;
  static Origin origin_of(Downstream& downstream);

  Env& env_;
  unsigned index_;
  std::string pseudonym_;
  std::shared_ptr<const Snapshot> snapshot_;
  Upstreams upstreams_;
  ExchangePool exchanges_;
  std::vector<std::unique_ptr<WorkerListener>> listeners_;  // in the configuration's order
  std::vector<std::unique_ptr<WorkerListener>> retired_;
  std::vector<std::unique_ptr<WorkerSocket>> prepared_;  // by listener of the next snapshot; null: not needed
  SlotList<Downstream> downstreams_;
  Refusals redirections_;
  Prefaces prefaces_;
  Handshakes handshakes_;
  std::array<std::function<void()>, 2> drained_;  // by direction; null: does not drain, or has
  breaker::Overload::Level load_ = breaker::Overload::Level::kNormal;
  MemberTimer<Worker, &Worker::close_late> late_timer_{*this};
};

}  // namespace remora::proxy
