#include "proxy/demo.h"

#include <fmt/core.h>

#include <array>
#include <utility>

#include "base/slot_list.h"
#include "proxy/downstream.h"
#include "proxy/env.h"
#include "proxy/local_reply.h"
#include "proxy/net/loop.h"
#include "proxy/net/tcp.h"
#include "proxy/upstream_pool.h"

namespace remora::proxy {

namespace {

constexpr Duration kPause = 50ms;
constexpr Downstream::Timeouts kTimeouts{};
constexpr http::H1Limits kLimits{};

// Answers every request with its own name.
class Backend final : public net::Acceptor, public Downstream::Handler, private http::Receiver {
 public:
  Backend(Env& env, std::string name) : env_(env), name_(std::move(name)) {}
  ~Backend() {
    listener_.reset();
    while (!downstreams_.empty()) downstreams_.back().close();
  }

  Result<Address> listen() {
    auto bound = env_.network.listen(*Address::parse("127.0.0.1:0"), {}, *this);
    if (!bound) return std::unexpected(std::move(bound.error()));
    listener_ = std::move(*bound);
    return listener_->address();
  }

 private:
  void on_accept(std::unique_ptr<net::Stream> stream) override {
    downstreams_.add(std::make_unique<Downstream>(env_, *this, kTimeouts, kLimits, nullptr))
        .start(std::move(stream));
  }
  void on_accept_exhausted() override {}

  http::Receiver* on_request(Downstream& /*downstream*/, http::ServerStream& stream, http::RequestHead& head,
                             bool /*end*/) override {
    const std::string body = fmt::format("hello from {}, you asked for {}\n", name_, head.target);
    const bool to_head = head.method == "HEAD";
    http::ResponseHead& response = env_.scratch.response;
    response.clear();
    response.status = 200;
    response.fields.add(http::FieldId::kContentType, "text/plain");
    response.fields.add("X-Backend", name_);
    send_whole(env_, stream, response, body, to_head, false);
    return this;
  }
  void on_bad_request(Downstream& /*downstream*/, http::ServerStream& stream, const Error& error) override {
    send_local_reply(env_, stream, reply_to_bad_request(error), false);
  }
  void on_downstream_closed(Downstream& downstream) override {
    env_.turn.bury(downstreams_.take(downstream));
  }

  void on_body(std::string_view /*bytes*/, bool /*end*/) override {}
  void on_trailers(const http::FieldList& /*trailers*/) override {}
  void on_writable() override {}
  void on_reset(const Error& /*error*/) override {}

  Env& env_;
  std::string name_;
  std::unique_ptr<net::Listener> listener_;
  SlotList<Downstream> downstreams_;
};

// One GET at a time.
class Client final : private UpstreamPool::Waiter, private http::Responses {
 public:
  using Done = std::function<void(unsigned status, std::string body)>;

  Client(Env& env, Address to)
      : to_(std::move(to)), pool_(env, to_, settings_, stats_, cluster_), host_(to_.to_string()) {}

  // `done` gets status 0 when the connection failed.
  void get(std::string target, Done done) {
    head_.clear();
    head_.method = "GET";
    head_.target = std::move(target);
    head_.authority = host_;
    head_.fields.add(http::FieldId::kUserAgent, "remora-demo");
    body_.clear();
    status_ = 0;
    done_ = std::move(done);
    pool_.open(*this, *this, false);
  }

 private:
  void on_stream(http::ClientStream& stream, bool /*reused*/) override {
    stream_ = &stream;
    stream.send_request(head_, true);
  }
  void on_connect_failed(const Error& /*error*/) override { finish(); }
  void on_informational(http::ResponseHead& /*head*/) override {}
  void on_response(http::ResponseHead& head, bool end) override {
    status_ = head.status;
    if (end) finish();
  }
  void on_upgrade(http::ResponseHead& /*head*/) override {}
  void on_body(std::string_view bytes, bool end) override {
    body_.append(bytes);
    if (end) return finish();
    stream_->consume(bytes.size());
  }
  void on_trailers(const http::FieldList& /*trailers*/) override { finish(); }
  void on_writable() override {}
  void on_reset(const Error& /*error*/) override {
    status_ = 0;
    finish();
  }
  void finish() {
    stream_ = nullptr;
    std::exchange(done_, nullptr)(status_, std::move(body_));
  }

  EndpointStats stats_;
  ClusterCounters cluster_;
  Address to_;
  UpstreamPool::Settings settings_{};
  UpstreamPool pool_;
  std::string host_;
  http::ClientStream* stream_ = nullptr;
  http::RequestHead head_;
  std::string body_;
  unsigned status_ = 0;
  Done done_;
};

void print_metrics(std::string_view text) {
  fmt::print("\nfrom /metrics:\n");
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const bool shown =
        line.starts_with("remora_requests_total") || line.starts_with("remora_upstream_requests_total") ||
        line.starts_with("remora_request_seconds_sum") || line.starts_with("remora_request_seconds_count");
    if (shown) fmt::print("  {}\n", line);
  }
}

}  // namespace

struct Demo::Parts final {
  Parts() : backends{Backend(env, "reef-1"), Backend(env, "reef-2"), Backend(env, "reef-3")} {}

  void next() {
    if (wanted > 0 && sent == wanted) return finish();
    ++sent;
    proxy->get(fmt::format("/greeting/{}", sent), [this](unsigned status, const std::string& /*body*/) {
      ++(status == 200 ? good : bad);
      loop.wheel().arm_in(timer, kPause);
    });
  }

  void finish() {
    admin->get("/metrics", [this](unsigned status, const std::string& body) {
      if (status == 200) print_metrics(body);
      finished();
    });
  }

  net::Loop loop;
  net::UvNetwork network{loop};
  Random random{1};
  BufferPool buffers;
  http::H1Scratch scratch;
  HttpDate date{&net::wall_clock_seconds};
  Env env{loop.wheel(), loop.turn(), network, random, buffers, scratch, date};
  std::array<Backend, 3> backends;
  std::array<Address, 3> addresses;
  std::unique_ptr<Client> proxy;
  std::unique_ptr<Client> admin;
  MemberTimer<Parts, &Parts::next> timer{*this};
  std::function<void()> finished;
  std::uint64_t wanted = 0;
  std::uint64_t sent = 0;
  std::uint64_t good = 0;
  std::uint64_t bad = 0;
};

Demo::Demo() : parts_(std::make_unique<Parts>()) {}

Demo::~Demo() { stop(); }

Result<void> Demo::prepare() {
  for (std::size_t i = 0; i < parts_->backends.size(); ++i) {
    auto bound = parts_->backends[i].listen();
    if (!bound) return std::unexpected(std::move(bound.error()));
    parts_->addresses[i] = *bound;
  }
  return {};
}

std::string Demo::config_text() const {
  const auto& a = parts_->addresses;
  return fmt::format(
      "[admin]\n"
      "address = \"127.0.0.1:0\"\n\n"
      "[[listener]]\n"
      "name = \"demo\"\n"
      "address = \"127.0.0.1:0\"\n"
      "[[listener.route]]\n"
      "cluster = \"reef\"\n\n"
      "[[cluster]]\n"
      "name = \"reef\"\n"
      "endpoints = [\"{}\", \"{}\", \"{}\"]\n",
      a[0].to_string(), a[1].to_string(), a[2].to_string());
}

void Demo::start(const Address& proxy, const Address& admin, std::uint64_t requests,
                 std::function<void()> finished) {
  parts_->wanted = requests;
  parts_->finished = std::move(finished);
  parts_->proxy = std::make_unique<Client>(parts_->env, proxy);
  parts_->admin = std::make_unique<Client>(parts_->env, admin);
  parts_->loop.post([this] { parts_->next(); });
  thread_ = std::thread([this] { parts_->loop.run(); });
}

void Demo::stop() {
  if (!thread_.joinable()) return;
  parts_->loop.stop();
  thread_.join();
}

std::uint64_t Demo::good() const { return parts_->good; }
std::uint64_t Demo::bad() const { return parts_->bad; }

}  // namespace remora::proxy
