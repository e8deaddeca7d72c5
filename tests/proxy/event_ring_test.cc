#include "proxy/event_ring.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace remora::proxy {
namespace {

Event to(std::string state) {
  Event event;
  event.to = std::move(state);
  return event;
}

std::vector<std::string> seen(const EventRing& ring, std::uint64_t since) {
  std::vector<std::string> states;
  for (const Event* event : ring.since(since)) states.push_back(event->to);
  return states;
}

TEST_CASE("events are numbered from 1 and asked for by what came before") {
  EventRing ring;
  CHECK(ring.last() == 0);
  CHECK(seen(ring, 0).empty());
  for (const char* state : {"a", "b", "c"}) ring.add(to(state));
  CHECK(ring.last() == 3);
  CHECK(seen(ring, 0) == std::vector<std::string>{"a", "b", "c"});
  CHECK(seen(ring, 2) == std::vector<std::string>{"c"});
  CHECK(seen(ring, 3).empty());
}

TEST_CASE("who has seen more events than there were has seen another process, and gets all") {
  EventRing ring;
  ring.add(to("a"));
  CHECK(seen(ring, 2) == std::vector<std::string>{"a"});
  CHECK(seen(ring, UINT64_MAX) == std::vector<std::string>{"a"});
}

TEST_CASE("only the latest events are kept, and no text is longer than its bound") {
  EventRing ring;
  for (std::size_t i = 0; i < EventRing::kMost + 10; ++i) {
    Event event = to(std::to_string(i));
    event.reason = std::string(10'000, 'x');
    event.cluster = std::string(10'000, 'y');
    ring.add(event);
  }
  const auto events = ring.since(0);
  REQUIRE(events.size() == EventRing::kMost);
  CHECK(events.front()->to == "10");
  CHECK(events.front()->id == 11);
  CHECK(events.back()->id == ring.last());
  CHECK(events.front()->reason.size() == EventRing::kLongestText);
  CHECK(events.front()->cluster.size() == EventRing::kLongestText);
}

}  // namespace
}  // namespace remora::proxy
