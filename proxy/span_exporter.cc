#include "proxy/span_exporter.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/log.h"
#include "proxy/otlp_json.h"

namespace remora::proxy {

namespace {

// How often the rings are emptied: while there is something, while there is not, and when nothing is meant to
// come.
constexpr Duration kBusyTick = 50ms;
constexpr Duration kIdleTick = 200ms;
constexpr Duration kDisabledTick = 1s;

constexpr Duration kFirstPause = 1s;
constexpr Duration kLongestPause = 30s;
constexpr Duration kLongestRetryAfter = 5min;
constexpr Duration kBetweenWarnings = 1min;
// The two clocks drift apart, and one of them is set now and then; but spans of one trace are to agree.
constexpr std::int64_t kMostDriftUs = 5000;

constexpr bool may_succeed_later(unsigned status) {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

}  // namespace

SpanExporter::SpanExporter(Env& env, Ways ways)
    : env_(env), ways_(std::move(ways)), client_(env, *this, ways_.resolve) {}

void SpanExporter::set(std::shared_ptr<const config::Config> config) {
  enabled_ = config->tracing.has_value();
  if (enabled_) config_ = std::move(config);
  if (config_ == nullptr) return;
  status_.configured = true;
  env_.wheel.arm_in(tick_, kBusyTick);
}

void SpanExporter::on_tick() {
  const bool some = drain();
  if (flushed_ && empty()) return finish_flush();
  if (due()) send();
  const bool busy = some || !empty();
  env_.wheel.arm_in(tick_, busy ? kBusyTick : enabled_ ? kIdleTick : kDisabledTick);
}

// True: there was something.
bool SpanExporter::drain() {
  bool some = false;
  for (SpanRing* const ring : rings_) {
    ring->drain([&](std::string_view record) {
      some = true;
      if (queue_.size() + records_.size() >= settings().queue) {
        ++status_.queue_full;
        return;
      }
      if (queue_.empty()) oldest_ = env_.now();
      queue_.emplace_back(record);
    });
  }
  return some;
}

bool SpanExporter::due() const {
  if (under_way_ || empty()) return false;
  if (flushed_) return true;
  if (env_.now() < not_before_) return false;
  const bool again = !records_.empty();
  return again || !enabled_ || queue_.size() >= settings().batch ||
         env_.now() - oldest_ >= settings().interval;
}

void SpanExporter::send() {
  if (records_.empty()) {
    const std::int64_t epoch = ways_.wall_clock_us() - env_.now().time_since_epoch().count();
    if (std::abs(epoch - epoch_us_) > kMostDriftUs) epoch_us_ = epoch;
    const std::size_t count = std::min<std::size_t>(queue_.size(), settings().batch);
    const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(count);
    records_.assign(std::move_iterator(queue_.begin()), std::move_iterator(end));
    queue_.erase(queue_.begin(), end);
    oldest_ = env_.now();
    body_ =
        otlp_request({.service = settings().service, .instance = ways_.instance, .version = REMORA_VERSION},
                     records_, epoch_us_);
  }
  sent_by_ = config_;
  under_way_ = true;
  client_.post(*sent_by_->tracing, body_);
}

void SpanExporter::on_answer(const OtlpClient::Answer& answer) {
  under_way_ = false;
  if (answer.status >= 200 && answer.status < 300) return delivered(answer);
  if (!may_succeed_later(answer.status)) return refused(answer);
  const Duration asked = std::min(answer.retry_after.value_or(Duration::zero()), kLongestRetryAfter);
  try_again("status " + std::to_string(answer.status), asked);
}

void SpanExporter::on_no_answer(const std::string& reason) {
  under_way_ = false;
  try_again(reason, Duration::zero());
}

void SpanExporter::delivered(const OtlpClient::Answer& answer) {
  const std::uint64_t sent = records_.size();
  const std::uint64_t rejected = std::min(rejected_spans(answer.body), sent);
  ++status_.exports_succeeded;
  status_.delivered += sent - rejected;
  status_.rejected += rejected;
  if (rejected > 0 && may_warn()) {
    log_warn("the collector has not taken all spans",
             {{"rejected", std::to_string(rejected)}, {"answer", answer.body.substr(0, 256)}});
  } else if (rejected == 0 && std::exchange(warned_, false)) {
    const std::uint64_t lost = status_.queue_full + status_.rejected - lost_when_warned_;
    log_info("traces are delivered again",
             {{"collector", sent_by_->tracing->endpoint}, {"spans_lost", std::to_string(lost)}});
  }
  batch_over();
}

void SpanExporter::refused(const OtlpClient::Answer& answer) {
  ++status_.exports_rejected;
  if (may_warn()) {
    log_warn("the collector refuses traces", {{"collector", sent_by_->tracing->endpoint},
                                              {"status", std::to_string(answer.status)},
                                              {"answer", answer.body.substr(0, 256)},
                                              {"spans_lost", std::to_string(records_.size())}});
  }
  status_.rejected += records_.size();
  batch_over();
}

void SpanExporter::batch_over() {
  failures_ = 0;
  not_before_ = {};
  records_.clear();
  body_ = {};
  // The next one may be waiting already; the connection is free when this turn has ended.
  env_.wheel.arm_in(tick_, Duration::zero());
}

// `at_least`: what the collector asks for.
void SpanExporter::try_again(const std::string& reason, Duration at_least) {
  ++status_.exports_failed;
  const unsigned doublings = std::min(failures_++, 5U);
  const Duration full = std::min(kFirstPause * (1U << doublings), kLongestPause);
  const Duration pause = std::max(full / 2 + full / 2 * env_.random.below(1024) / 1024, at_least);
  not_before_ = env_.now() + pause;
  if (may_warn()) {
    log_warn("traces are not delivered, and wait", {{"collector", sent_by_->tracing->endpoint},
                                                    {"reason", reason},
                                                    {"retry_in_ms", std::to_string(pause / 1ms)}});
  }
  if (flushed_) finish_flush();
}

// A collector that is away for an hour is not to fill the log.
bool SpanExporter::may_warn() {
  if (env_.now() < quiet_until_) return false;
  if (!std::exchange(warned_, true)) lost_when_warned_ = status_.queue_full + status_.rejected;
  quiet_until_ = env_.now() + kBetweenWarnings;
  return true;
}

void SpanExporter::flush(Duration patience, std::function<void()> done) {
  if (config_ == nullptr) return done();
  flushed_ = std::move(done);
  env_.wheel.arm_in(flush_timer_, patience);
  env_.wheel.arm_in(tick_, Duration::zero());
}

void SpanExporter::finish_flush() {
  if (!flushed_) return;
  flush_timer_.cancel();
  if (!empty()) {
    log_warn("spans are lost, the collector has not taken them in time",
             {{"spans_lost", std::to_string(queue_.size() + records_.size())}});
  }
  std::exchange(flushed_, nullptr)();
}

TracingStatus SpanExporter::status() const {
  TracingStatus status = status_;
  for (const SpanRing* const ring : rings_) status.ring_full += ring->dropped();
  status.waiting = queue_.size() + records_.size();
  return status;
}

}  // namespace remora::proxy
