// One cluster as the workers of a process see it: each with a loop, connections and backends of its own, all
// with the same states. What the server posts between threads waits until the test delivers it, so that both
// orders of every race can be had.
//
// Thread: the test's. Requests die before the process.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "proxy/event_ring.h"
#include "tests/support/raw_peer.h"
#include "tests/support/start.h"
#include "tests/support/test_cluster.h"
#include "tests/support/test_env.h"
#include "tests/support/worlds.h"

namespace remora::testing {

inline constexpr const char* kA = "10.0.0.1:80";
inline constexpr const char* kB = "10.0.0.2:80";

inline config::Cluster settings() {
  config::Cluster cluster;
  cluster.name = "app";
  return cluster;
}

inline config::Cluster limited(config::ClusterLimits limits) {
  config::Cluster cluster = settings();
  cluster.limits = limits;
  return cluster;
}

inline constexpr unsigned kWorkers = 4;

using Addresses = std::vector<const char*>;

inline std::vector<proxy::ResolvedEndpoint> endpoints(const Addresses& addresses) {
  std::vector<proxy::ResolvedEndpoint> all;
  for (const char* address : addresses) {
    all.push_back({.name = address,
                   .address = *Address::parse(address),
                   .weight = 1,
                   .zone = "",
                   .priority = 0,
                   .state = nullptr});
  }
  return all;
}

// What an Exchange is to a cluster and its pools.
struct Request final : proxy::Cluster::Waiter, http::Responses, proxy::UpstreamPool::Waiter {
  Request(unsigned w, std::uint64_t n, bool d) : worker(w), number(n), dials(d) {}
  ~Request() {
    if (dialling != nullptr) lease.endpoint().pool.cancel(*dialling);
    if (stream != nullptr) stream->reset();
  }

  void on_place(proxy::Acquired acquired) override {
    ++places;
    take(std::move(acquired));
  }
  void take(proxy::Acquired acquired) {
    denied = acquired.denied;
    lease = std::move(acquired.lease);
    if (!lease || !dials) return;
    auto* opening = lease.endpoint().pool.open(*this, *this, false, lease.take_connection_permits());
    if (stream == nullptr) dialling = opening;
  }
  void on_stream(http::ClientStream& given, bool) override {
    dialling = nullptr;
    stream = &given;
    http::RequestHead head;
    head.method = "GET";
    head.target = "/" + std::to_string(number);
    head.authority = "h";
    given.send_request(head, true);
  }
  void on_response(http::ResponseHead&, bool) override {}
  void on_body(std::string_view, bool end) override {
    if (end) stream = nullptr;
  }
  void on_reset(const Error&) override { stream = nullptr; }
  void on_informational(http::ResponseHead&) override {}
  void on_upgrade(http::ResponseHead&) override {}
  void on_trailers(const http::FieldList&) override {}
  void on_writable() override {}
  void on_connect_failed(const Error&) override {}

  bool held() const { return static_cast<bool>(lease); }

  unsigned worker;
  std::uint64_t number;
  bool dials;
  proxy::Lease lease;
  proxy::Denied denied = proxy::Denied::kNone;
  bool turned_away = false;
  int places = 0;
  proxy::UpstreamConnection* dialling = nullptr;
  http::ClientStream* stream = nullptr;
};

using RequestPtr = std::unique_ptr<Request>;

// One worker's part of the process: a loop of its own, and the backends as its connections see them. They
// answer when they are told to.
struct Side {
  Side(TestStates& states, unsigned worker, const Addresses& addresses) : cluster(t.env, states, worker) {
    for (const char* address : addresses) {
      auto& backend = backends.emplace_back(std::make_unique<RawServer>(t.network, *Address::parse(address)));
      backend->when_accepted = [this](RawPeer& peer) {
        peer.when_received = [this](RawPeer& p) {
          const std::string head = p.take();
          asked[std::stoull(head.substr(head.find('/') + 1))] = &p;
        };
      };
    }
    cluster.apply_shared();
  }

  TestEnv t;
  std::vector<std::unique_ptr<RawServer>> backends;
  std::map<std::uint64_t, RawPeer*> asked;  // by the request's number
  TestCluster cluster;
};

class Process final : public proxy::ClusterState::Events {
 public:
  explicit Process(const config::Cluster& settings, Addresses addresses = {"10.0.0.1:80"}, bool dials = false)
      : states(random_, settings, "", this), dials_(dials) {
    states.set(endpoints(addresses), kStart);
    for (unsigned w = 0; w < kWorkers; ++w) sides_.push_back(std::make_unique<Side>(states, w, addresses));
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void on_room(proxy::ClusterState&, std::uint64_t workers) override {
    ++room_calls;
    for (unsigned w = 0; w < kWorkers; ++w) {
      if ((workers >> w & 1U) != 0) posts.push_back(w);
    }
  }
  void on_failures_in_a_row(proxy::ClusterState&, proxy::EndpointState&) override { ++failures_in_a_row; }
  void on_event(proxy::Event event) override { events.push_back(std::move(event)); }

  TestCluster& cluster(unsigned worker) { return sides_.at(worker)->cluster; }
  TestEnv& env(unsigned worker) { return sides_.at(worker)->t; }

  // Takes a place, or waits for one. The worker's turn goes on.
  RequestPtr begin(unsigned worker) {
    auto request = std::make_unique<Request>(worker, ++asked_, dials_);
    request->take(cluster(worker).ask());
    if (can_wait(request->denied)) request->turned_away = !cluster(worker)->wait(*request, request->denied);
    return request;
  }
  void finish(unsigned worker) { env(worker).settle(); }
  RequestPtr ask(unsigned worker) {
    auto request = begin(worker);
    finish(worker);
    return request;
  }
  // The response comes, and whoever waits may have the place.
  void give_back(RequestPtr request) {
    Side& side = *sides_.at(request->worker);
    side.t.settle();
    if (const auto peer = side.asked.find(request->number); peer != side.asked.end()) {
      peer->second->send(kOk);
      side.asked.erase(peer);
      side.t.settle();
    }
    request->lease.finish(kSucceeded, 1ms);
    finish(request->worker);
  }
  // The client leaves, whether it waits or not.
  void leave(RequestPtr request) {
    const unsigned worker = request->worker;
    sides_.at(worker)->asked.erase(request->number);
    request.reset();
    finish(worker);
  }

  void deliver(std::size_t index) {
    const unsigned worker = posts.at(index);
    posts.erase(posts.begin() + static_cast<std::ptrdiff_t>(index));
    cluster(worker)->on_room();
    finish(worker);
  }
  // What is posted in answer to a post is delivered too. Returns how many there were.
  std::size_t deliver_all() {
    std::size_t n = 0;
    while (!posts.empty()) {
      REQUIRE(++n < 1000);
      deliver(0);
    }
    return n;
  }
  void run_for(Duration span) {
    for (const auto& side : sides_) side->t.run_for(span);
  }

  std::uint64_t connections(bool idle_only) {
    std::uint64_t n = 0;
    for (const auto& side : sides_) {
      for (const auto& endpoint : side->cluster.report().endpoints) {
        n += endpoint.stats.connections_idle + (idle_only ? 0 : endpoint.stats.connections_active);
      }
    }
    return n;
  }
  breaker::CircuitBreaker::View breaker() { return states.endpoint(0).breaker.view(env(0).env.now()); }
  // Who gets the next requests of a worker.
  std::set<std::string> picks(unsigned worker, int n = 4) {
    std::set<std::string> all;
    for (int i = 0; i < n; ++i) {
      const proxy::Lease lease = cluster(worker).acquire({}, {});
      if (lease) all.insert(lease.endpoint().address_text);
    }
    finish(worker);
    return all;
  }
  void fail(unsigned worker) {
    proxy::Lease lease = cluster(worker).acquire({}, {});
    REQUIRE(lease);
    lease.finish(kServerError, 1ms);
    finish(worker);
  }

 private:
  Random random_{7};
  std::uint64_t asked_ = 0;

 public:
  TestStates states;
  std::vector<unsigned> posts;  // on_room() for these workers, not delivered yet
  int room_calls = 0;
  int failures_in_a_row = 0;
  std::vector<proxy::Event> events;

 private:
  bool dials_;
  std::vector<std::unique_ptr<Side>> sides_;
};

}  // namespace remora::testing
