// Gathers the spans of every worker and delivers them to the collector in batches, one at a time. Nobody
// waits for it: what a collector that is slow or away cannot take stays in a queue of bounded size, and what
// the queue cannot take is dropped and counted.
//
//   a batch is    full, or the oldest span has waited for `interval` -> under way
//   under way     2xx -> delivered
//                 no answer, 429, 502, 503, 504 -> the same batch again, after a pause that doubles or that
//                 Retry-After asks for
//                 any other status -> dropped: it would be refused again
//
// Thread: the control thread. Owner: Server. The rings outlive it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/otlp_client.h"
#include "proxy/span_ring.h"
#include "proxy/tracing_status.h"

namespace remora::proxy {

class SpanExporter final : private OtlpClient::Owner {
 public:
  struct Ways {
    OtlpClient::Resolve resolve;
    std::int64_t (*wall_clock_us)();
    std::string instance;  // this process's name
  };

  SpanExporter(Env& env, Ways ways);

  // Where spans come from.
  void add_source(SpanRing& ring) { rings_.push_back(&ring); }
  // What holds from now on; a batch that is under way ends as it began. Without a [tracing], what is there
  // and what still comes is delivered as the last one said. In an event of the loop only.
  void set(std::shared_ptr<const config::Config> config);
  // Delivers what is there, in one try and for at most `patience`, then calls `done`, once; later or at once.
  void flush(Duration patience, std::function<void()> done);

  TracingStatus status() const;

 private:
  void on_answer(const OtlpClient::Answer& answer) override;
  void on_no_answer(const std::string& reason) override;

  void on_tick();
  bool drain();
  bool due() const;
  void send();
  void delivered(const OtlpClient::Answer& answer);
  void refused(const OtlpClient::Answer& answer);
  void try_again(const std::string& reason, Duration at_least);
  void batch_over();
  void finish_flush();
  bool empty() const { return queue_.empty() && records_.empty(); }
  bool may_warn();

  const config::Tracing& settings() const { return *config_->tracing; }

  Env& env_;
  Ways ways_;
  std::vector<SpanRing*> rings_;
  std::shared_ptr<const config::Config> config_;   // the latest with a [tracing]; null: there was none
  std::shared_ptr<const config::Config> sent_by_;  // what the batch under way is sent by
  bool enabled_ = false;
  std::deque<std::string> queue_;
  TimePoint oldest_{};                // when the queue's first span has come, at the latest
  std::vector<std::string> records_;  // the batch to be delivered; it is in body_
  std::string body_;
  std::int64_t epoch_us_ = 0;
  bool under_way_ = false;
  unsigned failures_ = 0;  // in a row
  TimePoint not_before_{};
  TimePoint quiet_until_{};  // no warning before
  bool warned_ = false;
  std::uint64_t lost_when_warned_ = 0;
  std::function<void()> flushed_;
  TracingStatus status_;
  MemberTimer<SpanExporter, &SpanExporter::on_tick> tick_{*this};
  MemberTimer<SpanExporter, &SpanExporter::finish_flush> flush_timer_{*this};
  OtlpClient client_;
};

}  // namespace remora::proxy
