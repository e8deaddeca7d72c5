// Members of a mesh on the fake network, in virtual time.
//
// Long because every way into a pool and out of it is told on one rig.
#include "proxy/gossip.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/mesh_setup.h"
#include "tests/proxy/net/net_world.h"
#include "tests/support/raw_peer.h"

namespace remora::proxy {
namespace {

using discovery::swim::State;
using remora::testing::FakeNetwork;
using remora::testing::RawPeer;
using remora::testing::TempDir;

Address address(std::string_view text) { return *Address::parse(text); }

config::Endpoint literal(std::string_view text) {
  config::Endpoint endpoint;
  endpoint.name = text;
  endpoint.address = address(text);
  return endpoint;
}

struct Pool {
  TimerWheel wheel{TimePoint(1h)};
  Turn turn;
  FakeNetwork network{wheel, turn};
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
    mesh.bind = address("10.0.0." + std::to_string(name.front() - 'a' + 1) + ":7946");
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
      mesh.join.push_back(literal("10.0.0.1:7946"));
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

TEST_CASE("members that name one of them are one pool") {
  Pool pool;
  pool.start(4);
  for (const char* name : {"a", "b", "c", "d"}) {
    CAPTURE(name);
    CHECK(pool.sees(name) == "a=alive b=alive c=alive d=alive");
    CHECK(pool.nodes[name].settled);
  }
  const MeshView view = pool.nodes["b"].gossip->view();
  CHECK(view.node == "b");
  CHECK(view.address == "10.0.0.2:7946");
  CHECK(view.members[1].self);
  CHECK(view.members[0].tags == discovery::swim::Tags{{"remora", "1"}});
  CHECK(view.numbers.members == std::array<std::uint64_t, 4>{4, 0, 0, 0});
  CHECK(pool.heard("a", "b alive"));
  pool.run_for(1min);
  CHECK(pool.nodes["a"].gossip->numbers().suspicions == 0);
  // The streams of joins and exchanges have all ended.
  CHECK(pool.network.stream_count() == 0);
}

TEST_CASE("who is gone is suspected, then dead, and it is said by whom") {
  Pool pool;
  pool.start(5);
  pool.nodes.erase("e");
  pool.run_for(30s);
  for (const char* name : {"a", "b", "c", "d"}) {
    CAPTURE(name);
    CHECK(pool.heard(name, "e suspect: suspected by "));
    CHECK(pool.heard(name, "e dead: declared dead by "));
  }
  CHECK(pool.nodes["a"].gossip->numbers().failures == 1);
  CHECK(pool.nodes["a"].gossip->numbers().wire.probes_failed > 0);
}

TEST_CASE("whose port refuses connections is suspected before the interval is over") {
  Pool pool;
  pool.start(2);
  pool.nodes.erase("b");
  const auto probes = [&] { return pool.nodes["a"].gossip->numbers().wire.probes; };
  for (const auto before = probes(); probes() == before;) pool.run_for(100ms);
  pool.run_for(800ms);
  CHECK(pool.heard("a", "b suspect"));
}

TEST_CASE("who is not reached by datagrams is reached by streams, and nobody suspects it") {
  Pool pool;
  pool.start(3);
  pool.network.at(address("10.0.0.3:7946")).datagrams_lost = true;
  pool.run_for(20s);
  CHECK(pool.sees("a") == "a=alive b=alive c=alive");
  CHECK_FALSE(pool.heard("a", "c suspect"));
}

TEST_CASE("who leaves tells the others before it ends, and is not taken for failed") {
  Pool pool;
  pool.start(3);
  auto& node = pool.nodes["b"];
  node.gossip->leave([&node] { node.left = true; });
  CHECK_FALSE(node.left);
  pool.run_for(2s);
  CHECK(node.left);
  node.gossip.reset();
  pool.run_for(10s);
  CHECK(pool.heard("a", "b left"));
  CHECK(pool.heard("c", "b left"));
  CHECK_FALSE(pool.heard("a", "b dead"));
}

TEST_CASE("a goodbye that nobody hears ends all the same") {
  Pool pool;
  pool.start(2);
  pool.network.at(address("10.0.0.2:7946")).datagrams_lost = true;
  auto& node = pool.nodes["b"];
  node.gossip->leave([&node] { node.left = true; });
  pool.run_for(Gossip::kGoodbye);
  CHECK(node.left);
  // Alone, there is nobody to be told.
  pool.start(pool.settings("z"));
  auto& alone = pool.nodes["z"];
  alone.gossip->leave([&alone] { alone.left = true; });
  CHECK(alone.left);
}

TEST_CASE("a member that is accused contradicts, and the others hear why") {
  Pool pool;
  pool.start(4);
  pool.network.at(address("10.0.0.4:7946")).datagrams_lost = true;
  pool.network.at(address("10.0.0.4:7946")).connect = remora::testing::AddressKnobs::Connect::kRefuse;
  pool.run_for(4s);
  CHECK(pool.heard("a", "d suspect"));
  pool.network.at(address("10.0.0.4:7946")).datagrams_lost = false;
  pool.network.at(address("10.0.0.4:7946")).connect = remora::testing::AddressKnobs::Connect::kAccept;
  pool.run_for(40s);
  CHECK(pool.sees("a") == "a=alive b=alive c=alive d=alive");
  CHECK(pool.heard("d", "d refuted: accused by "));
}

TEST_CASE("what is remembered on disk leads back into the pool") {
  Pool pool;
  const TempDir directory;
  pool.start(2);
  config::Mesh mesh = pool.settings("c");
  mesh.snapshot = directory.file("members");
  mesh.join.push_back(literal("10.0.0.1:7946"));
  pool.start(mesh);
  pool.run_for(5s);
  pool.nodes.erase("c");
  mesh.join.clear();  // whoever was named is not needed any more
  pool.start(mesh);
  pool.run_for(5s);
  CHECK(pool.sees("c") == "a=alive b=alive c=alive");
  CHECK(pool.sees("a") == "a=alive b=alive c=alive");
  // Who is alone forgets nothing.
  const auto remembered = read_members_file(mesh.snapshot);
  pool.nodes.erase("a");
  pool.nodes.erase("b");
  pool.run_for(2min);
  CHECK(read_members_file(mesh.snapshot) != std::vector<Address>{});
  CHECK(remembered.size() == 2);
}

TEST_CASE("a file of members that is damaged, or another file, is not believed") {
  const TempDir directory;
  const std::string path = directory.file("members");
  CHECK(read_members_file(path).empty());
  std::ofstream(path) << "10.0.0.1:7946\n";
  CHECK(read_members_file(path).empty());
  REQUIRE(write_members_file(path, {address("10.0.0.1:7946"), address("[::1]:1")}).has_value());
  CHECK(read_members_file(path) == std::vector{address("10.0.0.1:7946"), address("[::1]:1")});
  std::ofstream(path, std::ios::app) << "nonsense\nunix:/x\n10.0.0.1:0\n10.0.0.9:1\n";
  CHECK(read_members_file(path).size() == 3);
  const auto failed = write_members_file(directory.file("missing/members"), {});
  REQUIRE_FALSE(failed.has_value());
  CHECK(failed.error().detail.find("missing/members") != std::string::npos);
}

TEST_CASE("a name is asked again until somebody is there, and both halves of a pool meet") {
  Pool pool;
  pool.names.emplace("mesh.internal", std::unexpected(Error(ErrorCode::kResolveFailed, Side::kInternal)));
  config::Endpoint name;
  name.name = "mesh.internal:7946";
  name.host = {.host = "mesh.internal", .port = 7946};
  config::Mesh mesh = pool.settings("b");
  mesh.join.push_back(name);
  pool.start(mesh);
  CHECK_FALSE(pool.nodes["b"].settled);
  pool.run_for(1s);
  CHECK(pool.nodes["b"].settled);  // it has been tried
  CHECK(pool.sees("b") == "b=alive");
  pool.names.insert_or_assign("mesh.internal",
                              net::Answer{.addresses = {address("10.0.0.1:0")}, .ttl = 1min});
  pool.run_for(5s);
  CHECK(pool.sees("b") == "b=alive");  // nobody there
  pool.start(pool.settings("a"));
  pool.run_for(GossipJoin::kLast);
  CHECK(pool.sees("b") == "a=alive b=alive");
  // Two more, who know each other only: one who knows both pools joins them.
  mesh = pool.settings("d");
  mesh.join.push_back(literal("10.0.0.3:7946"));
  pool.start(pool.settings("c"));
  pool.start(mesh);
  pool.run_for(5s);
  CHECK(pool.sees("c") == "c=alive d=alive");
  mesh = pool.settings("e");
  mesh.join = {literal("10.0.0.1:7946"), literal("10.0.0.3:7946")};
  pool.start(mesh);
  pool.run_for(5s);
  CHECK(pool.sees("c") == "a=alive b=alive c=alive d=alive e=alive");
  CHECK(pool.sees("b") == "a=alive b=alive c=alive d=alive e=alive");
}

TEST_CASE("members that neither answer nor refuse keep nobody from being ready") {
  Pool pool;
  config::Mesh mesh = pool.settings("a");
  for (const char* silent : {"10.0.1.1:1", "10.0.1.2:1", "10.0.1.3:1", "10.0.1.4:1"}) {
    pool.network.at(address(silent)).connect = remora::testing::AddressKnobs::Connect::kBlackHole;
    mesh.join.push_back(literal(silent));
  }
  pool.start(mesh);
  pool.run_for(GossipJoin::kPatience - 1s);
  CHECK_FALSE(pool.nodes["a"].settled);
  CHECK(pool.network.stream_count() == GossipJoin::kAtOnce);
  pool.run_for(2s);
  CHECK(pool.nodes["a"].settled);
}

TEST_CASE("with another key, or another label, nobody gets in") {
  Pool pool;
  config::Mesh mesh = pool.settings("a");
  mesh.key = "AAECAwQFBgcICQoLDA0ODw==";
  mesh.label = "production";
  pool.start(mesh);
  const auto join = [&](const std::string& name, const std::string& key, const std::string& label) {
    config::Mesh other = pool.settings(name);
    other.key = key;
    other.label = label;
    other.join.push_back(literal("10.0.0.1:7946"));
    pool.start(other);
    pool.run_for(5s);
  };
  join("b", "AAECAwQFBgcICQoLDA0ODw==", "production");
  join("c", "AAECAwQFBgcICQoLDA0OAA==", "production");
  join("d", "", "production");
  join("e", "AAECAwQFBgcICQoLDA0ODw==", "staging");
  CHECK(pool.sees("a") == "a=alive b=alive");
  CHECK(pool.sees("b") == "a=alive b=alive");
  CHECK(pool.sees("c") == "c=alive");
  CHECK(pool.nodes["a"].gossip->view().encrypted);
  CHECK(pool.nodes["a"].gossip->numbers().streams_failed > 0);
}

TEST_CASE("a file with keys: the first one seals, all open") {
  Pool pool;
  const TempDir directory;
  const std::string old_key = "AAECAwQFBgcICQoLDA0ODw==";
  const std::string new_key = "AAECAwQFBgcICQoLDA0OAA==";
  std::ofstream(directory.file("both")) << "# rotated\n\n" << new_key << "\r\n" << old_key << "\n";
  config::Mesh mesh = pool.settings("a");
  mesh.key_file = directory.file("both");
  pool.start(mesh);
  mesh = pool.settings("b");
  mesh.key = new_key;
  mesh.join.push_back(literal("10.0.0.1:7946"));
  pool.start(mesh);
  pool.run_for(5s);
  CHECK(pool.sees("b") == "a=alive b=alive");

  // The old one goes while the member runs, and what cannot be used changes nothing.
  std::ofstream(directory.file("late")) << old_key << "\n" << new_key << "\n";
  const auto joins = [&](const std::string& name) {
    config::Mesh newcomer = pool.settings(name);
    newcomer.key_file = directory.file("late");
    newcomer.join.push_back(literal("10.0.0.1:7946"));
    pool.start(newcomer);
    pool.run_for(5s);
    return pool.sees("a").find(name + "=alive") != std::string::npos;
  };
  CHECK(joins("c"));
  std::ofstream(directory.file("both")) << new_key << "\n";
  pool.nodes["a"].gossip->read_keys();
  std::ofstream(directory.file("both")) << "hush\n";
  pool.nodes["a"].gossip->read_keys();
  CHECK_FALSE(joins("d"));

  const auto detail = [&](const std::string& content) {
    std::ofstream(directory.file("keys")) << content;
    config::Mesh wrong = pool.settings("x");
    wrong.key_file = directory.file("keys");
    const auto bound = pool.make(wrong);
    REQUIRE_FALSE(bound.has_value());
    return bound.error().detail;
  };
  CHECK(detail("# nothing\n").find("there is no key in mesh.key_file") == 0);
  CHECK(detail(old_key + "\nhush\n").find("keys:2: not the base64 of 16, 24 or 32 bytes") !=
        std::string::npos);
  CHECK(detail(old_key + "\nhush\n").find("hush") == std::string::npos);
  mesh = pool.settings("y");
  mesh.key_file = directory.file("missing");
  CHECK(pool.make(mesh).error().detail.find("cannot read mesh.key_file") == 0);
}

TEST_CASE("what cannot be bound is told with its address") {
  Pool pool;
  pool.start(pool.settings("a"));
  config::Mesh mesh = pool.settings("b");
  mesh.bind = address("10.0.0.1:7946");
  CHECK(pool.make(mesh).error().detail == "cannot bind the mesh: 10.0.0.1:7946: address already in use");
  // Any port will do, as long as both have it; the name follows.
  mesh = pool.settings("c");
  mesh.bind = address("10.0.0.3:0");
  pool.start(mesh);
  CHECK(pool.nodes["c"].gossip->view().address.starts_with("10.0.0.3:2"));
  CHECK(advertised_address(mesh, address("10.0.0.3:5"))->to_string() == "10.0.0.3:5");
  mesh.advertise = address("192.0.2.1:0");
  CHECK(advertised_address(mesh, address("0.0.0.0:5"))->to_string() == "192.0.2.1:5");
  mesh.advertise = address("192.0.2.1:6");
  CHECK(advertised_address(mesh, address("0.0.0.0:5"))->to_string() == "192.0.2.1:6");
  CHECK(member_name(mesh, address("192.0.2.1:6")) == "c");
  mesh.node.clear();
  CHECK(member_name(mesh, address("192.0.2.1:6")).ends_with("-6"));
}

TEST_CASE("strangers on connections are held for a while and in number, and change nothing") {
  Pool pool;
  pool.start(2);
  std::vector<std::unique_ptr<RawPeer>> silent;
  silent.reserve(Gossip::kAccepted + 10);
  for (std::size_t i = 0; i < Gossip::kAccepted + 10; ++i) {
    silent.push_back(RawPeer::connect(pool.network, address("10.0.0.1:7946")));
  }
  pool.run_for(1s);
  auto garbage = RawPeer::connect(pool.network, address("10.0.0.1:7946"));
  garbage->send(std::string(100000, 'x'));
  pool.run_for(60s);  // those that waited in the backlog have had their time as well
  for (const auto& peer : silent) CHECK(peer->finished());
  CHECK(garbage->finished());
  CHECK(pool.sees("a") == "a=alive b=alive");
  config::Mesh mesh = pool.settings("c");
  mesh.join.push_back(literal("10.0.0.1:7946"));
  pool.start(mesh);
  pool.run_for(3s);
  CHECK(pool.sees("b") == "a=alive b=alive c=alive");
}

TEST_CASE("a flood of one address is shut out, one of many has the rate, and nobody is taken for dead") {
  struct Deaf final : net::DatagramReceiver {
    void on_datagram(const Address&, std::string_view) override {}
  };
  Pool pool;
  pool.start(3);
  Deaf deaf;
  const auto flood = [&](const std::string& from, int count) {
    const auto socket = pool.network.bind_datagrams(address(from), deaf);
    for (int i = 0; i < count; ++i) (*socket)->send(address("10.0.0.1:7946"), "x");
    pool.network.settle();
  };
  const auto numbers = [&] { return pool.nodes["a"].gossip->numbers().wire; };
  const auto before = numbers();
  for (const char* from : {"10.0.9.9:1", "10.0.9.9:2"}) flood(from, 10000);
  CHECK(numbers().received < before.received + 1000);
  CHECK(numbers().unread > before.unread);
  pool.run_for(Gossip::kIgnore + 1s);
  const auto later = numbers();
  flood("10.0.9.9:3", 100);  // one like the others
  CHECK(numbers().received == later.received + 100);

  for (int round = 0; round < 100; ++round) {
    for (int from = 1; from <= 20; ++from) flood("10.0.8." + std::to_string(from) + ":1", 60);
    pool.run_for(100ms);
  }
  CHECK(numbers().received < later.received + 5000 + 100 * 520);
  CHECK(numbers().dropped > later.dropped + 5000);
  for (const char* name : {"a", "b", "c"}) CHECK(pool.sees(name) == "a=alive b=alive c=alive");
}

TEST_CASE("services are found while they are announced, by those who suspect their bearer as well") {
  Pool pool;
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

  // Left: gone at once, and nothing is announced any more.
  auto& leaver = pool.nodes["c"];
  leaver.gossip->leave([&leaver] { leaver.left = true; });
  leaver.gossip->announce({{.name = "orders", .port = 81}});
  pool.run_for(2s);
  CHECK(leaver.left);
  CHECK(pool.finds({.service = "web", .tags = {}}).empty());
}

TEST_CASE("services that do not fit into metadata are asked for, and followed as others are") {
  Pool pool;
  pool.start(3);
  const discovery::swim::WantedSettings orders{.service = "orders", .tags = {}};
  std::vector<discovery::swim::ServiceSettings> many;
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
  pool.network.at(address("10.0.0.2:7946")).connect = remora::testing::AddressKnobs::Connect::kRefuse;
  pool.nodes["b"].gossip->announce(with_orders);
  pool.run_for(3s);
  CHECK(pool.finds(orders).empty());
  CHECK(pool.finds({.service = "other-99", .tags = {}}) == "10.0.0.2:81 alive");
  CHECK(pool.nodes["a"].gossip->numbers().streams_failed > 0);
  pool.network.at(address("10.0.0.2:7946")).connect = remora::testing::AddressKnobs::Connect::kAccept;
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
