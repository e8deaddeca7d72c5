// The limiter by its promises, and the set of buckets beneath it in chosen interleavings of threads.
// Long because of what steps through them.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <cstdint>
#include <functional>
#include <memory>
#include <semaphore>
#include <thread>
#include <vector>

#include "base/random.h"
#include "breaker/rate_limiter.h"
#include "tests/support/alloc_count.h"
#include "tests/support/start.h"

using namespace remora;
using namespace remora::breaker;

namespace {

// The n-th key of the table's s-th set, if it has `sets`.
std::uint64_t key_in_set(std::uint64_t set, std::uint64_t sets, std::uint64_t n) {
  const std::uint64_t upper = ((set << 32U) + sets - 1) / sets;
  return (upper << 32U) | (n << 8U);
}

int take_all(KeyedRateLimiter& limiter, std::uint64_t key, TimePoint now) {
  int granted = 0;
  while (granted < 1'000'000 && !limiter.try_take(key, now)) ++granted;
  return granted;
}

// Threads of which only one runs at a time, and each stops before every access to shared memory: an
// interleaving is a list of who makes how many accesses.
class Stepper {
 public:
  struct Turn {
    std::size_t who;
    int steps;
  };

  Stepper() = default;
  ~Stepper() {
    body_ = {};
    go_.release();
  }
  Stepper(const Stepper&) = delete;
  Stepper& operator=(const Stepper&) = delete;

  // After the turns everybody runs to the end. Which of them had no need to?
  template <std::size_t N>
  static std::array<bool, N> run(std::array<Stepper, N>& team,
                                 const std::array<std::function<void()>, N>& bodies,
                                 const std::vector<Turn>& turns) {
    for (std::size_t i = 0; i < N; ++i) {
      team[i].body_ = bodies[i];
      team[i].done_ = false;
    }
    for (const Turn& turn : turns) team[turn.who].resume(turn.steps);
    std::array<bool, N> done{};
    for (std::size_t i = 0; i < N; ++i) done[i] = team[i].done_;
    for (Stepper& stepper : team) stepper.resume(kToTheEnd);
    return done;
  }

  // Called by the atomics below.
  static void step() {
    Stepper* self = current;
    if (self == nullptr || self->budget_ < 0) return;
    while (self->budget_ == 0) {
      self->stopped_.release();
      self->go_.acquire();
    }
    if (self->budget_ > 0) --self->budget_;
  }

 private:
  static constexpr int kToTheEnd = -1;

  void resume(int steps) {
    if (done_ || steps == 0) return;
    budget_ = steps;
    go_.release();
    stopped_.acquire();
  }

  void work() {
    current = this;
    for (go_.acquire(); body_; go_.acquire()) {
      body_();
      done_ = true;
      stopped_.release();
    }
  }

  static thread_local Stepper* current;
  std::function<void()> body_;  // none: the end
  int budget_ = 0;
  bool done_ = false;
  std::binary_semaphore go_{0};
  std::binary_semaphore stopped_{0};
  std::jthread thread_{[this] { work(); }};
};

thread_local Stepper* Stepper::current = nullptr;

template <typename T>
class StepAtomic {
 public:
  StepAtomic() = default;
  void store(T value) { value_ = value; }
  T load() const {
    Stepper::step();
    return value_;
  }
  bool compare_exchange_strong(T& expected, T desired) {
    Stepper::step();
    if (value_ != expected) {
      expected = value_;
      return false;
    }
    value_ = desired;
    return true;
  }

 private:
  T value_{};
};

constexpr std::uint64_t kNew = 100 << 8U;  // a key that is not in the set yet

// A set all of whose places hold keys: the n-th is n << 8 and has been full the n-th longest.
template <unsigned Ways>
BucketSet<StepAtomic, Ways> full_set(const Gcra& gcra) {
  BucketSet<StepAtomic, Ways> set;
  for (unsigned i = 1; i <= Ways; ++i) CHECK_FALSE(set.try_take(gcra, i << 8U, kStart + i * 1ms));
  return set;
}

constexpr RateSettings kOneAMinute{.requests = 1, .per = 1min, .burst = 1};

// Two threads meet a new key. One of them first uses the key that the other is about to replace, so that they
// choose different places. Returns who was done before the turns were over.
std::array<bool, 2> meet(std::array<Stepper, 2>& team, const Gcra& gcra,
                         const std::vector<Stepper::Turn>& turns) {
  const TimePoint now = kStart + 2min;
  auto set = full_set<2>(gcra);
  int granted = 0;
  const auto two = [&] {
    (void)set.try_take(gcra, 1 << 8U, now - 10s);
    if (!set.try_take(gcra, kNew, now)) ++granted;
  };
  const auto one = [&] {
    if (!set.try_take(gcra, kNew, now)) ++granted;
  };
  const auto done = Stepper::run<2>(team, {two, one}, turns);
  REQUIRE(granted == 1);
  REQUIRE(set.try_take(gcra, kNew, now).has_value());
  // Nor has it a second place: another key replaces whatever else there is, and it is still limited.
  REQUIRE_FALSE(set.try_take(gcra, kNew + 256, now));
  REQUIRE(set.try_take(gcra, kNew, now).has_value());
  return done;
}

}  // namespace

TEST_CASE("every key has a bucket of its own") {
  KeyedRateLimiter limiter({.requests = 10, .per = 1s, .burst = 3}, 1'024);
  for (std::uint64_t key :
       {std::uint64_t{0}, std::uint64_t{1} << 8U, ~std::uint64_t{0}, std::uint64_t{42} << 40U}) {
    CAPTURE(key);
    CHECK(take_all(limiter, key, kStart) == 3);
    CHECK(limiter.try_take(key, kStart) == 100ms);
    CHECK(limiter.try_take(key, kStart + 30ms) == 70ms);
    CHECK(take_all(limiter, key, kStart + 250ms) == 2);
  }
  CHECK(limiter.size() == 4);
}

TEST_CASE("eight keys that fall into one set do not disturb each other") {
  KeyedRateLimiter limiter({.requests = 1, .per = 1s, .burst = 2}, 16);
  for (int round = 0; round < 2; ++round) {
    for (std::uint64_t n = 0; n < 8; ++n) CHECK_FALSE(limiter.try_take(key_in_set(1, 2, n), kStart));
  }
  for (std::uint64_t n = 0; n < 8; ++n) CHECK(limiter.try_take(key_in_set(1, 2, n), kStart) == 1s);
  CHECK(limiter.size() == 8);
}

TEST_CASE("of several keys the one that has been full the longest is forgotten, which loses nothing") {
  KeyedRateLimiter limiter({.requests = 1, .per = 1s, .burst = 2}, 16);
  const auto key = [](std::uint64_t n) { return key_in_set(0, 2, n); };
  for (std::uint64_t n = 0; n < 8; ++n) CHECK(take_all(limiter, key(n), kStart) == 2);
  for (const std::uint64_t n : {0U, 1U, 2U, 4U, 5U, 6U, 7U})
    CHECK(take_all(limiter, key(n), kStart + 2500ms) == 2);
  CHECK(take_all(limiter, key(100), kStart + 2500ms) == 2);  // instead of 3, which is full
  for (const std::uint64_t n : {0U, 1U, 2U, 4U, 5U, 6U, 7U, 100U})
    CHECK(limiter.try_take(key(n), kStart + 2600ms) == 900ms);
  CHECK(limiter.size() == 8);
}

TEST_CASE("if no bucket is full, the one nearest to full is forgotten") {
  KeyedRateLimiter limiter({.requests = 1, .per = 1s, .burst = 10}, 16);
  const auto key = [](std::uint64_t n) { return key_in_set(0, 2, n); };
  for (std::uint64_t n = 0; n < 8; ++n) {
    for (std::uint64_t i = 0; i <= (n + 3) % 8; ++i) CHECK_FALSE(limiter.try_take(key(n), kStart));
  }
  CHECK_FALSE(limiter.try_take(key(100), kStart));  // instead of 5, of which one token was taken
  CHECK(limiter.size() == 8);
  for (const std::uint64_t n : {0U, 1U, 2U, 3U, 4U, 6U, 7U}) {
    CHECK(take_all(limiter, key(n), kStart) == 9 - static_cast<int>((n + 3) % 8));
  }
}

TEST_CASE("a flood of keys neither grows the table nor frees a client that is at its limit") {
  constexpr std::uint32_t kKeys = 64;
  for (const int burst : {3, 20}) {
    CAPTURE(burst);
    KeyedRateLimiter limiter({.requests = 10, .per = 1s, .burst = static_cast<std::uint32_t>(burst)}, kKeys);
    Random random(3);
    const remora::test::AllocCount count;
    int granted = 0;
    std::uint32_t most = 0;
    for (int i = 0; i < 200'000; ++i) {
      const TimePoint now = kStart + i * 50us;  // 10 s in all
      (void)limiter.try_take(random.next(), now);
      if (!limiter.try_take(~std::uint64_t{0}, now)) ++granted;
      if (i % 1'000 == 0) most = std::max(most, limiter.size());
    }
    const auto news = count.news();
    CHECK(news == 0);
    CHECK(most == kKeys);
    CHECK(granted == burst + 10 * 10 - 1);  // the last instant is just before the tenth second is over
  }
}

TEST_CASE("the table takes its memory at once, 16 bytes a key") {
  for (const std::uint32_t keys : {16U, 100U, 16'384U, 1'048'576U}) {
    CAPTURE(keys);
    const remora::test::AllocCount count;
    const KeyedRateLimiter limiter(kOneAMinute, keys);
    const auto bytes = count.bytes();
    CHECK(bytes <= keys * 16 + 128);
    CHECK(bytes >= (keys - 7) * 16);
    CHECK(limiter.size() == 0);
  }
}

TEST_CASE("with half as many keys as places less than one in a hundred is forgotten") {
  // The number of keys of a set is Poisson(4): 0.84 % of all keys are beyond the eighth. Over 20 tables the
  // standard deviation is 0.03 %.
  constexpr std::uint32_t kPlaces = 16'384;
  Random random(11);
  std::uint32_t kept = 0;
  for (int table = 0; table < 20; ++table) {
    KeyedRateLimiter limiter(kOneAMinute, kPlaces);
    for (std::uint32_t i = 0; i < kPlaces / 2; ++i) CHECK_FALSE(limiter.try_take(random.next(), kStart));
    kept += limiter.size();
  }
  CHECK(kept > kPlaces * 10 * 0.99);
  CHECK(kept < kPlaces * 10);
}

TEST_CASE("rates that are no whole number of ticks are kept in the table too") {
  KeyedRateLimiter limiter({.requests = 777'777.7, .per = 1s, .burst = 10}, 64);
  double granted = 0;
  for (int i = 0; i <= 100'000; ++i) {
    if (!limiter.try_take(5U << 8U, kStart + i * 1us)) ++granted;
  }
  CHECK(granted <= 10 + 77'777.77);
  CHECK(granted >= 77'777 * 0.999);
}

TEST_CASE("two threads that meet a new key give it one bucket, in all interleavings of few turns") {
  const Gcra gcra(kOneAMinute, BucketSet<StepAtomic, 2>::kGranule);
  std::array<Stepper, 2> team;
  int runs = 0;
  // One begins, the other goes on, the first goes on, and the other finishes. Each loop ends when its last
  // turn has more steps than the thread can use.
  for (const std::size_t first : {0U, 1U}) {
    for (int a = 0; !meet(team, gcra, {{first, a}})[first]; ++a) {
      for (int b = 1; b < 24; ++b) {
        for (int c = 1; !meet(team, gcra, {{first, a}, {1 - first, b}, {first, c}})[first]; ++c) ++runs;
      }
    }
  }
  CHECK(runs > 3'000);
}

TEST_CASE("two threads that meet a new key give it one bucket, in random interleavings of many turns") {
  const Gcra gcra(kOneAMinute, BucketSet<StepAtomic, 2>::kGranule);
  std::array<Stepper, 2> team;
  Random random(13);
  for (int run = 0; run < 3'000; ++run) {
    CAPTURE(run);
    std::vector<Stepper::Turn> turns;
    for (int i = 0; i < 14; ++i) turns.push_back({random.below(2), static_cast<int>(1 + random.below(6))});
    meet(team, gcra, turns);
  }
}

TEST_CASE("three threads, three new keys and random interleavings: each key gets its burst exactly") {
  constexpr int kBurst = 2;
  const Gcra gcra({.requests = 1, .per = 1min, .burst = kBurst}, BucketSet<StepAtomic, 8>::kGranule);
  const TimePoint now = kStart + 5min;
  std::array<Stepper, 3> team;
  Random random(5);
  for (int run = 0; run < 1'500; ++run) {
    CAPTURE(run);
    auto set = full_set<8>(gcra);
    std::array<int, 3> granted{};
    std::array<std::function<void()>, 3> bodies;
    for (std::uint64_t thread = 0; thread < 3; ++thread) {
      bodies[thread] = [&, thread] {
        (void)set.try_take(gcra, (thread + 1) << 8U, now);
        for (std::uint64_t i = 0; i < 6; ++i) {
          const std::uint64_t n = (i * (thread + 1) + thread) % 3;
          if (!set.try_take(gcra, kNew + (n << 8U), now)) ++granted[n];
        }
      };
    }
    std::vector<Stepper::Turn> turns;
    for (int i = 0; i < 25; ++i) {
      turns.push_back({random.below(3), static_cast<int>(1 + random.below(i % 5 == 0 ? 40 : 6))});
    }
    Stepper::run(team, bodies, turns);
    for (std::uint64_t n = 0; n < 3; ++n) {
      while (!set.try_take(gcra, kNew + (n << 8U), now)) ++granted[n];
      REQUIRE(granted[n] == kBurst);
    }
  }
}

TEST_CASE("threads that are put to sleep in the middle of anything hold up nobody") {
  const Gcra gcra(kOneAMinute, BucketSet<StepAtomic, 2>::kGranule);
  const TimePoint now = kStart + 2min;
  std::array<Stepper, 3> team;
  for (int first = 0; first < 24; ++first) {
    for (int second = 0; second < 24; ++second) {
      CAPTURE(first);
      CAPTURE(second);
      auto set = full_set<2>(gcra);
      const auto use = [&](std::uint64_t n) {
        return [&set, &gcra, now, n] { (void)set.try_take(gcra, kNew + (n << 8U), now); };
      };
      const auto done = Stepper::run<3>(team, {use(0), use(1), use(2)}, {{0, first}, {1, second}, {2, 200}});
      REQUIRE(done[2]);
      REQUIRE(set.size() >= 1);
    }
  }
}

TEST_CASE("new keys do not crowd each other out before they had their first token") {
  const Gcra gcra({.requests = 1, .per = 1min, .burst = 10}, BucketSet<StepAtomic, 2>::kGranule);
  std::array<Stepper, 2> team;
  for (int steps = 1; steps < 40; ++steps) {
    CAPTURE(steps);
    auto set = full_set<2>(gcra);
    const TimePoint now = kStart + 30s;
    const auto use = [&](std::uint64_t key) {
      return [&set, &gcra, now, key] { (void)set.try_take(gcra, key, now); };
    };
    std::vector<Stepper::Turn> turns;
    for (std::size_t i = 0; i < 100; ++i) turns.push_back({i % 2, steps});
    const auto done = Stepper::run<2>(team, {use(kNew), use(kNew + 256)}, turns);
    CHECK(done[0]);
    CHECK(done[1]);
  }
}

TEST_CASE("threads that meet on fresh keys of one set never exceed the limit") {
  constexpr int kThreads = 4;
  constexpr int kRounds = 1'000;
  constexpr int kBurst = 3;
  KeyedRateLimiter limiter({.requests = 1, .per = 1s, .burst = kBurst}, 16);
  std::array<std::atomic<int>, kRounds * 2> granted{};
  std::barrier gate(kThreads);
  const auto work = [&](std::uint64_t thread) {
    for (std::uint64_t round = 0; round < kRounds; ++round) {
      gate.arrive_and_wait();
      // Everything of the round before is full again, and two fresh keys replace two of it.
      const TimePoint now = kStart + round * 10s + thread * 1us;
      for (std::uint64_t i = 0; i < 2 * kBurst; ++i) {
        const std::uint64_t n = 2 * round + (i + thread) % 2;
        if (!limiter.try_take(key_in_set(0, 2, n), now)) granted[n].fetch_add(1);
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
  }
  int wrong = 0;
  for (const auto& count : granted) wrong += count.load() != kBurst ? 1 : 0;
  CHECK(wrong == 0);
  CHECK(limiter.size() >= 2);
  CHECK(limiter.size() <= 8);
}

TEST_CASE("threads that flood the table with keys leave it as large as it was, and working") {
  KeyedRateLimiter limiter(kOneAMinute, 16);
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&limiter, thread] {
        Random random(thread);
        for (int i = 0; i < 20'000; ++i) (void)limiter.try_take(random.next(), kStart + i * 1us);
      });
    }
  }
  CHECK(limiter.size() == 16);
  for (std::uint64_t n = 1; n <= 8; ++n) {
    const std::uint64_t key = key_in_set(0, 2, n);
    CHECK_FALSE(limiter.try_take(key, kStart + 1h));
    CHECK(limiter.try_take(key, kStart + 1h) == 1min);
  }
}
