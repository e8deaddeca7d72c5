// A whole Worker in virtual time: real policies, codecs, pools and exchanges on a fake network and a wheel
// that only the test advances. Clients and backends are RawPeers that speak literal bytes.
//
//   World w(kTwoBackends);
//   auto& a = w.backend("10.0.0.1:80");
//   World::answer(a, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
//   auto client = w.client();
//   client->send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
//   w.settle();
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/span_ring.h"
#include "proxy/state_registry.h"
#include "proxy/worker.h"
#include "tests/support/fake_network.h"
#include "tests/support/raw_peer.h"

namespace remora::proxy {
class Supervisor;
}

namespace remora::testing {

class World final {
 public:
  // `toml`: a configuration. The listeners are bound to the addresses it names. Aborts the test when it is
  // wrong.
  explicit World(std::string_view toml, std::uint64_t seed = 1, proxy::Codecs codecs = {});
  // The same of a configuration that load() made, cheap enough for a fuzzer: no thread. `log` is where the
  // access log goes, which log() does not see; null: nowhere.
  World(std::shared_ptr<const config::Config> config, std::uint64_t seed, proxy::AccessLog* log);
  // The same as a process is: a Supervisor makes the states, checks endpoints and ejects some. `tls`: what
  // each snapshot carries; may be null.
  World(std::shared_ptr<const config::Config> config, std::uint64_t seed, proxy::AccessLog& log,
        std::shared_ptr<const proxy::TlsContexts> tls);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // The configuration of this text. Aborts the test when it is wrong.
  static std::shared_ptr<const config::Config> load(std::string_view toml);

  // A client connecting to the configuration's listener `index`, from `from` if given.
  std::unique_ptr<RawPeer> client(std::size_t index = 0, std::string_view from = "127.0.0.1:5555");
  // A backend at `address`, alive as long as the world; asking again gives the same one.
  RawServer& backend(std::string_view address);
  // Makes every connection of `server` answer each request head it gets (up to the blank line) with
  // `response`.
  static void answer(RawServer& server, std::string response);

  // Delivers everything that can be delivered without time passing.
  void settle() { network_.settle(); }
  // Lets virtual time pass.
  void run_for(Duration span) { network_.run_for(span); }

  // Another configuration, as a reload would post it. False: its listeners cannot be bound, nothing changed.
  bool reload(std::string_view toml) { return reload(load(toml)); }
  bool reload(std::shared_ptr<const config::Config> config);

  // New endpoints for the configuration's clusters, as name resolution would post them.
  void apply_endpoints(std::vector<std::vector<proxy::ResolvedEndpoint>> endpoints);

  FakeNetwork& network() { return network_; }
  proxy::Worker& worker() { return *worker_; }
  TimerWheel& wheel() { return wheel_; }
  proxy::Env& env() { return env_; }
  // Where the worker's spans are.
  proxy::SpanRing& spans() { return spans_; }
  // What all workers would share, cluster by cluster.
  proxy::StateRegistry& states() { return states_; }
  // The access log so far, a line each.
  std::vector<std::string> log();
  std::uint64_t connection_permits() const { return snapshot_->listeners.front()->connections.in_use(); }
  // What the worker was told last.
  const proxy::Snapshot& snapshot() const { return *snapshot_; }
  // Null but in a world that has one, and after stop_supervising().
  proxy::Supervisor* supervisor() { return supervisor_.get(); }
  // Ends all checks; nobody is told of anything any more.
  void stop_supervising();

 private:
  void start(std::shared_ptr<const config::Config> config, proxy::AccessLog& log);
  std::shared_ptr<proxy::Snapshot> snapshot_of(std::shared_ptr<const config::Config> config) const;
  void fill(proxy::Snapshot& snapshot);
  void run_tasks();

  TimerWheel wheel_{TimePoint{}};
  Turn turn_;
  FakeNetwork network_{wheel_, turn_};
  Random random_;
  BufferPool buffers_;
  http::H1Scratch scratch_;
  proxy::HttpDate date_{+[]() -> std::int64_t { return 784111777; }};
  proxy::SpanRing spans_;
  proxy::Env env_;
  int log_fd_ = -1;
  std::unique_ptr<LogWriter> log_writer_;
  std::unique_ptr<proxy::AccessLog> log_;
  proxy::StateRegistry states_{random_, nullptr};
  std::shared_ptr<const proxy::TlsContexts> tls_;
  std::vector<std::move_only_function<void()>> tasks_;  // posted to the control thread: done a tick later
  MemberTimer<World, &World::run_tasks> tasks_timer_{*this};
  std::unique_ptr<proxy::Supervisor> supervisor_;
  std::shared_ptr<const proxy::Snapshot> snapshot_;
  std::vector<std::pair<std::string, std::unique_ptr<RawServer>>> backends_;
  std::unique_ptr<proxy::Worker> worker_;
};

}  // namespace remora::testing
