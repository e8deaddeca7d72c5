#include "discovery/dns_refresh.h"

#include <doctest/doctest.h>

#include "discovery/source_record.h"
#include "tests/support/start.h"

using namespace remora;
using remora::discovery::DnsRefresh;
using remora::discovery::SourceRecord;

namespace {

// Between nine tenths of it and all of it.
bool within_jitter(Duration wait, Duration nominal) { return wait <= nominal && wait * 10 >= nominal * 9; }

}  // namespace

TEST_CASE("a name is looked up at once") { CHECK(DnsRefresh(kStart).next_wakeup() == kStart); }

TEST_CASE("the next look-up follows the TTL within bounds, never later and at most a tenth earlier") {
  Random random(7);
  for (int i = 0; i < 100; ++i) {
    DnsRefresh name(kStart);
    const auto wait = [&](Duration ttl) {
      name.on_answer(ttl, kStart, random);
      return name.next_wakeup() - kStart;
    };
    CHECK(within_jitter(wait(30s), 30s));
    CHECK(within_jitter(wait(0s), DnsRefresh::kShortest));
    CHECK(within_jitter(wait(-5s), DnsRefresh::kShortest));
    CHECK(within_jitter(wait(24h), DnsRefresh::kLongest));
  }
}

TEST_CASE("the jitter spreads sidecars that started together") {
  Random random(3);
  TimePoint first{};
  bool differs = false;
  for (int i = 0; i < 10; ++i) {
    DnsRefresh name(kStart);
    name.on_answer(30s, kStart, random);
    if (i == 0) first = name.next_wakeup();
    differs = differs || name.next_wakeup() != first;
  }
  CHECK(differs);
}

TEST_CASE("failures back off, doubling to their limit, and an answer ends them") {
  Random random(5);
  DnsRefresh name(kStart);
  for (const Duration nominal : {1s, 2s, 4s, 8s, 16s, 30s, 30s, 30s}) {
    name.on_failure(kStart, random);
    CAPTURE(nominal.count());
    CHECK(within_jitter(name.next_wakeup() - kStart, nominal));
  }
  CHECK(name.failures() == 8);
  for (int i = 0; i < 60; ++i) {  // a resolver that is down for half an hour
    name.on_failure(kStart, random);
    CHECK(within_jitter(name.next_wakeup() - kStart, 30s));
  }
  name.on_answer(30s, kStart, random);
  CHECK(name.failures() == 0);
  name.on_failure(kStart, random);
  CHECK(within_jitter(name.next_wakeup() - kStart, 1s));
}

TEST_CASE("a source waits, fails until its first good answer, and is stale when one fails after that") {
  SourceRecord source;
  const auto state = [&source] { return std::string(to_string(source.state())); };
  CHECK(state() == "waiting");
  CHECK_FALSE(source.settled());
  source.on_failure("no such name", kStart + 1s);
  CHECK(state() == "failing");
  CHECK(source.settled());
  CHECK_FALSE(source.answered_at());
  source.on_answer(kStart + 2s);
  CHECK(state() == "good");
  CHECK(source.last_error() == "no such name");  // for whoever asks what was
  source.on_failure("no answer", kStart + 9s);
  source.on_failure("no answer either", kStart + 11s);
  CHECK(state() == "stale");
  CHECK(source.failing());
  CHECK(source.answered_at() == kStart + 2s);
  CHECK(source.failed_at() == kStart + 11s);
  CHECK(source.last_error() == "no answer either");
  CHECK(source.failures() == 3);
  source.on_answer(kStart + 12s);
  CHECK(state() == "good");
}
