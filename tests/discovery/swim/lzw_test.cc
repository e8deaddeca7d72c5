#include "discovery/swim/lzw.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <map>

#include "base/random.h"
#include "tests/discovery/swim/vectors.h"

namespace remora::discovery::swim {
namespace {

std::string from_base64(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  unsigned bits = 0;
  unsigned have = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = bits << 6U | static_cast<unsigned>(kDigits.find(c));
    have += 6;
    if (have < 8) continue;
    have -= 8;
    bytes.push_back(static_cast<char>(bits >> have & 0xffU));
  }
  return bytes;
}

std::map<std::string, std::string> inputs() {
  std::map<std::string, std::string> made{{"empty", ""}, {"one_A", "A"}, {"A_x1000", std::string(1000, 'A')}};
  for (unsigned i = 0; i < 256; ++i) made["seq_256"].push_back(static_cast<char>(i));
  for (std::uint64_t i = 0; i < 20000; ++i)
    made["quad_20000"].push_back(static_cast<char>((i * i * 7 + i / 3) & 0xffU));
  std::uint32_t x = 12345;
  for (int i = 0; i < 70000; ++i) {
    x = x * 1664525U + 1013904223U;
    made["lcg_70000"].push_back(static_cast<char>(x >> 24U));
  }
  return made;
}

TEST_CASE("swim: LZW inflates and deflates as Go does, byte for byte") {
  const nlohmann::json vectors = test::read_vectors(REMORA_SOURCE_DIR "/tests/discovery/swim/lzw.json");
  CHECK(vectors.size() == 6);
  const auto made = inputs();
  for (const auto& [name, encoded] : vectors.items()) {
    CAPTURE(name);
    const std::string bytes = from_base64(encoded.get<std::string>());
    const auto plain = lzw_inflate(bytes, 100000);
    REQUIRE(plain);
    CHECK(*plain == made.at(name));
    CHECK(lzw_deflate(made.at(name)) == bytes);
  }
}

TEST_CASE("swim: LZW output is bounded, cut-off input refused, and random input harmless") {
  const std::string bytes = lzw_deflate(std::string(1000, 'A'));
  CHECK(lzw_inflate(bytes, 1000));
  CHECK_FALSE(lzw_inflate(bytes, 999));
  for (std::size_t size = 0; size < bytes.size() - 1; ++size) {
    CHECK_FALSE(lzw_inflate(std::string_view(bytes).substr(0, size), 1000));
  }
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string noise;
    for (unsigned left = random.below(400); left > 0; --left)
      noise.push_back(static_cast<char>(random.below(256)));
    const auto plain = lzw_inflate(noise, 10000);
    if (plain) CHECK(plain->size() <= 10000);
    CHECK(lzw_inflate(lzw_deflate(noise), 1000) == noise);
  }
}

}  // namespace
}  // namespace remora::discovery::swim
