#include "discovery/swim/msgpack.h"

#include <doctest/doctest.h>

#include <array>
#include <utility>

#include "tests/discovery/swim/vectors.h"

namespace remora::discovery::swim {
namespace {

using test::from_hex;
using test::to_hex;

TEST_CASE("swim: an integer is read in every width and sign that a peer writes, and a negative one refused") {
  const std::array<std::pair<const char*, std::uint64_t>, 9> cases{{{"04", 4},
                                                                    {"ccc8", 200},
                                                                    {"cd0252", 594},
                                                                    {"ce00011170", 70000},
                                                                    {"cf00000000b2d05e00", 3000000000},
                                                                    {"d100c8", 200},
                                                                    {"d200011170", 70000},
                                                                    {"d300000000b2d05e00", 3000000000},
                                                                    {"c0", 0}}};
  for (const auto& [hex, expected] : cases) {
    CAPTURE(hex);
    const std::string bytes = from_hex(hex);
    std::uint64_t value = 1;
    MsgpackReader in(bytes);
    CHECK(in.integer(value));
    CHECK(value == expected);
    MsgpackReader cut(std::string_view(bytes).substr(0, bytes.size() - 1));
    CHECK_FALSE(cut.integer(value));
    CHECK(cut.truncated());
  }
  for (const char* hex : {"fb", "d0ff", "d1ff00", "d2ffffffff", "d3ffffffffffffffff", "a0", "c3"}) {
    CAPTURE(hex);
    const std::string bytes = from_hex(hex);
    std::uint64_t value = 0;
    MsgpackReader in(bytes);
    CHECK_FALSE(in.integer(value));
    CHECK_FALSE(in.truncated());
  }
}

TEST_CASE("swim: strings and bytes are written as raw, never as str8 or bin, and read as all of them") {
  std::string out;
  MsgpackWriter to(out);
  to.raw(std::string(31, 'a'));
  CHECK(to_hex(out.substr(0, 1)) == "bf");
  out.clear();
  to.raw(std::string(40, 'a'));
  CHECK(to_hex(out.substr(0, 3)) == "da0028");
  out.clear();
  to.raw(std::string(70000, 'a'));
  CHECK(to_hex(out.substr(0, 5)) == "db00011170");
  for (const char* hex :
       {"a26162", "d9026162", "da00026162", "db000000026162", "c4026162", "c500026162", "c6000000026162"}) {
    CAPTURE(hex);
    const std::string bytes = from_hex(hex);
    std::string_view value;
    MsgpackReader in(bytes);
    CHECK(in.raw(value));
    CHECK(value == "ab");
  }
}

TEST_CASE("swim: integers are written in the smallest unsigned form") {
  const std::array<std::pair<std::uint64_t, const char*>, 8> cases{{{0, "00"},
                                                                    {127, "7f"},
                                                                    {128, "cc80"},
                                                                    {255, "ccff"},
                                                                    {256, "cd0100"},
                                                                    {65536, "ce00010000"},
                                                                    {0xffffffff, "ceffffffff"},
                                                                    {0x100000000, "cf0000000100000000"}}};
  for (const auto& [value, hex] : cases) {
    std::string out;
    MsgpackWriter(out).integer(value);
    CHECK(to_hex(out) == hex);
  }
}

TEST_CASE("swim: every kind of value can be skipped, and one that is claimed but not there cannot") {
  for (const char* hex : {"05",
                          "e0",
                          "c0",
                          "c2",
                          "c3",
                          "ca00000000",
                          "cb0000000000000000",
                          "cc01",
                          "d3ffffffffffffffff",
                          "a161",
                          "c40161",
                          "d90161",
                          "93010203",
                          "dc0002c0c0",
                          "dd00000001c0",
                          "81a16101",
                          "de0001a16101",
                          "df00000001a16101",
                          "d40100",
                          "d80100000000000000000000000000000000",
                          "c7010500",
                          "c800010500",
                          "c9000000010500"}) {
    CAPTURE(hex);
    const std::string bytes = from_hex(hex);
    MsgpackReader in(bytes);
    CHECK(in.skip());
    CHECK(in.position() == bytes.size());
    MsgpackReader cut(std::string_view(bytes).substr(0, bytes.size() - 1));
    CHECK_FALSE(cut.skip());
  }
  for (const char* hex : {"c1", "ddffffffff", "dfffffffff", "dbffffffff", "c6ffffffff"}) {
    const std::string bytes = from_hex(hex);
    MsgpackReader in(bytes);
    CHECK_FALSE(in.skip());
  }
  const std::string deep(100000, '\x91');
  MsgpackReader in(deep);
  CHECK_FALSE(in.skip());
  CHECK_FALSE(in.truncated());
}

}  // namespace
}  // namespace remora::discovery::swim
