// Members of a mesh: every way into a pool and out of it, and who is kept out.
//
// Long because all of it is told on one rig.
#include "proxy/gossip.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "proxy/mesh_setup.h"
#include "tests/proxy/gossip_pool.h"
#include "tests/support/raw_peer.h"

namespace remora::proxy {
namespace {

using remora::testing::RawPeer;
using remora::testing::TempDir;

TEST_CASE("members that name one of them are one pool") {
  GossipPool pool;
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
  GossipPool pool;
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
  GossipPool pool;
  pool.start(2);
  pool.nodes.erase("b");
  const auto probes = [&] { return pool.nodes["a"].gossip->numbers().wire.probes; };
  for (const auto before = probes(); probes() == before;) pool.run_for(100ms);
  pool.run_for(800ms);
  CHECK(pool.heard("a", "b suspect"));
}

TEST_CASE("who is not reached by datagrams is reached by streams, and nobody suspects it") {
  GossipPool pool;
  pool.start(3);
  pool.network.at(mesh_address("10.0.0.3:7946")).datagrams_lost = true;
  pool.run_for(20s);
  CHECK(pool.sees("a") == "a=alive b=alive c=alive");
  CHECK_FALSE(pool.heard("a", "c suspect"));
}

TEST_CASE("who leaves tells the others before it ends, and is not taken for failed") {
  GossipPool pool;
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
  GossipPool pool;
  pool.start(2);
  pool.network.at(mesh_address("10.0.0.2:7946")).datagrams_lost = true;
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
  GossipPool pool;
  pool.start(4);
  pool.network.at(mesh_address("10.0.0.4:7946")).datagrams_lost = true;
  pool.network.at(mesh_address("10.0.0.4:7946")).connect = remora::testing::AddressKnobs::Connect::kRefuse;
  pool.run_for(4s);
  CHECK(pool.heard("a", "d suspect"));
  pool.network.at(mesh_address("10.0.0.4:7946")).datagrams_lost = false;
  pool.network.at(mesh_address("10.0.0.4:7946")).connect = remora::testing::AddressKnobs::Connect::kAccept;
  pool.run_for(40s);
  CHECK(pool.sees("a") == "a=alive b=alive c=alive d=alive");
  CHECK(pool.heard("d", "d refuted: accused by "));
}

TEST_CASE("what is remembered on disk leads back into the pool") {
  GossipPool pool;
  const TempDir directory;
  pool.start(2);
  config::Mesh mesh = pool.settings("c");
  mesh.snapshot = directory.file("members");
  mesh.join.push_back(mesh_literal("10.0.0.1:7946"));
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
  REQUIRE(write_members_file(path, {mesh_address("10.0.0.1:7946"), mesh_address("[::1]:1")}).has_value());
  CHECK(read_members_file(path) == std::vector{mesh_address("10.0.0.1:7946"), mesh_address("[::1]:1")});
  std::ofstream(path, std::ios::app) << "nonsense\nunix:/x\n10.0.0.1:0\n10.0.0.9:1\n";
  CHECK(read_members_file(path).size() == 3);
  const auto failed = write_members_file(directory.file("missing/members"), {});
  REQUIRE_FALSE(failed.has_value());
  CHECK(failed.error().detail.find("missing/members") != std::string::npos);
}

TEST_CASE("a name is asked again until somebody is there, and both halves of a pool meet") {
  GossipPool pool;
  pool.names.emplace("mesh.internal", std::unexpected(Error(ErrorCode::kResolveFailed, Side::kInternal)));
  config::Endpoint name;
  name.name = "mesh.internal:7946";
  name.host = HostPort{.host = "mesh.internal", .port = 7946};
  config::Mesh mesh = pool.settings("b");
  mesh.join.push_back(name);
  pool.start(mesh);
  CHECK_FALSE(pool.nodes["b"].settled);
  pool.run_for(1s);
  CHECK(pool.nodes["b"].settled);  // it has been tried
  CHECK(pool.sees("b") == "b=alive");
  pool.names.insert_or_assign("mesh.internal",
                              net::Answer{.addresses = {mesh_address("10.0.0.1:0")}, .ttl = 1min});
  pool.run_for(5s);
  CHECK(pool.sees("b") == "b=alive");  // nobody there
  pool.start(pool.settings("a"));
  pool.run_for(GossipJoin::kLast);
  CHECK(pool.sees("b") == "a=alive b=alive");
  // Two more, who know each other only: one who knows both pools joins them.
  mesh = pool.settings("d");
  mesh.join.push_back(mesh_literal("10.0.0.3:7946"));
  pool.start(pool.settings("c"));
  pool.start(mesh);
  pool.run_for(5s);
  CHECK(pool.sees("c") == "c=alive d=alive");
  mesh = pool.settings("e");
  mesh.join = {mesh_literal("10.0.0.1:7946"), mesh_literal("10.0.0.3:7946")};
  pool.start(mesh);
  pool.run_for(5s);
  CHECK(pool.sees("c") == "a=alive b=alive c=alive d=alive e=alive");
  CHECK(pool.sees("b") == "a=alive b=alive c=alive d=alive e=alive");
}

TEST_CASE("members that neither answer nor refuse keep nobody from being ready") {
  GossipPool pool;
  config::Mesh mesh = pool.settings("a");
  for (const char* silent : {"10.0.1.1:1", "10.0.1.2:1", "10.0.1.3:1", "10.0.1.4:1"}) {
    pool.network.at(mesh_address(silent)).connect = remora::testing::AddressKnobs::Connect::kBlackHole;
    mesh.join.push_back(mesh_literal(silent));
  }
  pool.start(mesh);
  pool.run_for(GossipJoin::kPatience - 1s);
  CHECK_FALSE(pool.nodes["a"].settled);
  CHECK(pool.network.stream_count() == GossipJoin::kAtOnce);
  pool.run_for(2s);
  CHECK(pool.nodes["a"].settled);
}

TEST_CASE("with another key, or another label, nobody gets in") {
  GossipPool pool;
  config::Mesh mesh = pool.settings("a");
  mesh.key = "AAECAwQFBgcICQoLDA0ODw==";
  mesh.label = "production";
  pool.start(mesh);
  const auto join = [&](const std::string& name, const std::string& key, const std::string& label) {
    config::Mesh other = pool.settings(name);
    other.key = key;
    other.label = label;
    other.join.push_back(mesh_literal("10.0.0.1:7946"));
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
  GossipPool pool;
  const TempDir directory;
  const std::string old_key = "AAECAwQFBgcICQoLDA0ODw==";
  const std::string new_key = "AAECAwQFBgcICQoLDA0OAA==";
  std::ofstream(directory.file("both")) << "# rotated\n\n" << new_key << "\r\n" << old_key << "\n";
  config::Mesh mesh = pool.settings("a");
  mesh.key_file = directory.file("both");
  pool.start(mesh);
  mesh = pool.settings("b");
  mesh.key = new_key;
  mesh.join.push_back(mesh_literal("10.0.0.1:7946"));
  pool.start(mesh);
  pool.run_for(5s);
  CHECK(pool.sees("b") == "a=alive b=alive");

  // The old one goes while the member runs, and what cannot be used changes nothing.
  std::ofstream(directory.file("late")) << old_key << "\n" << new_key << "\n";
  const auto joins = [&](const std::string& name) {
    config::Mesh newcomer = pool.settings(name);
    newcomer.key_file = directory.file("late");
    newcomer.join.push_back(mesh_literal("10.0.0.1:7946"));
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
  GossipPool pool;
  pool.start(pool.settings("a"));
  config::Mesh mesh = pool.settings("b");
  mesh.bind = mesh_address("10.0.0.1:7946");
  CHECK(pool.make(mesh).error().detail == "cannot bind the mesh: 10.0.0.1:7946: address already in use");
  // Any port will do, as long as both have it; the name follows.
  mesh = pool.settings("c");
  mesh.bind = mesh_address("10.0.0.3:0");
  pool.start(mesh);
  CHECK(pool.nodes["c"].gossip->view().address.starts_with("10.0.0.3:2"));
  CHECK(advertised_address(mesh, mesh_address("10.0.0.3:5"))->to_string() == "10.0.0.3:5");
  mesh.advertise = mesh_address("192.0.2.1:0");
  CHECK(advertised_address(mesh, mesh_address("0.0.0.0:5"))->to_string() == "192.0.2.1:5");
  mesh.advertise = mesh_address("192.0.2.1:6");
  CHECK(advertised_address(mesh, mesh_address("0.0.0.0:5"))->to_string() == "192.0.2.1:6");
  CHECK(member_name(mesh, mesh_address("192.0.2.1:6")) == "c");
  mesh.node.clear();
  CHECK(member_name(mesh, mesh_address("192.0.2.1:6")).ends_with("-6"));
}

TEST_CASE("strangers on connections are held for a while and in number, and change nothing") {
  GossipPool pool;
  pool.start(2);
  std::vector<std::unique_ptr<RawPeer>> silent;
  silent.reserve(Gossip::kAccepted + 10);
  for (std::size_t i = 0; i < Gossip::kAccepted + 10; ++i) {
    silent.push_back(RawPeer::connect(pool.network, mesh_address("10.0.0.1:7946")));
  }
  pool.run_for(1s);
  auto garbage = RawPeer::connect(pool.network, mesh_address("10.0.0.1:7946"));
  garbage->send(std::string(100000, 'x'));
  pool.run_for(60s);  // those that waited in the backlog have had their time as well
  for (const auto& peer : silent) CHECK(peer->finished());
  CHECK(garbage->finished());
  CHECK(pool.sees("a") == "a=alive b=alive");
  config::Mesh mesh = pool.settings("c");
  mesh.join.push_back(mesh_literal("10.0.0.1:7946"));
  pool.start(mesh);
  pool.run_for(3s);
  CHECK(pool.sees("b") == "a=alive b=alive c=alive");
}

TEST_CASE("a flood of one address is shut out, one of many has the rate, and nobody is taken for dead") {
  struct Deaf final : net::DatagramReceiver {
    void on_datagram(const Address&, std::string_view) override {}
  };
  GossipPool pool;
  pool.start(3);
  Deaf deaf;
  const auto flood = [&](const std::string& from, int count) {
    const auto socket = pool.network.bind_datagrams(mesh_address(from), deaf);
    for (int i = 0; i < count; ++i) (*socket)->send(mesh_address("10.0.0.1:7946"), "x");
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

}  // namespace
}  // namespace remora::proxy
