// Configurations and bytes that many worker tests share.
#pragma once

#include <string>
#include <string_view>

namespace remora::testing {

// One listener, one cluster of one endpoint, tried once: what goes wrong shows at once.
inline constexpr std::string_view kOneBackend = R"(
[[listener]]
name = "in"
address = "127.0.0.1:8080"
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80"]
retry = { attempts = 1 }
)";

// One listener, one cluster of two endpoints, round robin.
inline constexpr std::string_view kTwoBackends = R"(
[[listener]]
name = "in"
address = "127.0.0.1:8080"
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["10.0.0.1:80", "10.0.0.2:80"]
)";

inline constexpr std::string_view kGet = "GET /a?b HTTP/1.1\r\nHost: example.com\r\n\r\n";
inline constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

// The status of a response that begins `bytes`, or 0.
inline unsigned status_of(std::string_view bytes) {
  if (bytes.size() < 12 || !bytes.starts_with("HTTP/1.1 ")) return 0;
  return static_cast<unsigned>((bytes[9] - '0') * 100 + (bytes[10] - '0') * 10 + (bytes[11] - '0'));
}

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

inline std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

}  // namespace remora::testing
