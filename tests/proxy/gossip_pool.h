// Members of a mesh on the fake network, in virtual time: "a" at 10.0.0.1, "b" at 10.0.0.2, and so on.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/gossip.h"
#include "tests/proxy/net/net_world.h"
#include "tests/support/fake_network.h"

namespace remora::proxy {

inline Address mesh_address(std::string_view text) { return *Address::parse(text); }

inline config::Endpoint mesh_literal(std::string_view text) {
  config::Endpoint endpoint;
  endpoint.name = text;
  endpoint.address = mesh_address(text);
  return endpoint;
}

struct GossipPool {
  TimerWheel wheel{TimePoint(1h)};
  Turn turn;
  testing::FakeNetwork network{wheel, turn};
  Random random{1};
  BufferPool buffers;
  http::H1Scratch scratch;
  HttpDate date{+[]() -> std::int64_t { return 784111777; }};
  Env env{.wheel = wheel,
          .turn = turn,
          .network = network,
          .random = random,
          .buffers = buffers,
          .scratch = scratch,
          .date = date};
  std::map<std::string, Result<net::Answer>> names;  // what the resolver says

  struct Node {
    std::unique_ptr<Gossip> gossip;
    std::vector<std::string> events;  // "b suspect: suspected by c"
    int changes = 0;
    bool settled = false;
    bool left = false;
  };
  std::map<std::string, Node> nodes;
  std::uint64_t seeds = 100;

  class Query final : public net::Resolver::Query {};

  config::Mesh settings(const std::string& name) {
    config::Mesh mesh;
    mesh.node = name;
    mesh.bind = mesh_address("10.0.0." + std::to_string(name.front() - 'a' + 1) + ":7946");
    return mesh;
  }

  Result<void> make(const config::Mesh& mesh) {
    Node& node = nodes[mesh.node];
    node.gossip = std::make_unique<Gossip>(
        env, mesh, ++seeds,
        Gossip::Ways{.resolve =
                         [this](const std::string& host, net::Resolver::Callback callback) {
                           answers.emplace_back(host, std::move(callback));
                           return std::make_unique<Query>();
                         },
                     .tell =
                         [&node](const Event& event) {
                           node.events.push_back(event.endpoint + " " + event.to +
                                                 (event.reason.empty() ? "" : ": " + event.reason));
                         },
                     .settled = [&node] { node.settled = true; },
                     .changed = [&node] { ++node.changes; }});
    return node.gossip->bind();
  }

  void start(const config::Mesh& mesh) {
    REQUIRE(make(mesh).has_value());
    nodes[mesh.node].gossip->start();
  }
  // A pool of "a", "b", ... that join by "a".
  void start(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      config::Mesh mesh = settings(std::string(1, static_cast<char>('a' + i)));
      mesh.join.push_back(mesh_literal("10.0.0.1:7946"));
      start(mesh);
    }
    run_for(3s);
  }

  void run_for(Duration span) {
    for (Duration passed{}; passed < span; passed += 100ms) {
      network.run_for(100ms);
      for (auto& [host, callback] : std::exchange(answers, {})) callback(names.at(host));
    }
    network.settle();
  }

  // "a=alive b=dead"
  std::string sees(const std::string& name) {
    std::string all;
    for (const MemberView& member : nodes[name].gossip->view().members) {
      all += (all.empty() ? "" : " ") + member.name + "=" + std::string(to_string(member.state));
    }
    return all;
  }
  bool heard(const std::string& name, const std::string& event) {
    for (const std::string& each : nodes[name].events) {
      if (each.starts_with(event)) return true;
    }
    return false;
  }

  // What "a" finds of this service: "10.0.0.2:80 alive, ...".
  std::string finds(const discovery::swim::WantedSettings& wanted) {
    const auto source = nodes["a"].gossip->source(wanted);
    CHECK(source->view().endpoints == source->list().size());
    std::string all;
    for (const FoundEndpoint& found : source->list()) {
      CHECK(found.endpoint.name == found.endpoint.address->to_string());
      all += (all.empty() ? "" : ", ") + found.endpoint.name + " " + to_string(found.member);
    }
    return all;
  }

  std::vector<std::pair<std::string, net::Resolver::Callback>> answers;
};

}  // namespace remora::proxy
