// One thread with one loop and one Worker on it. Built and bound on the main thread, so that a port that is
// taken is reported before anything runs; then handed to its own thread, after which only post() reaches it.
//
// Thread: main until start(), then as said. Owner: Server.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "proxy/net/loop.h"
#include "proxy/span_ring.h"
#include "proxy/worker.h"

namespace remora::proxy {

class WorkerThread final {
 public:
  struct Settings {
    unsigned index = 0;
    std::string pseudonym;  // in Via
    std::uint64_t seed = 0;
    LogWriter* access_log = nullptr;  // null: off; outlives the thread
    LogFormat access_format = LogFormat::kText;
    double access_sample = 1.0;
    breaker::Overload::Settings overload;
    const std::atomic<std::uint64_t>* resident_bytes = nullptr;  // outlives the thread
  };

  explicit WorkerThread(const Settings& settings);
  ~WorkerThread();  // stop() first
  WorkerThread(const WorkerThread&) = delete;
  WorkerThread& operator=(const WorkerThread&) = delete;

  // Before start(): binds.
  Result<void> prepare(std::shared_ptr<const Snapshot> snapshot);
  const Address& listen_address(std::size_t i) const;

  void start();
  // Runs `task` on the worker's thread. Any thread.
  void post(std::move_only_function<void(Worker&)> task);
  // Takes over the snapshot, in one turn with what the configuration says of the logs and of overload; `done`
  // is called on the worker's thread.
  void apply(std::shared_ptr<const Snapshot> snapshot, std::move_only_function<void()> done);
  // Asks for the worker's numbers; `receive` is called on the worker's thread.
  void report(std::move_only_function<void(WorkerReport)> receive);
  // Where the worker's spans are, for the control thread to take.
  SpanRing& spans();
  // Ends the loop, closes what is open and joins. Once.
  void stop();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
  std::thread thread_;
};

}  // namespace remora::proxy
