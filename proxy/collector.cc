#include "proxy/collector.h"

#include <algorithm>

#include "base/log.h"

namespace remora::proxy {

namespace {

constexpr Duration kPatience = 1s;

}  // namespace

struct Collector::Round final : Timer {
  Round(Collector& c, std::uint64_t i, std::size_t n, Receive r)
      : collector(c), id(i), missing(n), receive(std::move(r)) {}
  void on_timer() override {
    log_warn("a worker did not report in time", {{"missing", std::to_string(missing)}});
    collector.finish(*this);
  }

  Collector& collector;
  std::uint64_t id;
  std::size_t missing;
  Receive receive;
  std::vector<WorkerReport> reports;
};

Collector::Collector(net::Loop& control, const std::vector<std::unique_ptr<WorkerThread>>& workers)
    : control_(control), workers_(workers) {}

Collector::~Collector() = default;

void Collector::collect(Receive receive) {
  const std::uint64_t id = next_id_++;
  rounds_.push_back(std::make_unique<Round>(*this, id, workers_.size(), std::move(receive)));
  control_.wheel().arm_in(*rounds_.back(), kPatience);
  for (const auto& worker : workers_) {
    worker->report([this, id](WorkerReport report) {
      control_.post([this, id, report = std::move(report)]() mutable { on_report(id, std::move(report)); });
    });
  }
}

void Collector::on_report(std::uint64_t id, WorkerReport report) {
  const auto round = std::ranges::find_if(rounds_, [&](const auto& r) { return r->id == id; });
  if (round == rounds_.end()) return;  // came too late
  (*round)->reports.push_back(std::move(report));
  if (--(*round)->missing == 0) finish(**round);
}

void Collector::finish(Round& round) {
  const auto place = std::ranges::find_if(rounds_, [&](const auto& r) { return r.get() == &round; });
  auto ended = std::move(*place);
  rounds_.erase(place);
  ended->cancel();
  std::ranges::sort(ended->reports, {}, &WorkerReport::worker);
  auto receive = std::move(ended->receive);
  auto reports = std::move(ended->reports);
  control_.turn().bury(std::move(ended));
  receive(std::move(reports));
}

}  // namespace remora::proxy
