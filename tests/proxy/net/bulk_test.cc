// What one socket brings leaves by another without a copy, where both are plain ones and it is much; and when
// it is not, or cannot be, nobody sees a difference.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/net/fd.h"
#include "proxy/net/pipe.h"
#include "tests/proxy/net/stream_pair.h"

using namespace remora;
using namespace remora::testing;

namespace {

constexpr std::size_t kMuch = std::size_t{8} << 20;

// One direction of a relay: what arrives at `from` goes to `to`.
struct Direction final : net::Stream::Events {
  void on_data(std::string_view bytes) override {
    copied += bytes.size();
    if (!to->send({&bytes, 1})) from->pause();
  }
  void on_bulk(Bulk& bulk) override {
    ++offers;
    if (!to->send_bulk(bulk)) from->pause();
    moved += bulk.moved;
    refusal = bulk.refusal;
    most_queued = std::max(most_queued, to->queued());
  }
  void on_end() override {
    ended = true;
    to->end();
  }
  void on_writable() override { back->from->resume(); }
  void on_drained() override { ++drained; }
  void on_closed(const Error& failed) override { error = failed; }

  net::Stream* from = nullptr;
  net::Stream* to = nullptr;
  Direction* back = nullptr;
  std::size_t copied = 0;
  std::size_t moved = 0;
  std::size_t most_queued = 0;
  int offers = 0;
  int drained = 0;
  bool ended = false;
  Bulk::Refusal refusal = Bulk::Refusal::kBusy;
  std::optional<Error> error;
};

// client <-> near | far <-> server
template <typename World>
struct Relay final : net::Acceptor {
  World world;
  World other;  // gives an address of its own, where that is a file
  RawServer server{world.network(), other.listen_address()};
  std::unique_ptr<net::Listener> listener = *world.network().listen(world.listen_address(), {}, *this);
  Direction up;
  Direction down;
  std::unique_ptr<net::Stream> near;
  std::unique_ptr<net::Stream> far;
  std::unique_ptr<RawPeer> client = RawPeer::connect(world.network(), listener->address());

  Relay() {
    up.back = &down;
    down.back = &up;
    REQUIRE(world.run_until([&] { return server.size() == 1 && client->open(); }));
  }
  void on_accept(std::unique_ptr<net::Stream> stream) override {
    near = std::move(stream);
    far = world.network().connect(server.address(), down);
    up.from = down.to = near.get();
    down.from = up.to = far.get();
    near->set_events(&up);
  }
  void on_accept_exhausted() override {}
  RawPeer& backend() { return server[0]; }
  bool run_until(const Predicate& holds) { return world.run_until(holds); }

  // Sends all of it as fast as it goes, and an end if asked to.
  void upload(const std::string& bytes, bool end) {
    auto at = std::make_shared<std::size_t>(0);
    const auto feed = [&bytes, at, end](RawPeer& peer) {
      bool more = true;
      while (more && *at < bytes.size()) {
        const std::string_view piece = std::string_view(bytes).substr(*at, 200'000);
        *at += piece.size();
        more = peer.send(piece);
      }
      if (end && *at == bytes.size()) peer.end();
    };
    client->when_writable = feed;
    feed(*client);
  }
};

// No descriptor more than are open now can be.
class NoDescriptors final {
 public:
  NoDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const net::Fd next(::fcntl(0, F_DUPFD_CLOEXEC, 0));
    rlimit lowered = before_;
    lowered.rlim_cur = static_cast<rlim_t>(next.get());
    ::setrlimit(RLIMIT_NOFILE, &lowered);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

}  // namespace

TEST_SUITE("bulk") {
  TEST_CASE_TEMPLATE("much goes through the kernel, unchanged and to its end", World, TcpWorld, UnixWorld) {
    Relay<World> relay;
    const std::string bytes = noise(kMuch);
    relay.upload(bytes, true);
    REQUIRE(relay.run_until([&] { return relay.backend().ended(); }));
    CHECK(relay.backend().received() == bytes);
    CHECK(relay.up.moved + relay.up.copied == kMuch);
    CHECK(relay.up.moved > kMuch / 2);
    relay.backend().send("thanks");
    relay.backend().end();
    REQUIRE(relay.run_until([&] { return relay.client->ended(); }));
    CHECK(relay.client->received() == "thanks");
  }

  TEST_CASE("a slow reader holds it back, and gets every byte before the end") {
    Relay<TcpWorld> relay;
    const std::string bytes = noise(kMuch * 2);
    relay.backend().pause();
    relay.upload(bytes, true);
    REQUIRE(relay.run_until([&] { return relay.up.moved > 0 && relay.far->queued() > 0; }));
    relay.world.run_a_while();
    CHECK(relay.up.most_queued <= net::Pipe::kCapacity);
    CHECK_FALSE(relay.up.ended);
    const std::size_t before = relay.up.moved + relay.up.copied;
    relay.world.run_a_while();
    CHECK(relay.up.moved + relay.up.copied == before);
    relay.backend().resume();
    REQUIRE(relay.run_until([&] { return relay.backend().ended(); }));
    CHECK(relay.backend().received() == bytes);
    CHECK(relay.down.drained > 0);
  }

  TEST_CASE("little is never offered") {
    Relay<TcpWorld> relay;
    std::size_t answers = 0;
    relay.backend().when_received = [](RawPeer& peer) { peer.send(peer.take()); };
    relay.client->when_received = [&](RawPeer& peer) {
      if (peer.received().size() < 40'000) return;
      peer.take();
      if (++answers < 200) peer.send(std::string(40'000, 'x'));
    };
    relay.client->send(std::string(40'000, 'x'));
    REQUIRE(relay.run_until([&] { return answers == 200; }));
    CHECK(relay.up.offers == 0);
    CHECK(relay.down.offers == 0);
  }

  TEST_CASE("what follows while some of it waits comes behind it") {
    Relay<TcpWorld> relay;
    const std::string bytes = noise(kMuch);
    relay.backend().pause();
    relay.upload(bytes, false);
    REQUIRE(relay.run_until([&] { return relay.far->queued() > 0; }));
    const std::string_view behind = "behind";
    relay.near->pause();
    const std::size_t before = relay.up.moved + relay.up.copied;
    CHECK_FALSE(relay.far->send({&behind, 1}));
    relay.far->end();
    relay.backend().resume();
    REQUIRE(relay.run_until([&] { return relay.backend().ended(); }));
    CHECK(relay.backend().received() == bytes.substr(0, before) + "behind");
  }

  TEST_CASE("without a pipe it is copied") {
    Relay<TcpWorld> relay;
    const std::string bytes = noise(kMuch);
    const NoDescriptors none;
    relay.upload(bytes, true);
    REQUIRE(relay.run_until([&] { return relay.backend().ended(); }));
    CHECK(relay.backend().received() == bytes);
    CHECK(relay.up.moved == 0);
    CHECK(relay.up.offers > 0);
    CHECK(relay.up.refusal == Bulk::Refusal::kNoPipe);
  }

  TEST_CASE("a sender that resets is not taken for one that ends") {
    Relay<TcpWorld> relay;
    const std::string bytes = noise(kMuch);
    relay.upload(bytes, false);
    REQUIRE(relay.run_until([&] { return relay.up.moved > 0; }));
    relay.client->reset();
    REQUIRE(relay.run_until([&] { return relay.up.error.has_value(); }));
    CHECK(relay.up.error->code == ErrorCode::kReset);
    CHECK_FALSE(relay.up.ended);
  }

  TEST_CASE("a receiver that resets is told of, whether some of it waits or not") {
    for (const bool waits : {false, true}) {
      CAPTURE(waits);
      Relay<TcpWorld> relay;
      const std::string bytes = noise(kMuch);
      if (waits) relay.backend().pause();
      relay.upload(bytes, false);
      REQUIRE(relay.run_until([&] { return relay.up.moved > 0 && (!waits || relay.far->queued() > 0); }));
      relay.backend().reset();
      REQUIRE(relay.run_until([&] { return relay.down.error.has_value(); }));
      CHECK(relay.down.error->code == ErrorCode::kReset);
      CHECK(relay.far->queued() == 0);
    }
  }

  TEST_CASE("a stream that ends with some of it waiting resets, and its pipe is not used again") {
    Relay<TcpWorld> relay;
    const std::string bytes = noise(kMuch);
    relay.backend().pause();
    relay.upload(bytes, false);
    REQUIRE(relay.run_until([&] { return relay.far->queued() > 0; }));
    relay.near->pause();
    relay.far.reset();
    relay.backend().resume();
    REQUIRE(relay.run_until([&] { return relay.backend().error().has_value(); }));
    CHECK(relay.backend().error()->code == ErrorCode::kReset);
    CHECK(bytes.starts_with(relay.backend().received()));
  }

  TEST_CASE("who has nowhere to move it to is not asked twice") {
    Pair<TcpWorld> pair;
    struct Reader final : net::Stream::Events {
      void on_data(std::string_view bytes) override { count += bytes.size(); }
      void on_bulk(Bulk& /*bulk*/) override { ++offers; }
      void on_end() override { ended = true; }
      void on_writable() override {}
      void on_closed(const Error& /*error*/) override {}
      std::size_t count = 0;
      int offers = 0;
      bool ended = false;
    } reader;
    pair.peer().stream()->set_events(&reader);
    pair.client->send(noise(kMuch));
    pair.client->end();
    REQUIRE(pair.run_until([&] { return reader.ended; }));
    CHECK(reader.count == kMuch);
    CHECK(reader.offers == 1);
    pair.peer().stream()->set_events(nullptr);
  }

  TEST_CASE("the pool lends a bounded number, and keeps the empty ones") {
    net::PipePool pool;
    std::vector<net::PipePool::Lease> taken;
    while (auto pipe = pool.take()) taken.push_back(std::move(pipe));
    CHECK(taken.size() == net::PipePool::kMost);
    taken.pop_back();
    CHECK(pool.take() != nullptr);
    taken.clear();
    const NoDescriptors none;
    std::vector<net::PipePool::Lease> kept;
    while (auto pipe = pool.take()) kept.push_back(std::move(pipe));
    CHECK(kept.size() == net::PipePool::kMostIdle);
  }
}
