// Hedging and deadlines: asking twice, and knowing when to give up, in virtual time.
#include <doctest/doctest.h>

#include <array>

#include "tests/support/world.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::testing;

namespace {

std::string with(std::string_view settings) {
  return std::string(kTwoBackends) + std::string(settings) + "\n";
}

}  // namespace

TEST_CASE("hedging: the second endpoint is asked when the first is late, and the first answer wins") {
  World w(with("retry = { hedge = { after = \"100ms\" } }"));
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  auto client = w.client();
  client->send(kGet);
  w.settle();
  RawServer& first = a.size() == 1 ? a : b;
  RawServer& second = a.size() == 1 ? b : a;
  w.run_for(80ms);
  CHECK(second.size() == 0);
  w.run_for(50ms);
  REQUIRE(second.size() == 1);
  CHECK_FALSE(first[0].finished());
  CHECK(contains(second[0].received(), "X-Remora-Attempt: 2\r\n"));
  SUBCASE("the second") {
    second[0].send(kOk);
    w.settle();
    CHECK(status_of(client->received()) == 200);
    CHECK(first[0].finished());  // cancelled
    CHECK(w.worker().report().clusters[0].stats.hedge_wins == 1);
  }
  SUBCASE("the first") {
    first[0].send(kOk);
    w.settle();
    CHECK(status_of(client->received()) == 200);
    CHECK(second[0].finished());
    CHECK(w.worker().report().clusters[0].stats.hedge_wins == 0);
  }
  SUBCASE("one that fails leaves it to the other") {
    first[0].reset();
    w.settle();
    CHECK(client->received().empty());
    second[0].send(kOk);
    w.settle();
    CHECK(status_of(client->received()) == 200);
  }
  SUBCASE("a client that leaves cancels both") {
    client->reset();
    w.settle();
    CHECK(first[0].finished());
    CHECK(second[0].finished());
  }
  w.settle();
  CHECK(w.worker().exchanges() == 0);
  for (const auto& endpoint : w.worker().report().clusters[0].endpoints) {
    CHECK(endpoint.stats.requests_active == 0);
  }
}

TEST_CASE("a request that another hop has retried already is not hedged here") {
  World w(with("retry = { hedge = { after = \"100ms\" } }"));
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  auto client = w.client();
  client->send("GET / HTTP/1.1\r\nHost: h\r\nX-Remora-Attempt: 2\r\n\r\n");
  w.settle();
  w.run_for(1s);
  CHECK(a.size() + b.size() == 1);
  CHECK(w.worker().report().clusters[0].stats.hedges == 0);
}

TEST_CASE("a hedge is an attempt: there are no more of them than attempts") {
  World w(R"(
[[listener]]
name = "in"
address = "127.0.0.1:8080"
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]
retry = { attempts = 2, hedge = { after = "100ms" } }
)");
  std::array<RawServer*, 3> backends{&w.backend("10.0.0.1:80"), &w.backend("10.0.0.2:80"),
                                     &w.backend("10.0.0.3:80")};
  auto client = w.client();
  client->send(kGet);
  w.settle();
  for (auto* backend : backends) {
    if (backend->size() == 1) (*backend)[0].reset();
  }
  w.settle();
  w.run_for(1s);
  CHECK(backends[0]->size() + backends[1]->size() + backends[2]->size() == 2);
}

TEST_CASE("when the hedge has failed the log tells of the attempt that went on") {
  World w(with("retry = { hedge = { after = \"100ms\" } }"));
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  auto client = w.client();
  client->send(kGet);
  w.settle();
  const bool a_first = a.size() == 1;
  w.run_for(200ms);
  (a_first ? b : a)[0].reset();
  w.settle();
  w.run_for(20s);  // the route's timeout
  CHECK(status_of(client->received()) == 504);
  REQUIRE(w.log().size() == 1);
  CHECK(contains(w.log()[0], a_first ? R"("upstream":"10.0.0.1:80")" : R"("upstream":"10.0.0.2:80")"));
}

TEST_CASE("a hedge that was due for an attempt that has failed meanwhile does not come") {
  World w(R"(
[[listener]]
name = "in"
address = "127.0.0.1:8080"
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]
retry = { attempts = 2, hedge = { after = "100ms" } }
)");
  std::array<RawServer*, 3> backends{&w.backend("10.0.0.1:80"), &w.backend("10.0.0.2:80"),
                                     &w.backend("10.0.0.3:80")};
  auto client = w.client();
  client->send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789");
  w.settle();
  w.run_for(50ms);
  for (auto* backend : backends) {
    if (backend->size() == 1) (*backend)[0].reset();
  }
  w.settle();
  w.run_for(1s);
  std::size_t asked = 0;
  for (auto* backend : backends) {
    for (std::size_t i = 0; i < backend->size(); ++i) {
      ++asked;
      CHECK((*backend)[i].received().ends_with("\r\n\r\n0123456789"));
    }
  }
  CHECK(asked == 2);
}

TEST_CASE("the per-try timeout also holds for the connection that replaces a dead one") {
  World w(with("retry = { per_try_timeout = \"200ms\", on = [\"timeout\"], attempts = 1 }"));
  for (const char* address : {"10.0.0.1:80", "10.0.0.2:80"}) {
    w.backend(address).when_accepted = [](RawPeer& peer) {
      peer.when_received = [n = 0](RawPeer& p) mutable {
        if (++n == 1) return static_cast<void>(p.send(kOk));
        p.reset();  // the second request on a connection finds it dead
      };
    };
  }
  auto client = w.client();
  for (int i = 0; i < 2; ++i) {
    client->send(kGet);
    w.settle();
  }
  client->take();
  for (const char* address : {"10.0.0.1:80", "10.0.0.2:80"}) {
    w.backend(address).when_accepted = [](RawPeer&) {};  // and the new one hangs
  }
  client->send(kGet);
  w.settle();
  CHECK(client->received().empty());
  w.run_for(400ms);
  CHECK(status_of(client->received()) == 504);
}

TEST_CASE("what must not be repeated is not hedged") {
  World w(with("retry = { hedge = { after = \"50ms\" } }"));
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  auto client = w.client();
  client->send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
  w.settle();
  w.run_for(1s);
  CHECK(a.size() + b.size() == 1);
}

TEST_CASE("the caller's deadline is honoured, lowered and passed on") {
  World w(kTwoBackends);
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  auto client = w.client();
  SUBCASE("it ends the request") {
    client->send("POST / HTTP/1.1\r\nHost: h\r\nx-request-timeout-ms: 500\r\nContent-Length: 2\r\n\r\nh");
    w.settle();
    w.run_for(200ms);
    client->send("i");
    w.settle();
    RawServer& asked = a.size() == 1 ? a : b;
    REQUIRE(asked.size() == 1);
    CHECK(contains(asked[0].received(), "X-Request-Timeout-Ms: 500\r\n"));
    w.run_for(200ms);
    CHECK(client->received().empty());
    w.run_for(200ms);
    CHECK(status_of(client->received()) == 504);
    CHECK(contains(client->received(), "x-remora-flag: UT"));
    CHECK(asked[0].finished());
  }
  SUBCASE("one that is gone is not dialled") {
    client->send("GET / HTTP/1.1\r\nHost: h\r\nx-request-timeout-ms: 0\r\n\r\n");
    w.settle();
    CHECK(status_of(client->received()) == 504);
    CHECK(a.size() + b.size() == 0);
  }
  SUBCASE("what is no number is not a deadline") {
    client->send("GET / HTTP/1.1\r\nHost: h\r\nx-request-timeout-ms: soon\r\n\r\n");
    w.settle();
    CHECK(a.size() + b.size() == 1);
  }
  SUBCASE("the next hop hears what is left") {
    a.when_accepted =
        b.when_accepted = [&](RawPeer& peer) { peer.when_received = [](RawPeer& p) { p.reset(); }; };
    World late(with("retry = { on = [\"timeout\"], per_try_timeout = \"100ms\" }"));
    auto& c = late.backend("10.0.0.1:80");
    auto& d = late.backend("10.0.0.2:80");
    auto other = late.client();
    other->send("GET / HTTP/1.1\r\nHost: h\r\nx-request-timeout-ms: 1000\r\n\r\n");
    late.settle();
    late.run_for(300ms);
    REQUIRE(c.size() + d.size() == 2);
    const std::string both = c[0].received() + d[0].received();
    CHECK(contains(both, "X-Request-Timeout-Ms: 1000\r\n"));
    CHECK((contains(both, "X-Request-Timeout-Ms: 9") || contains(both, "X-Request-Timeout-Ms: 8")));
  }
}
