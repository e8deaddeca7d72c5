// What members of a mesh serve, as others find it; and what people see of a mesh.
#include <doctest/doctest.h>

#include "proxy/mesh_view.h"
#include "tests/proxy/gossip_pool.h"

namespace remora::proxy {
namespace {

using discovery::swim::State;

TEST_CASE("services are found while they are announced, by those who suspect their bearer as well") {
  GossipPool pool;
  pool.start(4);
  const discovery::swim::WantedSettings orders{.service = "orders", .tags = {}};
  CHECK(pool.finds(orders).empty());
  pool.nodes["b"].gossip->announce(
      {{.name = "orders", .port = 80, .weight = 3, .zone = "z", .tags = {"blue"}}});
  pool.nodes["c"].gossip->announce({{.name = "orders", .port = 81}, {.name = "web", .port = 82}});
  const int before = pool.nodes["a"].changes;
  pool.run_for(1s);
  CHECK(pool.nodes["a"].changes > before);
  CHECK(pool.finds(orders) == "10.0.0.2:80 alive, 10.0.0.3:81 alive");
  CHECK(pool.finds({.service = "orders", .tags = {"blue"}}) == "10.0.0.2:80 alive");
  CHECK(pool.finds({.service = "web", .tags = {}}) == "10.0.0.3:82 alive");
  // Not ourselves.
  pool.nodes["a"].gossip->announce({{.name = "web", .port = 1}});
  CHECK(pool.finds({.service = "web", .tags = {}}) == "10.0.0.3:82 alive");

  // Withdrawn: gone within a second, and its bearer is as well as before.
  pool.nodes["c"].gossip->announce({{.name = "web", .port = 82}});
  pool.run_for(1s);
  CHECK(pool.finds(orders) == "10.0.0.2:80 alive");
  CHECK(pool.sees("a") == "a=alive b=alive c=alive d=alive");
  // Said again, nothing is sent.
  const auto changes = pool.nodes["a"].changes;
  pool.nodes["c"].gossip->announce({{.name = "web", .port = 82}});
  pool.run_for(1s);
  CHECK(pool.nodes["a"].changes == changes);

  // Silent: suspect first, then gone.
  pool.nodes.erase("b");
  bool suspected = false;
  for (int i = 0; i < 300 && !pool.finds(orders).empty(); ++i) {
    pool.run_for(100ms);
    suspected = suspected || pool.finds(orders) == "10.0.0.2:80 suspect";
  }
  CHECK(suspected);
  CHECK(pool.finds(orders).empty());
  // Forgotten, and there again with something else.
  pool.run_for(1min);
  CHECK(pool.sees("a") == "a=alive c=alive d=alive");
  config::Mesh again = pool.settings("b");
  again.join.push_back(mesh_literal("10.0.0.1:7946"));
  pool.start(again);
  pool.nodes["b"].gossip->announce({{.name = "shop", .port = 83}});
  pool.run_for(2s);
  CHECK(pool.finds(orders).empty());
  CHECK(pool.finds({.service = "shop", .tags = {}}) == "10.0.0.2:83 alive");

  // Left: gone at once, and nothing is announced any more.
  auto& leaver = pool.nodes["c"];
  leaver.gossip->leave([&leaver] { leaver.left = true; });
  leaver.gossip->announce({{.name = "orders", .port = 81}});
  pool.run_for(2s);
  CHECK(leaver.left);
  CHECK(pool.finds({.service = "web", .tags = {}}).empty());
}

TEST_CASE("services that do not fit into metadata are asked for, and followed as others are") {
  GossipPool pool;
  pool.start(3);
  const discovery::swim::WantedSettings orders{.service = "orders", .tags = {}};
  std::vector<discovery::swim::ServiceSettings> many;
  many.reserve(100);
  for (int i = 0; i < 100; ++i) {
    many.push_back({.name = "other-" + std::to_string(i), .port = 81, .tags = {std::string(100, 't')}});
  }
  auto with_orders = many;
  with_orders.push_back({.name = "orders", .port = 80, .tags = {"blue"}});
  pool.nodes["b"].gossip->announce(with_orders);
  pool.run_for(2s);
  CHECK(pool.finds(orders).empty());  // nobody has looked for any yet
  pool.run_for(1s);
  CHECK(pool.finds(orders) == "10.0.0.2:80 alive");
  CHECK(pool.finds({.service = "other-99", .tags = {}}) == "10.0.0.2:81 alive");
  CHECK(pool.network.stream_count() == 0);

  pool.nodes["b"].gossip->announce(many);
  pool.run_for(1s);
  CHECK(pool.finds(orders).empty());
  CHECK(pool.finds({.service = "other-99", .tags = {}}) == "10.0.0.2:81 alive");

  // It cannot be asked: what it said last stays, until it can.
  pool.network.at(mesh_address("10.0.0.2:7946")).connect = remora::testing::AddressKnobs::Connect::kRefuse;
  pool.nodes["b"].gossip->announce(with_orders);
  pool.run_for(3s);
  CHECK(pool.finds(orders).empty());
  CHECK(pool.finds({.service = "other-99", .tags = {}}) == "10.0.0.2:81 alive");
  CHECK(pool.nodes["a"].gossip->numbers().streams_failed > 0);
  pool.network.at(mesh_address("10.0.0.2:7946")).connect = remora::testing::AddressKnobs::Connect::kAccept;
  pool.run_for(10s);
  CHECK(pool.finds(orders) == "10.0.0.2:80 alive");

  // Few enough again.
  pool.nodes["b"].gossip->announce({{.name = "orders", .port = 82}});
  pool.run_for(1s);
  CHECK(pool.finds(orders) == "10.0.0.2:82 alive");
  CHECK(pool.finds({.service = "other-99", .tags = {}}).empty());
}

TEST_CASE("members are shown as JSON, and as text that no peer can make a terminal obey") {
  const MeshView mesh{.node = "a",
                      .address = "10.0.0.1:7946",
                      .label = "l",
                      .encrypted = true,
                      .numbers = {},
                      .members = {{.name = "a",
                                   .address = "10.0.0.1:7946",
                                   .state = State::kAlive,
                                   .since = 90min,
                                   .incarnation = 3,
                                   .self = true,
                                   .tags = {{"remora", "1"}, {"zone", "x"}}},
                                  {.name = "b\x1b[2J\n",
                                   .address = "10.0.0.2:7946",
                                   .state = State::kSuspect,
                                   .since = 5s,
                                   .incarnation = 1,
                                   .self = false,
                                   .tags = {{"r\xff", "\x07"}}}}};
  CHECK(members_text(&mesh) ==
        "name    address        state    since  tags\n"
        "a       10.0.0.1:7946  alive      90m  remora=1,zone=x (this one)\n"
        "b?[2J?  10.0.0.2:7946  suspect     5s  r?=?\n");
  CHECK(members_json(&mesh).starts_with(
      R"({"enabled":true,"node":"a","address":"10.0.0.1:7946","label":"l","encrypted":true,"health":0,"members":[{"name":"a","address":"10.0.0.1:7946","state":"alive","since_seconds":5400,"incarnation":3,"self":true,"tags":[{"name":"remora","value":"1"},{"name":"zone","value":"x"}]},{"name":"b)"));
  CHECK(members_json(nullptr) == "{\"enabled\":false,\"members\":[]}\n");
  CHECK(members_text(nullptr) == "there is no [mesh] in the configuration\n");
}

}  // namespace
}  // namespace remora::proxy
