// The PROXY protocol: bytes in, addresses out, each row also split at every byte.
#include "proxy/http/proxy_header.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace remora;
using namespace remora::http;

namespace {

std::string show(std::string_view bytes) {
  const auto header = parse_proxy_header(bytes);
  if (!header) return "wrong";
  if (!*header) return "more";
  const auto text = [](const std::optional<Address>& address) {
    return address ? address->to_string() : std::string("-");
  };
  return std::to_string((*header)->size) + " " + text((*header)->source) + " " + text((*header)->destination);
}

std::string v2(std::string_view head, std::string_view content) {
  std::string out("\r\n\r\n\0\r\nQUIT\n", 12);
  out.append(head);
  out += static_cast<char>(content.size() >> 8U);
  out += static_cast<char>(content.size() & 0xffU);
  return out.append(content);
}

// With the checksum that HAProxy's specification asks for, worked out bit by bit from its polynomial.
std::string summed(std::string_view head, std::string content) {
  std::string header = v2(head, content + std::string("\x03\x00\x04\x00\x00\x00\x00", 7));
  std::uint32_t crc = 0xffffffffU;
  for (const char byte : header) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1U) != 0 ? (crc >> 1U) ^ 0x82f63b78U : crc >> 1U;
  }
  crc = ~crc;
  for (std::size_t i = 0; i < 4; ++i) header[header.size() - 4 + i] = static_cast<char>(crc >> (24 - 8 * i));
  return header;
}

const std::string kV4("\x0a\x01\x02\x03\x7f\x00\x00\x01\x30\x39\x01\xbb", 12);
const std::string kV6 = std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + '\x07' +
                        std::string(15, '\0') + '\x01' + std::string("\xff\xff\x00\x50", 4);

}  // namespace

TEST_CASE("PROXY headers say where a connection came from and where it went") {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"PROXY TCP4 10.1.2.3 127.0.0.1 12345 443\r\n", "10.1.2.3:12345 127.0.0.1:443"},
      {"PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n", "255.255.255.255:65535 0.0.0.0:0"},
      {"PROXY TCP6 2001:db8::7 ::1 65535 80\r\n", "[2001:db8::7]:65535 [::1]:80"},
      {"PROXY TCP6 ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "wrong"},
      {"PROXY TCP6 ::ffff:10.1.2.3 ::1 1 80\r\n", "10.1.2.3:1 [::1]:80"},
      {"PROXY UNKNOWN\r\n", "- -"},
      {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
       "65535\r\n",
       "- -"},
      {"PROXY TCP4 10.1.2.3 127.0.0.1 12345\r\n", "wrong"},
      {"PROXY TCP4 10.1.2.3 127.0.0.1 12345 443 7\r\n", "wrong"},
      {"PROXY TCP4  10.1.2.3 127.0.0.1 12345 443\r\n", "wrong"},
      {"PROXY TCP4 10.1.2.3 127.0.0.1 12345 443 \r\n", "wrong"},
      {"PROXY TCP4 10.1.2.3 127.0.0.1 12345 65536\r\n", "wrong"},
      {"PROXY TCP4 10.1.2.3 127.0.0.1 012 443\r\n", "wrong"},
      {"PROXY TCP4 10.1.2.3 127.0.0.1 +12 443\r\n", "wrong"},
      {"PROXY TCP4 10.1.2.3 127.0.0.1  443\r\n", "wrong"},
      {"PROXY TCP4 10.1.2.300 127.0.0.1 1 443\r\n", "wrong"},
      {"PROXY TCP4 ::1 ::1 1 443\r\n", "wrong"},
      {"PROXY TCP6 10.1.2.3 127.0.0.1 1 443\r\n", "wrong"},
      {"PROXY TCP6 [::1] ::1 1 443\r\n", "wrong"},
      {"PROXY TCP4 a.example b.example 1 443\r\n", "wrong"},
      {"PROXY UDP4 10.1.2.3 127.0.0.1 12345 443\r\n", "wrong"},
      {"PROXY \r\n", "wrong"},
      {"PROXY\r\n", "wrong"},
      {"proxy TCP4 10.1.2.3 127.0.0.1 12345 443\r\n", "wrong"},
      {"PROXY TCP4 10.1.2.3 127.0.0.1 12345 443\n", "wrong"},
      {"PROXY UNKNOWN " + std::string(91, 'x') + "\r\n", "- -"},
      {"PROXY UNKNOWN " + std::string(92, 'x') + "\r\n", "wrong"},
      {"GET / HTTP/1.1\r\n", "wrong"},
      {"\x16\x03\x01", "wrong"},
      {v2("\x21\x11", kV4), "10.1.2.3:12345 127.0.0.1:443"},
      {v2("\x21\x11", kV4 + std::string("\x04\x00\x02no\xea\x00\x00", 8)), "10.1.2.3:12345 127.0.0.1:443"},
      {v2("\x21\x11", kV4 + std::string("\x04\x00\x03no", 5)), "wrong"},
      {v2("\x21\x11", kV4 + std::string("\x04\x00", 2)), "wrong"},
      {summed("\x21\x11", kV4), "10.1.2.3:12345 127.0.0.1:443"},
      {summed("\x21\x21", kV6), "[2001:db8::7]:65535 [::1]:80"},
      {v2("\x21\x11", kV4 + std::string("\x03\x00\x04\xaa\xbb\xcc\xdd", 7)), "wrong"},
      {v2("\x21\x11", kV4 + std::string("\x03\x00\x04\x00\x00\x00\x00", 7)), "wrong"},
      {v2("\x21\x11", kV4 + std::string("\x03\x00\x02\xaa\xbb", 5)), "wrong"},
      {v2("\x20\x11", kV4 + std::string("\x03\x00\x04\xaa\xbb\xcc\xdd", 7)), "- -"},
      {v2("\x21\x21", kV6), "[2001:db8::7]:65535 [::1]:80"},
      {v2("\x21\x21", kV6.substr(0, 35)), "wrong"},
      {v2("\x21\x11", kV4.substr(0, 11)), "wrong"},
      {v2("\x20\x11", kV4), "- -"},
      {v2(std::string("\x20\x00", 2), ""), "- -"},
      {v2(std::string("\x21\x00", 2), "whatever"), "- -"},
      {v2("\x21\x31", std::string(216, 'u')), "- -"},
      {v2("\x21\x12", kV4), "wrong"},
      {v2("\x21\x41", kV4), "wrong"},
      {v2("\x11\x11", kV4), "wrong"},
      {v2("\x22\x11", kV4), "wrong"},
      {v2("\x20\x11", std::string(kLongestProxyHeader - 16, 't')), "- -"},
      {v2("\x20\x11", std::string(kLongestProxyHeader - 15, 't')), "wrong"},
      {std::string("\r\n\r\n\0\r\nQUIT\r", 12), "wrong"},
  };
  for (const auto& [bytes, expected] : rows) {
    CAPTURE(bytes);
    const std::string whole = expected == "wrong" ? expected : std::to_string(bytes.size()) + " " + expected;
    CHECK(show(bytes) == whole);
    if (expected != "wrong") CHECK(show(bytes + "GET / HTTP/1.1\r\n") == whole);
    std::string verdict = "more";
    for (std::size_t size = 0; size <= bytes.size() && verdict == "more"; ++size) {
      verdict = show(std::string_view(bytes).substr(0, size));
    }
    CHECK(verdict == whole);
  }
}

TEST_CASE("PROXY headers that Remora writes are read as what they say") {
  for (const auto version : {ProxyVersion::kV1, ProxyVersion::kV2}) {
    for (const std::string_view family : {"10.1.2.3:12345 127.0.0.1:443", "[2001:db8::7]:65535 [::1]:0"}) {
      const auto space = family.find(' ');
      const auto source = *Address::parse(family.substr(0, space));
      const auto destination = *Address::parse(family.substr(space + 1));
      const std::string header = proxy_header(version, source, destination);
      CHECK(show(header) == std::to_string(header.size()) + " " + std::string(family));
      for (const auto& [from, to] :
           {std::pair(source, Address()), std::pair(Address::unix_path("/x"), destination)}) {
        const std::string unknown = proxy_header(version, from, to);
        CHECK(show(unknown) == std::to_string(unknown.size()) + " - -");
      }
    }
    CHECK(show(own_proxy_header(version)) == std::to_string(own_proxy_header(version).size()) + " - -");
  }
  CHECK(proxy_header(ProxyVersion::kV1, *Address::parse("1.2.3.4:5"), *Address::parse("6.7.8.9:10")) ==
        "PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n");
  CHECK(proxy_header(ProxyVersion::kV2, *Address::parse("10.1.2.3:12345"),
                     *Address::parse("127.0.0.1:443")) == v2("\x21\x11", kV4));
  CHECK(own_proxy_header(ProxyVersion::kV2) == v2(std::string("\x20\x00", 2), ""));
}

TEST_CASE("the checksum of a PROXY header is CRC32c, and every bit of the header counts") {
  const std::string good = summed("\x21\x11", kV4);
  for (std::size_t at = 16; at < good.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      if (at >= 28 && at < 31) continue;  // then it is another addition
      CAPTURE(at);
      CHECK(show(bad) == "wrong");
    }
  }
}
