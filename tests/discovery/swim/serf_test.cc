#include "discovery/swim/serf.h"

#include <doctest/doctest.h>

#include <string>

#include "discovery/swim/msgpack.h"

using namespace remora::discovery::swim;

namespace {

std::string message(char type, std::uint64_t clock) {
  std::string bytes(1, type);
  MsgpackWriter out(bytes);
  out.map(2);
  out.raw("Node");
  out.raw("a");
  out.raw("LTime");
  out.integer(clock);
  return bytes;
}

}  // namespace

TEST_CASE("tags are read as they were written, and as Serf writes them") {
  const Tags tags{{"remora", "1"}, {"zone", "eu-1a"}, {"", std::string(300, 'x')}};
  CHECK(decode_tags(encode_tags(tags)) == tags);
  CHECK(decode_tags(encode_tags({})).empty());
  // What `serf agent -tag role=web` says.
  CHECK(decode_tags("\xff\x81\xa4role\xa3web") == Tags{{"role", "web"}});
  CHECK(decode_tags("").empty());
  CHECK(decode_tags("web") == Tags{{"role", "web"}});
}

TEST_CASE("broken tags are none, wherever they break") {
  const std::string whole = encode_tags({{"role", "web"}, {"port", "80"}});
  for (std::size_t size = 1; size < whole.size(); ++size) {
    CAPTURE(size);
    CHECK(decode_tags(whole.substr(0, size)).empty());
  }
  CHECK(decode_tags("\xff\xdf\xff\xff\xff\xff").empty());  // a map of four billion
}

TEST_CASE("only messages about members have the clock of members") {
  CHECK(serf_clock(message(0, 7)) == 7U);
  CHECK(serf_clock(message(1, 8)) == 8U);
  CHECK(serf_clock(message(2, 9)) == 9U);
  CHECK(serf_clock(message(3, 9)) == std::nullopt);
  CHECK(serf_clock(serf_leave_intent("a", 300)) == 300U);
  CHECK(serf_clock(serf_join_intent("a", 301)) == 301U);
  CHECK(serf_clock("") == std::nullopt);
  const std::string whole = message(0, 70000);
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK(serf_clock(whole.substr(0, size)) == std::nullopt);
}

TEST_CASE("what travels is passed on once, answers never") {
  SerfRelay relay;
  for (const char type : {'\0', '\1', '\3', '\4'}) {
    CHECK(relay.fresh(message(type, 1)));
    CHECK_FALSE(relay.fresh(message(type, 1)));
    CHECK(relay.fresh(message(type, 2)));
  }
  for (const char type : {'\2', '\5', '\6', '\7', '\10', '\11', 'x'})
    CHECK_FALSE(relay.fresh(message(type, 1)));
  CHECK_FALSE(relay.fresh(""));
  // It remembers so many, and no more.
  for (std::uint64_t i = 0; i < SerfRelay::kRemembered; ++i) CHECK(relay.fresh(message(3, 1000 + i)));
  CHECK_FALSE(relay.fresh(message(3, 1000)));
  CHECK(relay.fresh(message(3, 1)));
}
