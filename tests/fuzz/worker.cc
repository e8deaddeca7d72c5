// libFuzzer over a whole worker in virtual time: the input is a script of what clients, backends, the
// network, the clock and the operator do. Whatever it is, afterwards nothing may be left behind and the
// numbers must add up.
//
//   fuzz_worker tests/fuzz/corpus/worker -max_len=600 -timeout=20
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/log_writer.h"
#include "tests/support/world.h"

namespace {

using namespace remora;
using namespace remora::testing;

constexpr std::string_view kConfig = R"(
[[listener]]
name = "in"
address = "127.0.0.1:8080"
limits = { connections = 3, header_bytes = "2KiB" }
[[listener.route]]
path = "/static"
respond = { status = 200, body = "hello" }
[[listener.route]]
path = "/moved"
redirect = { scheme = "https" }
[[listener.route]]
prefix = "/two/"
cluster = "two"
rewrite = "/"
response_headers = { set = { X-Seen = "yes" } }
[[listener.route]]
prefix = "/hash"
cluster = "hashed"
timeout = "0s"
hash = { query = "k" }
[[listener.route]]
host = "h"
cluster = "app"
[[listener]]
name = "small"
address = "127.0.0.1:8081"
limits = { body_bytes = "1KiB" }
timeouts = { header = "1s", body_idle = "2s", keep_alive = "3s", tunnel_idle = "4s" }
[[listener.route]]
cluster = "app"
timeout = "1s"
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80"]
[[cluster]]
name = "two"
endpoints = ["10.0.0.1:80", "10.0.0.2:80"]
balance = "peak_ewma"
timeouts = { connect = "300ms", idle = "2s" }
[[cluster]]
name = "hashed"
endpoints = ["10.0.0.1:80", "10.0.0.2:80"]
balance = "ring_hash"
bounded_load = 1.25
)";

constexpr std::array<std::string_view, 20> kRequests{
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /static HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /two/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /hash?k=1 HTTP/1.1\r\nHost: h\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n",
    "POST /two/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: h\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /static HTTP/1.1\r\nHost: h\r\n\r\nGET /two/ HTTP/1.1\r\nHost: "
    "h\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\nExpect: 100-continue\r\n\r\n",
    "TRACE / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n",
    "3\r\nabc\r\n",
    "0\r\n\r\n",
    "5\r\nZZZZZZZZZZ",
    "GET / HTTP/1.1\r\nHos",
};

constexpr std::array<std::string_view, 20> kResponses{
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "3\r\nabc\r\n",
    "0\r\n\r\n",
    "0\r\nA: b\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\nuntil the end",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nglued",
    "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n",
    "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "nonsense\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Le",
    "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
};

constexpr std::array<Duration, 6> kSpans{10ms, 300ms, 1s, 5s, 16s, 61s};
constexpr std::array<std::string_view, 2> kBackends{"10.0.0.1:80", "10.0.0.2:80"};
constexpr std::size_t kMostClients = 8;
constexpr std::size_t kMostEvents = 200'000;  // of one settling; more is an endless loop

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

// The script's bytes; zeros behind its end.
class Script final {
 public:
  explicit Script(std::string_view bytes) : rest_(bytes) {}
  bool done() const { return rest_.empty(); }
  std::uint8_t next() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  std::string_view bytes(std::size_t n) {
    const auto taken = rest_.substr(0, n);
    rest_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view rest_;
};

// One access log for all runs: a thread per run would be most of its cost.
class Log final {
 public:
  Log() : fd_(memfd_create("access-log", MFD_CLOEXEC)) {
    auto writer = LogWriter::from_descriptor(dup(fd_), "memory", LogWriter::Settings());
    require(writer.has_value(), "the log writer starts");
    writer_ = std::move(*writer);
    log_ = std::make_unique<proxy::AccessLog>(writer_->make_producer(), LogFormat::kText, 1.0);
  }
  proxy::AccessLog& access_log() { return *log_; }
  std::uint64_t new_lines() {
    require(writer_->flush(), "the log is flushed");
    std::uint64_t lines = 0;
    std::array<char, 4096> buffer;
    while (const auto got = pread(fd_, buffer.data(), buffer.size(), at_)) {
      require(got > 0, "the log is read");
      at_ += got;
      for (const char c : std::string_view(buffer.data(), static_cast<std::size_t>(got)))
        lines += c == '\n' ? 1 : 0;
    }
    if (at_ > 64 * 1024 * 1024) {
      require(ftruncate(fd_, 0) == 0 && lseek(fd_, 0, SEEK_SET) == 0, "the log is emptied");
      at_ = 0;
    }
    return lines;
  }

 private:
  int fd_;
  off_t at_ = 0;
  std::unique_ptr<LogWriter> writer_;
  std::unique_ptr<proxy::AccessLog> log_;
};

class Run final {
 public:
  Run(std::shared_ptr<const config::Config> config, Log& log, Script script)
      : log_(log), script_(script), world_(std::move(config), 1, &log.access_log()) {
    for (const auto address : kBackends) backends_.push_back(&world_.backend(address));
  }

  void play() {
    while (!script_.done()) {
      step();
      settle();
    }
    finish();
    check();
  }

 private:
  void settle() { require(world_.network().settle(kMostEvents) < kMostEvents, "the network comes to rest"); }

  RawPeer* client() { return clients_.empty() ? nullptr : clients_[script_.next() % clients_.size()].get(); }
  RawPeer* upstream() {
    RawServer& server = *backends_[script_.next() % backends_.size()];
    if (server.size() == 0) return nullptr;
    return &server[server.size() - 1 - script_.next() % server.size()];
  }

  void step() {
    const auto op = script_.next() % 16;
    if (op == 0) {
      const auto listener = script_.next() % 2U;
      if (clients_.size() < kMostClients) clients_.push_back(world_.client(listener));
    } else if (op <= 3) {
      act(client(), op, kRequests);
    } else if (op <= 8) {
      act(upstream(), op - 4, kResponses);
    } else if (op <= 10) {
      world_.run_for(kSpans[script_.next() % kSpans.size()]);
    } else if (op == 11) {
      end(client());
    } else if (op == 12) {
      end(upstream());
    } else {
      disturb(op);
    }
  }

  void act(RawPeer* peer, int how, const std::array<std::string_view, 20>& canned) {
    if (peer == nullptr || peer->stream() == nullptr) return;
    const auto n = script_.next();
    if (how >= 3) {
      peer->send(script_.bytes(n % 64));
    } else if (n < 240) {
      peer->send(canned[n % canned.size()]);
    } else {
      peer->send(std::string((n - 239U) * (small_reads_ ? 100U : 20'000U), 'x'));
    }
  }

  void end(RawPeer* peer) {
    if (peer == nullptr || peer->stream() == nullptr) return;
    switch (script_.next() % 5) {
      case 0: return peer->end();
      case 1: return peer->reset();
      case 2: return peer->close();
      case 3: return peer->pause();
      default: return peer->resume();
    }
  }

  void disturb(int op) {
    const auto what = script_.next();
    const auto backend = *Address::parse(kBackends[what % 2]);
    AddressKnobs& knobs = world_.network().at(backend);
    if (op == 13) {
      constexpr std::array kWays{AddressKnobs::Connect::kAccept, AddressKnobs::Connect::kRefuse,
                                 AddressKnobs::Connect::kBlackHole};
      knobs.connect = kWays[what / 2 % kWays.size()];
      knobs.connect_delay = what >= 128 ? 200ms : 0ms;
    } else if (op == 14) {
      small_reads_ = true;
      knobs.client.read_limit = what % 8 + 1U;
      world_.network().at(world_.worker().listen_address(0)).server.read_limit = what / 8 + 1U;
      world_.network().at(world_.worker().listen_address(1)).accept_exhausted = what % 16 == 0;
    } else if (what < 16) {
      if (!drained_asked_) world_.worker().drain(config::Direction::kInbound, [this] { ++drained_; });
      drained_asked_ = true;
    } else {
      apply(what);
    }
  }

  // Each cluster gets some of the backends.
  void apply(unsigned mask) {
    std::vector<std::vector<proxy::ResolvedEndpoint>> endpoints(3);
    for (std::size_t i = 0; i < endpoints.size(); ++i) {
      for (std::size_t b = 0; b < kBackends.size(); ++b) {
        if ((mask >> (i * 2 + b) & 1U) == 0) continue;
        endpoints[i].push_back({.name = std::string(kBackends[b]),
                                .address = *Address::parse(kBackends[b]),
                                .zone = {},
                                .state = nullptr});
      }
    }
    world_.apply_endpoints(std::move(endpoints));
  }

  void close_backends() {
    for (RawServer* server : backends_) {
      for (std::size_t i = 0; i < server->size(); ++i) (*server)[i].close();
    }
  }

  // Every peer goes, and time passes until whatever waits for one has given up.
  void finish() {
    world_.network().at(world_.worker().listen_address(1)).accept_exhausted = false;
    for (const auto address : kBackends) {
      world_.network().at(*Address::parse(address)).connect = AddressKnobs::Connect::kRefuse;
    }
    for (auto& peer : clients_) peer->close();
    for (int i = 0; i < 2; ++i) {
      close_backends();
      world_.run_for(100s);
    }
    close_backends();
    settle();
  }

  void check() {
    require(world_.worker().exchanges() == 0, "no exchange is left");
    require(world_.worker().connections() == 0, "no downstream connection is left");
    require(world_.connection_permits() == 0, "every permit was given back");
    require(!drained_asked_ || drained_ == 1, "drained is called once");
    require(world_.network().stream_count() == 0, "no stream is left");
    require(world_.wheel().size() == 0, "no timer is left");
    const auto report = world_.worker().report();
    std::uint64_t counted = 0;
    for (const auto& exchange : report.exchanges) {
      const auto& codes = exchange.stats.codes;
      counted += std::accumulate(codes.begin(), codes.end(), std::uint64_t{0});
    }
    require(log_.new_lines() == counted, "every exchange is logged once and counted once");
    for (const auto& listener : report.listeners) {
      require(listener.stats.connections_active == 0, "no downstream connection is counted as active");
    }
    for (const auto& cluster : report.clusters) {
      for (const auto& endpoint : cluster.endpoints) {
        require(endpoint.stats.requests_active == 0, "no request is counted as active");
        require(endpoint.stats.connections_active + endpoint.stats.connections_idle == 0,
                "no upstream connection is counted as there");
      }
    }
  }

  Log& log_;
  Script script_;
  World world_;
  std::vector<RawServer*> backends_;
  std::vector<std::unique_ptr<RawPeer>> clients_;
  bool small_reads_ = false;  // a large piece would be an event per byte
  bool drained_asked_ = false;
  int drained_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto config = World::load(kConfig);
  static Log log;
  set_log_level(LogLevel::kOff);
  Run(config, log, Script({reinterpret_cast<const char*>(data), size})).play();
  return 0;
}
