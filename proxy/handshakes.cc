#include "proxy/handshakes.h"

#include <vector>

#include "config/units.h"
#include "proxy/net/tls_stream.h"

namespace remora::proxy {

namespace {

constexpr Duration kHurried = 1s;  // for one handshake, while others may be waiting for its place
constexpr Duration kLinger = 1s;   // so that the alert arrives before a reset can overtake it

}  // namespace

class Handshakes::One final : private net::Stream::Events {
 public:
  One(Handshakes& all, Arrival arrival, std::unique_ptr<net::TlsStream> stream)
      : arrival_(std::move(arrival)),
        all_(all),
        tls_(stream.get()),
        began_(all.env_.now()),
        timeout_(arrival_.listener->context().settings.tls->handshake_timeout) {
    arrival_.stream = std::move(stream);
  }
  One(const One&) = delete;
  One& operator=(const One&) = delete;
  ~One() {
    if (arrival_.stream) arrival_.stream->reset();
  }

  void start() {
    all_.env_.wheel.arm_in(timer_, timeout_);
    arrival_.stream->set_events(this);
  }
  void hurry() {
    if (refused_ || timeout_ <= kHurried) return;
    all_.env_.wheel.arm(timer_, began_ + kHurried);
  }
  const Arrival& arrival() const { return arrival_; }

  void finish() {
    timer_.cancel();
    Handshakes& all = all_;
    WorkerListener& listener = *arrival_.listener;
    if (!refused_) all.leave(listener);
    arrival_.stream->reset();
    all.env_.turn.bury(all.all_.take(*this));
    all.owner_.on_refused(listener);
  }

  std::size_t slot = 0;

 private:
  void on_open() override {
    timer_.cancel();
    net::TlsStream& stream = *tls_;
    arrival_.tls = true;
    arrival_.identity = stream.verified_peer();
    TlsStats& stats = arrival_.listener->context().stats.tls;
    ++(stream.resumed() ? stats.resumed : stats.full);
    Handshakes& all = all_;
    Arrival arrived = std::move(arrival_);
    all.env_.turn.bury(all.all_.take(*this));
    all.leave(*arrived.listener);
    all.owner_.on_arrival(std::move(arrived));
  }

  // None of these comes before on_open.
  void on_data(std::string_view /*bytes*/) override {}
  void on_end() override {}
  void on_writable() override {}

  void on_closed(const Error& error) override { refuse(error.detail, tls_->peer_gone()); }

  void on_time() {
    if (refused_) return finish();
    const Duration waited = all_.env_.now() - began_;
    arrival_.stream->reset();
    refuse("TLS handshake: not done within " +
               config::format_duration(std::chrono::floor<std::chrono::milliseconds>(waited)),
           true);
  }

  // `at_once`: there is nobody whom the alert would have to reach first.
  void refuse(const std::string& reason, bool at_once) {
    refused_ = true;
    ++arrival_.listener->context().stats.tls.failed;
    all_.refusals_.tell(arrival_, Flag::kTlsFailed, began_, reason);
    all_.leave(*arrival_.listener);
    if (at_once) return finish();
    all_.env_.wheel.arm_in(timer_, kLinger);
  }

  Arrival arrival_;
  Handshakes& all_;
  net::TlsStream* tls_;
  TimePoint began_;
  Duration timeout_;
  bool refused_ = false;
  MemberTimer<One, &One::on_time> timer_{*this};
};

Handshakes::Handshakes(Env& env, AccessLog& log, Owner& owner)
    : env_(env), owner_(owner), refusals_(env, log, "TLS handshake with a client failed") {}

Handshakes::~Handshakes() = default;

bool Handshakes::full(const WorkerListener& listener) {
  const auto& tls = listener.context().settings.tls;
  return tls && listener.handshakes >= tls->handshakes;
}

void Handshakes::begin(Arrival arrival) {
  WorkerListener& listener = *arrival.listener;
  if (!listener.tls()) {
    arrival.stream->reset();
    env_.turn.bury(std::move(arrival.stream));
    return owner_.on_refused(listener);
  }
  auto stream = net::TlsStream::accept({.turn = env_.turn, .buffers = env_.buffers}, listener.tls(),
                                       std::move(arrival.stream));
  ++listener.handshakes;
  all_.add(std::make_unique<One>(*this, std::move(arrival), std::move(stream))).start();
  if (!full(listener)) return;
  hurry(listener);
  owner_.on_room_changed(listener);
}

void Handshakes::close_late() {
  std::vector<One*> late;
  for (auto& one : all_) {
    if (one->arrival().listener->ends_at <= env_.now()) late.push_back(one.get());
  }
  for (One* one : late) one->finish();
}

void Handshakes::hurry(const WorkerListener& listener) {
  for (auto& one : all_) {
    if (one->arrival().listener == &listener) one->hurry();
  }
}

void Handshakes::leave(WorkerListener& listener) {
  const bool was_full = full(listener);
  --listener.handshakes;
  if (was_full) owner_.on_room_changed(listener);
}

}  // namespace remora::proxy
