#include "discovery/swim/service.h"

#include <doctest/doctest.h>

#include <string>

using namespace remora::discovery::swim;

namespace {

using Services = std::vector<ServiceSettings>;

const Services kServices{
    {.name = "orders", .port = 8080},
    {.name = "web", .port = 65535, .weight = 65535, .zone = "eu-1a", .tags = {"blue", "v=2"}}};

Services find(const Tags& tags, const std::string& name, std::vector<std::string> wanted = {}) {
  const auto found = find_service(tags, {.service = name, .tags = std::move(wanted)});
  return found ? Services{*found} : Services{};
}

}  // namespace

TEST_CASE("what a member announces is found by name and by all of the tags") {
  const Tags tags = announce(kServices);
  CHECK(tags ==
        Tags{{"remora", "1"}, {"svc:orders", "8080"}, {"svc:web", "65535;w=65535;z=eu-1a;t=blue,v=2"}});
  CHECK(decode_tags(encode_tags(tags)) == tags);
  CHECK(announced_bytes(kServices) == encode_tags(tags).size());
  CHECK(find(tags, "orders") == Services{kServices[0]});
  CHECK(find(tags, "web") == Services{kServices[1]});
  CHECK(find(tags, "web", {"v=2", "blue"}) == Services{kServices[1]});
  CHECK(find(tags, "web", {"blue", "green"}).empty());
  CHECK(find(tags, "orders", {"blue"}).empty());
  CHECK(find(tags, "order").empty());
}

TEST_CASE("later versions may say more, and what is broken is no service") {
  CHECK(find({{"remora", "2"}, {"svc:a", "80;x=new;w=3;;yes"}}, "a") ==
        Services{{.name = "a", .port = 80, .weight = 3}});
  for (const char* broken : {"", "0", "65536", "-1", "80x", "x", ";w=1", "80;w=0", "80;w=65536",
                             "80;w=", "80;z=a b", "80;z=\xff"}) {
    CAPTURE(broken);
    CHECK(find({{"remora", "1"}, {"svc:a", broken}}, "a").empty());
  }
  CHECK(find({{"remora", "1"}, {"svc:", "80"}}, "").empty());
  // One of a name, the first that is well.
  CHECK(find({{"remora", "1"}, {"svc:a", "x"}, {"svc:a", "80"}, {"svc:a", "81"}}, "a") ==
        Services{{.name = "a", .port = 80}});
  // A Remora is not taken for an agent, whatever else it says.
  CHECK(find({{"remora", "1"}, {"role", "a"}, {"port", "80"}}, "a").empty());
}

TEST_CASE("a plain Serf agent is a service by its tags") {
  const Tags agent{{"role", "web"}, {"port", "8080"}, {"dc", "east"}};
  const auto found = find(agent, "web");
  REQUIRE(found.size() == 1);
  CHECK(found[0].port == 8080);
  CHECK(find(agent, "web", {"dc=east"}).size() == 1);
  CHECK(find(agent, "web", {"dc=west"}).empty());
  CHECK(find(agent, "orders").empty());
  CHECK(find({{"role", "web"}}, "web").empty());  // nobody knows its port
  CHECK(find({{"role", "web"}, {"port", "http"}}, "web").empty());
  CHECK(find_service({{"role", "web"}}, {.service = "web", .tags = {}, .port = 80}).value().port == 80);
  CHECK(find_service({{"app", "web"}, {"http", "81"}},
                     {.service = "web", .tags = {}, .role_tag = "app", .port_tag = "http"})
            .value()
            .port == 81);
}
