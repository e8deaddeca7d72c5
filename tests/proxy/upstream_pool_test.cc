#include "proxy/upstream_pool.h"

#include <doctest/doctest.h>

#include "tests/support/raw_peer.h"
#include "tests/support/test_env.h"

using namespace remora;
using namespace remora::proxy;
using remora::testing::AddressKnobs;
using remora::testing::RawPeer;
using remora::testing::RawServer;
using remora::testing::TestEnv;

namespace {

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

// A GET that wants a stream, and what became of it.
struct Get final : http::Responses, UpstreamPool::Waiter {
  explicit Get(UpstreamPool& from, bool fresh = false) : pool(from) {
    dialling = pool.open(*this, *this, fresh);
  }
  ~Get() {
    cancel();
    if (stream != nullptr) stream->reset();
  }
  void cancel() {
    if (dialling != nullptr) pool.cancel(*std::exchange(dialling, nullptr));
  }
  void on_informational(http::ResponseHead&) override {}
  void on_response(http::ResponseHead& head, bool end) override {
    status = head.status;
    if (end) stream = nullptr;
  }
  void on_upgrade(http::ResponseHead&) override {}
  void on_body(std::string_view, bool end) override {
    if (end) stream = nullptr;
  }
  void on_trailers(const http::FieldList&) override {}
  void on_writable() override {}
  void on_reset(const Error& error) override {
    stream = nullptr;
    reset = error;
  }
  void on_stream(http::ClientStream& given, bool was_reused) override {
    dialling = nullptr;
    stream = &given;
    reused = was_reused;
    http::RequestHead head;
    head.method = "GET";
    head.target = "/";
    head.authority = "h";
    given.send_request(head, true);
  }
  void on_connect_failed(const Error& error) override {
    dialling = nullptr;
    failed = error;
  }

  UpstreamPool& pool;
  UpstreamConnection* dialling = nullptr;
  http::ClientStream* stream = nullptr;
  bool reused = false;
  unsigned status = 0;
  std::optional<Error> failed;
  std::optional<Error> reset;
};

struct Fixture {
  TestEnv t;
  Address address = *Address::parse("10.0.0.1:80");
  RawServer server{t.network, address};
  EndpointStats stats;
  ClusterCounters cluster;
  UpstreamPool::Settings settings{};
  UpstreamPool pool{t.env, address, settings, stats, cluster};

  // Opens `n` connections at the same time; they become idle in the order in which they are answered.
  void make_idle(std::size_t n, Duration apart = 0ms) {
    std::vector<std::unique_ptr<Get>> gets;
    for (std::size_t i = 0; i < n; ++i) gets.push_back(std::make_unique<Get>(pool));
    t.settle();
    for (std::size_t i = 0; i < n; ++i) {
      server[i].send(kOk);
      t.run_for(apart);
    }
    t.settle();
    REQUIRE(stats.connections_idle == n);
  }
  std::size_t requests_on(std::size_t connection) {
    std::size_t n = 0;
    const std::string& got = server[connection].received();
    for (auto at = got.find("GET "); at != std::string::npos; at = got.find("GET ", at + 1)) ++n;
    return n;
  }
};

}  // namespace

TEST_CASE("a pool dials when nothing is idle, and counts what it has") {
  Fixture f;
  Get get(f.pool);
  CHECK(get.dialling != nullptr);
  CHECK(get.stream == nullptr);
  CHECK(f.stats.connections_active == 1);
  f.t.settle();
  CHECK(get.stream != nullptr);
  CHECK_FALSE(get.reused);
  CHECK(f.stats.connections_total == 1);
  CHECK(f.stats.connections_active == 1);
  CHECK(f.stats.connections_idle == 0);
  CHECK(f.cluster.stats().connect_seconds.count() == 1);
  f.server[0].send(kOk);
  f.t.settle();
  CHECK(get.status == 200);
  CHECK(f.stats.connections_active == 0);
  CHECK(f.stats.connections_idle == 1);
}

TEST_CASE("the connection used last is used first, at once") {
  Fixture f;
  f.make_idle(3);
  for (int i = 0; i < 4; ++i) {
    Get get(f.pool);
    CHECK(get.dialling == nullptr);
    REQUIRE(get.stream != nullptr);
    CHECK(get.reused);
    f.t.settle();
    f.server[2].send(kOk);
    f.t.settle();
    CHECK(get.status == 200);
  }
  CHECK(f.requests_on(0) == 1);
  CHECK(f.requests_on(1) == 1);
  CHECK(f.requests_on(2) == 5);
  CHECK(f.stats.connections_total == 3);
}

TEST_CASE("an idle connection closes after its timeout, the oldest first") {
  Fixture f;
  f.make_idle(3, 5s);
  f.t.run_for(10s);  // idle for 25, 20 and 15 seconds
  CHECK_FALSE(f.server[0].finished());
  f.t.run_for(6s);
  CHECK(f.server[0].finished());
  CHECK_FALSE(f.server[1].finished());
  f.t.run_for(5s);
  CHECK(f.server[1].finished());
  CHECK_FALSE(f.server[2].finished());
  f.t.run_for(5s);
  CHECK(f.server[2].finished());
  CHECK(f.pool.size() == 0);
  CHECK(f.stats.connections_idle == 0);
  CHECK(f.t.wheel.size() == 0);
}

TEST_CASE("using a connection starts its idle time anew") {
  Fixture f;
  f.make_idle(2);
  for (int i = 0; i < 4; ++i) {
    f.t.run_for(20s);
    Get get(f.pool);
    f.t.settle();
    f.server[1].send(kOk);
    f.t.settle();
    CHECK(get.status == 200);
  }
  CHECK(f.server[0].finished());
  CHECK_FALSE(f.server[1].finished());
  f.t.run_for(31s);
  CHECK(f.server[1].finished());
  CHECK(f.pool.size() == 0);
}

TEST_CASE("a connection that does not open in time is given up") {
  Fixture f;
  f.t.network.at(f.address).connect = AddressKnobs::Connect::kBlackHole;
  Get get(f.pool);
  f.t.run_for(900ms);
  CHECK_FALSE(get.failed.has_value());
  f.t.run_for(200ms);
  REQUIRE(get.failed.has_value());
  CHECK(get.failed->code == ErrorCode::kTimedOut);
  CHECK(get.failed->side == Side::kUpstream);
  CHECK(get.failed->retry == Retry::kYes);
  CHECK(f.stats.connect_failures == 1);
  CHECK(f.pool.size() == 0);
  CHECK(f.t.network.stream_count() == 0);
}

TEST_CASE("a refused connection is the upstream's and safe to try elsewhere") {
  Fixture f;
  f.t.network.at(f.address).connect = AddressKnobs::Connect::kRefuse;
  Get get(f.pool);
  CHECK_FALSE(get.failed.has_value());
  f.t.settle();
  REQUIRE(get.failed.has_value());
  CHECK(get.failed->code == ErrorCode::kConnectionRefused);
  CHECK(get.failed->side == Side::kUpstream);
  CHECK(get.failed->retry == Retry::kYes);
  CHECK(f.stats.connect_failures == 1);
  CHECK(f.stats.connections_active == 0);
  f.t.run_for(2s);  // the connect timeout must not fire for it
  CHECK(f.stats.connect_failures == 1);
}

TEST_CASE("cancelling while dialling keeps the connection for others, who are told that it is not fresh") {
  Fixture f;
  f.t.network.at(f.address).connect_delay = 500ms;
  Get left(f.pool);
  f.t.run_for(100ms);
  left.cancel();
  f.t.run_for(500ms);
  CHECK(left.stream == nullptr);
  CHECK_FALSE(left.failed.has_value());
  CHECK(f.stats.connections_idle == 1);
  Get get(f.pool);
  REQUIRE(get.stream != nullptr);
  CHECK(get.reused);  // it has waited in the pool, and may have gone stale there
  CHECK(f.t.network.attempts(f.address) == 1);
  f.t.settle();
  f.server[0].send(kOk);
  f.t.settle();
  CHECK(get.status == 200);
  f.t.run_for(31s);
  CHECK(f.pool.size() == 0);
}

TEST_CASE("cancelling a dial that fails later tells nobody but is counted") {
  Fixture f;
  f.t.network.at(f.address).connect = AddressKnobs::Connect::kBlackHole;
  Get left(f.pool);
  left.cancel();
  f.t.run_for(2s);
  CHECK_FALSE(left.failed.has_value());
  CHECK(f.stats.connect_failures == 1);
  CHECK(f.pool.size() == 0);
}

TEST_CASE("an idle connection on which something arrives is not used again") {
  Fixture f;
  f.make_idle(1);
  SUBCASE("stray bytes") { f.server[0].send("HTTP/1.1 408 Request Timeout\r\n\r\n"); }
  SUBCASE("the peer's end") { f.server[0].end(); }
  SUBCASE("a reset") { f.server[0].reset(); }
  f.t.settle();
  CHECK(f.stats.connections_idle == 0);
  Get get(f.pool);
  CHECK(get.dialling != nullptr);
  f.t.settle();
  CHECK(get.stream != nullptr);
  CHECK(f.server.size() == 2);
  f.t.run_for(3s);  // an end that is lingered over has passed
  CHECK(f.pool.size() == 1);
}

TEST_CASE("an idle connection on which something arrived in this very turn is not used") {
  Fixture f;
  f.make_idle(2);
  f.t.network.set_events_per_turn(1000);
  SUBCASE("stray bytes") { f.server[1].send("HTTP/1.1 408 Request Timeout\r\n\r\n"); }
  SUBCASE("the peer's end") { f.server[1].end(); }
  f.t.network.pump();
  CHECK(f.stats.connections_idle == 2);  // the turn is not over
  CHECK(f.pool.has_available());
  Get get(f.pool);
  CHECK(get.reused);
  f.t.settle();
  CHECK(f.requests_on(0) == 2);
  CHECK(f.requests_on(1) == 1);
  f.server[0].send(kOk);
  f.t.settle();
  CHECK(get.status == 200);
}

TEST_CASE("a response that closes its connection leaves nothing to reuse") {
  Fixture f;
  Get get(f.pool);
  f.t.settle();
  SUBCASE("because it says so") {
    f.server[0].send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  }
  SUBCASE("because its body ends with it") {
    f.server[0].send("HTTP/1.1 200 OK\r\n\r\nx");
    f.t.settle();
    f.server[0].end();
  }
  f.t.settle();
  CHECK(get.status == 200);
  CHECK(f.stats.connections_idle == 0);
  f.t.run_for(3s);
  CHECK(f.pool.size() == 0);
}

TEST_CASE("a fresh connection is dialled although one is idle") {
  Fixture f;
  f.make_idle(1);
  Get get(f.pool, true);
  CHECK(get.dialling != nullptr);
  f.t.settle();
  CHECK(f.server.size() == 2);
  CHECK_FALSE(get.reused);
  CHECK(f.stats.connections_idle == 1);
}

TEST_CASE("a retired pool closes what is idle now and the rest after its exchange") {
  Fixture f;
  f.make_idle(2);
  Get get(f.pool);
  f.t.settle();
  f.pool.retire();
  f.t.settle();
  CHECK(f.server[0].finished());
  CHECK_FALSE(f.server[1].finished());
  CHECK(f.pool.size() == 1);
  CHECK(f.stats.connections_idle == 0);
  f.server[1].send(kOk);
  f.t.settle();
  CHECK(get.status == 200);
  CHECK(f.server[1].finished());
  CHECK(f.pool.size() == 0);
}

TEST_CASE("a retired pool still dials for who holds it, and keeps nothing") {
  Fixture f;
  f.pool.retire();
  Get get(f.pool);
  f.t.settle();
  f.server[0].send(kOk);
  f.t.settle();
  CHECK(get.status == 200);
  CHECK(f.pool.size() == 0);
  Get cancelled(f.pool);
  cancelled.cancel();
  f.t.settle();
  CHECK(f.pool.size() == 0);
}

TEST_CASE("a pool that dies resets the exchanges on it and tells them") {
  TestEnv t;
  const Address address = *Address::parse("10.0.0.1:80");
  RawServer server(t.network, address);
  EndpointStats stats;
  ClusterCounters cluster;
  const UpstreamPool::Settings settings;
  auto pool = std::make_unique<UpstreamPool>(t.env, address, settings, stats, cluster);
  Get get(*pool);
  t.settle();
  pool.reset();
  t.settle();
  REQUIRE(get.reset.has_value());
  CHECK(get.stream == nullptr);
  CHECK(get.reset->code == ErrorCode::kCancelled);
  CHECK(server[0].finished());
  CHECK(t.wheel.size() == 0);
}
