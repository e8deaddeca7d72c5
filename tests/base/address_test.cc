#include "base/address.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <string>

using namespace remora;

namespace {

Address parsed(std::string_view text) {
  const auto address = Address::parse(text);
  REQUIRE_MESSAGE(address, text);
  return *address;
}

bool in_range(std::string_view range, std::string_view host) {
  const auto cidr = Cidr::parse(range);
  REQUIRE_MESSAGE(cidr, range);
  const auto address = Address::parse_ip(host, 1);
  REQUIRE_MESSAGE(address, host);
  return cidr->contains(*address);
}

}  // namespace

TEST_SUITE("address") {
  TEST_CASE("what is written comes back as it was") {
    for (const char* text : {"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:80", "[::]:443",
                             "[2001:db8::ff]:8080", "unix:/run/app.sock", "unix:relative/path"}) {
      CHECK(parsed(text).to_string() == text);
    }
    CHECK(Address().to_string() == "-");
    CHECK(parsed("[0:0:0:0:0:0:0:1]:1").to_string() == "[::1]:1");
  }

  TEST_CASE("the parts are there") {
    const auto v4 = parsed("10.1.2.3:8080");
    CHECK(v4.kind() == Address::Kind::kIpv4);
    CHECK(v4.is_ip());
    CHECK(v4.port() == 8080);
    CHECK(v4.host() == "10.1.2.3");
    CHECK(v4.bytes()[3] == 3);
    CHECK(parsed("[fe80::1]:1").host() == "fe80::1");
    const auto path = parsed("unix:/a b/c");
    CHECK(path.is_unix());
    CHECK(path.path() == "/a b/c");
    CHECK(path.host() == "unix");
  }

  TEST_CASE("names, halves and other texts are refused") {
    using namespace std::string_view_literals;
    for (const auto text : {""sv,
                            ":"sv,
                            ":80"sv,
                            "127.0.0.1"sv,
                            "127.0.0.1:"sv,
                            "127.0.0.1:65536"sv,
                            "127.0.0.1:-1"sv,
                            "127.0.0.1:+1"sv,
                            "127.0.0.1: 80"sv,
                            " 127.0.0.1:80"sv,
                            "127.0.0.1:80 "sv,
                            "127.0.0.1:8x"sv,
                            "127.0.0.1:000080"sv,
                            "127.1:80"sv,
                            "0x7f.0.0.1:80"sv,
                            "127.0.0.01:80"sv,
                            "256.0.0.1:80"sv,
                            "localhost:80"sv,
                            "example.com:80"sv,
                            "::1:80"sv,
                            "[::1]"sv,
                            "[::1"sv,
                            "[::1]80"sv,
                            "[::1]]:80"sv,
                            "[]:80"sv,
                            "[127.0.0.1]:80"sv,
                            "[::1%lo]:80"sv,
                            "[::g]:80"sv,
                            "unix:"sv,
                            "http://127.0.0.1:80"sv,
                            "127.0.0.1\0:80"sv,
                            "127.0.0.1\0.evil:80"sv,
                            "unix:/a\0b"sv}) {
      CAPTURE(text);
      CHECK_FALSE(Address::parse(text));
    }
  }

  TEST_CASE("a Unix path must fit into a socket address") {
    const std::string longest(sizeof(sockaddr_un::sun_path) - 1, 'x');
    CHECK(Address::parse("unix:" + longest));
    CHECK_FALSE(Address::parse("unix:" + longest + "x"));
    sockaddr_storage storage{};
    socklen_t length = 0;
    CHECK(Address::unix_path(longest).to_sockaddr(storage, length));
    CHECK_FALSE(Address::unix_path(longest + "x").to_sockaddr(storage, length));
    CHECK_FALSE(Address::unix_path("").to_sockaddr(storage, length));
    CHECK_FALSE(Address().to_sockaddr(storage, length));
  }

  TEST_CASE("an IP literal may have brackets, but an IPv4 one may not") {
    CHECK(Address::parse_ip("::1", 5)->to_string() == "[::1]:5");
    CHECK(Address::parse_ip("[::1]", 5)->to_string() == "[::1]:5");
    CHECK(Address::parse_ip("1.2.3.4", 5)->to_string() == "1.2.3.4:5");
    CHECK_FALSE(Address::parse_ip("[1.2.3.4]", 5));
    CHECK_FALSE(Address::parse_ip("", 5));
    CHECK_FALSE(Address::parse_ip("[]", 5));
    CHECK_FALSE(Address::parse_ip("host", 5));
    CHECK_FALSE(Address::parse_ip(std::string(10'000, '1'), 5));
  }

  TEST_CASE("socket addresses go both ways") {
    for (const char* text : {"127.0.0.1:80", "[2001:db8::1]:443"}) {
      sockaddr_storage storage{};
      socklen_t length = 0;
      REQUIRE(parsed(text).to_sockaddr(storage, length));
      const auto back = Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage));
      REQUIRE(back);
      CHECK(*back == parsed(text));
    }
    sockaddr_storage other{};
    other.ss_family = AF_UNSPEC;
    CHECK_FALSE(Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&other)));
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    CHECK(Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&un))->is_unix());
  }

  TEST_CASE("addresses are equal when every part is") {
    CHECK(parsed("127.0.0.1:80") == parsed("127.0.0.1:80"));
    CHECK(parsed("127.0.0.1:80") != parsed("127.0.0.1:81"));
    CHECK(parsed("127.0.0.1:80") != parsed("[::ffff:127.0.0.1]:80"));
    CHECK(parsed("unix:/a") != parsed("unix:/b"));
  }

  TEST_CASE("loopback is 127/8, ::1, their mapped forms and every Unix socket") {
    CHECK(parsed("127.0.0.1:1").is_loopback());
    CHECK(parsed("127.255.0.9:1").is_loopback());
    CHECK(parsed("[::1]:1").is_loopback());
    CHECK(parsed("[::ffff:127.0.0.1]:1").is_loopback());
    CHECK(parsed("unix:/x").is_loopback());
    CHECK_FALSE(parsed("128.0.0.1:1").is_loopback());
    CHECK_FALSE(parsed("[::2]:1").is_loopback());
    CHECK_FALSE(parsed("[::]:1").is_loopback());
    CHECK_FALSE(parsed("[::ffff:10.0.0.1]:1").is_loopback());
    CHECK_FALSE(Address().is_loopback());
  }

  TEST_CASE("host and port are split without deciding what the host is") {
    const auto name = parse_host_port("example.com:8080");
    REQUIRE(name);
    CHECK(name->host == "example.com");
    CHECK(name->port == 8080);
    CHECK(parse_host_port("[::1]:80")->host == "::1");
    CHECK(parse_host_port("a:0")->port == 0);
    for (const char* text :
         {"", "a", "a:", ":1", "a:b", "::1:80", "[]:1", "[a]:1", "[::1:1", "::1]:1", "a:65536"}) {
      CAPTURE(text);
      CHECK_FALSE(parse_host_port(text));
    }
  }
}

TEST_SUITE("cidr") {
  TEST_CASE("a range contains what its prefix covers") {
    CHECK(in_range("10.0.0.0/8", "10.255.1.2"));
    CHECK_FALSE(in_range("10.0.0.0/8", "11.0.0.0"));
    CHECK(in_range("172.16.0.0/12", "172.31.255.255"));
    CHECK_FALSE(in_range("172.16.0.0/12", "172.32.0.0"));
    CHECK(in_range("192.168.1.7", "192.168.1.7"));
    CHECK_FALSE(in_range("192.168.1.7", "192.168.1.6"));
    CHECK(in_range("0.0.0.0/0", "8.8.8.8"));
    CHECK_FALSE(in_range("0.0.0.0/0", "::1"));
    CHECK(in_range("10.1.2.3/8", "10.9.9.9"));
    CHECK(in_range("fc00::/7", "fdff::1"));
    CHECK_FALSE(in_range("fc00::/7", "fe00::1"));
    CHECK(in_range("2001:db8::1", "2001:db8::1"));
    CHECK_FALSE(in_range("::1/128", "::2"));
    CHECK(in_range("::/0", "2001:db8::1"));
    CHECK(in_range("10.0.0.1/31", "10.0.0.0"));
  }

  TEST_CASE("an IPv4-mapped peer is in IPv4 ranges") {
    CHECK(in_range("10.0.0.0/8", "::ffff:10.1.1.1"));
    CHECK_FALSE(in_range("10.0.0.0/8", "::ffff:11.1.1.1"));
    CHECK_FALSE(in_range("10.0.0.0/8", "::10.1.1.1"));
    CHECK(in_range("::ffff:0:0/96", "::ffff:11.1.1.1"));
  }

  TEST_CASE("Unix peers are in the range unix and in no other") {
    const Address peer = Address::unix_path("");
    CHECK(Cidr::parse("unix:")->contains(peer));
    CHECK_FALSE(Cidr::parse("0.0.0.0/0")->contains(peer));
    CHECK_FALSE(in_range("unix:", "127.0.0.1"));
    CHECK(Cidr::parse("unix:")->to_string() == "unix:");
  }

  TEST_CASE("nothing is in no range") {
    CHECK_FALSE(Cidr().contains(*Address::parse_ip("1.2.3.4", 0)));
    CHECK_FALSE(Cidr::parse("0.0.0.0/0")->contains(Address()));
  }

  TEST_CASE("other texts are refused") {
    for (const char* text :
         {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0/8", "::/129",
          "name/8", "10.0.0.0/8/8", "10.0.0.0/99999999999999999999"}) {
      CAPTURE(text);
      CHECK_FALSE(Cidr::parse(text));
    }
  }

  TEST_CASE("a range prints as it is meant") {
    CHECK(Cidr::parse("10.0.0.0/8")->to_string() == "10.0.0.0/8");
    CHECK(Cidr::parse("::1")->to_string() == "::1/128");
    CHECK(*Cidr::parse("10.0.0.0/8") == *Cidr::parse("10.0.0.0/8"));
  }
}
