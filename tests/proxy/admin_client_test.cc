#include "proxy/admin_client.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

namespace remora::proxy {
namespace {

TEST_CASE("an admin address is taken as people write it") {
  const std::vector<std::pair<std::string, std::string>> rows{{"127.0.0.1:9901", "127.0.0.1:9901"},
                                                              {"localhost:9901", "127.0.0.1:9901"},
                                                              {"http://localhost:9901/", "127.0.0.1:9901"},
                                                              {"http://127.0.0.1:80", "127.0.0.1:80"},
                                                              {"[::1]:9901", "[::1]:9901"},
                                                              {"unix:/run/a.sock", "unix:/run/a.sock"}};
  for (const auto& [text, address] : rows) {
    CAPTURE(text);
    const auto parsed = parse_admin_address(text);
    REQUIRE(parsed.has_value());
    CHECK(parsed->to_string() == address);
  }
}

TEST_CASE("what is no admin address is refused with what to write") {
  for (const char* text : {"", "9901", "localhost", "localhost:x", "example.org:9901",
                           "https://127.0.0.1:9901", "http://127.0.0.1:9901/stats", "127.0.0.1"}) {
    CAPTURE(text);
    const auto parsed = parse_admin_address(text);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().detail ==
          "\"" + std::string(text) + "\" is no admin address, write \"127.0.0.1:9901\" or \"unix:/path\"");
  }
}

}  // namespace
}  // namespace remora::proxy
