// Gathers a report from every worker for whoever scrapes. A worker that does not answer within a second is
// left out, and the scrape goes on with what is there: numbers that are late must not hide those that are
// not.
//
// Thread: the control thread. Owner: Server.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/timer_wheel.h"
#include "base/turn.h"
#include "proxy/net/loop.h"
#include "proxy/stats.h"
#include "proxy/worker_thread.h"

namespace remora::proxy {

class Collector final {
 public:
  using Receive = std::move_only_function<void(std::vector<WorkerReport>)>;

  // The workers outlive the collector, or are stopped before it goes.
  Collector(net::Loop& control, const std::vector<std::unique_ptr<WorkerThread>>& workers);
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  // Calls `receive` on the control thread, later.
  void collect(Receive receive);

 private:
  struct Round;
  void on_report(std::uint64_t id, WorkerReport report);
  void finish(Round& round);

  net::Loop& control_;
  const std::vector<std::unique_ptr<WorkerThread>>& workers_;
  std::vector<std::unique_ptr<Round>> rounds_;
  std::uint64_t next_id_ = 0;
};

}  // namespace remora::proxy
