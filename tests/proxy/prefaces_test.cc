// What stands before a connection's own bytes: PROXY headers, of whom they are believed and what endpoints
// get; and the name that a TLS client asks for. Long because each is a table of what may be wrong.
#include <doctest/doctest.h>

#include <string>

#include "proxy/http/proxy_header.h"
#include "tests/support/client_hello.h"
#include "tests/support/world.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::testing;

namespace {

const std::string kBehind = R"(
[[listener]]
name = "in"
address = "127.0.0.1:8080"
proxy_protocol = { from = ["192.0.2.0/24"], timeout = "3s" }
[[listener.route]]
cluster = "app"
[[listener]]
name = "db"
address = "127.0.0.1:5432"
protocol = "tcp"
cluster = "db"
proxy_protocol = { from = ["192.0.2.0/24"] }
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80"]
[[cluster]]
name = "db"
endpoints = ["10.0.0.2:80"]
)";
constexpr std::string_view kProxy = "192.0.2.9:4000";
constexpr std::string_view kHeader = "PROXY TCP4 198.51.100.7 203.0.113.1 5555 80\r\n";

bool was_reset(const RawPeer& peer) { return peer.error() && peer.error()->code == ErrorCode::kReset; }

}  // namespace

TEST_CASE("a proxy that is believed says whose connection it passes on, in one piece or byte by byte") {
  for (const bool split : {false, true}) {
    for (const auto version : {http::ProxyVersion::kV1, http::ProxyVersion::kV2}) {
      World w(kBehind);
      auto& backend = w.backend("10.0.0.1:80");
      World::answer(backend, std::string(kOk));
      auto client = w.client(0, kProxy);
      const std::string bytes = http::proxy_header(version, *Address::parse("198.51.100.7:5555"),
                                                   *Address::parse("203.0.113.1:80")) +
                                std::string(kGet);
      for (std::size_t i = 0; split && i + 1 < bytes.size(); ++i) {
        client->send(bytes.substr(i, 1));
        w.settle();
      }
      client->send(split ? bytes.substr(bytes.size() - 1) : bytes);
      w.settle();
      CHECK(status_of(client->take()) == 200);
      CHECK(contains(backend[0].received(), "\r\nX-Forwarded-For: 198.51.100.7\r\n"));
      client->send(kGet);  // the header is for the connection, not for a request
      w.settle();
      CHECK(status_of(client->received()) == 200);
      REQUIRE(w.log().size() == 2);
      CHECK(contains(w.log()[1], R"("client":"198.51.100.7")"));
    }
  }
}

TEST_CASE("who is not believed is taken for who it is, and a header of it for a broken request") {
  World w(kBehind);
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend, std::string(kOk));
  auto client = w.client(0, "192.0.3.1:4000");
  client->send(kGet);
  w.settle();
  CHECK(status_of(client->received()) == 200);
  CHECK(contains(backend[0].received(), "\r\nX-Forwarded-For: 192.0.3.1\r\n"));
  auto liar = w.client(0, "192.0.3.1:4001");
  liar->send(std::string(kHeader) + std::string(kGet));
  w.settle();
  CHECK(status_of(liar->received()) == 400);
  CHECK(count_of(backend[0].received(), "GET") == 1);
}

TEST_CASE("a connection of the proxy's own is its own") {
  for (const std::string& header :
       {std::string("PROXY UNKNOWN\r\n"), http::own_proxy_header(http::ProxyVersion::kV2)}) {
    World w(kBehind);
    auto& backend = w.backend("10.0.0.1:80");
    World::answer(backend, std::string(kOk));
    auto client = w.client(0, kProxy);
    client->send(header + std::string(kGet));
    w.settle();
    CHECK(status_of(client->received()) == 200);
    CHECK(contains(backend[0].received(), "\r\nX-Forwarded-For: 192.0.2.9\r\n"));
  }
}

TEST_CASE("whether X-Forwarded-For is believed goes by whom the connection is from, not by the proxy") {
  World w(kBehind);
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend, std::string(kOk));
  for (const bool near : {false, true}) {
    auto client = w.client(0, kProxy);
    client->send(std::string(near ? "PROXY TCP4 10.9.9.9 10.0.0.1 1 2\r\n" : kHeader) +
                 "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n");
    w.settle();
    CHECK(status_of(client->received()) == 200);
  }
  CHECK(contains(backend[0].received(), "\r\nX-Forwarded-For: 198.51.100.7\r\n"));
  CHECK(contains(backend[0].received(), "\r\nX-Forwarded-For: 1.1.1.1, 10.9.9.9\r\n"));
}

TEST_CASE("a believed proxy that sends no header, or a wrong one, is refused") {
  World w(kBehind);
  auto& backend = w.backend("10.0.0.1:80");
  auto plain = w.client(0, kProxy);
  plain->send(kGet);
  w.settle();
  CHECK(was_reset(*plain));
  CHECK(plain->received().empty());
  auto half = w.client(0, kProxy);
  half->send("PROXY TC");
  half->end();
  w.settle();
  CHECK(was_reset(*half));
  auto silent = w.client(0, kProxy);
  w.run_for(2900ms);
  CHECK_FALSE(silent->finished());
  w.run_for(200ms);
  CHECK(was_reset(*silent));
  CHECK(backend.size() == 0);
  const auto log = w.log();
  REQUIRE(log.size() == 3);
  CHECK(contains(log[0], R"("listener":"in","client":"192.0.2.9")"));
  CHECK(contains(log[0], R"("flag":"DPE")"));
  CHECK(contains(log[1], R"("flag":"DPE")"));
  CHECK(contains(log[2], R"("flag":"DT")"));
  CHECK(w.worker().report().listeners[0].stats.connections_active == 0);
  CHECK(w.connection_permits() == 0);
}

TEST_CASE("a believed proxy that only looks whether somebody listens leaves no line") {
  World w(kBehind);
  for (const bool reset : {true, false}) {
    auto looking = w.client(0, kProxy);
    w.settle();
    if (reset) {
      looking->reset();
    } else {
      looking->end();
    }
    w.settle();
    CHECK(w.worker().report().listeners[0].stats.connections_active == 0);
  }
  CHECK(w.log().empty());
}

TEST_CASE("TCP connections are passed on with a header for whom they are from") {
  std::string toml = kBehind;
  SUBCASE("version 1") { toml += "proxy_protocol = \"v1\"\n"; }
  SUBCASE("version 2") { toml += "proxy_protocol = \"v2\"\n"; }
  const auto version = toml.ends_with("v1\"\n") ? http::ProxyVersion::kV1 : http::ProxyVersion::kV2;
  World w(toml);
  auto& backend = w.backend("10.0.0.2:80");
  auto direct = w.client(1, "198.18.0.1:777");
  direct->send("hello");
  w.settle();
  REQUIRE(backend.size() == 1);
  CHECK(backend[0].received() ==
        http::proxy_header(version, *Address::parse("198.18.0.1:777"), *Address::parse("127.0.0.1:5432")) +
            "hello");
  auto passed_on = w.client(1, kProxy);
  passed_on->send(std::string(kHeader) + "hello");
  w.settle();
  REQUIRE(backend.size() == 2);
  CHECK(backend[1].received() ==
        http::proxy_header(version, *Address::parse("198.51.100.7:5555"), *Address::parse("203.0.113.1:80")) +
            "hello");
  const auto silent = w.client(1, "198.18.0.1:778");  // the header does not wait for a word of the client's
  w.settle();
  REQUIRE(backend.size() == 3);
  CHECK_FALSE(backend[2].received().empty());
}

TEST_CASE("connections whose header is awaited end with a listener that goes") {
  World w("[runtime]\ndrain_timeout = \"1s\"\n" + kBehind);
  auto client = w.client(1, kProxy);
  w.settle();
  REQUIRE(
      w.reload("[runtime]\ndrain_timeout = \"1s\"\n[[listener]]\naddress = \"127.0.0.1:1\"\n"
               "[[listener.route]]\nrespond = {}\n"));
  w.run_for(1100ms);
  CHECK(was_reset(*client));
  w.worker().report();
  CHECK(w.worker().retired() == 0);
}

namespace {

const std::string kNames = R"(
[[listener]]
name = "tls"
address = "127.0.0.1:443"
protocol = "tcp"
timeouts = { detect = "2s" }
proxy_protocol = { from = ["192.0.2.0/24"] }
#default
[[listener.route]]
host = "a.example"
cluster = "a"
[[listener.route]]
host = "*.example"
cluster = "any"
[[cluster]]
name = "a"
endpoints = ["10.0.0.1:443"]
[[cluster]]
name = "any"
endpoints = ["10.0.0.2:443"]
[[cluster]]
name = "rest"
endpoints = ["10.0.0.3:443"]
)";

std::string with_rest() {
  std::string toml = kNames;
  return toml.replace(toml.find("#default"), 8, "cluster = \"rest\"");
}

}  // namespace

TEST_CASE("TLS goes where its client asks, untouched, however the ClientHello is cut") {
  for (const std::size_t record : {std::size_t{16384}, std::size_t{7}}) {
    for (const bool split : {false, true}) {
      World w(with_rest());
      const std::vector<std::pair<std::string, std::string>> rows{{"a.example", "10.0.0.1:443"},
                                                                  {"A.EXAMPLE", "10.0.0.1:443"},
                                                                  {"b.c.example", "10.0.0.2:443"},
                                                                  {"example", "10.0.0.3:443"},
                                                                  {"other.test", "10.0.0.3:443"}};
      for (const auto& [name, address] : rows) {
        CAPTURE(name);
        auto& backend = w.backend(address);
        const std::size_t before = backend.size();
        auto client = w.client();
        const std::string hello = client_hello(name, record) + "and more";
        for (std::size_t i = 0; i < hello.size(); i += split ? 1 : hello.size()) {
          client->send(hello.substr(i, split ? 1 : std::string::npos));
          w.settle();
        }
        REQUIRE(backend.size() == before + 1);
        CHECK(backend[before].received() == hello);
        backend[before].send("ServerHello");
        w.settle();
        CHECK(client->received() == "ServerHello");
        client->end();
        backend[before].end();
        w.settle();
        CHECK(client->ended());
      }
      REQUIRE(w.log().size() == rows.size());
      CHECK(contains(w.log()[1], R"("method":"","host":"a.example","target":"")"));
      CHECK(contains(w.log()[1], R"("cluster":"a")"));
    }
  }
}

TEST_CASE("who names nobody goes to the listener's cluster, and is reset where there is none") {
  const std::vector<std::string> rows{client_hello("other.test"), in_records(hello_message("")),
                                      "SSH-2.0-x\r\n", ""};
  for (const bool rest : {true, false}) {
    for (const std::string& bytes : rows) {
      CAPTURE(bytes);
      World w(rest ? with_rest() : kNames);
      auto& backend = w.backend("10.0.0.3:443");
      auto client = w.client();
      if (!bytes.empty()) client->send(bytes);
      w.settle();
      CHECK(backend.size() == (rest && !bytes.empty() ? 1 : 0));
      w.run_for(2100ms);  // who says nothing at all is waited for no longer
      CHECK(backend.size() == (rest ? 1 : 0));
      CHECK(was_reset(*client) == !rest);
      if (rest) CHECK(backend[0].received() == bytes);
      if (!rest) CHECK(contains(w.log().at(0), R"("flag":"NR")"));
    }
  }
}

TEST_CASE("a broken ClientHello is refused, half of one is passed on as it is") {
  World w(with_rest());
  auto broken = w.client();
  broken->send(in_records(hello_message(server_name("a b"))));
  w.settle();
  CHECK(was_reset(*broken));
  auto looking = w.client();
  looking->end();
  w.settle();
  REQUIRE(w.log().size() == 1);
  CHECK(contains(w.log()[0], R"("flag":"DPE")"));
  auto& rest = w.backend("10.0.0.3:443");
  auto half = w.client();
  half->send(client_hello("a.example").substr(0, 20));
  half->end();
  w.settle();
  auto slow = w.client();
  slow->send(client_hello("a.example").substr(0, 20));
  w.settle();
  REQUIRE(rest.size() == 1);
  CHECK(rest[0].received() == client_hello("a.example").substr(0, 20));
  CHECK(rest[0].ended());
  w.run_for(3s);
  REQUIRE(rest.size() == 2);
  CHECK(rest[1].received() == client_hello("a.example").substr(0, 20));
  CHECK_FALSE(rest[1].ended());
}

TEST_CASE("a PROXY header stands before the ClientHello") {
  World w(kNames);
  auto& backend = w.backend("10.0.0.1:443");
  auto client = w.client(0, kProxy);
  client->send(std::string(kHeader) + client_hello("a.example"));
  w.settle();
  REQUIRE(backend.size() == 1);
  CHECK(backend[0].received() == client_hello("a.example"));
  auto slow = w.client(0, kProxy);
  slow->send(kHeader);
  w.settle();
  slow->send(client_hello("a.example"));
  w.settle();
  CHECK(backend.size() == 2);
  client->reset();
  w.settle();
  CHECK(contains(w.log().at(0), R"("client":"198.51.100.7")"));
}

namespace {

const std::string kAny = R"(
[[listener]]
name = "any"
address = "127.0.0.1:80"
protocol = "detect"
cluster = "bytes"
timeouts = { detect = "2s" }
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80"]
[[cluster]]
name = "bytes"
endpoints = ["10.0.0.2:80"]
)";

}  // namespace

TEST_CASE("one port serves HTTP, TLS and everything else, and tells them apart by their first bytes") {
  const std::vector<std::pair<std::string, bool>> rows{
      {std::string(kGet), true},
      {"OPTIONS * HTTP/1.0\r\nHost: h\r\n\r\n", true},
      {client_hello("a.example"), false},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false},
      {"GET key\r\n", false},
      {"*1\r\n$4\r\nPING\r\n", false},
      {std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8), false},
      {"\x16\x01 not TLS", false},
      {"get / HTTP/1.1\r\n\r\n", false},
  };
  for (const bool split : {false, true}) {
    for (const auto& [bytes, http] : rows) {
      CAPTURE(bytes);
      World w(kAny);
      World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
      auto& rest = w.backend("10.0.0.2:80");
      auto client = w.client();
      for (std::size_t i = 0; i < bytes.size(); i += split ? 1 : bytes.size()) {
        client->send(bytes.substr(i, split ? 1 : std::string::npos));
        w.settle();
      }
      CHECK((status_of(client->received()) == 200) == http);
      REQUIRE(rest.size() == (http ? 0 : 1));
      if (!http) CHECK(rest[0].received() == bytes);
    }
  }
}

TEST_CASE("who does not say in time whether it speaks HTTP is taken not to, and an end decides at once") {
  for (const std::string_view said : {"", "GE", "GET / HT"}) {
    CAPTURE(said);
    World w(kAny);
    auto& rest = w.backend("10.0.0.2:80");
    auto client = w.client();
    client->send(said);
    w.run_for(1900ms);
    CHECK(rest.size() == 0);
    w.run_for(200ms);
    REQUIRE(rest.size() == 1);
    rest[0].send("220 hello");
    w.settle();
    CHECK(client->received() == "220 hello");
    CHECK(rest[0].received() == said);
    auto ended = w.client();
    ended->send(said);
    ended->end();
    w.settle();
    CHECK(rest.size() == (said.empty() ? 1 : 2));
  }
}

TEST_CASE("a request line that is too long for any server is answered as HTTP") {
  World w(kAny);
  auto client = w.client();
  client->send("GET /" + std::string(std::size_t{70} * 1024, 'x'));
  w.settle();
  CHECK(status_of(client->received()) == 414);
}
