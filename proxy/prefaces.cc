#include "proxy/prefaces.h"

#include <algorithm>
#include <vector>

#include "proxy/http/client_hello.h"
#include "proxy/http/first_bytes.h"
#include "proxy/http/proxy_header.h"
#include "proxy/net/prefixed_stream.h"

namespace remora::proxy {

namespace {

bool sends_header(const Arrival& arrival) {
  const auto& proxies = arrival.listener->context().settings.proxy_protocol;
  if (!proxies) return false;
  const Address& peer = arrival.stream->peer();
  return std::ranges::any_of(proxies->from, [&](const Cidr& range) { return range.contains(peer); });
}

}  // namespace

class Prefaces::One final : private net::Stream::Events {
 public:
  One(Prefaces& all, Arrival arrival) : arrival_(std::move(arrival)), all_(all), began_(all.env_.now()) {}
  One(const One&) = delete;
  One& operator=(const One&) = delete;
  ~One() {
    if (arrival_.stream) arrival_.stream->reset();
  }

  void start() {
    const config::Listener& settings = arrival_.listener->context().settings;
    const bool header = !arrival_.introduced && sends_header(arrival_);
    state_ = header ? State::kHeader : settings.detects() ? State::kProtocol : State::kName;
    (header ? arrival_.introduced : arrival_.known) = true;
    all_.env_.wheel.arm_in(timer_, header ? settings.proxy_protocol->timeout : settings.timeouts.detect);
    arrival_.stream->set_events(this);
  }
  const WorkerListener& listener() const { return *arrival_.listener; }

  void finish() {
    timer_.cancel();
    Prefaces& all = all_;
    WorkerListener& listener = *arrival_.listener;
    arrival_.stream->reset();
    all.env_.turn.bury(all.all_.take(*this));
    all.owner_.on_refused(listener);
  }

  std::size_t slot = 0;

 private:
  enum class State : std::uint8_t { kHeader, kName, kProtocol };

  void on_data(std::string_view bytes) override {
    seen_.append(bytes);
    switch (state_) {
      case State::kHeader: return read_header();
      case State::kName: return read_name();
      case State::kProtocol: return read_protocol();
    }
  }
  void on_end() override {
    if (seen_.empty()) return finish();
    ended_ = true;
    if (state_ == State::kHeader)
      return refuse(Flag::kDownstreamProtocolError, "PROXY header: it ends too early");
    hand_on();
  }
  void on_writable() override {}
  void on_closed(const Error& /*error*/) override { finish(); }
  void on_time() {
    if (state_ != State::kHeader) return hand_on();
    refuse(Flag::kDownstreamTimeout, "PROXY header: not there in time");
  }

  void read_header() {
    auto header = http::parse_proxy_header(seen_);
    if (!header) return refuse(Flag::kDownstreamProtocolError, header.error().detail);
    if (!*header) return;
    seen_.erase(0, (*header)->size);
    ends_ = {.peer = std::move((*header)->source), .local = std::move((*header)->destination)};
    hand_on();
  }

  void read_name() {
    if (!http::begins_tls(seen_.front())) return hand_on();
    auto hello = http::parse_client_hello(seen_);
    if (!hello) return refuse(Flag::kDownstreamProtocolError, hello.error().detail);
    if (!*hello) return;
    arrival_.server_name = std::move((*hello)->server_name);
    hand_on();
  }

  void read_protocol() {
    const http::FirstBytes said = http::look_at(seen_);
    if (said == http::FirstBytes::kMore) return;
    if (said == http::FirstBytes::kHttp) arrival_.carries = Downstream::Carries::kHttp;
    hand_on();
  }

  void refuse(Flag flag, std::string_view reason) {
    ++arrival_.listener->context().stats.local_replies[static_cast<std::size_t>(flag)];
    all_.refusals_.tell(arrival_, flag, began_, reason);
    finish();
  }

  void hand_on() {
    timer_.cancel();
    arrival_.stream->set_events(nullptr);
    Prefaces& all = all_;
    Arrival arrival = std::move(arrival_);
    arrival.stream = std::make_unique<net::PrefixedStream>(all.env_.turn, std::move(arrival.stream),
                                                           std::move(seen_), ended_, std::move(ends_));
    all.env_.turn.bury(all.all_.take(*this));
    all.owner_.on_arrival(std::move(arrival));
  }

  Arrival arrival_;
  Prefaces& all_;
  TimePoint began_;
  std::string seen_;
  net::PrefixedStream::Ends ends_;
  State state_ = State::kHeader;
  bool ended_ = false;
  MemberTimer<One, &One::on_time> timer_{*this};
};

Prefaces::Prefaces(Env& env, AccessLog& log, Arrival::Owner& owner)
    : env_(env), owner_(owner), refusals_(env, log, "the beginning of a connection was refused") {}

Prefaces::~Prefaces() = default;

bool Prefaces::wanted(const Arrival& arrival) {
  if (!arrival.introduced && sends_header(arrival)) return true;
  const config::Listener& settings = arrival.listener->context().settings;
  if (settings.tls && !arrival.tls) return false;  // what matters comes inside
  return !arrival.known && (settings.asks_names() || settings.detects());
}

void Prefaces::begin(Arrival arrival) { all_.add(std::make_unique<One>(*this, std::move(arrival))).start(); }

void Prefaces::close_late() {
  std::vector<One*> late;
  for (auto& one : all_) {
    if (one->listener().ends_at <= env_.now()) late.push_back(one.get());
  }
  for (One* one : late) one->finish();
}

}  // namespace remora::proxy
