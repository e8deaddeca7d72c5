#include "discovery/dns_refresh.h"

#include <doctest/doctest.h>

#include "tests/support/start.h"

using namespace remora;
using remora::discovery::DnsRefresh;

namespace {

std::vector<Address> addresses(std::initializer_list<const char*> texts) {
  std::vector<Address> all;
  for (const char* text : texts) all.push_back(*Address::parse(text));
  return all;
}

// Between nine tenths of it and all of it.
bool within_jitter(Duration wait, Duration nominal) { return wait <= nominal && wait * 10 >= nominal * 9; }

}  // namespace

TEST_CASE("a name is looked up at once and is not settled before") {
  const DnsRefresh name(kStart);
  CHECK(name.next_wakeup() == kStart);
  CHECK_FALSE(name.settled());
  CHECK(name.addresses().empty());
}

TEST_CASE("an answer counts as a change when the set of addresses differs, in whatever order") {
  Random random(1);
  DnsRefresh name(kStart);
  CHECK(name.on_answer(addresses({"10.0.0.2:80", "10.0.0.1:80"}), 30s, kStart, random));
  CHECK(name.settled());
  CHECK_FALSE(name.on_answer(addresses({"10.0.0.1:80", "10.0.0.2:80"}), 30s, kStart, random));
  CHECK_FALSE(name.on_answer(addresses({"10.0.0.1:80", "10.0.0.2:80", "10.0.0.1:80"}), 30s, kStart, random));
  CHECK(name.addresses().size() == 2);
  CHECK(name.on_answer(addresses({"10.0.0.1:80"}), 30s, kStart, random));
  CHECK(name.on_answer(addresses({"[::1]:80"}), 30s, kStart, random));
  CHECK(name.addresses() == addresses({"[::1]:80"}));
}

TEST_CASE("the next look-up follows the TTL within bounds, never later and at most a tenth earlier") {
  Random random(7);
  for (int i = 0; i < 100; ++i) {
    DnsRefresh name(kStart);
    const auto wait = [&](Duration ttl) {
      name.on_answer(addresses({"10.0.0.1:80"}), ttl, kStart, random);
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
    name.on_answer(addresses({"10.0.0.1:80"}), 30s, kStart, random);
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
  CHECK(name.settled());
  name.on_answer(addresses({"10.0.0.1:80"}), 30s, kStart, random);
  CHECK(name.failures() == 0);
  name.on_failure(kStart, random);
  CHECK(within_jitter(name.next_wakeup() - kStart, 1s));
}

TEST_CASE("the last good answer stays in force through failures") {
  Random random(5);
  DnsRefresh name(kStart);
  name.on_answer(addresses({"10.0.0.1:80"}), 30s, kStart, random);
  for (int i = 0; i < 1000; ++i) name.on_failure(kStart + i * 1s, random);
  CHECK(name.addresses() == addresses({"10.0.0.1:80"}));
  CHECK_FALSE(name.on_answer(addresses({"10.0.0.1:80"}), 30s, kStart, random));
}
