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
    CHECK(sources.resolved(config).front().size() == 1);

    config.clusters.push_back(cluster_of("b.test"));
    world.loop().event([&] { sources.watch(config); });
    REQUIRE(world.run_until([&] { return told_times(2); }));
    CHECK_FALSE(early);
    CHECK(settled_when_told);
    CHECK(sources.resolved(config).back().size() == 1);
  }
}
