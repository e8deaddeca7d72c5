// What stands before a connection's own bytes: PROXY headers, the ClientHello of TLS, and what tells
// protocols apart. The verdict does not depend on how the bytes came in, what is read is within the bounds,
// and what Remora would write about it is read back as the same.
//
// REMORA_FUZZ=proxy_header, client_hello or first_bytes spends all the time on that one.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "proxy/http/client_hello.h"
#include "proxy/http/first_bytes.h"
#include "proxy/http/proxy_header.h"

namespace remora::http {
namespace {

[[noreturn]] void fail(std::string_view what) {
  std::cerr << what << "\n";
  std::abort();
}

void check_proxy_header(std::string_view bytes) {
  const auto whole = parse_proxy_header(bytes);
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    const auto part = parse_proxy_header(bytes.substr(0, size));
    if (part && !*part) {
      if (size >= kLongestProxyHeader) fail("nothing is known of a header that is too long");
      continue;
    }
    if (part.has_value() != whole.has_value()) fail("another verdict when it comes in pieces");
    if (!whole) return;
    if ((*part)->size != (*whole)->size || (*part)->size != size)
      fail("another size when it comes in pieces");
    break;
  }
  if (!whole || !*whole) return;
  const ProxyHeader& header = **whole;
  if (header.size > bytes.size() || header.source.has_value() != header.destination.has_value())
    fail("out of bounds");
  if (!header.source) return;
  for (const auto version : {ProxyVersion::kV1, ProxyVersion::kV2}) {
    const std::string written = proxy_header(version, *header.source, *header.destination);
    const auto again = parse_proxy_header(written);
    if (!again || !*again || (*again)->size != written.size()) fail("what is written cannot be read");
    const bool known = header.source->kind() == header.destination->kind();
    if (known && ((*again)->source != header.source || (*again)->destination != header.destination)) {
      fail("what is written says something else");
    }
  }
}

void check_client_hello(std::string_view bytes) {
  const auto whole = parse_client_hello(bytes);
  for (std::size_t size = 0; size <= bytes.size(); size += size < 512 ? 1 : 61) {
    const auto part = parse_client_hello(bytes.substr(0, size));
    if (part && !*part) continue;
    if (part.has_value() != whole.has_value()) fail("another verdict when it comes in pieces");
    if (whole && (*part)->server_name != (*whole)->server_name) fail("another name when it comes in pieces");
    break;
  }
  if (!whole) return;
  if (!*whole) {
    if (bytes.size() > 2 * kLongestClientHello) fail("nothing is known of one that is too long");
    return;
  }
  for (const char c : (*whole)->server_name) {
    if (c <= ' ' || c >= 0x7f || (c >= 'A' && c <= 'Z')) fail("a name that cannot be logged, or compared");
  }
}

void check_first_bytes(std::string_view bytes) {
  const FirstBytes whole = look_at(bytes);
  for (std::size_t size = 0; size <= bytes.size(); size += size < 512 ? 1 : 61) {
    const FirstBytes part = look_at(bytes.substr(0, size));
    if (part != FirstBytes::kMore && part != whole) fail("another protocol when it comes in pieces");
  }
}

}  // namespace
}  // namespace remora::http

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static const char* const chosen = std::getenv("REMORA_FUZZ");
  const auto wanted = [](std::string_view name) { return chosen == nullptr || name == chosen; };
  if (wanted("proxy_header")) remora::http::check_proxy_header(bytes);
  if (wanted("client_hello")) remora::http::check_client_hello(bytes);
  if (wanted("first_bytes")) remora::http::check_first_bytes(bytes);
  return 0;
}
