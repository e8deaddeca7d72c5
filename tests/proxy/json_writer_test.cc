#include "proxy/json_writer.h"

#include <doctest/doctest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>

namespace remora::proxy {
namespace {

using nlohmann::json;

TEST_CASE("objects, arrays and values stand where they were written, with their commas") {
  JsonWriter out;
  out.object().pair("a", 1U).key("b").array().value("x").value(2U).object().end_object().end_array();
  out.key("c").object().pair("d", true).pair("e", 1.5).key("f").null().end_object().end_object();
  CHECK(out.text() == R"({"a":1,"b":["x",2,{}],"c":{"d":true,"e":1.5,"f":null}})");
}

TEST_CASE("a text that looks like the end of something does not confuse the commas") {
  JsonWriter out;
  out.array().value("[").value("{").value(":").value("").value(",").end_array();
  CHECK(json::parse(out.text()) == json{"[", "{", ":", "", ","});
}

TEST_CASE("whatever bytes a text holds, the result is JSON") {
  for (unsigned c = 0; c < 256; ++c) {
    const std::string text{'a', static_cast<char>(c), 'b'};
    JsonWriter out;
    out.array().value(text).end_array();
    const json parsed = json::parse(out.text());
    REQUIRE(parsed.size() == 1);
    if (c < 0x80) CHECK(parsed[0] == text);
  }
}

TEST_CASE("numbers are short, and none is written that JSON does not have") {
  JsonWriter out;
  out.array().value(0.1 + 0.2).value(1764244086.123).value(-0.5).value(1e300);
  out.value(std::numeric_limits<double>::quiet_NaN()).value(std::numeric_limits<double>::infinity());
  out.value(std::uint64_t{18446744073709551615U}).end_array();
  CHECK(out.text() == "[0.3,1764244086.123,-0.5,1e+300,null,null,18446744073709551615]");
}

}  // namespace
}  // namespace remora::proxy
