// One cluster as the workers of a process see it: every limit counts once, and a place that one worker gives
// back is found by another. Long because each thing shared is a short case of its own.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "tests/support/test_process.h"

using namespace remora;
using namespace remora::proxy;
using breaker::CircuitBreaker;
using remora::testing::endpoints;
using remora::testing::kA;
using remora::testing::kB;
using remora::testing::kWorkers;
using remora::testing::limited;
using remora::testing::Process;
using remora::testing::Request;
using remora::testing::RequestPtr;

namespace {

// Requests that come, wait, end and leave at random, while posts arrive late and turns end late.
class Crowd {
 public:
  Crowd(Process& process, std::uint64_t seed) : process_(process), random_(seed) {}

  void do_something() {
    for (std::uint32_t steps = 1 + random_.below(8); steps > 0; --steps) step();
  }
  void come_to_rest() {
    for (unsigned w = 0; w < kWorkers; ++w) process_.finish(w);
    process_.deliver_all();
  }
  // All end, one after the other; who waits gets a place in time.
  void end() {
    while (!requests_.empty()) {
      come_to_rest();
      auto request = take_any(true);
      REQUIRE(request);
      process_.give_back(std::move(request));
    }
  }
  // Those that have a place, or wait for one.
  std::size_t count(bool held) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(requests_, [&](const auto& r) { return r->held() == held; }));
  }

  int ended = 0;  // with an answer, before end()

 private:
  void step() {
    switch (random_.below(6)) {
      case 0:
      case 1:
        if (requests_.size() < 12) requests_.push_back(process_.begin(random_.below(kWorkers)));
        return;
      case 2:
        if (auto request = take_any(true)) {
          ++ended;
          process_.give_back(std::move(request));
        }
        return;
      case 3:
        if (auto request = take_any(random_.below(2) == 0)) process_.leave(std::move(request));
        return;
      case 4: return process_.finish(random_.below(kWorkers));
      default:
        if (process_.posts.empty()) return;
        process_.deliver(random_.below(static_cast<std::uint32_t>(process_.posts.size())));
    }
  }
  RequestPtr take_any(bool held) {
    std::vector<std::size_t> fit;
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      if (requests_[i]->held() == held) fit.push_back(i);
    }
    if (fit.empty()) return {};
    const std::size_t at = fit[random_.below(static_cast<std::uint32_t>(fit.size()))];
    RequestPtr taken = std::move(requests_[at]);
    requests_.erase(requests_.begin() + static_cast<std::ptrdiff_t>(at));
    return taken;
  }

  Process& process_;
  Random random_;
  std::vector<RequestPtr> requests_;
};

}  // namespace

TEST_CASE("a limit counts once for all workers, whatever it limits") {
  struct Row {
    const char* what;
    config::ClusterLimits limits;
    Denied denied;
  };
  // Two endpoints: four places in each row.
  const std::array<Row, 4> rows{{{"requests", {.requests = 4}, Denied::kRequests},
                                 {"connections", {.connections = 4}, Denied::kConnections},
                                 {"requests of each", {.endpoint_requests = 2}, Denied::kRequests},
                                 {"connections of each", {.endpoint_connections = 2}, Denied::kConnections}}};
  for (const Row& row : rows) {
    CAPTURE(std::string(row.what));
    Process p(limited(row.limits), {kA, kB});
    std::vector<RequestPtr> requests;
    for (unsigned i = 0; i < 4; ++i) requests.push_back(p.ask(i % kWorkers));
    for (const auto& request : requests) CHECK(request->held());
    for (unsigned w = 0; w < kWorkers; ++w) {
      const auto more = p.ask(w);
      CHECK_FALSE(more->held());
      CHECK(more->denied == row.denied);
      CHECK(more->waiting());
    }
    p.give_back(std::move(requests.back()));
    CHECK(p.ask(0)->held());
  }
}

TEST_CASE("the limit of each endpoint leaves the others to every worker") {
  Process p(limited({.endpoint_requests = 1}), {kA, kB});
  const auto first = p.ask(0);
  const auto second = p.ask(1);
  CHECK(first->lease.endpoint().address_text != second->lease.endpoint().address_text);
  CHECK(p.ask(2)->waiting());
}

TEST_CASE("so many may wait as configured, in all workers together") {
  Process p(limited({.requests = 1, .pending = 3}));
  auto running = p.ask(0);
  std::vector<RequestPtr> waiting;
  for (unsigned w = 0; w < 3; ++w) waiting.push_back(p.ask(w));
  for (const auto& request : waiting) CHECK(request->waiting());
  for (unsigned w = 0; w < kWorkers; ++w) CHECK(p.ask(w)->turned_away);
  p.leave(std::move(waiting[1]));
  CHECK(p.ask(3)->waiting());
}

TEST_CASE("nobody waits where none may") {
  Process p(limited({.requests = 1, .pending = 0}));
  const auto running = p.ask(0);
  CHECK(p.ask(1)->turned_away);
  CHECK(p.room_calls == 0);
}

TEST_CASE("retries and their budget are those of the process") {
  config::Cluster cluster = limited({.retries = 2});
  cluster.retry_budget = {.ratio = 0.5, .min_per_second = 0};
  Process p(cluster);
  const TimePoint now = p.env(0).env.now();
  std::vector<breaker::Permit> permits;
  for (unsigned w = 0; w < kWorkers; ++w) {
    auto permit = p.cluster(w)->state().retries.try_take();
    CHECK(permit.has_value() == (w < 2));
    if (permit) permits.push_back(std::move(*permit));
  }
  for (unsigned w = 0; w < kWorkers; ++w) p.cluster(w)->state().budget.on_request(now);
  int granted = 0;
  for (unsigned w = 0; w < kWorkers; ++w) granted += p.cluster(w)->state().budget.try_retry(now) ? 1 : 0;
  CHECK(granted == 2);
}

TEST_CASE("a place given back in one worker is taken by one that waits in another") {
  Process p(limited({.requests = 1}));
  auto running = p.ask(0);
  const auto waiter = p.ask(2);
  CHECK(p.posts.empty());
  p.give_back(std::move(running));
  CHECK(p.posts == std::vector<unsigned>{2});  // nobody else is told
  CHECK(waiter->waiting());
  p.deliver_all();
  CHECK(waiter->held());
  CHECK(waiter->places == 1);
  CHECK(p.room_calls == 1);
  CHECK(p.states.cluster().waiting == 0);
  CHECK(p.states.cluster().pending.in_use() == 0);
}

TEST_CASE("a place given back between the refusal and the wait is not missed") {
  Process p(limited({.requests = 1}));
  auto running = p.ask(0);
  Request late(1, 0, false);
  late.take(p.cluster(1).ask());
  REQUIRE(late.denied == Denied::kRequests);
  p.give_back(std::move(running));  // sees nobody
  CHECK(p.room_calls == 0);
  REQUIRE(p.cluster(1)->wait(late, late.denied));
  p.finish(1);
  CHECK(late.held());
}

TEST_CASE("a place given back while a worker's turn goes on is taken once, and the late post does no harm") {
  Process p(limited({.requests = 1}));
  auto running = p.ask(0);
  auto waiter = p.begin(1);
  p.give_back(std::move(running));
  CHECK(p.posts == std::vector<unsigned>{1});
  p.finish(1);
  CHECK(waiter->held());
  p.deliver_all();
  CHECK(waiter->places == 1);
  const auto other = p.ask(2);
  p.give_back(std::move(waiter));
  p.deliver_all();
  CHECK(other->held());
  CHECK(p.room_calls == 2);
}

TEST_CASE("who comes too late for a place waits on and is told of the next one") {
  Process p(limited({.requests = 1}));
  auto running = p.ask(0);
  const auto waiter = p.ask(1);
  p.give_back(std::move(running));
  auto quicker = p.ask(2);  // before the post has arrived
  REQUIRE(quicker->held());
  CHECK(p.deliver_all() == 1);
  CHECK(waiter->waiting());
  p.give_back(std::move(quicker));
  CHECK(p.deliver_all() == 1);
  CHECK(waiter->held());
}

TEST_CASE("workers with nothing to give do not wake one another") {
  for (const config::ClusterLimits limits :
       {config::ClusterLimits{.requests = 2}, config::ClusterLimits{.connections = 2}}) {
    CAPTURE(limits.connections);
    Process p(limited(limits));
    std::vector<RequestPtr> running;
    for (unsigned w = 0; w < 2; ++w) running.push_back(p.ask(w));
    std::vector<RequestPtr> waiting;
    for (unsigned w = 0; w < kWorkers; ++w) {
      for (int i = 0; i < 3; ++i) waiting.push_back(p.ask(w));
    }
    p.deliver_all();
    const int before = p.room_calls;
    // One call for each that begins to wait for a connection, since others may have idle ones.
    CHECK(before == (limits.connections != 0 ? 12 : 0));
    for (unsigned w = 0; w < kWorkers; ++w) p.posts.push_back(w);
    CHECK(p.deliver_all() == kWorkers);
    CHECK(p.room_calls == before);
    // Whoever waits hears of a place once, and one gets it.
    p.give_back(std::move(running[0]));
    CHECK(p.room_calls == before + 1);
    p.deliver_all();
    // Who came too late for it asks once more whether a connection has become idle meanwhile.
    CHECK(p.room_calls <= before + 1 + (limits.connections != 0 ? static_cast<int>(kWorkers) : 0));
    CHECK(std::ranges::count_if(waiting, [](const auto& r) { return r->held(); }) == 1);
  }
}

TEST_CASE("an idle connection is given up for a worker that waits for one") {
  Process p(limited({.connections = 1}), {kA, kB}, true);
  p.give_back(p.ask(0));
  REQUIRE(p.connections(true) == 1);
  const auto waiter = p.ask(3);
  CHECK(waiter->waiting());
  p.deliver_all();
  CHECK(waiter->held());
  CHECK(p.connections(false) == 1);
  CHECK(p.states.cluster().connections.in_use() == 1);
}

TEST_CASE("a connection that becomes idle while another worker waits is given up") {
  Process p(limited({.connections = 1}), {kA, kB}, true);
  auto running = p.ask(0);
  const auto waiter = p.ask(3);
  p.deliver_all();
  CHECK(waiter->waiting());
  p.give_back(std::move(running));
  p.deliver_all();
  CHECK(waiter->held());
  CHECK(p.connections(false) == 1);
}

TEST_CASE("an idle connection of an endpoint at its own limit is given up, too") {
  Process p(limited({.endpoint_connections = 1}), {kA}, true);
  p.give_back(p.ask(0));
  REQUIRE(p.connections(true) == 1);
  const auto waiter = p.ask(3);
  CHECK(waiter->waiting());
  p.deliver_all();
  CHECK(waiter->held());
}

TEST_CASE(
    "a connection that becomes idle at an endpoint's own limit is given up while another worker waits") {
  Process p(limited({.endpoint_connections = 1}), {kA}, true);
  auto running = p.ask(0);
  const auto waiter = p.ask(3);
  p.deliver_all();
  p.give_back(std::move(running));
  p.deliver_all();
  CHECK(waiter->held());
}

TEST_CASE(
    "a connection that becomes idle just before a worker comes too late for another place is given up") {
  Process p(limited({.connections = 2}), {kA}, true);
  auto leaving = p.ask(0);
  auto ending = p.ask(1);
  const auto waiter = p.ask(3);
  p.deliver_all();
  p.leave(std::move(leaving));  // its connection closes, worker 3 is told
  REQUIRE(p.posts == std::vector<unsigned>{3});
  const auto quicker = p.ask(2);
  REQUIRE(quicker->held());
  p.give_back(std::move(ending));  // and its connection is idle
  p.deliver_all();
  CHECK(waiter->held());
  CHECK(p.connections(true) == 0);
}

TEST_CASE("each that waits elsewhere gets a connection if there are idle ones at different endpoints") {
  Process p(limited({.connections = 2, .endpoint_connections = 1}), {kA, kB}, true);
  auto first = p.ask(0);
  auto second = p.ask(0);
  p.give_back(std::move(first));
  p.give_back(std::move(second));
  REQUIRE(p.connections(true) == 2);
  const auto waiter = p.ask(3);
  const auto waiter2 = p.ask(3);
  p.deliver_all();
  CHECK(waiter->held());
  CHECK(waiter2->held());
}

TEST_CASE("one that waits elsewhere costs one idle connection") {
  Process p(limited({.connections = 3}), {kA}, true);
  std::vector<RequestPtr> running;
  for (int i = 0; i < 3; ++i) running.push_back(p.ask(0));
  for (auto& request : running) p.give_back(std::move(request));
  REQUIRE(p.connections(true) == 3);
  const auto waiter = p.ask(3);
  p.deliver_all();
  CHECK(waiter->held());
  CHECK(p.connections(false) == 3);
}

TEST_CASE(
    "a connection that was kept because a place was free is given up when somebody else takes that place") {
  Process p(limited({.connections = 2}), {kA}, true);
  auto leaving = p.ask(0);
  auto ending = p.ask(1);
  const auto waiter = p.ask(3);
  p.deliver_all();
  p.leave(std::move(leaving));  // worker 3 is told of its place
  p.give_back(std::move(ending));
  CHECK(p.connections(true) == 1);  // one place is enough for one that waits
  const auto quicker = p.ask(2);
  REQUIRE(quicker->held());
  p.deliver_all();
  CHECK(waiter->held());
}

TEST_CASE("nobody who waits is forgotten, whatever the order of things") {
  struct Row {
    const char* what;
    config::ClusterLimits limits;
    bool dials;
    std::uint64_t places;
  };
  const std::array rows{
      Row{"requests", {.requests = 3}, false, 3},
      Row{"requests of each", {.endpoint_requests = 1}, false, 2},
      Row{"requests of all and of each", {.requests = 3, .endpoint_requests = 2}, false, 3},
      Row{"permits to connect", {.connections = 3}, false, 3},
      Row{"connections", {.connections = 3}, true, 3},
      Row{"connections of each", {.endpoint_connections = 1}, true, 2},
      Row{"connections of each and of all", {.connections = 3, .endpoint_connections = 2}, true, 3},
      Row{"requests and connections", {.connections = 2, .requests = 3}, true, 2},
      Row{"requests of each, connections", {.connections = 3, .endpoint_requests = 2}, true, 3},
  };
  for (const Row& row : rows) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      CAPTURE(std::string(row.what));
      CAPTURE(seed);
      Process p(limited(row.limits), {kA, kB}, row.dials);
      Crowd crowd(p, seed);
      for (int round = 0; round < 60; ++round) {
        CAPTURE(round);
        crowd.do_something();
        crowd.come_to_rest();
        const std::size_t held = crowd.count(true);
        REQUIRE(held <= row.places);
        if (row.limits.connections != 0) REQUIRE(p.connections(false) <= row.limits.connections);
        if (crowd.count(false) == 0) continue;
        // Neither is there a place, nor somebody who could make one.
        REQUIRE(held == row.places);
        if (row.limits.connections != 0) REQUIRE(p.connections(true) == 0);
      }
      crowd.end();
      CHECK(crowd.ended > 20);
      CHECK(p.states.cluster().requests.in_use() == 0);
      CHECK(p.states.cluster().pending.in_use() == 0);
      for (unsigned w = 0; w < kWorkers; ++w) CHECK(p.cluster(w).idle());
    }
  }
}
