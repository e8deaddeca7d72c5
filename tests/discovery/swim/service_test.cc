#include "discovery/swim/service.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "discovery/swim/membership.h"
#include "discovery/swim/service_index.h"
#include "discovery/swim/service_sets.h"
#include "tests/support/start.h"

using namespace remora;
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

TEST_CASE("a set that does not fit is announced by its digest, and goes by user messages") {
  CHECK(announcement(kServices).set.empty());
  CHECK(announcement(kServices).meta == encode_tags(announce(kServices)));
  CHECK_FALSE(set_digest(announcement(kServices).meta));
  Services many;
  for (int i = 0; i < 200; ++i) {
    many.push_back({.name = "service-" + std::to_string(i), .port = 80, .tags = {std::string(60, 't')}});
  }
  const Announcement large = announcement(many);
  CHECK(large.meta.size() < 64);
  CHECK(large.set.size() == announced_bytes(many));
  CHECK(set_digest(large.meta) == digest_of(large.set));
  CHECK(read_set_answer(set_answer(large.set)) == large.set);
  CHECK(find(decode_tags(large.set), "service-199") == Services{many[199]});
  CHECK(find(decode_tags(large.meta), "service-199").empty());
  many.pop_back();
  CHECK(announcement(many).meta != large.meta);
}

TEST_CASE("what only looks like a digest or an answer is none") {
  for (const char* digits : {"", "0", "00000000000000g0", "0000000000000000 ", "-000000000000001"}) {
    CAPTURE(digits);
    CHECK_FALSE(set_digest(encode_tags({{"remora", "1"}, {"svc+", digits}})));
  }
  CHECK_FALSE(set_digest(encode_tags({{"svc+", "0000000000000001"}})));  // no Remora
  CHECK(set_digest(encode_tags({{"remora", "1"}, {"svc+", "00000000000000ff"}})) == 255);
  CHECK_FALSE(read_set_answer(kSetRequest));
  CHECK_FALSE(read_set_answer(""));
  CHECK_FALSE(read_set_answer(set_answer(std::string(kSetBytes + 1, 'x'))));
}

TEST_CASE("sets are asked for once each, some at a time, and again after a failure") {
  ServiceSets sets;
  std::vector<ServiceSets::Announced> members;
  const std::string set = encode_tags(announce(kServices));
  members.reserve(20);
  for (int i = 0; i < 20; ++i) members.push_back({"m" + std::to_string(i), digest_of(set)});
  CHECK(sets.next_wakeup() == TimePoint::max());
  sets.update(members, kStart);
  CHECK(sets.next_wakeup() == kStart);
  std::vector<std::string> asked;
  while (const auto member = sets.next(kStart)) asked.push_back(*member);
  REQUIRE(asked.size() == ServiceSets::kAtOnce);
  CHECK(sets.next_wakeup() == TimePoint::max());
  CHECK(sets.on_answer(asked[0], set, kStart));
  CHECK_FALSE(sets.on_answer(asked[0], set, kStart));  // twice
  REQUIRE(sets.find(asked[0]) != nullptr);
  CHECK(find(*sets.find(asked[0]), "orders").size() == 1);
  CHECK(sets.next(kStart));  // somebody else's turn
  // One that fails, or says something else than it announces, waits longer each time.
  sets.update({{asked[1], digest_of(set)}}, kStart);
  TimePoint now = kStart;
  for (const Duration wait : {500ms, 1000ms, 2000ms, 4000ms, 8000ms, 16000ms, 30000ms, 30000ms}) {
    CHECK_FALSE(
        sets.on_answer(asked[1], wait == 1s ? std::optional<std::string_view>("other") : std::nullopt, now));
    CHECK(sets.find(asked[1]) == nullptr);
    CHECK(sets.next_wakeup() == now + wait);
    CHECK_FALSE(sets.next(now + wait - 1ms));
    now += wait;
    CHECK(sets.next(now) == asked[1]);
  }
}

TEST_CASE("a set stays in use until its successor is here, and goes with its member") {
  ServiceSets sets;
  const std::string before = encode_tags(announce({kServices[0]}));
  const std::string after = encode_tags(announce({kServices[1]}));
  sets.update({{"a", digest_of(before)}}, kStart);
  REQUIRE(sets.next(kStart) == "a");
  CHECK(sets.on_answer("a", before, kStart));
  sets.update({{"a", digest_of(after)}}, kStart + 1s);
  REQUIRE(sets.find("a") != nullptr);
  CHECK(find(*sets.find("a"), "orders").size() == 1);
  REQUIRE(sets.next(kStart + 1s) == "a");
  CHECK_FALSE(sets.on_answer("a", before, kStart + 1s));  // it was on its way when the news came
  CHECK(find(*sets.find("a"), "orders").size() == 1);
  REQUIRE(sets.next(kStart + 2s) == "a");
  CHECK(sets.on_answer("a", after, kStart + 2s));
  CHECK(find(*sets.find("a"), "orders").empty());
  CHECK(find(*sets.find("a"), "web").size() == 1);
  sets.update({}, kStart + 3s);
  CHECK(sets.find("a") == nullptr);
  CHECK_FALSE(sets.on_answer("a", after, kStart + 3s));
}

TEST_CASE("all sets together are bounded") {
  ServiceSets sets;
  const std::string large(kSetBytes, 'x');
  std::vector<ServiceSets::Announced> members;
  members.reserve(ServiceSets::kTotal / kSetBytes + 10);
  for (std::size_t i = 0; i < ServiceSets::kTotal / kSetBytes + 10; ++i) {
    members.push_back({"m" + std::to_string(i), digest_of(large)});
  }
  sets.update(members, kStart);
  std::size_t held = 0;
  while (const auto member = sets.next(kStart)) held += sets.on_answer(*member, large, kStart) ? 1U : 0U;
  CHECK(held == ServiceSets::kTotal / kSetBytes);
}
TEST_CASE(
    "members are found by the words that may be a service of theirs, until they say others or are gone") {
  Member remora;
  remora.name = "remora";
  Member agent;
  agent.name = "agent";
  ServiceIndex index;
  const auto found = [&](std::string_view word) {
    std::string names;
    index.each(word, [&](const Member& member) { names += (names.empty() ? "" : " ") + member.name; });
    return names;
  };
  index.set(remora, announce(kServices));
  index.set(agent, {{"role", "orders"}, {"port", "81"}});
  CHECK(found("orders") == "remora agent");
  CHECK(found("web") == "remora");
  CHECK(found("81") == "agent");
  CHECK(found("remora").empty());
  CHECK(found("svc:web").empty());
  index.set(remora, announce({{.name = "web", .port = 1}, {.name = "web", .port = 2}}));
  CHECK(found("orders") == "agent");
  CHECK(found("web") == "remora");
  index.erase(agent);
  index.erase(agent);
  CHECK(found("orders").empty());
  index.set(remora, {});
  CHECK(index.empty());
}
