// The timer wheel against a model: a plain list of what is armed. Both are driven with the same random steps.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/random.h"
#include "base/timer_wheel.h"

using namespace remora;

namespace {

constexpr Duration kTick = TimerWheel::kTick;
constexpr TimePoint kStart{Duration(1'234'567'891)};

struct Model {
  struct Entry final : public Timer {
    explicit Entry(Model& m) : model(m) {}
    void on_timer() override { model.on_fired(*this); }
    Model& model;
    TimePoint expected{};
    TimePoint latest{};  // the instant, ticks aside, at which it must have fired
    bool expected_armed = false;
  };

  explicit Model(std::uint64_t seed, TimePoint start) : random(seed), wheel(start) {
    for (int i = 0; i < 60; ++i) entries.push_back(std::make_unique<Entry>(*this));
  }

  Duration some_delay() {
    const std::uint64_t magnitude = std::uint64_t{1} << random.below(46);  // up to two years, in microseconds
    return Duration(static_cast<Duration::rep>(random.next() % magnitude)) -
           (random.below(20) == 0 ? 1s : 0us);
  }

  Entry& some_entry() { return *entries[random.below(static_cast<std::uint32_t>(entries.size()))]; }

  void arm(Entry& entry) {
    entry.expected = wheel.now() + some_delay();
    entry.latest = std::max(entry.expected, wheel.now());
    entry.expected_armed = true;
    wheel.arm(entry, entry.expected);
  }

  void cancel(Entry& entry) {
    entry.cancel();
    entry.expected_armed = false;
  }

  void replace(std::unique_ptr<Entry>& entry) { entry = std::make_unique<Entry>(*this); }

  void on_fired(Entry& entry) {
    if (!entry.expected_armed || entry.expected > wheel.now() || entry.armed()) ++mistakes;
    entry.expected_armed = false;
    ++fired;
    switch (random.below(6)) {
      case 0: arm(entry); break;
      case 1: arm(some_entry()); break;
      case 2: cancel(some_entry()); break;
      case 3:
        replace(entries[random.below(static_cast<std::uint32_t>(entries.size()))]);
        break;  // perhaps itself
      default: break;
    }
  }

  void check() {
    std::size_t armed = 0;
    TimePoint earliest = TimePoint::max();
    for (const auto& entry : entries) {
      if (entry->armed() != entry->expected_armed) ++mistakes;
      if (!entry->expected_armed) continue;
      ++armed;
      earliest = std::min(earliest, entry->latest);
      if (entry->latest + kTick < advanced_to) ++mistakes;
    }
    if (armed != wheel.size()) ++mistakes;
    const auto next = wheel.next_expiry();
    if (next.has_value() != (armed > 0)) ++mistakes;
    if (next && *next > std::max(earliest, advanced_to) + kTick) ++mistakes;
  }

  void advance(TimePoint to) {
    wheel.advance(to);
    advanced_to = wheel.now();
  }

  void step() {
    switch (random.below(8)) {
      case 0:
      case 1:
      case 2: arm(some_entry()); break;
      case 3: cancel(some_entry()); break;
      case 4: replace(entries[random.below(static_cast<std::uint32_t>(entries.size()))]); break;
      case 5: wheel.set_now(wheel.now() + Duration(random.below(30'000))); break;
      case 6: advance(wheel.now() + std::max(some_delay(), 0us)); break;
      default:
        if (const auto next = wheel.next_expiry()) advance(std::max(*next, wheel.now()));
    }
    check();
  }

  Random random;
  TimerWheel wheel;
  std::vector<std::unique_ptr<Entry>> entries;
  TimePoint advanced_to = TimePoint::min() + 1h;
  int mistakes = 0;
  int fired = 0;
};

}  // namespace

TEST_SUITE("timer wheel") {
  TEST_CASE("random arming, cancelling, destroying and advancing agrees with a plain list") {
    int fired = 0;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
      CAPTURE(seed);
      Model model(seed, kStart + Duration(static_cast<Duration::rep>(seed * 777)));
      for (int i = 0; i < 2000 && model.mistakes == 0; ++i) model.step();
      REQUIRE(model.mistakes == 0);
      fired += model.fired;
    }
    CHECK(fired > 10'000);
  }
}
