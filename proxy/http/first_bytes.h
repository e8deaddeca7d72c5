// What the first bytes of a connection say about what will come over it, where one port serves several
// protocols.
//
// Thread: any; pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace remora::http {

enum class FirstBytes : std::uint8_t {
  kMore,   // they may still become HTTP
  kTls,    // a record of a TLS handshake
  kHttp,   // a whole request line of HTTP/1
  kOther,  // none of these: HTTP/2 in the clear is not, either
};

// A request line that is longer is taken for HTTP, whose codec knows what to answer.
inline constexpr std::size_t kLongestFirstLine = std::size_t{64} * 1024;

// `bytes`: the connection's from its first on. What is said once is not taken back when more come.
FirstBytes look_at(std::string_view bytes);

}  // namespace remora::http
