#include "proxy/net/resolver.h"

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/proxy/net/dns_server.h"
#include "tests/proxy/net/net_world.h"

using namespace remora;
using namespace remora::testing;
using net::Answer;
using net::Resolver;
using net::ResolverOptions;
using net::ServiceAnswer;

namespace {

Address ip(std::string_view text) { return *Address::parse_ip(text, 0); }

ResolverOptions ask(const Address& server) {
  ResolverOptions options;
  options.servers = {server};
  options.timeout = 5s;
  options.tries = 1;
  return options;
}

// Looks one name up and waits for the result.
Result<Answer> look_up(RealWorld& world, Resolver& resolver, const std::string& host) {
  std::optional<Result<Answer>> result;
  bool inside = true;
  bool called_inside = false;
  const auto query = resolver.resolve(host, [&](Result<Answer> answer) {
    called_inside = inside;
    result.emplace(std::move(answer));
  });
  inside = false;
  REQUIRE(world.run_until([&] { return result.has_value(); }));
  CHECK_FALSE(called_inside);
  return std::move(*result);
}

Result<Answer> look_up(DnsServer& server, const std::string& host) {
  TcpWorld world;
  Resolver resolver(world.loop(), ask(server.address()));
  return look_up(world, resolver, host);
}

ErrorCode failure(DnsServer& server, const std::string& host) {
  const auto result = look_up(server, host);
  REQUIRE_FALSE(result);
  CHECK_FALSE(result.error().detail.empty());
  return result.error().code;
}

Result<ServiceAnswer> look_up_service(DnsServer& server, const std::string& name) {
  TcpWorld world;
  Resolver resolver(world.loop(), ask(server.address()));
  std::optional<Result<ServiceAnswer>> result;
  const auto query = resolver.resolve_service(
      name, [&result](Result<ServiceAnswer> answer) { result.emplace(std::move(answer)); });
  REQUIRE(world.run_until([&] { return result.has_value(); }));
  return std::move(*result);
}

// A message with one question and one SRV record.
std::string service_message() {
  std::string message("\x00\x01\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00", 12);
  message += std::string("\x02_a\x00\x00\x21\x00\x01", 8);                         // the question: _a SRV IN
  message += std::string("\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x1e\x00\x0a", 12);  // its name; 30 s; 10 bytes
  message += std::string("\x00\x01\x00\x02\x00\x50\x01", 7) + "b\xc0\x0c";         // 1 2 80 b._a
  return message;
}

DnsName name_of(std::vector<DnsRecord> records) {
  DnsName name;
  name.records = std::move(records);
  return name;
}

}  // namespace

TEST_SUITE("resolver") {
  TEST_CASE("a name has its addresses, each once, in order, for the shortest TTL") {
    DnsServer server(
        {{"app.test", name_of({{ip("10.0.0.9"), 90}, {ip("10.0.0.1"), 30}, {ip("10.0.0.9"), 60}})}});
    const auto answer = look_up(server, "app.test");
    REQUIRE(answer);
    CHECK(answer->addresses == std::vector<Address>{ip("10.0.0.1"), ip("10.0.0.9")});
    CHECK(answer->ttl == 30s);
    CHECK(look_up(server, "app.test.").value() == *answer);
  }

  TEST_CASE("IPv6 addresses count when there are no others") {
    DnsServer server({{"six.test", name_of({{ip("2001:db8::2"), 10}, {ip("2001:db8::1"), 10}})},
                      {"dual.test", name_of({{ip("2001:db8::1"), 10}, {ip("10.0.0.1"), 10}})}});
    CHECK(look_up(server, "six.test").value().addresses ==
          std::vector<Address>{ip("2001:db8::1"), ip("2001:db8::2")});
    CHECK(look_up(server, "dual.test").value().addresses == std::vector<Address>{ip("10.0.0.1")});
  }

  TEST_CASE("an alias is followed, and its TTL counts") {
    DnsName alias = name_of({{ip("10.0.0.5"), 300}});
    alias.alias_of = "real.test";
    alias.alias_ttl = 20;
    DnsServer server({{"alias.test", alias}});
    const auto answer = look_up(server, "alias.test");
    REQUIRE(answer);
    CHECK(answer->addresses == std::vector<Address>{ip("10.0.0.5")});
    CHECK(answer->ttl == 20s);
  }

  TEST_CASE("a TTL beyond reason is brought within limits") {
    DnsServer server({{"zero.test", name_of({{ip("10.0.0.1"), 0}})},
                      {"year.test", name_of({{ip("10.0.0.1"), 31'536'000}})}});
    CHECK(look_up(server, "zero.test").value().ttl == ResolverOptions().min_ttl);
    CHECK(look_up(server, "year.test").value().ttl == ResolverOptions().max_ttl);
  }

  TEST_CASE("literals and localhost ask nobody") {
    DnsServer server({});
    TcpWorld world;
    Resolver resolver(world.loop(), ask(server.address()));
    CHECK(look_up(world, resolver, "10.1.2.3").value().addresses == std::vector<Address>{ip("10.1.2.3")});
    CHECK(look_up(world, resolver, "::1").value().addresses == std::vector<Address>{ip("::1")});
    CHECK(look_up(world, resolver, "localhost").value().addresses == std::vector<Address>{ip("127.0.0.1")});
    CHECK(look_up(world, resolver, "LocalHost.").value().ttl == ResolverOptions().max_ttl);
    CHECK(server.udp_queries() == 0);
  }

  TEST_CASE("a name that does not exist, or has no address, is not resolved") {
    DnsName broken;
    broken.code = 2;
    DnsServer server({{"empty.test", {}}, {"broken.test", broken}});
    CHECK(failure(server, "gone.test.") == ErrorCode::kResolveFailed);
    CHECK(failure(server, "empty.test.") == ErrorCode::kResolveFailed);
    CHECK(failure(server, "broken.test.") == ErrorCode::kResolveFailed);
  }

  TEST_CASE("what is no name is invalid") {
    DnsServer server({});
    CHECK(failure(server, "") == ErrorCode::kInvalid);
    CHECK(failure(server, std::string("a\0b", 3)) == ErrorCode::kInvalid);
    CHECK(failure(server, std::string(100, 'x') + ".test.") == ErrorCode::kInvalid);
    const auto result = look_up(server, "a..b");
    CHECK_FALSE(result);
  }

  TEST_CASE("a server that says nothing times out, and a second one is asked") {
    DnsName silent;
    silent.silent = true;
    DnsServer mute({{"app.test", silent}});
    DnsServer server({{"app.test", name_of({{ip("10.0.0.1"), 60}})}});
    TcpWorld world;
    ResolverOptions options = ask(mute.address());
    options.timeout = 50ms;
    {
      Resolver resolver(world.loop(), options);
      const auto result = look_up(world, resolver, "app.test.");
      REQUIRE_FALSE(result);
      CHECK(result.error().code == ErrorCode::kTimedOut);
    }
    options.servers.push_back(server.address());
    options.tries = 10;
    Resolver resolver(world.loop(), options);
    CHECK(look_up(world, resolver, "app.test.").value().addresses == std::vector<Address>{ip("10.0.0.1")});
  }

  TEST_CASE("a truncated answer is fetched over TCP") {
    DnsName big = name_of({});
    for (int i = 0; i < 200; ++i) big.records.push_back({ip("10.0.1." + std::to_string(i)), 60});
    big.truncated = true;
    DnsServer server({{"big.test", big}});
    const auto answer = look_up(server, "big.test.");
    REQUIRE(answer);
    CHECK(answer->addresses.size() == 200);
    CHECK(server.tcp_queries() >= 1);
  }

  TEST_CASE("a service has its records for the shortest TTL") {
    DnsName orders;
    orders.services = {{.host = "b.test", .port = 81, .priority = 10, .weight = 5, .ttl = 90},
                       {.host = "a.test", .port = 80, .priority = 20, .weight = 0, .ttl = 30}};
    DnsServer server({{"_orders._tcp.test", orders}});
    const auto answer = look_up_service(server, "_orders._tcp.test.");
    REQUIRE(answer);
    CHECK(answer->ttl == 30s);
    CHECK(answer->records ==
          std::vector<net::ServiceRecord>{{.host = "b.test", .port = 81, .priority = 10, .weight = 5},
                                          {.host = "a.test", .port = 80, .priority = 20, .weight = 0}});
  }

  TEST_CASE("a service that is not there, or not offered, is not resolved") {
    DnsName refused;
    refused.services = {{.host = ""}};
    DnsServer server({{"_none._tcp.test", refused}, {"empty.test", {}}});
    for (const char* name : {"_none._tcp.test.", "empty.test.", "gone.test."}) {
      CAPTURE(name);
      const auto answer = look_up_service(server, name);
      REQUIRE_FALSE(answer);
      CHECK(answer.error().code == ErrorCode::kResolveFailed);
    }
    CHECK(look_up_service(server, "").error().code == ErrorCode::kInvalid);
  }

  TEST_CASE("an answer of many records is fetched over TCP") {
    DnsName many;
    for (unsigned i = 0; i < 300; ++i) many.services.push_back({.host = "h.test", .port = 1 + i});
    many.truncated = true;
    DnsServer server({{"many.test", many}});
    CHECK(look_up_service(server, "many.test.").value().records.size() == 300);
    CHECK(server.tcp_queries() == 1);
  }

  TEST_CASE("a message that breaks off anywhere has no services") {
    const std::string whole = service_message();
    const auto parse = [](const std::string& bytes) {
      return net::parse_service_answer({reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()});
    };
    const auto answer = parse(whole);
    REQUIRE(answer);
    CHECK(answer->ttl == 30s);
    CHECK(answer->records ==
          std::vector<net::ServiceRecord>{{.host = "b._a", .port = 80, .priority = 1, .weight = 2}});
    for (std::size_t size = 0; size < whole.size(); ++size) {
      CAPTURE(size);
      CHECK_FALSE(parse(whole.substr(0, size)));
    }
    // Whatever a byte is changed to, what comes of it is within the message.
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (int value = 0; value < 256; ++value) {
        std::string changed = whole;
        changed[at] = static_cast<char>(value);
        const auto parsed = parse(changed);
        if (parsed) CHECK(parsed->records.size() == 1);
      }
    }
  }

  TEST_CASE("a destroyed query does not call back") {
    DnsServer server({{"app.test", name_of({{ip("10.0.0.1"), 60}})}});
    TcpWorld world;
    Resolver resolver(world.loop(), ask(server.address()));
    bool called = false;
    auto cancelled = resolver.resolve("app.test.", [&](const Result<Answer>&) { called = true; });
    auto literal = resolver.resolve("10.0.0.1", [&](const Result<Answer>&) { called = true; });
    cancelled.reset();
    literal.reset();
    CHECK(look_up(world, resolver, "app.test."));
    world.run_a_while();
    CHECK_FALSE(called);
  }

  TEST_CASE("a query may be destroyed in its callback, and the next one started there") {
    DnsServer server({{"app.test", name_of({{ip("10.0.0.1"), 60}})}});
    TcpWorld world;
    Resolver resolver(world.loop(), ask(server.address()));
    std::unique_ptr<Resolver::Query> query;
    int answers = 0;
    std::function<void()> next = [&] {
      query = resolver.resolve("app.test.", [&](const Result<Answer>& answer) {
        CHECK(answer);
        if (++answers < 3) next();
      });
    };
    next();
    REQUIRE(world.run_until([&] { return answers == 3; }));
    query.reset();
  }

  TEST_CASE("a thousand names are looked up together, and each is asked for once") {
    const auto address = [](int i) {
      return ip("10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250));
    };
    DnsServer::Names names;
    for (int i = 0; i < 1000; ++i) names["n" + std::to_string(i) + ".test"] = name_of({{address(i), 60}});
    DnsServer server(names);
    TcpWorld world;
    Resolver resolver(world.loop(), ask(server.address()));
    std::vector<std::unique_ptr<Resolver::Query>> queries(1000);
    int correct = 0;
    for (int i = 0; i < 1000; ++i) {
      const std::string name = "n" + std::to_string(i) + ".test.";
      queries[static_cast<std::size_t>(i)] = resolver.resolve(name, [&, i](const Result<Answer>& answer) {
        if (answer && answer->addresses.front() == address(i)) ++correct;
      });
    }
    CHECK(world.run_until([&] { return correct == 1000; }));
    CHECK(server.udp_queries() == 2000);  // A and AAAA; what is lost is asked for again
  }

  TEST_CASE("names that nobody answers for hold no other back") {
    DnsName silent;
    silent.silent = true;
    DnsServer::Names names{{"here.test", name_of({{ip("10.0.0.1"), 60}})}};
    for (int i = 0; i < 200; ++i) names["n" + std::to_string(i) + ".test"] = silent;
    DnsServer server(names);
    TcpWorld world;
    Resolver resolver(world.loop(), ask(server.address()));
    std::vector<std::unique_ptr<Resolver::Query>> queries(200);
    int failed = 0;
    for (int i = 0; i < 200; ++i) {
      const std::string name = "n" + std::to_string(i) + ".test.";
      queries[static_cast<std::size_t>(i)] = resolver.resolve(name, [&](const Result<Answer>&) { ++failed; });
    }
    queries.resize(100);  // half of them are of no interest any more: they are not asked for
    CHECK(look_up(world, resolver, "here.test.").value().addresses.front() == ip("10.0.0.1"));
    CHECK(failed == 0);
    CHECK(server.udp_queries() == 2 * 101);
  }

  TEST_CASE("a resolver may go while it waits") {
    DnsName silent;
    silent.silent = true;
    DnsServer server({{"app.test", silent}});
    TcpWorld world;
    bool called = false;
    {
      Resolver resolver(world.loop(), ask(server.address()));
      const auto query = resolver.resolve("app.test.", [&](const Result<Answer>&) { called = true; });
      REQUIRE(world.run_until([&] { return server.udp_queries() > 0; }));
    }
    world.run_a_while();
    CHECK_FALSE(called);
  }
}
