// What the contract tests share: two connected peers in any world, and ways to fill a stream.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "base/random.h"
#include "tests/proxy/net/net_world.h"
#include "tests/proxy/net/tls_world.h"
#include "tests/support/raw_peer.h"

// The implementations under test. Those with a reset are told apart by kSeesReset.
#define WORLDS TcpWorld, Tcp6World, UnixWorld, FakeWorld, TlsWorld

namespace remora::testing {

// Two connected peers.
template <typename World>
struct Pair {
  World world;
  RawServer server{world.network(), world.listen_address()};
  std::unique_ptr<RawPeer> client = RawPeer::connect(world.network(), server.address());

  Pair() {
    REQUIRE(world.run_until([&] { return client->open() && server.size() == 1; }));
    if constexpr (requires { World::kShakesHands; }) world.run_a_while();  // the server's end opens last
  }
  RawPeer& peer() { return server[0]; }
  bool run_until(const Predicate& holds) { return world.run_until(holds); }
};

inline std::string noise(std::size_t size, std::uint64_t seed = 1) {
  Random random(seed);
  std::string bytes(size, '\0');
  for (auto& byte : bytes) byte = static_cast<char>(random.next());
  return bytes;
}

inline bool is_failed_connect(const Error& error) {
  return error.code == ErrorCode::kConnectionRefused || error.code == ErrorCode::kConnectFailed;
}

// Sends until the stream says stop. The peer does not read.
inline std::string fill(RawPeer& peer) {
  const std::string piece = noise(100'000);
  std::string sent;
  bool more = true;
  while (more && sent.size() < 64'000'000) {
    more = peer.send(piece);
    sent += piece;
  }
  REQUIRE_FALSE(more);
  return sent;
}

}  // namespace remora::testing
