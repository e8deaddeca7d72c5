// What only real sockets can show; the rest is in stream_contract_test.cc.
#include "proxy/net/tcp.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/random.h"
#include "proxy/net/fd.h"
#include "proxy/net/listen_socket.h"
#include "tests/proxy/net/net_world.h"
#include "tests/support/raw_peer.h"

using namespace remora;
using namespace remora::testing;

namespace {

struct Nobody final : net::Acceptor {
  void on_accept(std::unique_ptr<net::Stream>) override {}
  void on_accept_exhausted() override {}
};

// Sums what passes, in order (FNV-1a over bytes).
struct Checksum {
  std::uint64_t value = 0xcbf29ce484222325U;
  std::size_t count = 0;
  void add(std::string_view bytes) {
    for (const char byte : bytes) value = (value ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
    count += bytes.size();
  }
};

// Lowers the number of descriptors this process may have so that `spare` more can be opened.
class FewDescriptors final {
 public:
  explicit FewDescriptors(unsigned spare) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    std::vector<net::Fd> next;  // the numbers in use may have gaps, which are filled first
    for (unsigned i = 0; i <= spare; ++i) next.emplace_back(::fcntl(0, F_DUPFD_CLOEXEC, 0));
    rlimit lowered = before_;
    lowered.rlim_cur = static_cast<rlim_t>(next.back().get());
    ::setrlimit(RLIMIT_NOFILE, &lowered);
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit before_{};
};

struct SocketName {
  explicit SocketName(const Address& address) { REQUIRE(address.to_sockaddr(storage, length)); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr_storage storage{};
  socklen_t length = 0;
};

net::Fd raw_socket(int family) { return net::Fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

bool raw_connect(const net::Fd& fd, const Address& address) {
  const SocketName name(address);
  return ::connect(fd.get(), name.get(), name.length) == 0;
}

Error listen_failure(net::Network& network, const Address& address) {
  Nobody nobody;
  auto listener = network.listen(address, {}, nobody);
  REQUIRE_FALSE(listener);
  return listener.error();
}

}  // namespace

TEST_SUITE("tcp") {
  TEST_CASE("to look whether an address is free accepts nobody") {
    TcpWorld world;
    RawServer taken(world.network(), world.listen_address());
    const auto refused = net::ListenSocket::check_free(taken.address());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::kAddressInUse);

    // A port that was just free. Whoever connects there meanwhile is refused, and tries again.
    const Address address = RawServer(world.network(), world.listen_address()).address();
    std::atomic<bool> stop = false;
    std::atomic<int> tries = 0;
    int accepted = 0;
    const SocketName there(address);
    const SocketName here(*Address::parse("127.0.0.2:0"));  // from the same address it could meet itself
    std::thread impatient([&] {
      for (; !stop; ++tries) {
        const net::Fd fd = raw_socket(AF_INET);
        static_cast<void>(::bind(fd.get(), here.get(), here.length));
        accepted += ::connect(fd.get(), there.get(), there.length) == 0 ? 1 : 0;
      }
    });
    int failures = 0;
    while (tries < 10000) failures += net::ListenSocket::check_free(address) ? 0 : 1;
    stop = true;
    impatient.join();
    CHECK(failures == 0);
    CHECK(accepted == 0);
  }

  TEST_CASE("64 MiB pass through an echo unchanged, with little in memory") {
    TcpWorld world;
    RawServer server(world.network(), world.listen_address());
    std::size_t most_queued = 0;
    server.when_accepted = [&](RawPeer& accepted) {
      accepted.when_received = [&](RawPeer& peer) {
        if (!peer.send(peer.take())) peer.pause();
        most_queued = std::max(most_queued, peer.stream()->queued());
      };
      accepted.when_writable = [](RawPeer& peer) { peer.resume(); };
      accepted.when_ended = [](RawPeer& peer) { peer.end(); };
    };
    auto client = RawPeer::connect(world.network(), server.address());
    Random random(1);
    Checksum sent;
    Checksum received;
    client->when_received = [&](RawPeer& peer) { received.add(peer.take()); };
    const auto feed = [&](RawPeer& peer) {
      bool more = true;
      while (more && sent.count < std::size_t{64} * 1024 * 1024) {
        std::string piece(std::size_t{1} + random.below(200'000), static_cast<char>(random.next()));
        piece.resize(std::min(piece.size(), std::size_t{64} * 1024 * 1024 - sent.count));
        more = peer.send(piece);
        sent.add(piece);
        most_queued = std::max(most_queued, peer.stream()->queued());
      }
      if (sent.count == std::size_t{64} * 1024 * 1024) peer.end();
    };
    client->when_open = feed;
    client->when_writable = feed;
    REQUIRE(world.run_until([&] { return client->ended(); }));
    CHECK(received.count == sent.count);
    CHECK(received.value == sent.value);
    CHECK(most_queued <= 256 * 1024 + 200'000);
  }

  TEST_CASE("a thousand connections come and go") {
    TcpWorld world;
    RawServer server(world.network(), world.listen_address());
    for (int round = 0; round < 10; ++round) {
      std::vector<std::unique_ptr<RawPeer>> clients;
      for (int i = 0; i < 100; ++i) clients.push_back(RawPeer::connect(world.network(), server.address()));
      REQUIRE(world.run_until([&] { return server.size() == 100; }));
      clients.clear();
      REQUIRE(world.run_until([&] {
        for (std::size_t i = 0; i < server.size(); ++i) {
          if (!server[i].ended()) return false;
        }
        return true;
      }));
      while (server.size() > 0) server.remove(server.size() - 1);
    }
  }

  TEST_CASE("without descriptors the listener pauses for a second, and nobody is dropped") {
    TcpWorld world;
    RawServer server(world.network(), world.listen_address());
    const auto first = RawPeer::connect(world.network(), server.address());
    REQUIRE(world.run_until(
        [&] { return server.size() == 1; }));  // libuv takes a descriptor of its own with the first
    std::vector<net::Fd> clients;
    for (int i = 0; i < 5; ++i) {
      clients.push_back(raw_socket(AF_INET));
      REQUIRE(raw_connect(clients.back(), server.address()));
    }
    {
      const FewDescriptors few(2);
      REQUIRE(world.run_until([&] { return server.exhausted_count() == 1; }));
      CHECK(server.size() == 3);
      world.run_a_while();
      CHECK(server.exhausted_count() == 1);  // no busy loop
    }
    world.run_a_while();
    CHECK(server.size() == 3);
    world.loop().event([&] { world.wheel().advance(world.wheel().now() + 1s + 10ms); });
    CHECK(world.run_until([&] { return server.size() == 6; }));
    CHECK(server.exhausted_count() == 1);
  }

  TEST_CASE("without descriptors a connection attempt fails with the reason") {
    TcpWorld world;
    RawServer server(world.network(), world.listen_address());
    const FewDescriptors none(0);
    auto client = RawPeer::connect(world.network(), server.address());
    REQUIRE(world.run_until([&] { return client->error().has_value(); }));
    CHECK(client->error()->code == ErrorCode::kLimit);
    CHECK(listen_failure(world.network(), world.listen_address()).code == ErrorCode::kLimit);
  }

  TEST_CASE("both ends have TCP_NODELAY") {
    TcpWorld world;
    RawServer server(world.network(), world.listen_address());
    auto client = RawPeer::connect(world.network(), server.address());
    REQUIRE(world.run_until([&] { return client->open() && server.size() == 1; }));
    int connected = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      const int fd = std::stoi(entry.path().filename().string());
      sockaddr_storage peer{};
      socklen_t length = sizeof peer;
      if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) != 0 || peer.ss_family != AF_INET)
        continue;
      int on = 0;
      length = sizeof on;
      REQUIRE(::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &length) == 0);
      CHECK(on != 0);
      CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
      ++connected;
    }
    CHECK(connected == 2);
  }

  TEST_CASE("IPv4 and IPv6 wildcard listeners share a port number") {
    TcpWorld world;
    RawServer v6(world.network(), *Address::parse("[::]:0"));
    Address any = *Address::parse("0.0.0.0:0");
    any.set_port(v6.address().port());
    RawServer v4(world.network(), any);
    auto from_v4 = RawPeer::connect(world.network(), *Address::parse_ip("127.0.0.1", any.port()));
    auto from_v6 = RawPeer::connect(world.network(), *Address::parse_ip("::1", any.port()));
    CHECK(world.run_until([&] { return v4.size() == 1 && v6.size() == 1; }));
    CHECK(v4[0].stream()->peer().kind() == Address::Kind::kIpv4);
    CHECK(v6[0].stream()->peer().kind() == Address::Kind::kIpv6);
  }

  TEST_CASE("what cannot be listened on is refused with the address in the text") {
    TcpWorld world;
    const Error elsewhere = listen_failure(world.network(), *Address::parse("192.0.2.1:80"));
    CHECK(elsewhere.code == ErrorCode::kInvalid);
    CHECK(elsewhere.detail.find("192.0.2.1:80") != std::string::npos);
    CHECK(listen_failure(world.network(), Address()).code == ErrorCode::kInvalid);
  }

  TEST_CASE("a connect that the kernel refuses at once fails later") {
    TcpWorld world;
    auto client =
        RawPeer::connect(world.network(), *Address::parse("[fe80::1]:80"));  // link-local without a link
    CHECK_FALSE(client->error());
    REQUIRE(world.run_until([&] { return client->error().has_value(); }));
    CHECK_FALSE(client->open());
  }

  TEST_CASE("a failure under way is forgotten with its stream") {
    TcpWorld world;
    auto client = RawPeer::connect(world.network(), Address());
    auto other = RawPeer::connect(world.network(), Address());
    client->close();
    REQUIRE(world.run_until([&] { return other->error().has_value(); }));
    CHECK_FALSE(client->error());
  }

  TEST_CASE("listeners of several threads share one port") {
    TcpWorld world;
    RawServer first(world.network(), world.listen_address());
    Address second_address;
    std::size_t accepted_by_second = 0;
    {
      TcpWorld other;
      RawServer second(other.network(), first.address());
      second_address = second.address();
      std::vector<net::Fd> clients;
      for (int i = 0; i < 64; ++i) {
        clients.push_back(raw_socket(AF_INET));
        REQUIRE(raw_connect(clients.back(), first.address()));
      }
      std::thread thread([&] { other.run_a_while(); });
      world.run_a_while();
      thread.join();
      accepted_by_second = second.size();
    }
    CHECK(second_address == first.address());
    CHECK(first.size() + accepted_by_second == 64);
    CHECK(first.size() > 0);
    CHECK(accepted_by_second > 0);
  }
}

TEST_SUITE("unix sockets") {
  TEST_CASE("the file appears with the first listener and goes with the last") {
    UnixWorld world;
    const Address address = world.listen_address();
    auto first = std::make_unique<RawServer>(world.network(), address);
    auto second = std::make_unique<RawServer>(world.network(), address);
    CHECK(std::filesystem::is_socket(address.path()));
    first.reset();
    CHECK(std::filesystem::is_socket(address.path()));
    auto client = RawPeer::connect(world.network(), address);
    CHECK(world.run_until([&] { return second->size() == 1; }));
    second.reset();
    CHECK_FALSE(std::filesystem::exists(address.path()));
  }

  TEST_CASE("a socket file that a dead process left behind is replaced") {
    UnixWorld world;
    const Address address = world.listen_address();
    {
      const net::Fd dead = raw_socket(AF_UNIX);
      const SocketName name(address);
      REQUIRE(::bind(dead.get(), name.get(), name.length) == 0);
      REQUIRE(::listen(dead.get(), 1) == 0);
    }
    REQUIRE(std::filesystem::is_socket(address.path()));
    RawServer server(world.network(), address);
    auto client = RawPeer::connect(world.network(), address);
    CHECK(world.run_until([&] { return server.size() == 1; }));
  }

  TEST_CASE("a socket that somebody listens on is left alone") {
    UnixWorld world;
    const Address address = world.listen_address();
    const net::Fd other = raw_socket(AF_UNIX);
    const SocketName name(address);
    REQUIRE(::bind(other.get(), name.get(), name.length) == 0);
    REQUIRE(::listen(other.get(), 1) == 0);
    CHECK(listen_failure(world.network(), address).code == ErrorCode::kAddressInUse);
    CHECK(raw_connect(raw_socket(AF_UNIX), address));
    CHECK(listen_failure(world.network(), address).code ==
          ErrorCode::kAddressInUse);  // its backlog is full now
  }

  TEST_CASE("a file that is no socket is left alone") {
    UnixWorld world;
    const Address address = world.listen_address();
    std::ofstream(address.path()) << "precious";
    CHECK(listen_failure(world.network(), address).code == ErrorCode::kAddressInUse);
    CHECK(std::filesystem::file_size(address.path()) == 8);
  }

  TEST_CASE("a file that replaced ours is not removed") {
    UnixWorld world;
    const Address address = world.listen_address();
    auto server = std::make_unique<RawServer>(world.network(), address);
    std::filesystem::remove(address.path());
    std::ofstream(address.path()) << "somebody else's";
    server.reset();
    CHECK(std::filesystem::exists(address.path()));
  }

  TEST_CASE("a path that cannot be is invalid") {
    UnixWorld world;
    CHECK(listen_failure(world.network(), Address::unix_path("/nonexistent/directory/socket")).code ==
          ErrorCode::kInvalid);
    CHECK(listen_failure(world.network(), Address::unix_path(std::string(200, 'x'))).code ==
          ErrorCode::kInvalid);
  }
}
