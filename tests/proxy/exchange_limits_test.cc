// Limits, breakers and health as a client meets them: who waits, who is turned away and with what, in virtual
// time. Long because each bad day is a test, and they belong side by side.
#include <doctest/doctest.h>

#include <array>

#include "tests/support/world.h"
#include "tests/support/worlds.h"

using namespace remora;
using namespace remora::testing;

namespace {

std::string with(std::string_view settings, std::string_view endpoints = "[\"10.0.0.1:80\"]") {
  return R"(
[[listener]]
name = "in"
address = "127.0.0.1:8080"
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = )" +
         std::string(endpoints) + "\n" + std::string(settings) + "\n";
}

std::unique_ptr<RawPeer> ask(World& w, std::string_view request = kGet,
                             std::string_view from = "127.0.0.1:5555") {
  auto client = w.client(0, from);
  client->send(request);
  w.settle();
  return client;
}

void check(const RawPeer& client, unsigned status, std::string_view flag) {
  CHECK(status_of(client.received()) == status);
  CHECK(contains(client.received(), "x-remora-flag: " + std::string(flag) + "\r\n"));
}

proxy::ClusterStats stats(World& w) { return w.worker().report().clusters[0].stats; }

}  // namespace

TEST_CASE("a request over the limit waits for a place, and gets it when another ends") {
  World w(with("limits = { requests = 1, pending_timeout = \"1s\" }"));
  auto& backend = w.backend("10.0.0.1:80");
  auto first = ask(w);
  auto second = ask(w);
  CHECK(backend.size() == 1);
  CHECK(stats(w).pending == 1);
  CHECK(second->received().empty());
  backend[0].send(kOk);
  w.settle();
  CHECK(status_of(first->received()) == 200);
  CHECK(stats(w).pending == 0);
  REQUIRE(backend.size() == 1);  // the connection that has become free
  CHECK(count_of(backend[0].received(), "GET /") == 2);
  backend[0].send(kOk);
  w.settle();
  CHECK(status_of(second->received()) == 200);
  CHECK(w.worker().exchanges() == 0);
}

TEST_CASE("who waits too long, or finds the queue full, is turned away with the limit's flag") {
  World w(with("limits = { requests = 1, pending = 1, pending_timeout = \"500ms\" }"));
  auto& backend = w.backend("10.0.0.1:80");
  auto first = ask(w);
  auto second = ask(w);
  auto third = ask(w);
  check(*third, 503, "UO");
  CHECK(second->received().empty());
  w.run_for(600ms);
  check(*second, 503, "UO");
  CHECK(stats(w).pending_timeouts == 1);
  auto fourth = ask(w);  // the place in the queue is free again
  CHECK(fourth->received().empty());
  fourth->reset();
  w.settle();
  CHECK(stats(w).pending == 0);
  backend[0].send(kOk);
  w.settle();
  CHECK(status_of(first->received()) == 200);
  auto fifth = ask(w);
  CHECK(count_of(backend[0].received(), "GET /") == 2);
  CHECK(w.worker().report().clusters[0].endpoints[0].stats.failures == 0);
}

TEST_CASE("under overload the newest is served first") {
  World w(with("limits = { requests = 1, pending_timeout = \"10s\" }"));
  auto& backend = w.backend("10.0.0.1:80");
  auto running = ask(w);
  auto old = ask(w, "GET /old HTTP/1.1\r\nHost: h\r\n\r\n");
  w.run_for(300ms);  // the queue has not been empty for a while
  auto young = ask(w, "GET /young HTTP/1.1\r\nHost: h\r\n\r\n");
  backend[0].send(kOk);
  w.settle();
  CHECK(contains(backend[0].received(), "GET /young"));
  CHECK_FALSE(contains(backend[0].received(), "GET /old"));
  backend[0].send(kOk);
  w.settle();
  CHECK(contains(backend[0].received(), "GET /old"));
}

TEST_CASE("the limit of each endpoint sends a request to another one, and waits when all are full") {
  World w(with("limits = { per_endpoint = { requests = 1 } }", "[\"10.0.0.1:80\", \"10.0.0.2:80\"]"));
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  std::vector<std::unique_ptr<RawPeer>> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(ask(w));
  CHECK(a.size() == 1);
  CHECK(b.size() == 1);
  CHECK(stats(w).pending == 1);
  b[0].send(kOk);
  w.settle();
  CHECK(count_of(b[0].received(), "GET /") == 2);
}

TEST_CASE("the limit of connections holds, idle ones make room, and requests wait") {
  World w(with("limits = { connections = 1 }", "[\"10.0.0.1:80\", \"10.0.0.2:80\"]"));
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  auto first = ask(w);
  auto second = ask(w);
  CHECK(a.size() + b.size() == 1);
  CHECK(stats(w).pending == 1);
  RawServer& busy = a.size() == 1 ? a : b;
  busy[0].send(kOk);
  w.settle();
  CHECK(status_of(first->received()) == 200);
  // Round robin may have wanted the other endpoint: then the idle connection went, else it was used again.
  CHECK(stats(w).pending == 0);
  RawServer& next = count_of(busy[0].received(), "GET /") == 2 ? busy : (&busy == &a ? b : a);
  if (&next != &busy) CHECK(busy[0].finished());
  next.last().send(kOk);
  w.settle();
  CHECK(status_of(second->received()) == 200);
}

TEST_CASE(
    "the breaker opens after exactly so many failures, rejects without dialling, and closes after probes") {
  World w(
      with("breaker = { consecutive_failures = 3, open_for = \"1s\", jitter = 0.0, success_threshold = 2 }\n"
           "retry = { attempts = 1 }\nslow_start = \"0s\""));
  auto& backend = w.backend("10.0.0.1:80");
  World::answer(backend, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
  for (int i = 0; i < 3; ++i) CHECK(status_of(ask(w)->received()) == 500);
  for (int i = 0; i < 5; ++i) {
    auto rejected = ask(w);
    check(*rejected, 503, "CO");
    CHECK(contains(rejected->received(), "Retry-After: 1\r\n"));
  }
  const auto asked = [&] {
    std::size_t n = 0;
    for (std::size_t i = 0; i < backend.size(); ++i) n += count_of(backend[i].received(), "GET /");
    return n;
  };
  CHECK(asked() == 3);
  w.run_for(1100ms);
  for (std::size_t i = 0; i < backend.size(); ++i) backend[i].when_received = nullptr;
  backend.when_accepted = nullptr;
  // Half-open: one probe, everybody else is turned away while it lasts.
  auto probe = ask(w);
  CHECK(asked() == 4);
  check(*ask(w), 503, "CO");
  CHECK(asked() == 4);
  backend.last().send(kOk);
  w.settle();
  CHECK(status_of(probe->received()) == 200);
  auto second = ask(w);
  CHECK(asked() == 5);
  check(*ask(w), 503, "CO");
  backend.last().send(kOk);
  w.settle();
  // Closed.
  auto one = ask(w);
  auto two = ask(w);
  CHECK(asked() == 7);
}

TEST_CASE("a probe whose client leaves makes room for another one") {
  World w(with(
      "breaker = { consecutive_failures = 1, open_for = \"1s\", jitter = 0.0 }\nretry = { attempts = 1 }"));
  auto& backend = w.backend("10.0.0.1:80");
  auto failing = ask(w);
  backend[0].reset();
  w.settle();
  w.run_for(1100ms);
  auto probe = ask(w);
  REQUIRE(backend.size() == 2);
  check(*ask(w), 503, "CO");
  probe->reset();
  w.settle();
  auto next = ask(w);
  CHECK(backend.size() == 3);
}

TEST_CASE("a probe's long download does not keep the others out") {
  World w(
      with("breaker = { consecutive_failures = 1, open_for = \"1s\", jitter = 0.0, success_threshold = 1 }\n"
           "retry = { attempts = 1 }"));
  auto& backend = w.backend("10.0.0.1:80");
  auto failing = ask(w);
  backend[0].reset();
  w.settle();
  w.run_for(1100ms);
  auto probe = ask(w);
  backend.last().send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx");
  w.settle();
  auto next = ask(w);
  CHECK(backend.size() == 3);
}

TEST_CASE("a client that is slow with the body of a probe does not keep the others out for long") {
  World w(with(
      "breaker = { consecutive_failures = 1, open_for = \"1s\", jitter = 0.0 }\nretry = { attempts = 1 }"));
  auto& backend = w.backend("10.0.0.1:80");
  auto failing = ask(w);
  backend[0].reset();
  w.settle();
  w.run_for(1100ms);
  auto slow = ask(w, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nx");
  check(*ask(w), 503, "CO");
  w.run_for(1100ms);
  auto next = ask(w);
  CHECK(next->received().empty());
  CHECK(backend.size() == 3);
}

TEST_CASE("a probe that is never answered counts as a failure in the end, whatever the route's timeout") {
  World w(R"(
[[listener]]
address = "127.0.0.1:8080"
[[listener.route]]
cluster = "app"
timeout = "0s"
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80"]
breaker = { consecutive_failures = 1, open_for = "1s", max_open_for = "3s", jitter = 0.0 }
retry = { attempts = 1 }
)");
  auto& backend = w.backend("10.0.0.1:80");
  auto failing = ask(w);
  backend[0].reset();
  w.settle();
  w.run_for(1100ms);
  auto probe = ask(w);
  w.run_for(4100ms);
  CHECK(w.states().clusters()[0].endpoints[0].state->breaker.view(w.wheel().now()).openings == 2);
  w.run_for(2100ms);
  auto next = ask(w);
  CHECK(backend.size() == 3);
}

TEST_CASE("a recovering endpoint that has its probe does not keep out those of the next priority") {
  World w(with(
      "breaker = { consecutive_failures = 1, open_for = \"1s\", jitter = 0.0 }\nretry = { attempts = 1 }",
      "[\"10.0.0.1:80\", { address = \"10.0.0.2:80\", priority = 1 }]"));
  auto& first = w.backend("10.0.0.1:80");
  World::answer(w.backend("10.0.0.2:80"), std::string(kOk));
  auto failing = ask(w);
  first[0].reset();
  w.settle();
  CHECK(status_of(ask(w)->received()) == 200);
  w.run_for(1100ms);
  auto probe = ask(w);
  CHECK(first.size() == 2);
  for (int i = 0; i < 3; ++i) CHECK(status_of(ask(w)->received()) == 200);
}

TEST_CASE("a retry finds room under the connection limit where its first attempt has just left") {
  World w(with("limits = { connections = 1 }", "[\"10.0.0.1:80\", \"10.0.0.2:80\"]"));
  World::answer(w.backend("10.0.0.2:80"), std::string(kOk));
  SUBCASE("refused") {}
  SUBCASE("reset") {
    w.backend("10.0.0.1:80").when_accepted = [](RawPeer& peer) {
      peer.when_received = [](RawPeer& p) { p.reset(); };
    };
  }
  for (int i = 0; i < 3; ++i) CHECK(status_of(ask(w)->received()) == 200);
}

TEST_CASE("a connection whose dialling outlives its client and its endpoint gives its permit back in time") {
  World w(with("limits = { per_endpoint = { connections = 1 } }"));
  w.network().at(*Address::parse("10.0.0.1:80")).connect = AddressKnobs::Connect::kBlackHole;
  auto client = ask(w);
  client->reset();
  w.settle();
  w.apply_endpoints(
      {{{.name = "b", .address = *Address::parse("10.0.0.2:80"), .zone = {}, .state = nullptr}}});
  w.settle();
  World::answer(w.backend("10.0.0.2:80"), std::string(kOk));
  CHECK(status_of(ask(w)->received()) == 200);
}

TEST_CASE("the client that leaves, and rejections of our own, count against nobody") {
  World w(with("breaker = { consecutive_failures = 1 }\nlimits = { requests = 1, pending = 0 }"));
  auto& backend = w.backend("10.0.0.1:80");
  for (int i = 0; i < 5; ++i) {
    auto client = ask(w);
    check(*ask(w), 503, "UO");
    client->reset();
    w.settle();
  }
  auto last = ask(w);
  backend.last().send(kOk);
  w.settle();
  CHECK(status_of(last->received()) == 200);
}

TEST_CASE("an open breaker's endpoint is left out while others are there") {
  World w(with("breaker = { consecutive_failures = 2 }\nretry = { attempts = 1 }",
               "[\"10.0.0.1:80\", \"10.0.0.2:80\"]"));
  World::answer(w.backend("10.0.0.2:80"), std::string(kOk));  // the other one refuses
  int failed = 0;
  for (int i = 0; i < 20; ++i) failed += status_of(ask(w)->received()) != 200 ? 1 : 0;
  CHECK(failed == 2);
  CHECK(w.network().attempts(*Address::parse("10.0.0.1:80")) == 2);
}

TEST_CASE("fallback: a response, or another cluster") {
  const std::string breaker = "breaker = { consecutive_failures = 1, fallback = ";
  SUBCASE("a response") {
    World w(with(breaker + "{ status = 200, body = \"later\" } }\nretry = { attempts = 1 }"));
    CHECK(status_of(ask(w)->received()) == 502);
    auto client = ask(w);
    check(*client, 200, "CO");
    CHECK(client->received().ends_with("\r\n\r\nlater"));
    CHECK(stats(w).fallbacks == 1);
  }
  SUBCASE("another cluster") {
    World w(with(breaker + "{ cluster = \"spare\" } }\nretry = { attempts = 1 }\n"
                           "[[cluster]]\nname = \"spare\"\nendpoints = [\"10.0.0.9:80\"]"));
    World::answer(w.backend("10.0.0.9:80"), std::string(kOk));
    CHECK(status_of(ask(w)->received()) == 502);
    CHECK(status_of(ask(w)->received()) == 200);
    CHECK(contains(w.log().at(1), "\"cluster\":\"spare\""));
  }
}

TEST_CASE("a fallback's own fallback is not taken") {
  const std::string breaker = "breaker = { consecutive_failures = 1, fallback = ";
  World w(with(breaker +
               "{ cluster = \"spare\" } }\nretry = { attempts = 1 }\n"
               "[[cluster]]\nname = \"spare\"\nendpoints = [\"10.0.0.9:80\"]\nretry = { attempts = 1 }\n" +
               breaker + "{ status = 200, body = \"later\" } }"));
  CHECK(status_of(ask(w)->received()) == 502);  // opens the one breaker
  CHECK(status_of(ask(w)->received()) == 502);  // and the other
  check(*ask(w), 503, "CO");
}

TEST_CASE("a probe that a limit keeps back is the breaker's to give again") {
  World w(
      with("limits = { pending = 0, per_endpoint = { requests = 1 } }\nretry = { attempts = 1 }\n"
           "breaker = { consecutive_failures = 1, open_for = \"1s\" }"));
  auto& backend = w.backend("10.0.0.1:80");
  auto first = ask(w);
  auto& breaker = w.states().clusters()[0].endpoints[0].state->breaker;
  const auto entry = breaker.try_enter(w.wheel().now());
  breaker.report(*entry.ticket, {.result = breaker::Result::kReset}, std::nullopt, w.wheel().now(),
                 w.env().random);
  w.run_for(2s);
  check(*ask(w), 503, "UO");  // half-open, but there is no place
  backend[0].send(kOk);
  w.settle();
  CHECK(status_of(first->received()) == 200);
  auto probe = ask(w);
  backend[0].send(kOk);
  w.settle();
  CHECK(status_of(probe->received()) == 200);
}

TEST_CASE("a tunnel has told the breaker what it wants to know when it is open, however it ends") {
  World w(R"(
[[listener]]
name = "db"
address = "127.0.0.1:5432"
protocol = "tcp"
cluster = "pg"
[[cluster]]
name = "pg"
endpoints = ["10.0.0.1:80"]
breaker = { consecutive_failures = 1 }
)");
  auto& backend = w.backend("10.0.0.1:80");
  auto client = ask(w, "question");
  REQUIRE(backend.size() == 1);
  backend[0].reset();
  w.settle();
  const auto& breaker = w.states().clusters()[0].endpoints[0].state->breaker;
  CHECK(breaker.view(w.wheel().now()).transitions_to[2] == 0);
}

TEST_CASE("a good answer ends a row of failures for outlier detection") {
  World w(with("outlier = { consecutive_failures = 5 }\nretry = { attempts = 1 }"));
  auto& backend = w.backend("10.0.0.1:80");
  const auto& state = *w.states().clusters()[0].endpoints[0].state;
  auto client = w.client();
  for (const auto& [answer, in_a_row] : {std::pair("HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n", 1U),
                                         std::pair("HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n", 2U),
                                         std::pair("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", 0U)}) {
    client->send(kGet);
    w.settle();
    backend[0].send(answer);
    w.settle();
    CHECK(state.failed_in_a_row.load() == in_a_row);
  }
}

TEST_CASE("a cluster's breaker counts all endpoints together") {
  World w(with("breaker = { scope = \"cluster\", consecutive_failures = 4 }\nretry = { attempts = 1 }",
               "[\"10.0.0.1:80\", \"10.0.0.2:80\"]"));
  for (int i = 0; i < 4; ++i) CHECK(status_of(ask(w)->received()) == 502);
  check(*ask(w), 503, "CO");
}

TEST_CASE("an endpoint that fails its checks gets no requests, and its idle connections close") {
  World w(with("health_check = { path = \"/\" }", "[\"10.0.0.1:80\", \"10.0.0.2:80\"]"));
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  World::answer(a, std::string(kOk));
  World::answer(b, std::string(kOk));
  const auto set = [&](std::size_t i, health::Sources::Active active) {
    const auto& cluster = w.states().clusters()[0];
    cluster.endpoints[i].state->active = active;
    cluster.state->changed();
  };
  using Active = health::Sources::Active;
  check(*ask(w), 503, "UH");  // before the first result
  set(0, Active::kPassing);
  set(1, Active::kPassing);
  for (int i = 0; i < 4; ++i) CHECK(status_of(ask(w)->received()) == 200);
  REQUIRE(a.size() == 1);
  REQUIRE(b.size() == 1);
  set(0, Active::kFailing);
  for (int i = 0; i < 4; ++i) CHECK(status_of(ask(w)->received()) == 200);
  CHECK(a[0].finished());
  CHECK(count_of(b[0].received(), "GET /") == 6);
  // Panic: all failing is more likely wrong than true.
  set(1, Active::kFailing);
  CHECK(status_of(ask(w)->received()) == 200);
}

TEST_CASE("a drained endpoint finishes what it has and gets nothing new") {
  World w(with("", "[\"10.0.0.1:80\", \"10.0.0.2:80\"]"));
  auto& a = w.backend("10.0.0.1:80");
  auto& b = w.backend("10.0.0.2:80");
  auto one = ask(w);
  auto two = ask(w);
  REQUIRE(a.size() == 1);
  w.states().clusters()[0].endpoints[0].state->draining = true;
  w.states().clusters()[0].state->changed();
  std::vector<std::unique_ptr<RawPeer>> more;
  for (int i = 0; i < 4; ++i) more.push_back(ask(w));
  CHECK(a.size() == 1);
  CHECK(b.size() == 5);
  a[0].send(kOk);
  w.settle();
  CHECK((status_of(one->received()) == 200 || status_of(two->received()) == 200));
}

TEST_CASE("a recovered endpoint gets a small share at first, and all of it later") {
  World w(with("slow_start = \"10s\"", "[\"10.0.0.1:80\", \"10.0.0.2:80\"]"));
  World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
  World::answer(w.backend("10.0.0.2:80"), std::string(kOk));
  w.states().clusters()[0].endpoints[0].state->recovered(w.wheel().now() + 1us);
  w.states().clusters()[0].state->changed();
  w.run_for(10ms);
  const auto share = [&](int n) {
    const auto before = w.worker().report().clusters[0].endpoints[0].stats.requests;
    for (int i = 0; i < n; ++i) CHECK(status_of(ask(w)->received()) == 200);
    return w.worker().report().clusters[0].endpoints[0].stats.requests - before;
  };
  CHECK(share(200) < 40);
  w.run_for(11s);
  CHECK(share(200) == 100);
}

TEST_CASE("rate limits: 429 with Retry-After, for all, or for each key") {
  const auto listener = [](std::string_view limit) {
    return R"(
[[listener]]
address = "127.0.0.1:8080"
rate_limit = )" +
           std::string(limit) + R"(
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80"]
)";
  };
  SUBCASE("for all") {
    World w(listener("{ requests = 2, per = \"10s\", burst = 2 }"));
    World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
    CHECK(status_of(ask(w)->received()) == 200);
    CHECK(status_of(ask(w)->received()) == 200);
    auto limited = ask(w);
    check(*limited, 429, "RL");
    CHECK(contains(limited->received(), "Retry-After: 5\r\n"));
    w.run_for(5100ms);
    CHECK(status_of(ask(w)->received()) == 200);
    check(*ask(w), 429, "RL");
  }
  SUBCASE("for each address") {
    World w(listener("{ requests = 1, per = \"10s\", burst = 1, key = \"source\" }"));
    World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
    CHECK(status_of(ask(w, kGet, "10.9.9.1:1000")->received()) == 200);
    check(*ask(w, kGet, "10.9.9.1:1001"), 429, "RL");
    CHECK(status_of(ask(w, kGet, "10.9.9.2:1000")->received()) == 200);
  }
  SUBCASE("for each value of a field") {
    World w(listener("{ requests = 1, per = \"10s\", burst = 1, key = { header = \"X-Key\" } }"));
    World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
    const auto keyed = [](std::string_view key) {
      return "GET / HTTP/1.1\r\nHost: h\r\nx-key: " + std::string(key) + "\r\n\r\n";
    };
    CHECK(status_of(ask(w, keyed("a"))->received()) == 200);
    check(*ask(w, keyed("a")), 429, "RL");
    CHECK(status_of(ask(w, keyed("b"))->received()) == 200);
    CHECK(status_of(ask(w)->received()) == 200);  // without one: a bucket of their own
    check(*ask(w), 429, "RL");
  }
}

TEST_CASE("an overloaded worker sheds in stages") {
  using Level = breaker::Overload::Level;
  World w(with(""));
  World::answer(w.backend("10.0.0.1:80"), std::string(kOk));
  auto kept = ask(w);
  CHECK_FALSE(contains(kept->received(), "Connection: close"));
  w.worker().set_load(Level::kTrim);
  auto trimmed = ask(w);
  CHECK(status_of(trimmed->received()) == 200);
  CHECK(contains(trimmed->received(), "Connection: close"));
  w.worker().set_load(Level::kShed);
  check(*ask(w), 503, "SH");
  w.worker().set_load(Level::kRefuse);
  auto waiting = ask(w);
  CHECK(waiting->received().empty());
  w.worker().set_load(Level::kNormal);
  w.settle();
  CHECK(status_of(waiting->received()) == 200);
  CHECK_FALSE(contains(waiting->received(), "Connection: close"));
}

TEST_CASE("an endpoint's limit of retries passes it over, and without room anywhere none is made") {
  constexpr std::string_view kBusy = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
  const auto retries_turned_away = [](World& w) {
    return stats(w).limit_hits[static_cast<std::size_t>(proxy::ClusterLimit::kRetries)];
  };
  World w(with("limits = { per_endpoint = { retries = 1 } }\nretry = { on = [\"5xx\"] }"));
  auto& backend = w.backend("10.0.0.1:80");
  auto first = ask(w);
  backend[0].send(kBusy);
  w.settle();
  w.run_for(1s);
  CHECK(count_of(backend[0].received(), "GET /") == 2);  // the retry is under way
  auto second = ask(w);
  REQUIRE(backend.size() == 2);
  backend[1].send(kBusy);
  w.settle();
  CHECK(status_of(second->received()) == 503);  // the endpoint's own answer, not dropped for nothing
  CHECK_FALSE(contains(second->received(), "x-remora-flag"));
  CHECK(retries_turned_away(w) == 1);
  backend[0].send(kOk);
  w.settle();
  CHECK(status_of(first->received()) == 200);
  auto third = ask(w);
  backend[0].send(kBusy);
  w.settle();
  w.run_for(1s);
  backend[0].send(kOk);
  backend[1].send(kOk);
  w.settle();
  CHECK(status_of(third->received()) == 200);  // its place has been given back
  CHECK(retries_turned_away(w) == 1);
}

TEST_CASE("a retry goes past an endpoint that has its number of retries to one that has not") {
  World w(
      with("limits = { per_endpoint = { retries = 1 } }\nretry = { attempts = 2 }\nbalance = \"round_robin\"",
           "[\"10.0.0.1:80\", \"10.0.0.2:80\", \"10.0.0.3:80\"]"));
  auto& b = w.backend("10.0.0.2:80");  // nobody listens at 10.0.0.1
  auto& c = w.backend("10.0.0.3:80");
  std::vector<std::unique_ptr<RawPeer>> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(ask(w));
  std::size_t retried_at_b = 0;
  std::size_t retried_at_c = 0;
  for (std::size_t i = 0; i < b.size(); ++i) retried_at_b += count_of(b[i].received(), "X-Remora-Attempt");
  for (std::size_t i = 0; i < c.size(); ++i) retried_at_c += count_of(c[i].received(), "X-Remora-Attempt");
  CHECK(retried_at_b == 1);
  CHECK(retried_at_c == 1);
}
