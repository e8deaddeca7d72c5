// What peers have really sent and accepted, captured on loopback: vectors.json (messages of serf 0.9.4, which
// is memberlist 0.2.2, and of memberlist 0.5.1 for labels) and lzw.json (Go's compress/lzw).
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace remora::discovery::swim::test {

inline nlohmann::json read_vectors(const std::string& path) {
  std::ifstream in(path);
  return nlohmann::json::parse(in);
}

inline std::string from_hex(std::string_view hex) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (std::size_t at = 0; at + 1 < hex.size(); at += 2) {
    bytes.push_back(static_cast<char>(digit(hex[at]) * 16 + digit(hex[at + 1])));
  }
  return bytes;
}

inline std::string to_hex(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes) {
    hex.push_back("0123456789abcdef"[static_cast<std::uint8_t>(byte) >> 4U]);
    hex.push_back("0123456789abcdef"[static_cast<std::uint8_t>(byte) & 0xfU]);
  }
  return hex;
}

constexpr std::string_view kPoolKey = "a86a08f0910777e5eec1625eeb9e1761e319df8a1579e988907fa05dcdc9a740";

}  // namespace remora::discovery::swim::test
