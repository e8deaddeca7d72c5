#include "proxy/endpoint_sources.h"

#include <doctest/doctest.h>

#include "config/values.h"
#include "tests/proxy/net/dns_server.h"
#include "tests/proxy/net/net_world.h"

using namespace remora;
using namespace remora::testing;
using proxy::EndpointSources;

namespace {

config::Cluster cluster_of(const std::string& host) {
  config::Cluster cluster;
  cluster.name = host;
  cluster.endpoints.push_back(*config::parse_endpoint(host + ":80"));
  return cluster;
}

}  // namespace

TEST_SUITE("endpoint sources") {
  TEST_CASE("they are settled once it has been told what was answered, not before") {
    const Address address = *Address::parse_ip("10.0.0.1", 0);
    DnsServer server({{"a.test", {.records = {{address, 60}}, .alias_of = {}}},
                      {"b.test", {.records = {{address, 60}}, .alias_of = {}}}});
    TcpWorld world;
    net::ResolverOptions options;
    options.servers = {server.address()};
    net::Resolver resolver(world.loop(), options);
    Random random(1);
    int told = 0;
    bool settled_when_told = false;
    EndpointSources* asked = nullptr;
    EndpointSources sources(world.loop(), random, resolver,
                            {.changed =
                                 [&] {
                                   ++told;
                                   settled_when_told = asked->settled();
                                 },
                             .tell = [](const proxy::Event&) {},
                             .in_mesh = {}});
    asked = &sources;
    CHECK(sources.settled());  // nobody to wait for

    config::Config config;
    config.clusters.push_back(cluster_of("a.test"));
    world.loop().event([&] { sources.watch(config); });
    bool early = false;
    const auto told_times = [&](int times) {
      early = early || (told < times && sources.settled());
      return told == times;
    };
    REQUIRE(world.run_until([&] { return told_times(1); }));
    CHECK_FALSE(early);
    CHECK(settled_when_told);
    CHECK(sources.resolved(config, nullptr).front().size() == 1);

    config.clusters.push_back(cluster_of("b.test"));
    world.loop().event([&] { sources.watch(config); });
    REQUIRE(world.run_until([&] { return told_times(2); }));
    CHECK_FALSE(early);
    CHECK(settled_when_told);
    CHECK(sources.resolved(config, nullptr).back().size() == 1);
  }

  TEST_CASE("a list of addresses that two configurations share is resolved once") {
    TcpWorld world;
    net::Resolver resolver(world.loop(), {});
    Random random(1);
    EndpointSources sources(world.loop(), random, resolver,
                            {.changed = [] {}, .tell = [](const proxy::Event&) {}, .in_mesh = {}});
    config::Config config;
    for (const char* address : {"10.0.0.1:80", "10.0.0.2:80"}) {
      config::Endpoint endpoint;
      endpoint.name = address;
      endpoint.address = Address::parse(address);
      config.clusters.emplace_back().endpoints.push_back(endpoint);
    }
    proxy::Snapshot running;
    running.config = std::make_shared<const config::Config>(config);
    running.endpoints = sources.resolved(config, nullptr);
    std::swap(config.clusters.edit()[0], config.clusters.edit()[1]);
    config.clusters.edit()[1].endpoints.edit()[0].weight = 3;
    config.clusters.push_back(cluster_of("a.test"));
    const auto next = sources.resolved(config, &running);
    REQUIRE(next.size() == 3);
    CHECK(next[0].is(running.endpoints[1]));
    CHECK_FALSE(next[1].is(running.endpoints[0]));
    CHECK(next[1].front().weight == 3);
    CHECK(next[2].empty());
  }
}
