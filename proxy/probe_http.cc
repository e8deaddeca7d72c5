// The HTTP check: one request through the client codec, over a connection that is kept for the next one.
//
//   state        means                           leaves by
//   kRest        no check; maybe an idle         start(): kConnecting, or kWaiting on the idle connection
//                connection
//   kConnecting  dialling                        open: kWaiting; failed: kRest
//   kWaiting     the request is sent             the head: kReading; the exchange's end: kRest, or
//                                                kConnecting when the connection had gone stale
//   kReading     the body is coming              its end, too much of it, a reset: kRest
//   any          -                               cancel(): kRest
//
// A status that was not expected decides at once but is reported with the end of the answer, so that an
// endpoint whose only fault is to say 503 keeps its connection.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/http_link.h"
#include "proxy/probe.h"
#include "proxy/probe_reason.h"
#include "proxy/probe_search.h"

namespace remora::proxy {
namespace {

constexpr http::H1Limits kLimits{};
// Connections that lie idle for longer are lost too often, some without a sign: servers close them, and
// packet filters forget them.
constexpr Duration kLongestIdle = 30s;

class HttpProbe final : public Probe, private http::Responses {
 public:
  HttpProbe(Env& env, const ProbeTarget& target, Judge& judge) : env_(env), target_(target), judge_(judge) {}
  HttpProbe(const HttpProbe&) = delete;
  HttpProbe& operator=(const HttpProbe&) = delete;
  ~HttpProbe() override { HttpProbe::cancel(); }

  void start() override;
  void cancel() override;
  std::string overdue(Duration timeout) const override;

 private:
  enum class State : std::uint8_t { kRest, kConnecting, kWaiting, kReading };

  // A connection to the endpoint.
  class Connection final : private HttpLink::Owner {
   public:
    explicit Connection(HttpProbe& probe)
        : probe_(&probe),
          link_(probe.env_, *this, nullptr),
          codec_(probe.env_.codecs.client(link_, probe.env_.scratch, kLimits)) {}

    void dial(Env& env, const Address& address, const ProbeTarget& target) {
      link_.start(proxy::dial(env, address, target.tls, link_, target.preamble), *codec_);
    }
    http::ClientCodec& codec() { return *codec_; }
    // The probe hears no more of it. It dies with the turn.
    void leave(bool abort) {
      probe_ = nullptr;
      link_.close(abort);
    }

   private:
    void on_link_open() override {
      if (probe_ != nullptr) probe_->ask();
    }
    void on_link_closed(const Error* error) override {
      if (probe_ != nullptr) probe_->on_gone(error);
    }

    HttpProbe* probe_;
    HttpLink link_;
    std::unique_ptr<http::ClientCodec> codec_;
  };

  // http::Responses
  void on_informational(http::ResponseHead& /*head*/) override {}
  void on_response(http::ResponseHead& head, bool end) override;
  void on_upgrade(http::ResponseHead& head) override;
  void on_body(std::string_view bytes, bool end) override;
  void on_trailers(const http::FieldList& /*trailers*/) override { on_answered(); }
  void on_writable() override {}
  void on_reset(const Error& error) override;

  const config::HealthCheck& check() const { return *target_.check; }
  bool reuse() const;
  void dial();
  void ask();
  void on_gone(const Error* error);
  void on_answered();
  void conclude(Outcome outcome);
  void drop(bool abort);

  Env& env_;
  const ProbeTarget& target_;
  Judge& judge_;
  std::unique_ptr<Connection> connection_;
  std::shared_ptr<const net::TlsContext> dialled_with_;  // of the connection
  http::ClientStream* stream_ = nullptr;                 // while an exchange is under way
  ProbeSearch search_{{}};
  std::string failure_;  // what is known so far; "" = nothing speaks against it
  State state_ = State::kRest;
  bool reused_ = false;  // this check's connection had been idle
};

bool HttpProbe::reuse() const {
  const auto& schedule = check().schedule;
  return check().reuse_connection && std::max(schedule.interval, schedule.failing_interval) <= kLongestIdle;
}

void HttpProbe::start() {
  search_ = ProbeSearch(check().body_contains);
  failure_.clear();
  reused_ =
      connection_ != nullptr && dialled_with_ == target_.tls.context && connection_->codec().available();
  if (reused_) return ask();
  drop(false);
  dial();
}

void HttpProbe::dial() {
  state_ = State::kConnecting;
  reused_ = false;
  Address address = target_.endpoint.address;
  if (check().port != 0) address.set_port(check().port);
  connection_ = std::make_unique<Connection>(*this);
  dialled_with_ = target_.tls.context;
  connection_->dial(env_, address, target_);
}

void HttpProbe::ask() {
  state_ = State::kWaiting;
  http::RequestHead head;
  head.method = check().method;
  head.target = check().path;
  head.authority = check().host;
  if (head.authority.empty()) {
    head.authority = target_.endpoint.address.is_unix() ? "localhost" : target_.endpoint.name;
  }
  head.fields.add(http::FieldId::kUserAgent, "remora-health-check");
  // Under its own id it would be the codec's to write, and that has no reason to.
  if (!reuse()) head.fields.add(http::FieldId::kOther, "Connection", "close");
  stream_ = &connection_->codec().start(*this);
  stream_->send_request(head, true);
}

void HttpProbe::on_response(http::ResponseHead& head, bool end) {
  state_ = State::kReading;
  if (!check().expect.contains(head.status)) failure_ = "status " + std::to_string(head.status);
  if (end) on_answered();
}

// The HTTP/1 codec refuses what was not asked for; another one may not.
void HttpProbe::on_upgrade(http::ResponseHead& head) {
  failure_ = "status " + std::to_string(head.status);
  drop(true);
  conclude(Outcome::kFailed);
}

void HttpProbe::on_body(std::string_view bytes, bool end) {
  search_.add(bytes);
  if (end) return on_answered();
  stream_->consume(bytes.size());
  if (!search_.overflowed()) return;
  drop(true);
  on_answered();
}

// As much of the answer has come as is wanted.
void HttpProbe::on_answered() {
  stream_ = nullptr;
  if (failure_.empty() && !search_.found()) failure_ = not_found("body", check().body_contains, search_);
  if (!reuse()) drop(false);
  conclude(failure_.empty() ? Outcome::kPassed : Outcome::kFailed);
}

// The connection is lost with it, and told on its own.
void HttpProbe::on_reset(const Error& error) {
  stream_ = nullptr;
  drop(false);
  if (reused_ && error.retry == Retry::kIfReused) return dial();
  if (failure_.empty()) {
    switch (error.code) {
      case ErrorCode::kEndOfStream:
        failure_ =
            state_ == State::kWaiting ? "closed without an answer" : "closed in the middle of the answer";
        break;
      case ErrorCode::kReset: failure_ = "connection reset"; break;
      case ErrorCode::kTimedOut: failure_ = "connection timed out"; break;
      default:
        failure_ = "invalid response";
        if (!error.detail.empty()) failure_ += ": " + error.detail;
    }
  }
  conclude(Outcome::kFailed);
}

// An exchange on the connection has heard of it through on_reset.
void HttpProbe::on_gone(const Error* error) {
  drop(false);
  if (state_ != State::kConnecting) return;
  failure_ = error != nullptr ? connect_failure(*error) : "connection closed";
  conclude(error != nullptr && error->code == ErrorCode::kLimit ? Outcome::kAbandoned : Outcome::kFailed);
}

void HttpProbe::conclude(Outcome outcome) {
  state_ = State::kRest;
  const std::string reason = std::exchange(failure_, {});
  judge_.on_probe(outcome, reason);
}

void HttpProbe::cancel() {
  drop(state_ != State::kRest);
  state_ = State::kRest;
}

void HttpProbe::drop(bool abort) {
  if (stream_ != nullptr) std::exchange(stream_, nullptr)->reset();
  if (!connection_) return;
  connection_->leave(abort);
  env_.turn.bury(std::move(connection_));
}

std::string HttpProbe::overdue(Duration timeout) const {
  if (!failure_.empty()) return failure_;
  switch (state_) {
    case State::kRest: break;
    case State::kConnecting: return too_late("connection", timeout);
    case State::kWaiting: return too_late("answer", timeout);
    case State::kReading: return too_late("end of the answer", timeout);
  }
  return {};
}

}  // namespace

std::unique_ptr<Probe> make_http_probe(Env& env, const ProbeTarget& target, Probe::Judge& judge) {
  return std::make_unique<HttpProbe>(env, target, judge);
}

}  // namespace remora::proxy
