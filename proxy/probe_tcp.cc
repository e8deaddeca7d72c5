// The TCP check: connects, says what it was told to say, and looks for what it was told to look for.
//
//   state        means                                        leaves by
//   kRest        no check                                     start(): kConnecting
//   kConnecting  dialling                                     open: kTalking, or kRest if that is enough
//   kTalking     `receive` is awaited; without it, that the   it occurs; the end; a failure: kRest
//                kernel takes all of `send`
//   any          -                                            cancel(): kRest
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "config/units.h"
#include "proxy/net/stream.h"
#include "proxy/probe.h"
#include "proxy/probe_reason.h"
#include "proxy/probe_search.h"

namespace remora::proxy {
namespace {

class TcpProbe final : public Probe, private net::Stream::Events {
 public:
  TcpProbe(Env& env, const ProbeTarget& target, Judge& judge) : env_(env), target_(target), judge_(judge) {}
  TcpProbe(const TcpProbe&) = delete;
  TcpProbe& operator=(const TcpProbe&) = delete;
  ~TcpProbe() override { TcpProbe::cancel(); }

  void start() override;
  void cancel() override;
  std::string overdue(Duration timeout) const override;

 private:
  enum class State : std::uint8_t { kRest, kConnecting, kTalking };

  // net::Stream::Events
  void on_open() override;
  void on_data(std::string_view bytes) override;
  void on_end() override;
  void on_writable() override {}
  void on_drained() override;
  void on_closed(const Error& error) override;

  const config::HealthCheck& check() const { return *target_.check; }
  std::string missing() const { return not_found("answer", check().receive, search_); }
  void conclude(Outcome outcome, const std::string& reason = {});
  void fail(const std::string& reason) { conclude(Outcome::kFailed, reason); }
  void close();

  Env& env_;
  const ProbeTarget& target_;
  Judge& judge_;
  std::unique_ptr<net::Stream> stream_;
  ProbeSearch search_{{}};
  State state_ = State::kRest;
};

void TcpProbe::start() {
  state_ = State::kConnecting;
  search_ = ProbeSearch(check().receive);
  Address address = target_.endpoint.address;
  if (check().port != 0) address.set_port(check().port);
  stream_ = dial(env_, address, target_.tls, *this, target_.preamble);
}

void TcpProbe::on_open() {
  state_ = State::kTalking;
  if (!check().send.empty()) {
    const std::array<std::string_view, 1> pieces{check().send};
    stream_->send(pieces);
  }
  if (check().receive.empty() && stream_->queued() == 0) conclude(Outcome::kPassed);
}

void TcpProbe::on_drained() {
  if (check().receive.empty()) conclude(Outcome::kPassed);
}

void TcpProbe::on_data(std::string_view bytes) {
  search_.add(bytes);
  if (check().receive.empty()) return;
  if (search_.found()) return conclude(Outcome::kPassed);
  if (search_.overflowed()) fail(missing());
}

void TcpProbe::on_end() {
  if (check().receive.empty()) return fail("closed before all was sent");
  fail(search_.seen() == 0 ? "closed without an answer" : "closed, " + missing());
}

void TcpProbe::on_closed(const Error& error) {
  if (error.code == ErrorCode::kLimit) return conclude(Outcome::kAbandoned, connect_failure(error));
  if (state_ == State::kConnecting) return fail(connect_failure(error));
  fail(error.code == ErrorCode::kTimedOut ? "connection timed out" : "connection reset");
}

void TcpProbe::conclude(Outcome outcome, const std::string& reason) {
  close();
  judge_.on_probe(outcome, reason);
}

void TcpProbe::cancel() {
  if (stream_) stream_->reset();
  close();
}

void TcpProbe::close() {
  state_ = State::kRest;
  if (!stream_) return;
  stream_->set_events(nullptr);
  env_.turn.bury(std::move(stream_));
}

std::string TcpProbe::overdue(Duration timeout) const {
  if (state_ == State::kConnecting) return too_late("connection", timeout);
  if (check().receive.empty()) return too_late("room for all that is sent", timeout);
  if (search_.seen() == 0) return too_late("answer", timeout);
  return missing() + " within " + config::format_duration(timeout);
}

}  // namespace

std::unique_ptr<Probe> make_tcp_probe(Env& env, const ProbeTarget& target, Probe::Judge& judge) {
  return std::make_unique<TcpProbe>(env, target, judge);
}

}  // namespace remora::proxy
